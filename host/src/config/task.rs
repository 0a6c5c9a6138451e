//! `[tasks.NAME]`: the options of a task. They override the options of its component.

use std::num::NonZeroU32;

use brrr_protocol::options::{Backoff, Options};
use schemars::JsonSchema;
use serde::Deserialize;

use super::sections::RetryBackoff;
use super::values::{ScopeText, Size, Time};

/// The options of a task. They override the options of its component.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Task {
    /// The longest time that one run may take.
    timeout: Option<Time>,
    /// How often a failed call is retried.
    max_retries: Option<u32>,
    /// The pause before the first retry.
    retry_delay: Option<Time>,
    /// How the pauses between retries grow.
    retry_backoff: Option<RetryBackoff>,
    /// The longest pause before a retry.
    max_retry_delay: Option<Time>,
    /// The most runs of this task at once, in each worker.
    max_running: Option<NonZeroU32>,
    /// The most memory that one run may use.
    memory: Option<Size>,
    /// Who shares the outcome of calls that say nothing else: `fleet`, `job`, or a duration such as `1h`.
    scope: Option<ScopeText>,
}

impl Task {
    pub(super) fn options(&self) -> Options {
        Options {
            timeout: self.timeout.map(|time| time.0),
            max_retries: self.max_retries,
            retry_delay: self.retry_delay.map(|time| time.0),
            max_retry_delay: self.max_retry_delay.map(|time| time.0),
            backoff: self.retry_backoff.map(Backoff::from),
            max_running: self.max_running.map(NonZeroU32::get),
            memory: self.memory.map(|size| size.0),
            label: None,
            scope: self.scope.map(|scope| scope.0),
            trace: None,
        }
    }
}
