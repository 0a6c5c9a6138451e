//! The sections whose keys are flags of commands.

use std::num::NonZeroU32;
use std::path::PathBuf;

use brrr_protocol::options::Backoff;
use brrr_worker::gateway::Address;
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::values::{Size, Text, Time};
use crate::cli::Processes;
use crate::units::Interval;

/// Flags of `run`.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Worker {
    /// Serve the topic over HTTP as well: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    http: Option<Text<Address>>,
    /// The file with the token that the gateway's clients must send.
    http_token_file: Option<PathBuf>,
    /// The memory that one run may use.
    memory: Option<Size>,
    /// The time that one run may take, unless its task says otherwise.
    timeout: Option<Time>,
    /// The size of what one call may return.
    max_result: Option<Size>,
    /// Calls that run at once.
    #[serde(deserialize_with = "calls_at_once")]
    #[schemars(range(min = 1, max = 10_000))]
    max_running: Option<NonZeroU32>,
    /// Worker processes, each of which has all these settings; or `auto`: one a core.
    processes: Option<Text<Processes>>,
    /// Messages that one job may send.
    spawn_limit: Option<u64>,
    /// Topics that the tasks may call, beside their own and those that workers have announced.
    call_topic: Vec<String>,
    /// How long a call may wait for a worker that handles its task, or for one that announces the topic that it calls, before it
    /// fails.
    unknown_task_grace: Option<Time>,
    /// Deliveries of one message after which it is set aside: each of them ended with its worker's death.
    max_deliveries: Option<NonZeroU32>,
    /// After how long the messages of a worker that fell silent are delivered again.
    lease: Option<Time>,
    /// Look for stuck work so often, and queue it again; or `off`.
    redrive: Option<Text<Interval>>,
    /// How long running calls may go on after the worker was asked to stop.
    drain: Option<Time>,
    /// The file that what happens to calls and jobs is written to.
    events: Option<PathBuf>,
    /// Tell the backend what happens to calls and jobs.
    publish_events: Option<bool>,
}

/// Flags of `call` and `schedule`.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    /// The whole job ends after this time.
    timeout: Option<Time>,
    /// The time that one run of any of its tasks may take.
    task_timeout: Option<Time>,
    /// How often a call that failed is run again.
    max_retries: Option<u32>,
    /// The pause before the first of them.
    retry_delay: Option<Time>,
    /// How the pauses grow.
    retry_backoff: Option<RetryBackoff>,
    /// The longest pause.
    max_retry_delay: Option<Time>,
    /// Messages that the job may send.
    spawn_limit: Option<NonZeroU32>,
}

/// Flags of `serve`.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Serve {
    /// Where to listen: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    http: Option<Text<Address>>,
    /// The file with the token that its clients must send.
    http_token_file: Option<PathBuf>,
}

/// How the pauses before retries grow, as flags and files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RetryBackoff {
    /// All alike.
    Fixed,
    /// Each twice the one before.
    Exponential,
}

impl From<RetryBackoff> for Backoff {
    fn from(backoff: RetryBackoff) -> Self {
        match backoff {
            RetryBackoff::Fixed => Self::Fixed,
            RetryBackoff::Exponential => Self::Exponential,
        }
    }
}

/// As the flag: more is not what one process can hold.
fn calls_at_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU32>, D::Error> {
    let n = NonZeroU32::deserialize(deserializer)?;
    if n.get() > 10_000 { Err(de::Error::custom("more than 10000")) } else { Ok(Some(n)) }
}
