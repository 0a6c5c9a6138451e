//! Watches a run, for `brrr-host test`. A worker uses no probe.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What one run did, and the time left that its guest sees.
#[derive(Debug, Default)]
pub struct Probe {
    /// The time left that the guest sees. `None`: the real time left.
    pub time_left: Option<Duration>,
    asked_time_left: AtomicBool,
    memory: AtomicUsize,
}

impl Probe {
    /// A probe whose guest sees this time left.
    #[must_use]
    pub fn with_time_left(time_left: Option<Duration>) -> Self {
        Self { time_left, ..Self::default() }
    }

    /// Did the guest ask for the time left?
    pub fn asked_time_left(&self) -> bool {
        self.asked_time_left.load(Ordering::Relaxed)
    }

    /// The most memory of the run in bytes, over all memories and tables.
    pub fn peak_memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    pub(super) fn asks_time_left(&self) -> Option<Duration> {
        self.asked_time_left.store(true, Ordering::Relaxed);
        self.time_left
    }

    pub(super) fn holds(&self, bytes: usize) {
        self.memory.fetch_max(bytes, Ordering::Relaxed);
    }
}
