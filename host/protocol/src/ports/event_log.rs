//! `EventLog`: the recent events, for people who follow them.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

/// The recent events, for people who follow them. The log is bounded, and may be lost without harm.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Adds events, and removes the events that are beyond `EVENTS_KEPT` or older than `EVENTS_KEPT_FOR`.
    async fn publish(&self, events: &[Bytes]) -> Result<()>;

    /// Up to `limit` events that come after the position `after`, oldest first, each with its position. With 0 the answer
    /// starts at the oldest event that is kept.
    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>>;
}

/// An `EventLog` keeps at least so many events.
pub const EVENTS_KEPT: u64 = 10_000;

/// An `EventLog` keeps an event for about this long at most.
pub const EVENTS_KEPT_FOR: Duration = Duration::from_hours(24);
