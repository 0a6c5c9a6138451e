//! Looks on while a task runs, for `brrr-host test`; a worker has none.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What one run did, and what it is told.
#[derive(Debug, Default)]
pub struct Probe {
    /// What the guest hears when it asks how much time is left, in place of the truth.
    pub time_left: Option<Duration>,
    asked_time_left: AtomicBool,
    memory: AtomicUsize,
}

impl Probe {
    /// One whose guest hears that so much time is left.
    #[must_use]
    pub fn telling(time_left: Option<Duration>) -> Self {
        Self { time_left, ..Self::default() }
    }

    /// Did the guest ask how much time is left?
    pub fn asked_time_left(&self) -> bool {
        self.asked_time_left.load(Ordering::Relaxed)
    }

    /// The most memory that the run had, in bytes, over all memories and tables.
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
