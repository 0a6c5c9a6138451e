//! The settings of `brrr.toml`. Each becomes the default of the flag with the same name. So the order is the same for
//! every flag of every command: flag, environment, file, default.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::config::{self, Config, ConfigError, Setting};
use crate::trust;

/// The environment variable of `--config`.
pub const CONFIG_ENV: &str = "BRRR_CONFIG";

/// Commands that work even if the file can't be read.
const INDEPENDENT: [&str; 4] = ["completions", "help", "inspect", "new"];

/// The flags that `--backend` replaces.
const PARTS: [&str; 3] = ["queue", "store", "counters"];

/// The parsed command line. Flags override the environment, and the environment overrides the file.
pub struct Parsed {
    pub matches: ArgMatches,
    pub config: Config,
}

/// Reads the file and the command line. For a bad command line, clap prints the error and ends the program.
///
/// # Errors
/// When the command needs the file, and the file can't be read or understood.
pub fn parse(command: &Command, args: &[OsString]) -> Result<Parsed, ConfigError> {
    match load(named_file(args).as_deref()) {
        Ok(config) => Ok(Parsed { matches: under(command, &config.settings, args), config }),
        Err(error) => {
            // `--help` and `--version` end the program here.
            let bare = command.clone().try_get_matches_from(args);
            let independent =
                |matches: &ArgMatches| matches.subcommand_name().is_some_and(|c| INDEPENDENT.contains(&c));
            match bare {
                Ok(matches) if independent(&matches) => Ok(Parsed { matches, config: Config::default() }),
                Err(help) if !help.use_stderr() => help.exit(),
                _ => Err(error),
            }
        }
    }
}

/// Reads the named file, or else the file of this folder, if it exists and belongs to this user.
fn load(named: Option<&Path>) -> Result<Config, ConfigError> {
    let path = named.unwrap_or(Path::new(config::DEFAULT));
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return named.map_or(Ok(Config::default()), |path| Err(ConfigError::NotFound { path: path.to_owned() }));
        }
        Err(error) => return Err(unreadable(error)),
    };
    if named.is_none() {
        let of_folder = fs::metadata(".").map_err(unreadable)?;
        trust::check_found(&file.metadata().map_err(unreadable)?, &of_folder)
            .map_err(|reason| ConfigError::NotYours { path: path.to_owned(), reason })?;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    let mut config = Config::parse(path, &text)?;
    config.is_named = named.is_some();
    Ok(config)
}

/// The file that `--config` names. It must be known before the rest of the command line can be parsed.
fn named_file(args: &[OsString]) -> Option<PathBuf> {
    let mut args = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|arg| arg.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    std::env::var_os(CONFIG_ENV).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn under(command: &Command, settings: &[Setting], args: &[OsString]) -> ArgMatches {
    let matches = with_defaults(command.clone(), settings).get_matches_from(args);
    // If a flag or the environment names a backend, that backend is complete: the file's `queue`, `store` and
    // `counters` are not added to it.
    let named = matches.subcommand().is_some_and(|(_, of)| is_given(innermost(of), "backend"));
    if named && settings.iter().any(is_part) {
        let others: Vec<_> = settings.iter().filter(|setting| !is_part(setting)).cloned().collect();
        return with_defaults(command.clone(), &others).get_matches_from(args);
    }
    matches
}

/// The matches of the innermost subcommand: of `list` in `dlq list`.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, of)| innermost(of))
}

fn is_part(setting: &Setting) -> bool {
    setting.section.commands().is_none() && PARTS.contains(&setting.key.as_str())
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    // Not every command has a backend, and `value_source` panics for an unknown id.
    matches.try_contains_id(id).is_ok()
        && matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// The commands, with the file's values as the defaults of their flags.
pub fn with_defaults(command: Command, settings: &[Setting]) -> Command {
    command.mut_subcommands(|of| {
        let name = of.get_name().to_owned();
        settings.iter().filter(|setting| concerns(setting, &name)).fold(of, set)
    })
}

/// Is a setting one of the flags of this command?
pub fn concerns(setting: &Setting, command: &str) -> bool {
    setting.section.commands().is_none_or(|commands| commands.contains(&command))
}

fn set(command: Command, setting: &Setting) -> Command {
    let flag = command.get_arguments().find(|arg| arg.get_long() == Some(&setting.key)).map(|arg| arg.get_id().clone());
    // In `dlq list`, the flags belong to `list`, not to `dlq`.
    let command = command.mut_subcommands(|of| set(of, setting));
    match flag {
        Some(id) => command.mut_arg(id, |arg| {
            // A URL may contain a password, so `--help` must not show it.
            arg.required(false).default_value(setting.value.clone()).hide_default_value(setting.value.contains('@'))
        }),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Arg;

    use super::*;
    use crate::config::Section;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn setting(section: Section, key: &str, value: &str) -> Setting {
        Setting { section, key: key.to_owned(), value: value.to_owned(), line: 1 }
    }

    fn command() -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name);
        Command::new("host").subcommand(Command::new("run").args([
            flag("topic").required(true),
            flag("backend"),
            flag("queue"),
            flag("timeout"),
        ]))
    }

    #[test]
    fn the_file_sets_what_the_flags_do_not_set() {
        let file = [
            setting(Section::Top, "topic", "a"),
            setting(Section::Worker, "timeout", "1s"),
            setting(Section::Job, "timeout", "2s"),
        ];
        let of = |line: &str| {
            let matches = under(&command(), &file, &args(line));
            let run = matches.subcommand_matches("run").unwrap();
            ["topic", "timeout"].map(|id| run.get_one::<String>(id).unwrap().clone())
        };
        assert_eq!(of("host run"), ["a", "1s"]);
        assert_eq!(of("host run --timeout 3s"), ["a", "3s"]);
        assert_eq!(of("host run --topic b"), ["b", "1s"]);
    }

    #[test]
    fn a_backend_on_the_command_line_replaces_all_parts_in_the_file() {
        let file = [setting(Section::Top, "topic", "a"), setting(Section::Top, "queue", "sqs:")];
        let queue = |line: &str| {
            let matches = under(&command(), &file, &args(line));
            matches.subcommand_matches("run").unwrap().get_one::<String>("queue").cloned()
        };
        assert_eq!(queue("host run"), Some("sqs:".to_owned()));
        assert_eq!(queue("host run --backend redis:"), None);
        assert_eq!(queue("host run --backend redis: --queue memory:"), Some("memory:".to_owned()));
    }

    /// The file uses the names and the values of flags. So a new flag is also a new key, or is listed here with a
    /// reason.
    #[test]
    fn keys_of_the_file_and_flags_agree() {
        // Flags of all commands, or of one start only.
        const OF_ALL: [&str; 5] = ["config", "help", "log-level", "output", "yes"];
        // Set for each component.
        const OF_COMPONENTS: [&str; 4] = ["allow-http", "dir", "env", "env-file"];
        // Set for one call, or one start. A file that was found must not make a worker run the code of others.
        const OF_A_CALL: [&str; 10] =
            ["accept-code", "at", "codec", "deadline", "delay", "fresh", "id", "wait", "watch", "with"];
        let schema = serde_json::to_value(Config::schema()).unwrap();
        let keys =
            |of: &serde_json::Value| of["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let top = keys(&schema);
        let command = <super::super::Cli as clap::CommandFactory>::command();
        for (section, names) in [("Worker", vec!["run"]), ("Job", vec!["call", "schedule"]), ("Serve", vec!["serve"])] {
            let own = keys(&schema["$defs"][section]);
            for name in names {
                let flags: BTreeSet<_> =
                    command.find_subcommand(name).unwrap().get_arguments().filter_map(Arg::get_long).collect();
                for key in &own {
                    assert!(flags.contains(key.as_str()), "[{section}] {key} is no flag of {name}");
                }
                for flag in flags {
                    let known = own.contains(flag) || top.contains(flag);
                    let excused = [&OF_ALL[..], &OF_COMPONENTS, &OF_A_CALL].concat().contains(&flag);
                    assert!(known || excused, "{name} --{flag} is no key of brrr.toml");
                }
            }
        }
    }

    /// Every command and subcommand takes the file's value for a flag that it has.
    #[test]
    fn each_command_reads_the_file() {
        fn check(command: &Command, path: &str, file: &[Setting], found: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            for setting in file {
                let flag = command.get_arguments().find(|arg| arg.get_long() == Some(&setting.key));
                if let Some(flag) = flag {
                    let value: Vec<_> = flag.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
                    assert_eq!(value, [&setting.value], "{path} --{}", setting.key);
                    assert!(!flag.is_required_set(), "{path} --{}", setting.key);
                    found.push(format!("{path} --{}", setting.key));
                }
            }
            command.get_subcommands().for_each(|of| check(of, &path, file, found));
        }
        let file = ["topic", "backend", "queue", "store", "counters", "namespace"]
            .map(|key| setting(Section::Top, key, "from-the-file"));
        let command = <super::super::Cli as clap::CommandFactory>::command();
        let mut found = Vec::new();
        check(&with_defaults(command.clone(), &file), "", &file, &mut found);
        for of in ["run --topic", "jobs --backend", "dlq list --topic", "dlq show --store", "dlq send --queue"] {
            assert!(found.contains(&format!(" brrr-host {of}")), "{of} is not in {found:?}");
        }
        // A required flag takes the file's value too.
        let matches = under(&command, &file, &args("brrr-host dlq list"));
        let list = innermost(&matches);
        assert_eq!(list.get_one::<String>("backend").map(String::as_str), Some("from-the-file"));
        let parts = [setting(Section::Top, "queue", "sqs:")];
        let matches = under(&command, &parts, &args("brrr-host dlq list --topic a --backend redis:"));
        assert_eq!(innermost(&matches).get_one::<String>("queue"), None);
    }

    #[test]
    fn the_file_is_found_before_the_command_line_is_parsed() {
        assert_eq!(named_file(&args("host run --config a.toml x.wasm")), Some("a.toml".into()));
        assert_eq!(named_file(&args("host --config=b.toml run")), Some("b.toml".into()));
        assert_eq!(named_file(&args("host call t -- --config c.toml")), None);
    }
}
