//! Recent events, kept in a bounded list.

use std::collections::VecDeque;

use brrr_protocol::ports::{EVENTS_KEPT, EVENTS_KEPT_FOR};
use bytes::Bytes;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Events {
    /// Oldest first. The newest event is at position `last`.
    kept: VecDeque<(Instant, Bytes)>,
    last: u64,
}

impl Events {
    pub fn publish(&mut self, events: &[Bytes], now: Instant) {
        for event in events {
            self.kept.push_back((now, event.clone()));
            self.last += 1;
        }
        while self.kept.len() as u64 > EVENTS_KEPT
            || self.kept.front().is_some_and(|(at, _)| now.duration_since(*at) > EVENTS_KEPT_FOR)
        {
            self.kept.pop_front();
        }
    }

    pub fn after(&self, position: u64, limit: usize) -> Vec<(u64, Bytes)> {
        let first = self.last - self.kept.len() as u64 + 1;
        let skipped = usize::try_from(position.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        let positions = first + skipped as u64..;
        positions
            .zip(self.kept.iter().skip(skipped).take(limit))
            .map(|(position, (_, event))| (position, event.clone()))
            .collect()
    }
}
