//! The backends: where records, messages and counters live.
//!
//! - `config`: which backend to open, and opens it; `url`: what a URL says
//! - `memory`: everything in this process; gone with it
//! - `redis`: everything on a Redis or Valkey server
//! - `sqlite`: everything in one file, shared by the processes of one machine
//! - `dynamodb`: records and counters in a table; `sqs`: messages in queues; `aws`: what both share
//! - `combined`: any store, queue and counters as one backend
//! - `stepwise`: any backend without its fused transitions, for tests
//! - `wake`: how one task tells the others that there is something to look at; `poll`: how to wait where nobody tells

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(any(feature = "redis", feature = "dynamodb"))]
mod clock;
pub mod combined;
pub mod config;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod memory;
mod poll;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqs")]
pub mod sqs;
pub mod stepwise;
pub mod url;
mod wake;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use combined::Combined;
pub use config::BackendConfig;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoDb;
pub use memory::Memory;
#[cfg(feature = "redis")]
pub use redis::Redis;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
#[cfg(feature = "sqs")]
pub use sqs::Sqs;
pub use stepwise::Stepwise;
pub use url::without_secrets;

/// How long a delivered message is leased by default. Work of a worker that was killed waits at most so long; a worker
/// that is merely slow extends at half of it, and 2.5 s is ample for one write. Shorter would make a laptop that was
/// busy for a moment do work twice, longer would make `kill -9` more visible.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// Opens a backend that is all at one place.
///
/// # Errors
/// As [`BackendConfig::open`].
pub async fn open(url: &str) -> brrr_protocol::Result<std::sync::Arc<dyn brrr_protocol::ports::Backend>> {
    BackendConfig::at(url).open().await
}

/// The wall clock: the only one that several processes, and their successors after a reboot, share.
pub(crate) use brrr_protocol::model::system_now as now_millis;

/// As `now_millis`, in microseconds.
pub(crate) fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}
