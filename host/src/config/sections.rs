//! The sections whose keys are flags of a command.

use std::num::NonZeroU32;
use std::path::PathBuf;

use brrr_protocol::options::Backoff;
use brrr_worker::gateway::Address;
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::values::{ScopeText, Size, Text, Time};
use crate::units::{Interval, KeptLogs, Processes};

/// Flags of `run`.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Worker")]
pub struct WorkerSection {
    /// Serve the topic over HTTP as well: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    http: Option<Text<Address>>,
    /// The file with the token that clients of the gateway must send.
    http_token_file: Option<PathBuf>,
    /// The file with the token of clients that push code through the gateway.
    push_token_file: Option<PathBuf>,
    /// The origins of web pages that may use the gateway, for example `https://shop.example`.
    http_allow_origin: Vec<String>,
    /// Public keys of minisign: only components that one of them has signed are run. Flags and the environment replace them.
    trust: Vec<PathBuf>,
    /// Serve metrics and health on this address: `9464`, `:9464` (both on this machine only), `HOST:PORT`.
    metrics: Option<Text<Address>>,
    /// How long messages may wait while none is settled, until `/readyz` says that the worker is not ready.
    stalled_after: Option<Time>,
    /// The most memory that one run may use.
    memory: Option<Size>,
    /// The longest time that one run may take, unless its task sets another time.
    timeout: Option<Time>,
    /// The largest result of one call.
    max_result: Option<Size>,
    /// The most calls that run at once.
    #[serde(deserialize_with = "calls_at_once")]
    #[schemars(range(min = 1, max = 10_000))]
    max_running: Option<NonZeroU32>,
    /// The number of worker processes, each of which has all these settings. `auto`: one for each core.
    processes: Option<Text<Processes>>,
    /// The most messages that one job may send.
    max_messages: Option<u64>,
    /// Topics that the tasks may call, in addition to their own topic and the topics that workers have announced.
    call_topic: Vec<String>,
    /// Refuse calls to which a task gives a call hash that is not derived from the call.
    own_hashes: Option<bool>,
    /// How long a call may wait for a worker that handles its task, or that announces the called topic, before the call
    /// fails.
    unknown_task_grace: Option<Time>,
    /// The most deliveries of one message. After them the message becomes a dead letter, because each delivery ended
    /// with the death of its worker.
    max_deliveries: Option<NonZeroU32>,
    /// How much is kept of what the runs of a call log and print, in each job: the newest lines. `0`: nothing.
    keep_logs: Option<Text<KeptLogs>>,
    /// How long after a worker's last sign of life its messages are delivered again.
    lease: Option<Time>,
    /// How often to look for stuck work and queue it again, or `off`.
    repair_interval: Option<Text<Interval>>,
    /// How long running calls may go on after the worker was asked to stop.
    shutdown_timeout: Option<Time>,
    /// The file that gets an event for each change of a call or a job.
    events: Option<PathBuf>,
    /// Publish events about calls and jobs to the backend.
    publish_events: Option<bool>,
}

/// Flags of `call` and `schedule`.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Job")]
pub struct JobSection {
    /// The longest time of the whole job.
    timeout: Option<Time>,
    /// The longest time of one run of any task in the job.
    task_timeout: Option<Time>,
    /// How often a failed call is retried.
    max_retries: Option<u32>,
    /// The pause before the first retry.
    retry_delay: Option<Time>,
    /// How the pauses between retries grow.
    retry_backoff: Option<RetryBackoff>,
    /// The longest pause before a retry.
    max_retry_delay: Option<Time>,
    /// The most messages that the job may send.
    max_messages: Option<NonZeroU32>,
    /// Who shares the outcome of calls for which nothing else says it: `fleet`, `job`, or a duration such as `1h`.
    scope: Option<ScopeText>,
}

/// Flags of `serve`.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Serve {
    /// The address to listen on: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    http: Option<Text<Address>>,
    /// The file with the token that clients must send.
    http_token_file: Option<PathBuf>,
    /// The file with the token of clients that push code through the gateway.
    push_token_file: Option<PathBuf>,
    /// The origins of web pages that may use the gateway, for example `https://shop.example`.
    http_allow_origin: Vec<String>,
    /// Serve metrics and health on this address: `9464`, `:9464` (both on this machine only), `HOST:PORT`.
    metrics: Option<Text<Address>>,
}

/// How the pauses before retries grow, in the words of flags and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RetryBackoff {
    /// All pauses are equal.
    Fixed,
    /// Each pause is twice the pause before it.
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

/// The same range as the flag's: one process can't hold more.
fn calls_at_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU32>, D::Error> {
    let n = NonZeroU32::deserialize(deserializer)?;
    if n.get() > 10_000 { Err(de::Error::custom("more than 10000")) } else { Ok(Some(n)) }
}
