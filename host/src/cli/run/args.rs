//! The arguments of `run`.

use std::path::PathBuf;
use std::time::Duration;

use brrr_protocol::model::Topic;
use brrr_worker::gateway::Address;
use clap::builder::BoolishValueParser;

use super::processes::Processes;
use crate::cli::options::{BackendArgs, TokenArgs, duration, size, topic};
use crate::cli::permissions::PermissionArgs;
use crate::units::Interval;

/// Run the tasks of one or more components: a worker of a topic.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host run --topic demo guest.wasm
  brrr-host run --topic demo hello --watch
  brrr-host run --topic demo a.wasm b.wasm --http 8080 --timeout 30s --memory 64MiB
  brrr-host run --topic demo guest.wasm --processes auto

Ctrl-C, SIGTERM or SIGHUP takes no new messages and lets running calls end; a second Ctrl-C or SIGTERM stops at once.")]
pub struct Args {
    /// The components, or folders of projects, which are built first; those of brrr.toml unless given. On one topic, no two
    /// may claim the same task.
    #[arg(value_name = "GUEST.WASM|DIR")]
    pub guests: Vec<PathBuf>,

    /// Build again when a source changes, and serve the new component without stopping: calls that run end on the old
    /// one. A component that is not built here is watched itself.
    #[arg(long, env = "BRRR_WATCH", value_parser = BoolishValueParser::new())]
    pub watch: bool,

    /// The queue that the tasks are on. (In brrr.toml a component may have another.)
    #[arg(long, env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    pub topic: Option<Topic>,

    #[command(flatten)]
    pub backend: BackendArgs,

    #[command(flatten)]
    pub permissions: PermissionArgs,

    /// Serve its topics over HTTP as well: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    #[arg(long, env = "BRRR_HTTP", value_name = "ADDRESS")]
    pub http: Option<Address>,

    #[command(flatten)]
    pub token: TokenArgs,

    /// The memory that one run may use.
    // What a Python guest needs several times over.
    #[arg(long, env = "BRRR_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    pub memory: u64,

    /// The time that one run may take, unless its task says otherwise.
    // Who needs longer says so, and what hangs is found the same day.
    #[arg(long, env = "BRRR_TIMEOUT", default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,

    /// The size of what one call may return.
    #[arg(long, env = "BRRR_MAX_RESULT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    pub max_result: u64,

    /// Run so many workers, each a process of its own, started again if it dies; `auto`: one for each core. Worth it for
    /// guests that compute: the runs of one process get into each other's way. The gateway is in one of them.
    #[arg(long, env = "BRRR_PROCESSES", default_value = "1", value_name = "N")]
    pub processes: Processes,

    /// Calls that run at once, in each process; 8 per core, over all processes, unless given.
    #[arg(long, env = "BRRR_MAX_RUNNING", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_running: Option<u32>,

    /// Messages that one job may send; 10000 in a fleet with other brrr workers, who stop there.
    #[arg(long, env = "BRRR_SPAWN_LIMIT", default_value_t = 1_000_000, value_name = "N")]
    pub spawn_limit: u64,

    /// Let the tasks call this topic too. They may call their own topic and those that workers have announced; workers of other
    /// brrr SDKs announce none. Repeat it for several.
    #[arg(long, env = "BRRR_CALL_TOPIC", value_name = "TOPIC", value_parser = topic, value_delimiter = ',')]
    pub call_topic: Vec<Topic>,

    /// How long a call may wait for a worker that handles its task, or for one that announces the topic that it calls, before it
    /// fails.
    #[arg(long, env = "BRRR_UNKNOWN_TASK_GRACE", default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub unknown_task_grace: Duration,

    /// Deliveries of one message after which it is set aside, and its call fails: each of them ended with its worker's death.
    // Fewer could be accidents, more keep a fleet busy with what kills it.
    #[arg(long, env = "BRRR_MAX_DELIVERIES", default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_deliveries: u32,

    /// After how long the messages of a worker that fell silent are delivered again; the backend's own unless given.
    #[arg(long, env = "BRRR_LEASE", value_name = "TIME", value_parser = duration)]
    pub lease: Option<Duration>,

    /// Look for stuck work so often, and queue it again, as `doctor --fix` does: one worker of a fleet each time, which
    /// reads the whole store. `off`: never.
    #[arg(long, env = "BRRR_REDRIVE", default_value = "10m", value_name = "TIME|off")]
    pub redrive: Interval,

    /// How long running calls may go on after the worker was asked to stop; what remains is given back.
    // Less than the 30 s after which Kubernetes kills, so that there is time to give back.
    #[arg(long, env = "BRRR_DRAIN", default_value = "25s", value_name = "TIME", value_parser = duration)]
    pub drain: Duration,

    /// Write what happens to calls and jobs to the end of this file, one JSON object a line; `-`: to stdout, and what
    /// guests print to stderr instead.
    #[arg(long, env = "BRRR_EVENTS", value_name = "FILE")]
    pub events: Option<PathBuf>,

    /// Tell the backend what happens to calls and jobs, for `brrr-host events`. It keeps the last 10000, for a day.
    #[arg(long, env = "BRRR_PUBLISH_EVENTS", value_parser = BoolishValueParser::new())]
    pub publish_events: bool,
}
