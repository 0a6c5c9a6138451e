//! From the components named to one handler.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Args;
use crate::cli::build;
use crate::cli::console::Console;
use crate::cli::progress::{Spinner, stage};
use crate::config::Config;
use crate::wasm::{Engine, EngineOptions, Guest, RunLimits, WasmHandler};
use crate::worker::Shutdown;

/// The memory that one run may use: what a Python guest needs several times over.
const MEMORY: u64 = 256 << 20;

/// The time that one run may take: who needs longer says so, and what hangs is found the same day.
const TIMEOUT: Duration = Duration::from_mins(5);

pub async fn load(args: &Args, config: &Config, max_running: u32, shutdown: &Shutdown) -> anyhow::Result<WasmHandler> {
    let engine = Engine::new(&EngineOptions { max_running, ..EngineOptions::default() })?;
    let mut guests = Vec::with_capacity(args.guests.len());
    for path in &args.guests {
        let path = build::component(path).await?;
        let name = path.display();
        let spinner = Spinner::after(Duration::from_millis(300), format!("loading {name}"));
        let guest = Guest::load(&engine, &path, &|of| spinner.say(stage(of, &name))).await?;
        tracing::debug!("loaded {name}: {}", guest.digest);
        guests.push(guest);
    }
    let limits = RunLimits {
        memory: args.memory.or(config.worker.memory).unwrap_or(MEMORY),
        wall: args.timeout.or(config.worker.timeout).unwrap_or(TIMEOUT),
        result: args.max_result,
    };
    let to_stdout = args.events.as_deref() != Some(Path::new("-"));
    let console = if to_stdout { Console::stdout(shutdown.clone()) } else { Console::stderr(shutdown.clone()) };
    Ok(WasmHandler::new(guests, limits, &config.tasks(), Arc::new(console))?)
}
