//! `[tasks.NAME]`: how a task is run, whatever its component says.

use std::num::NonZeroU32;

use brrr_protocol::options::{Backoff, Options};
use schemars::JsonSchema;
use serde::Deserialize;

use super::sections::RetryBackoff;
use super::values::{Size, Time};

/// How a task is run, whatever its component says.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Task {
    /// The time that one run may take.
    timeout: Option<Time>,
    /// How often a call that failed is run again.
    max_retries: Option<u32>,
    /// The pause before the first of them.
    retry_delay: Option<Time>,
    /// How the pauses grow.
    retry_backoff: Option<RetryBackoff>,
    /// The longest pause.
    max_retry_delay: Option<Time>,
    /// Runs of this task at once, in each worker.
    max_running: Option<NonZeroU32>,
    /// The memory that one run may use.
    memory: Option<Size>,
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
        }
    }
}
