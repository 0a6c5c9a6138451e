//! From the components named to handlers, one a topic.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::Topic;

use super::Args;
use super::served::Served;
use crate::cli::build;
use crate::cli::console::Console;
use crate::cli::progress::{Spinner, stage};
use crate::config::Config;
use crate::wasm::{Engine, EngineOptions, Guest, RunLimits, WasmHandler};
use crate::worker::Shutdown;

/// Loads the components, and joins those of each topic to one handler.
///
/// # Errors
/// When one of them can't be served, or two on one topic claim the same task.
pub async fn load(
    args: &Args,
    served: Vec<Served>,
    config: &Config,
    max_running: u32,
    shutdown: &Shutdown,
) -> anyhow::Result<Vec<(Topic, WasmHandler)>> {
    let engine = Engine::new(&EngineOptions { max_running, ..EngineOptions::default() })?;
    let mut topics: Vec<(Topic, Vec<Guest>)> = Vec::new();
    for Served { path, topic, grants } in served {
        let path = build::component(&path).await?;
        let name = path.display();
        let spinner = Spinner::after(Duration::from_millis(300), format!("loading {name}"));
        let guest = Guest::load(&engine, &path, &|of| spinner.say(stage(of, &name))).await?.allowing(grants);
        tracing::debug!("loaded {name}: {}", guest.digest);
        match topics.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, guests)) => guests.push(guest),
            None => topics.push((topic, vec![guest])),
        }
    }
    let limits = RunLimits { memory: args.memory, wall: args.timeout, result: args.max_result };
    let to_stdout = args.events.as_deref() != Some(Path::new("-"));
    let console =
        Arc::new(if to_stdout { Console::stdout(shutdown.clone()) } else { Console::stderr(shutdown.clone()) });
    let handler = |(topic, guests)| {
        let handler = WasmHandler::new(guests, limits.clone(), &config.tasks(), console.clone())?;
        Ok((topic, handler))
    };
    topics.into_iter().map(handler).collect()
}
