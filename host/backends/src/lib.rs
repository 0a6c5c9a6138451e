//! The backends: where records, messages and counters live.
//!
//! - `url`: a URL to a backend
//! - `memory`: everything in this process; gone with it
//! - `sqlite`: everything in one file, shared by the processes of one machine
//! - `dynamodb`: records and counters in a table; `sqs`: messages in queues; `aws`: what both share
//! - `combined`: any store, queue and counters as one backend
//! - `stepwise`: any backend without its fused transitions, for tests
//! - `wake`: how one task tells the others that there is something to look at

#[cfg(feature = "aws")]
pub mod aws;
pub mod combined;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqs")]
pub mod sqs;
pub mod stepwise;
pub mod url;
mod wake;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brrr_protocol::model::Millis;

pub use combined::Combined;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoDb;
pub use memory::Memory;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
#[cfg(feature = "sqs")]
pub use sqs::Sqs;
pub use stepwise::Stepwise;
pub use url::open;

/// How long a delivered message is leased by default. Work of a worker that was killed waits at most so long; a worker
/// that is merely slow extends at half of it, and 2.5 s is ample for one write. Shorter would make a laptop that was
/// busy for a moment do work twice, longer would make `kill -9` more visible.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(5);

/// The wall clock: the only one that several processes, and their successors after a reboot, share.
pub(crate) fn now_millis() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as Millis)
}
