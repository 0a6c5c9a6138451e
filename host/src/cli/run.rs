//! `run`: a worker, with a gateway beside it if asked for.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::events::Observer;
use brrr_protocol::model::hex;
use brrr_protocol::ports::Backend;
use brrr_protocol::step::Limits;

use super::Told;
use super::console::Console;
use super::options::{BackendArgs, ConfigArgs, TopicArgs, duration, size};
use super::output::say;
use super::progress::{Spinner, stage};
use crate::config::Config;
use crate::events::{Events, Outlets};
use crate::exit::Exit;
use crate::gateway::{Address, Gateway};
use crate::wasm::{Engine, EngineOptions, Guest, RunLimits, WasmHandler};
use crate::worker::{Options, Shutdown, Worker, announce};

/// The memory that one run may use: what a Python guest needs several times over.
const MEMORY: u64 = 256 << 20;

/// The time that one run may take: who needs longer says so, and what hangs is found the same day.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Steps at once for each run at once, where the backend is behind a network: a step runs its guest for microseconds and
/// waits for answers for milliseconds. What they hold is a message and what was loaded for it.
const STEPS_PER_RUN: u32 = 4;

/// Run the tasks of one or more components: a worker of a topic.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host run --topic demo guest.wasm
  brrr-host run --topic demo a.wasm b.wasm --http 8080 --timeout 30s --memory 64MiB

Ctrl-C or SIGTERM takes no new messages and lets running calls end; a second one stops at once.")]
pub struct Args {
    /// The components. No two may claim the same task.
    #[arg(required = true, value_name = "GUEST.WASM")]
    guests: Vec<PathBuf>,

    #[command(flatten)]
    topic: TopicArgs,

    #[command(flatten)]
    backend: BackendArgs,

    /// Serve the topic over HTTP as well: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    #[arg(long, env = "BRRR_HTTP", value_name = "ADDRESS")]
    http: Option<Address>,

    #[command(flatten)]
    config: ConfigArgs,

    /// The memory that one run may use; 256MiB unless given.
    #[arg(long, env = "BRRR_MEMORY", value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,

    /// The time that one run may take, unless its task says otherwise; 5m unless given.
    #[arg(long, env = "BRRR_TIMEOUT", value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// The size of what one call may return.
    #[arg(long, env = "BRRR_MAX_RESULT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    max_result: u64,

    /// Calls that run at once; 8 per core unless given.
    #[arg(long, env = "BRRR_MAX_RUNNING", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_running: Option<u32>,

    /// Messages that one job may send; 10000 in a fleet with other brrr workers, who stop there.
    #[arg(long, env = "BRRR_SPAWN_LIMIT", default_value_t = 1_000_000, value_name = "N")]
    spawn_limit: u64,

    /// How long a task that nobody here handles may wait for a worker that does, before it fails.
    #[arg(long, env = "BRRR_UNKNOWN_TASK_GRACE", default_value = "60s", value_name = "TIME", value_parser = duration)]
    unknown_task_grace: Duration,

    /// After how long the messages of a worker that fell silent are delivered again; the backend's own unless given.
    #[arg(long, env = "BRRR_LEASE", value_name = "TIME", value_parser = duration)]
    lease: Option<Duration>,

    /// How long running calls may go on after the worker was asked to stop; what remains is given back.
    #[arg(long, env = "BRRR_DRAIN", default_value = "30s", value_name = "TIME", value_parser = duration)]
    drain: Duration,

    /// Write what happens to calls and jobs to the end of this file, one JSON object a line; `-`: to stdout, and what
    /// guests print to stderr instead.
    #[arg(long, env = "BRRR_EVENTS", value_name = "FILE")]
    events: Option<PathBuf>,

    /// Tell the backend what happens to calls and jobs, for `brrr-host events`. It keeps the last 10000, for a day.
    #[arg(long, env = "BRRR_PUBLISH_EVENTS")]
    publish_events: bool,
}

pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals(
        |name| say(format_args!("{name}: letting running calls end; once more stops at once")),
        |name| say(format_args!("{name}: stopped at once; what was running comes back when its lease runs out")),
    )?;
    // Whatever can be refused is refused before anything runs, the cheapest first.
    let config = args.config.load()?;
    let listener = match &args.http {
        Some(address) => Some(address.listen().await?),
        None => None,
    };
    let backend = args.backend.places(args.lease).open().await?;
    let (observer, outlets) = observe(&args, &backend, &shutdown)?;
    let max_running =
        args.max_running.or(config.worker.max_running.map(NonZeroU32::get)).unwrap_or_else(default_max_running);
    let handler = tokio::select! {
        handler = load(&args, &config, max_running, &shutdown) => handler?,
        // Compiling can take long; there is nothing to drain yet.
        why = shutdown.wait() => return Ok(why),
    };

    let topic = args.topic.topic.clone();
    backend.queue().check(&topic, handler.longest_run()).await?;
    let tasks: Vec<String> = handler.tasks().map(|task| task.name.clone()).collect();
    announce(&*backend, &topic, &tasks).await?;
    let options = Options {
        max_running: if backend.is_remote() { max_running.saturating_mul(STEPS_PER_RUN) } else { max_running },
        drain: args.drain,
        limits: Limits {
            spawn_limit: args.spawn_limit,
            unknown_task_grace: args.unknown_task_grace,
            ..Limits::default()
        },
        observer,
    };
    tracing::info!("serving topic {topic} of {}: {}", backend.name(), tasks.join(", "));
    let gateway = listener.map(|listener| {
        if let Ok(address) = listener.local_addr() {
            tracing::info!("gateway on http://{address}");
        }
        let (gateway, shutdown) =
            (Gateway::new(Client::new(backend.clone()), backend.clone(), topic.clone()), shutdown.clone());
        tokio::spawn(async move { gateway.serve(listener, &shutdown).await })
    });
    let worker = Worker::new(backend, Arc::new(handler), topic, options, shutdown.clone());
    // Spawned, so that it runs beside its tasks and not on the thread that only waits.
    let ended = tokio::spawn(worker.run()).await?;
    if let Some(gateway) = gateway {
        gateway.await?;
    }
    outlets.finish().await;
    ended?;
    Ok(match shutdown.begun() {
        Some(Exit::BrokenPipe) => Exit::BrokenPipe,
        // Asked to stop, and did.
        _ => Exit::Done,
    })
}

/// Where events go, if anywhere, and what takes them there.
fn observe(
    args: &Args,
    backend: &Arc<dyn Backend>,
    shutdown: &Shutdown,
) -> anyhow::Result<(Option<Arc<dyn Observer>>, Outlets)> {
    let mut outlets = Outlets::default();
    if args.events.is_none() && !args.publish_events {
        return Ok((None, outlets));
    }
    let mut bits = [0; 3];
    // Only a name.
    let _ = getrandom::fill(&mut bits);
    let mut events = Events::new(format!("{}-{}", std::process::id(), hex(&bits)));
    if let Some(path) = &args.events {
        events.to_file(path, &mut outlets, shutdown.clone()).map_err(|error| {
            Told::new(Exit::Usage, format!("--events {}: can't be written: {error}", path.display()))
        })?;
    }
    if args.publish_events {
        if backend.events().is_none() {
            let text = format!("--publish-events: {} has no place for events; use --events FILE", backend.name());
            return Err(Told::new(Exit::BadBackend, text).into());
        }
        events.to_backend(backend.clone(), &mut outlets);
    }
    Ok((Some(Arc::new(events)), outlets))
}

/// A small multiple of the cores: a call that waits for the backend's next commit leaves the core to others.
fn default_max_running() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).unwrap_or(1).saturating_mul(8).clamp(8, 512)
}

async fn load(args: &Args, config: &Config, max_running: u32, shutdown: &Shutdown) -> anyhow::Result<WasmHandler> {
    let engine = Engine::new(&EngineOptions { max_running, ..EngineOptions::default() })?;
    let mut guests = Vec::with_capacity(args.guests.len());
    for path in &args.guests {
        let name = path.display();
        let spinner = Spinner::after(Duration::from_millis(300), format!("loading {name}"));
        let guest = Guest::load(&engine, path, &|of| spinner.say(stage(of, &name))).await?;
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
