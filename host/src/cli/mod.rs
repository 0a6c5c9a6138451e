//! The command line: one file for each command. Data goes to stdout, messages for the user go to stderr.

mod approval;
mod build;
mod call;
mod cancel;
mod completions;
mod config;
mod console;
mod cron;
mod deploy;
mod diff;
mod dlq;
mod doctor;
mod encode;
mod events;
mod forget;
mod gc;
mod inspect;
mod job;
mod jobs;
mod log;
mod logs;
mod new;
mod options;
mod outcome;
mod output;
mod permissions;
mod progress;
mod publish;
mod pull;
mod push;
mod read;
mod resolve;
mod retry;
mod run;
mod schedule;
mod serve;
mod settings;
mod setup;
mod signals;
mod source;
mod submit;
mod test;
mod top;
mod topics;
mod wait;
mod wit;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use brrr_protocol::Error;
use brrr_worker::gateway::CannotListen;
use brrr_worker::permissions::PermissionError;
use brrr_worker::signatures::KeyError;
use brrr_worker::wasm::LoadError;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::build::BuildError;
use crate::config::{Config, ConfigError};
use crate::exit::{self, Exit};
use crate::registry::RegistryError;
use crate::testing::CasesError;
use output::Format;

/// Runs task handlers compiled to WebAssembly components as a durable call graph.
#[derive(Debug, Parser)]
#[command(name = "brrr-host", version, after_help = exit::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// How much to log on stderr: error, warn, info, debug, trace, or a filter such as `brrr_host=debug`.
    #[arg(long, global = true, env = "BRRR_LOG", default_value = "info", value_name = "LEVEL")]
    log_level: String,

    /// The format of the data on stdout.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,

    /// The file with the project's settings. Not given: `brrr.toml` in this folder, if it exists.
    // `settings` reads this flag before the others.
    #[arg(long, global = true, env = settings::CONFIG_ENV, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::NewCommand),
    Build(build::BuildCommand),
    Run(Box<run::RunCommand>),
    Call(call::CallCommand),
    Schedule(schedule::ScheduleCommand),
    Read(read::ReadCommand),
    Jobs(jobs::JobsCommand),
    Job(job::JobCommand),
    Logs(logs::LogsCommand),
    Cancel(cancel::CancelCommand),
    Resolve(resolve::ResolveCommand),
    Reject(resolve::RejectCommand),
    Retry(retry::RetryCommand),
    Cron(cron::CronCommand),
    Dlq(dlq::DlqCommand),
    Top(top::TopCommand),
    Topics(topics::TopicsCommand),
    Workers(topics::WorkersCommand),
    Events(events::EventsCommand),
    Forget(forget::ForgetCommand),
    Doctor(doctor::DoctorCommand),
    Gc(gc::GcCommand),
    Serve(serve::ServeCommand),
    Setup(setup::SetupCommand),
    Config(config::ConfigCommand),
    Push(push::PushCommand),
    Publish(publish::PublishCommand),
    Deploy(deploy::DeployCommand),
    Pull(pull::PullCommand),
    Inspect(inspect::InspectCommand),
    Test(Box<test::TestCommand>),
    Conformance(Box<test::ConformanceCommand>),
    Wit(wit::WitCommand),
    Completions(completions::CompletionsCommand),
}

/// Runs the whole program. No input of a user may make it panic.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let exit = settings::parse(&Cli::command(), &args)
        .map_err(anyhow::Error::from)
        .and_then(|parsed| {
            let cli = Cli::from_arg_matches(&parsed.matches).unwrap_or_else(|error| error.exit());
            log::start(&cli.log_level)?;
            run(cli, parsed.config)
        })
        .unwrap_or_else(|error| {
            let exit = exit_of(&error);
            if exit != Exit::BrokenPipe {
                output::say(format_args!("{} {}", output::emphasis("error:"), in_lines(&error)));
            }
            exit
        });
    ExitCode::from(exit.code())
}

fn run(cli: Cli, config: Config) -> anyhow::Result<Exit> {
    let format = cli.output;
    if matches!(cli.command, Command::Run(_) | Command::Serve(_)) {
        open_more_files();
    }
    let many = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    // Commands that only read need no more than the current thread.
    let one = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match cli.command {
        Command::Run(args) if run::is_parent(&args) => {
            approval::check(&config, args.permissions.yes)?;
            run::supervise(&args, &config)
        }
        Command::Run(args) => at_once(many()?, run::run(*args, config)),
        Command::New(args) => new::run(args),
        Command::Build(args) => one()?.block_on(build::run(args, format)),
        Command::Serve(args) => many()?.block_on(serve::run(args)),
        Command::Call(args) => one()?.block_on(call::run(args, format)),
        Command::Schedule(args) => one()?.block_on(schedule::run(args, format)),
        Command::Read(args) => one()?.block_on(read::run(args, format)),
        Command::Jobs(args) => one()?.block_on(jobs::run(args, format)),
        Command::Job(args) => one()?.block_on(job::run(args, format)),
        Command::Logs(args) => one()?.block_on(logs::run(args, format)),
        Command::Cancel(args) => one()?.block_on(cancel::run(args, format)),
        Command::Resolve(args) => one()?.block_on(resolve::resolve(args, format)),
        Command::Reject(args) => one()?.block_on(resolve::reject(args, format)),
        Command::Retry(args) => one()?.block_on(retry::run(args, format)),
        Command::Cron(args) => one()?.block_on(cron::run(args, format)),
        Command::Dlq(args) => one()?.block_on(dlq::run(args, format)),
        Command::Top(args) => one()?.block_on(top::run(args, format)),
        Command::Topics(args) => one()?.block_on(topics::topics(args, format)),
        Command::Workers(args) => one()?.block_on(topics::workers(args, format)),
        Command::Events(args) => one()?.block_on(events::run(args)),
        Command::Forget(args) => one()?.block_on(forget::run(args, format)),
        Command::Doctor(args) => one()?.block_on(doctor::run(args, format)),
        Command::Gc(args) => one()?.block_on(gc::run(args, format)),
        Command::Setup(args) => one()?.block_on(setup::run(args, format)),
        Command::Config(args) => config::run(&args, &config, &Cli::command(), format),
        Command::Push(args) => at_once(many()?, push::run(args, format)),
        Command::Publish(args) => at_once(many()?, publish::run(args, format)),
        Command::Deploy(args) => one()?.block_on(deploy::run(args, format)),
        Command::Pull(args) => one()?.block_on(pull::run(args, format)),
        Command::Inspect(args) => at_once(many()?, inspect::run(args, format)),
        Command::Test(args) => at_once(many()?, test::run(*args, &config, format)),
        Command::Conformance(args) => at_once(many()?, test::run_conformance(*args, &config, format)),
        Command::Wit(args) => wit::run(args),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
    }
}

/// Runs a command that works with guests, and does not wait at the end for work in other threads: a running guest, a
/// compilation, or the reading of a file.
fn at_once(runtime: Runtime, command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let ended = runtime.block_on(command);
    runtime.shutdown_background();
    ended
}

/// Raises this process's limit of open files and connections to the maximum that the system allows. The runtimes of Go
/// and Java do the same. The usual limit of 1,024 protects old programs; a worker's guests alone may need more
/// connections.
fn open_more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // The call fails on a system with other limits (macOS). The limit then stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// An error with its exit code.
#[derive(Debug)]
pub(crate) struct ExitError {
    exit: Exit,
    text: String,
}

impl ExitError {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ExitError {}

/// The exit code of an error: that of the first cause that has one.
fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| {
            if let Some(error) = cause.downcast_ref::<ExitError>() {
                return Some(error.exit);
            }
            if let Some(error) = cause.downcast_ref::<Error>() {
                return Some(error.into());
            }
            if let Some(error) = cause.downcast_ref::<LoadError>() {
                return Some(error.into());
            }
            if let Some(error) = cause.downcast_ref::<BuildError>() {
                return Some(error.into());
            }
            if let Some(error) = cause.downcast_ref::<RegistryError>() {
                return Some(error.into());
            }
            if cause.is::<ConfigError>()
                || cause.is::<PermissionError>()
                || cause.is::<CasesError>()
                || cause.is::<KeyError>()
            {
                return Some(Exit::Usage);
            }
            if cause.is::<CannotListen>() {
                return Some(Exit::CannotListen);
            }
            let io = cause.downcast_ref::<std::io::Error>()?;
            (io.kind() == std::io::ErrorKind::BrokenPipe).then_some(Exit::BrokenPipe)
        })
        .unwrap_or(Exit::Fault)
}

/// The error as one line. The project's own errors include their causes in their texts.
fn one_line(error: &anyhow::Error) -> String {
    let says_it_all = error.is::<ExitError>()
        || error.is::<Error>()
        || error.is::<LoadError>()
        || error.is::<BuildError>()
        || error.is::<ConfigError>()
        || error.is::<PermissionError>()
        || error.is::<CasesError>()
        || error.is::<RegistryError>()
        || error.is::<KeyError>()
        || error.is::<CannotListen>();
    let text = if says_it_all { error.to_string() } else { format!("{error:#}") };
    output::line(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The error in one line, and below it what a component has said itself, in lines as it was said.
fn in_lines(error: &anyhow::Error) -> String {
    let Some(LoadError::DescribeFailed { .. }) = error.downcast_ref() else { return one_line(error) };
    let text = error.to_string();
    let lines: Vec<_> = text.lines().map(output::line).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    /// Without a value parser, clap accepts only `true` and `false`, not `1`.
    #[test]
    fn flags_in_the_environment_take_the_usual_words() {
        fn check(command: &clap::Command) -> usize {
            let of_env =
                |arg: &&clap::Arg| matches!(arg.get_action(), clap::ArgAction::SetTrue) && arg.get_env().is_some();
            let flags: Vec<_> = command.get_arguments().filter(of_env).collect();
            let plain = format!("{:?}", clap::builder::ValueParser::bool());
            for flag in &flags {
                assert_ne!(format!("{:?}", flag.get_value_parser()), plain, "{} {flag}", command.get_name());
            }
            flags.len() + command.get_subcommands().map(check).sum::<usize>()
        }
        assert!(check(&Cli::command()) >= 3);
    }
}
