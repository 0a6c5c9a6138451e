//! The arguments of `run`.

use std::path::PathBuf;
use std::time::Duration;

use brrr_protocol::model::Topic;
use brrr_worker::gateway::Address;
use clap::builder::BoolishValueParser;

use crate::cli::options::{BackendArgs, TokenArgs, duration, size, topic};
use crate::cli::permissions::PermissionArgs;
use crate::units::{Interval, KeptLogs, Processes};

/// Run a worker: it runs the tasks of one or more components.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host run --topic demo guest.wasm
  brrr-host run --topic demo hello --watch
  brrr-host run --topic demo a.wasm b.wasm --http 8080 --timeout 30s --memory 64MiB
  brrr-host run --topic demo guest.wasm --processes auto
  brrr-host run --topic demo oci://ghcr.io/me/hello:1.0 --trust me.pub
  brrr-host run --topic demo           # serves what `brrr-host push` sends

Ctrl-C, SIGTERM or SIGHUP takes no new messages and lets running calls end; a second Ctrl-C or SIGTERM stops at once.")]
pub struct RunCommand {
    /// The components: files, folders of projects, which are built first, or oci://REGISTRY/NAME:TAG. Not given: the
    /// components of brrr.toml, or else what is pushed to the topic. Two components on one topic must not have the same task.
    #[arg(value_name = "GUEST.WASM|DIR|OCI")]
    pub guests: Vec<PathBuf>,

    /// Build again when a source changes, and serve the new component without a stop: running calls end on the old
    /// component. A component that is not built here is loaded again when its file changes.
    #[arg(long, env = "BRRR_WATCH", value_parser = BoolishValueParser::new())]
    pub watch: bool,

    /// Also run components that calls bring along (`call --with`). They may access what this worker's flags allow.
    #[arg(long, conflicts_with = "watch")]
    pub accept_code: bool,

    /// Run only components that one of these keys has signed: files, components from registries, revisions that are pushed,
    /// and code that calls bring along. KEY.pub is a public key of minisign. May be repeated.
    // Flags and the environment replace the keys of a brrr.toml, so a file that was found adds no key to those that its user
    // has chosen. Alone it only forbids: without keys everything runs.
    #[arg(long, env = "BRRR_TRUST", value_name = "KEY.pub", value_delimiter = ',')]
    pub trust: Vec<PathBuf>,

    /// The topic: the queue of the tasks. (In brrr.toml a component may have another topic.)
    #[arg(long, env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    pub topic: Option<Topic>,

    #[command(flatten)]
    pub backend: BackendArgs,

    #[command(flatten)]
    pub permissions: PermissionArgs,

    /// Serve the topics over HTTP as well: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    #[arg(long, env = "BRRR_HTTP", value_name = "ADDRESS")]
    pub http: Option<Address>,

    #[command(flatten)]
    pub token: TokenArgs,

    /// Serve metrics for Prometheus at `/metrics`, and health at `/healthz` and `/readyz`, on this address, to everybody who can
    /// reach it: `9464`, `:9464` (both on this machine only), `HOST:PORT`. With `--processes`, each further worker has the next
    /// port.
    #[arg(long, env = "BRRR_METRICS", value_name = "ADDRESS")]
    pub metrics: Option<Address>,

    /// How long messages may wait while none is settled, until `/readyz` says that the worker is not ready.
    #[arg(long, env = "BRRR_STALLED_AFTER", default_value = "1m", value_name = "TIME", value_parser = duration)]
    pub stalled_after: Duration,

    /// The most memory that one run may use.
    // Several times the memory that a Python guest needs.
    #[arg(long, env = "BRRR_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    pub memory: u64,

    /// The longest time that one run may take, unless its task sets another time.
    // A task that needs longer can set its own timeout. A handler that hangs is found soon.
    #[arg(long, env = "BRRR_TIMEOUT", default_value = "5m", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,

    /// The largest result of one call.
    #[arg(long, env = "BRRR_MAX_RESULT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    pub max_result: u64,

    /// Run N workers, each in its own process, and restart a worker that dies. `auto`: one for each core. This helps
    /// guests that need much CPU time, because runs in one process slow each other down. One of the processes has the
    /// gateway.
    #[arg(long, env = "BRRR_PROCESSES", default_value = "1", value_name = "N")]
    pub processes: Processes,

    /// The most calls that run at once in each process. Not given: 8 for each core, shared by all processes.
    #[arg(long, env = "BRRR_MAX_RUNNING", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_running: Option<u32>,

    /// The most messages that one job may send. Use 10000 in a fleet with workers of other brrr SDKs, because those
    /// stop there.
    #[arg(long, env = "BRRR_MAX_MESSAGES", default_value_t = 1_000_000, value_name = "N")]
    pub max_messages: u64,

    /// Let the tasks call this topic too. They may call their own topic and those that workers have announced; workers
    /// of other brrr SDKs announce none. May be repeated.
    #[arg(long, env = "BRRR_CALL_TOPIC", value_name = "TOPIC", value_parser = topic, value_delimiter = ',')]
    pub call_topic: Vec<Topic>,

    /// Refuse calls to which a task gives a call hash that is not derived from the call. Such a task could make its own
    /// value stand for the value of another call. Not given: with `--namespace` only.
    #[arg(long, env = "BRRR_OWN_HASHES", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub own_hashes: Option<bool>,

    /// How long a call may wait for a worker that handles its task, or that announces the called topic, before the call
    /// fails.
    #[arg(long, env = "BRRR_UNKNOWN_TASK_GRACE", default_value = "60s", value_name = "TIME", value_parser = duration)]
    pub unknown_task_grace: Duration,

    /// The most deliveries of one message. After them the message becomes a dead letter and its call fails, because
    /// each delivery ended with the death of its worker.
    // Fewer deliveries could be accidents. With more, a message that kills workers would keep a fleet busy.
    #[arg(long, env = "BRRR_MAX_DELIVERIES", default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_deliveries: u32,

    /// How much is kept of what the runs of a call log and print, in each job, for `brrr-host logs`: the newest lines.
    /// At most 256KiB. 0: nothing.
    #[arg(long, env = "BRRR_KEEP_LOGS", default_value = "64KiB", value_name = "SIZE")]
    pub keep_logs: KeptLogs,

    /// How long after a worker's last sign of life its messages are delivered again. Not given: the backend's own time.
    #[arg(long, env = "BRRR_LEASE", value_name = "TIME", value_parser = duration)]
    pub lease: Option<Duration>,

    /// How often to look for stuck work and queue it again, as `doctor --fix` does. Each time, one worker of the fleet
    /// reads the whole store. `off`: never.
    #[arg(long, env = "BRRR_REPAIR_INTERVAL", default_value = "10m", value_name = "TIME|off")]
    pub repair_interval: Interval,

    /// How long running calls may go on after the worker was asked to stop. Messages of calls that still run are given
    /// back then.
    // Kubernetes kills after 30 s. The shorter time leaves some seconds to give the messages back.
    #[arg(long, env = "BRRR_SHUTDOWN_TIMEOUT", default_value = "25s", value_name = "TIME", value_parser = duration)]
    pub shutdown_timeout: Duration,

    /// Append an event for each change of a call or a job to this file, one JSON object on each line. `-`: to stdout;
    /// the output of guests then goes to stderr.
    #[arg(long, env = "BRRR_EVENTS", value_name = "FILE")]
    pub events: Option<PathBuf>,

    /// Publish events about calls and jobs to the backend, for `brrr-host events`. It keeps the last 10000, for a day.
    /// With `--http` they are published anyway, if the backend can keep them.
    #[arg(long, env = "BRRR_PUBLISH_EVENTS", value_parser = BoolishValueParser::new())]
    pub publish_events: bool,
}
