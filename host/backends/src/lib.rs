//! The backends. A backend keeps records, messages and counters.
//!
//! - `config`: says which backend to open, and opens it; `url`: parses the URL of a backend
//! - `memory`: keeps everything in this process; everything is lost when the process ends
//! - `redis`: keeps everything on a Redis or Valkey server
//! - `sqlite`: keeps everything in one file, which the processes of one machine share
//! - `dynamodb`: keeps records and counters in a table; `sqs`: keeps messages in queues; `aws`: the code that both
//!   share
//! - `combined`: joins any store, queue and counters into one backend
//! - `multi_step`: any backend without its transactional transitions, for tests
//! - `waiters`: the waiting tasks of this process, and how they are notified; `poll`: how a task waits if nothing
//!   notifies it; `clock`: the time of a server

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(any(feature = "redis", feature = "dynamodb"))]
mod clock;
pub mod combined;
pub mod config;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod memory;
pub mod multi_step;
mod poll;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqs")]
pub mod sqs;
pub mod url;
mod waiters;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use combined::Combined;
pub use config::BackendConfig;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoDb;
pub use memory::Memory;
pub use multi_step::MultiStep;
#[cfg(feature = "redis")]
pub use redis::Redis;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
#[cfg(feature = "sqs")]
pub use sqs::Sqs;
pub use url::without_secrets;

/// How long a delivered message is leased by default. If a worker is killed, its messages are delivered again after at
/// most this time. A worker that is only slow extends its leases after half of this time, and the remaining 2.5 s are
/// ample for one write. With a shorter lease, a laptop that is busy for a moment would do work twice. With a longer
/// lease, people would notice the delay after `kill -9`.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// Opens a backend that keeps everything at one place.
///
/// # Errors
/// The errors of [`BackendConfig::open`].
pub async fn open(url: &str) -> brrr_protocol::Result<std::sync::Arc<dyn brrr_protocol::ports::Backend>> {
    BackendConfig::at(url).open().await
}

/// The wall clock. No other clock is shared by several processes, and by the processes that run after a reboot.
pub(crate) use brrr_protocol::model::system_now as now_millis;

/// The same time as `now_millis`, in microseconds.
pub(crate) fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}
