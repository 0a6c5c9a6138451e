//! `Counters`: numbers that may be lost without harm.

use async_trait::async_trait;

use crate::error::Result;
use crate::model::JobId;

/// Counters that may be lost without harm.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Adds `by` to the counter and returns the sum.
    async fn incr(&self, key: &str, by: u64) -> Result<u64>;

    /// The values of counters, in the order of `keys`. `None`: there is no such counter, or it can't be read. For people's
    /// commands.
    async fn read_many(&self, keys: &[String]) -> Result<Vec<Option<u64>>>;

    /// Removes counters.
    async fn forget(&self, keys: &[String]) -> Result<()>;
}

/// The key of the counter of messages that were sent for a job. Peers use the same counter.
#[must_use]
pub fn message_counter(job_id: &JobId) -> String {
    format!("brrr_count/{job_id}")
}
