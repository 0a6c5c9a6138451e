//! `inspect`: shows a component's properties and its tasks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use brrr_worker::wasm::{Engine, EngineOptions, Guest, Task, World};
use bytesize::ByteSize;
use serde_json::json;

use super::build;
use super::output::{Format, print, print_json};
use super::progress::{Spinner, stage};
use crate::exit::Exit;

/// Show the tasks that a component handles, and what it imports from its host.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host inspect guest.wasm
  brrr-host inspect guest.wasm --output json")]
pub struct InspectCommand {
    /// The component, or the folder of a project, which is built first.
    #[arg(value_name = "GUEST.WASM|DIR")]
    guest: PathBuf,
}

pub async fn run(args: InspectCommand, format: Format) -> anyhow::Result<Exit> {
    let engine = Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() })?;
    let path = build::component(&args.guest).await?;
    let name = path.display();
    let spinner = Spinner::after(Duration::from_millis(300), format!("loading {name}"));
    let guest = Guest::load(&engine, &path, &|of| spinner.say(stage(of, &name))).await?;
    drop(spinner);
    match format {
        Format::Json => print_json(&as_json(&guest))?,
        Format::Text => print(as_text(&guest).trim_end())?,
    }
    Ok(Exit::Done)
}

fn as_json(guest: &Guest) -> serde_json::Value {
    let task = |task: &Task| {
        let options = &task.options;
        json!({
            "name": task.name,
            "timeout_ms": options.timeout.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
            "max_retries": options.max_retries,
            "retry_delay_ms": options.retry_delay.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
            "leaf": task.leaf,
            "options": options.pairs().into_iter().collect::<BTreeMap<_, _>>(),
            "extra": task.extra.iter().cloned().collect::<BTreeMap<_, _>>(),
        })
    };
    json!({
        "path": guest.path.display().to_string(),
        "size": guest.size,
        "digest": format!("sha256:{}", guest.digest),
        "wit": guest.wit_version,
        "asynchronous": guest.world == World::Concurrent,
        "tasks": guest.tasks.iter().map(task).collect::<Vec<_>>(),
        "imports": guest.imports,
    })
}

fn as_text(guest: &Guest) -> String {
    let mut out = String::new();
    // Writing to a String never fails.
    let _ = writeln!(out, "component  {}", guest.path.display());
    let _ = writeln!(out, "size       {}", ByteSize(guest.size));
    let _ = writeln!(out, "digest     sha256:{}", guest.digest);
    let world = if guest.world == World::Concurrent { ", asynchronous" } else { "" };
    let _ = writeln!(out, "wit        brrr:worker@{}{world}", guest.wit_version);
    let _ = writeln!(out, "tasks");
    for task in &guest.tasks {
        let _ = writeln!(out, "  {}{}", task.name, options(task));
    }
    let _ = writeln!(out, "imports");
    for import in &guest.imports {
        let _ = writeln!(out, "  {import}");
    }
    out
}

fn options(task: &Task) -> String {
    let mut words: Vec<String> =
        task.options.pairs().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    if task.leaf {
        words.push("leaf".to_owned());
    }
    words.extend(task.extra.iter().map(|(key, value)| format!("{key}={value}, which this version does not know")));
    if words.is_empty() { String::new() } else { format!("  ({})", words.join(", ")) }
}
