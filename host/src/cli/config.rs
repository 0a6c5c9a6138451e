//! `config`: shows the settings in force, and their sources.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::iter;

use brrr_backends::without_secrets;
use brrr_protocol::options::Options;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};
use serde_json::json;

use super::output::{Format, print, print_json, table};
use super::settings::{concerns, with_defaults};
use crate::config::{Component, Config, ScheduleEntry};
use crate::exit::Exit;

/// The commands whose flags `brrr.toml` can set.
const COMMANDS: [&str; 4] = ["run", "call", "schedule", "serve"];

/// Show the settings in force: each setting with its value, and the source of the value.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host config                                  # what the environment and brrr.toml say, for each command
  brrr-host config run --topic demo app.wasm        # what this very command line would use
  brrr-host config --schema > brrr.schema.json      # the form of brrr.toml, for editors

A flag goes before its environment variable, that before brrr.toml, that before the default. Passwords are not shown.")]
pub struct ConfigCommand {
    /// Print the JSON schema of brrr.toml instead.
    #[arg(long)]
    schema: bool,

    /// A command with its flags, as you would start it.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// A flag with its value and the source of the value.
struct InForce {
    command: String,
    name: String,
    value: String,
    from: From,
}

/// The source of a value.
enum From {
    Flag,
    Variable(String),
    File { line: usize },
    Default,
}

pub fn run(args: &ConfigCommand, config: &Config, command: &Command, format: Format) -> anyhow::Result<Exit> {
    if args.schema {
        print(serde_json::to_string_pretty(&Config::schema())?)?;
        return Ok(Exit::Done);
    }
    let command = with_defaults(command.clone(), &config.settings);
    let in_force = if args.command.is_empty() {
        COMMANDS.iter().flat_map(|name| of_command(&command, config, &[OsString::from(name)])).collect()
    } else {
        // If the line can't be parsed, clap prints the error and ends the program.
        of_command(&command, config, &args.command)
    };
    match format {
        Format::Json => print_json(&as_json(config, &in_force))?,
        Format::Text => print(as_text(config, &in_force)?)?,
    }
    Ok(Exit::Done)
}

/// The values of a command's flags, for this command line.
fn of_command(command: &Command, config: &Config, line: &[OsString]) -> Vec<InForce> {
    // Required arguments may be missing here: only the values of the flags are of interest.
    let lenient = command.clone().mut_subcommands(|of| of.mut_args(|arg| arg.required(false)));
    let matches = lenient.clone().get_matches_from(iter::once(OsString::from("brrr-host")).chain(line.iter().cloned()));
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let Some(of) = lenient.find_subcommand(name) else { return Vec::new() };
    of.get_arguments().filter_map(|arg| in_force(name, arg, matches, config)).collect()
}

fn in_force(command: &str, arg: &clap::Arg, matches: &ArgMatches, config: &Config) -> Option<InForce> {
    let flag = arg.get_long().filter(|flag| *flag != "config")?;
    let id = arg.get_id().as_str();
    // Flags such as `--help` have no value.
    if !matches!(arg.get_action(), ArgAction::Set | ArgAction::Append | ArgAction::SetTrue) {
        return None;
    }
    let values: Vec<_> = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy()).collect();
    let setting = config.settings.iter().rfind(|setting| setting.key == flag && concerns(setting, command));
    let from = match (matches.value_source(id)?, setting) {
        (ValueSource::CommandLine, _) => From::Flag,
        (ValueSource::EnvVariable, _) => From::Variable(arg.get_env()?.to_string_lossy().into_owned()),
        (_, Some(setting)) => From::File { line: setting.line },
        _ => From::Default,
    };
    let value = shown(flag, &values.join(" "));
    Some(InForce { command: command.to_owned(), name: flag.to_owned(), value, from })
}

/// The value of a flag, without secrets.
fn shown(flag: &str, value: &str) -> String {
    match flag {
        "backend" | "queue" | "store" | "counters" => without_secrets(value),
        "env" => value.split_once('=').map_or_else(|| value.to_owned(), |(key, _)| format!("{key}=…")),
        _ => value.to_owned(),
    }
}

fn as_text(config: &Config, in_force: &[InForce]) -> anyhow::Result<String> {
    let mut text = match &config.path {
        Some(path) => format!("file  {}\n", path.display()),
        None => "file  none (brrr.toml of this folder, or --config FILE)\n".to_owned(),
    };
    for flags in in_force.chunk_by(|a, b| a.command == b.command) {
        text += &format!("\n{}\n", flags[0].command);
        let rows: Vec<_> = flags
            .iter()
            .map(|flag| vec![format!("  {}", flag.name), flag.value.clone(), from(config, &flag.from)])
            .collect();
        text += &table(&rows)?;
    }
    if !config.components.is_empty() {
        text += "\ncomponents\n";
        let row = |component: &Component| {
            let topic = component.topic.as_ref().map(|topic| format!("topic {topic}"));
            let may: Vec<_> = topic.into_iter().chain(component.grants()).collect();
            vec![format!("  {}", component.path.display()), may.join(", ")]
        };
        text += &table(&config.components.iter().map(row).collect::<Vec<_>>())?;
    }
    if let Some(schedules) = config.schedules.as_ref().filter(|schedules| !schedules.is_empty()) {
        text += "\nschedules\n";
        let row = |entry: &ScheduleEntry| {
            let topic = entry.topic.as_ref().map_or_else(String::new, |topic| format!(", topic {topic}"));
            vec![format!("  {}", entry.name), format!("{} ({}): {}{topic}", entry.cron, entry.tz, entry.task)]
        };
        text += &table(&schedules.iter().map(row).collect::<Vec<_>>())?;
    }
    let tasks = config.tasks();
    if !tasks.is_empty() {
        text += "\ntasks\n";
        let row = |(name, options): (&String, &Options)| {
            let words: Vec<_> = options.pairs().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
            vec![format!("  {name}"), words.join(" ")]
        };
        text += &table(&tasks.iter().map(row).collect::<Vec<_>>())?;
    }
    Ok(text.trim_end().to_owned())
}

fn from(config: &Config, from: &From) -> String {
    match from {
        From::Flag => "flag".to_owned(),
        From::Variable(name) => name.clone(),
        From::File { line } => match &config.path {
            Some(path) => format!("{}, line {line}", path.display()),
            None => format!("line {line}"),
        },
        From::Default => "default".to_owned(),
    }
}

fn as_json(config: &Config, in_force: &[InForce]) -> serde_json::Value {
    let flag = |flag: &InForce| {
        json!({
            "command": flag.command,
            "name": flag.name,
            "value": flag.value,
            "from": match &flag.from {
                From::Flag => "flag",
                From::Variable(_) => "environment",
                From::File { .. } => "file",
                From::Default => "default",
            },
            "variable": match &flag.from { From::Variable(name) => Some(name), _ => None },
            "line": match flag.from { From::File { line } => Some(line), _ => None },
        })
    };
    let component = |component: &Component| {
        json!({
            "path": component.path.display().to_string(),
            "topic": component.topic,
            "permissions": component.grants(),
        })
    };
    let schedule = |entry: &ScheduleEntry| json!({"name": entry.name, "cron": entry.cron, "tz": entry.tz, "task": entry.task, "topic": entry.topic});
    json!({
        "schedules": config.schedules.iter().flatten().map(schedule).collect::<Vec<_>>(),
        "file": config.path.as_ref().map(|path| path.display().to_string()),
        "settings": in_force.iter().map(flag).collect::<Vec<_>>(),
        "components": config.components.iter().map(component).collect::<Vec<_>>(),
        "tasks": config.tasks().iter().map(|(name, options)| (name.clone(), options.pairs().into_iter().collect::<BTreeMap<_, _>>())).collect::<BTreeMap<_, _>>(),
    })
}
