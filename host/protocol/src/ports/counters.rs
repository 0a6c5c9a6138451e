//! `Counters`: numbers that may be lost without harm.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::JobId;

/// Counters that may be lost without harm.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Adds `by` to the counter and returns the sum.
    async fn incr(&self, key: &str, by: u64) -> Result<u64>;

    /// Removes counters.
    async fn forget(&self, keys: &[String]) -> Result<()>;
}

/// The key of the counter of messages that were sent for a job. Peers use the same counter.
#[must_use]
pub fn message_counter(job_id: &JobId) -> String {
    format!("brrr_count/{job_id}")
}
