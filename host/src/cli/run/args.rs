//! The arguments of `run`.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::options::{BackendArgs, ConfigArgs, TopicArgs, duration, size};
use crate::gateway::Address;

/// Run the tasks of one or more components: a worker of a topic.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host run --topic demo guest.wasm
  brrr-host run --topic demo hello --watch
  brrr-host run --topic demo a.wasm b.wasm --http 8080 --timeout 30s --memory 64MiB

Ctrl-C or SIGTERM takes no new messages and lets running calls end; a second one stops at once.")]
pub struct Args {
    /// The components, or the folders of projects, which are built first. No two may claim the same task.
    #[arg(required = true, value_name = "GUEST.WASM|DIR")]
    pub guests: Vec<PathBuf>,

    /// Build again when a source changes, and serve the new component without stopping: calls that run end on the old
    /// one. A component that is not built here is watched itself.
    #[arg(long, env = "BRRR_WATCH")]
    pub watch: bool,

    #[command(flatten)]
    pub topic: TopicArgs,

    #[command(flatten)]
    pub backend: BackendArgs,

    /// Serve the topic over HTTP as well: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    #[arg(long, env = "BRRR_HTTP", value_name = "ADDRESS")]
    pub http: Option<Address>,

    #[command(flatten)]
    pub config: ConfigArgs,

    /// The memory that one run may use; 256MiB unless given.
    #[arg(long, env = "BRRR_MEMORY", value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,

    /// The time that one run may take, unless its task says otherwise; 5m unless given.
    #[arg(long, env = "BRRR_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// The size of what one call may return.
    #[arg(long, env = "BRRR_MAX_RESULT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    pub max_result: u64,

    /// Calls that run at once; 8 per core unless given.
    #[arg(long, env = "BRRR_MAX_RUNNING", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_running: Option<u32>,

    /// Messages that one job may send; 10000 in a fleet with other brrr workers, who stop there.
    #[arg(long, env = "BRRR_SPAWN_LIMIT", default_value_t = 1_000_000, value_name = "N")]
    pub spawn_limit: u64,

    /// How long a task that nobody here handles may wait for a worker that does, before it fails.
    #[arg(long, env = "BRRR_UNKNOWN_TASK_GRACE", default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub unknown_task_grace: Duration,

    /// After how long the messages of a worker that fell silent are delivered again; the backend's own unless given.
    #[arg(long, env = "BRRR_LEASE", value_name = "TIME", value_parser = duration)]
    pub lease: Option<Duration>,

    /// How long running calls may go on after the worker was asked to stop; what remains is given back.
    #[arg(long, env = "BRRR_DRAIN", default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub drain: Duration,

    /// Write what happens to calls and jobs to the end of this file, one JSON object a line; `-`: to stdout, and what
    /// guests print to stderr instead.
    #[arg(long, env = "BRRR_EVENTS", value_name = "FILE")]
    pub events: Option<PathBuf>,

    /// Tell the backend what happens to calls and jobs, for `brrr-host events`. It keeps the last 10000, for a day.
    #[arg(long, env = "BRRR_PUBLISH_EVENTS")]
    pub publish_events: bool,
}
