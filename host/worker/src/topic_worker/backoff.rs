//! The delays of a worker after its backend has failed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::disposition::backoff;

/// Counts how often in a row the backend has failed. All tasks of the worker share it. A failure during the delay of an
/// earlier failure does not count again: a connection that breaks under fifty messages has failed once.
#[derive(Default)]
pub(super) struct SharedBackoff {
    times: AtomicU32,
    wait_until: Mutex<Option<Instant>>,
}

impl SharedBackoff {
    /// Records that the backend works.
    pub fn reset(&self) {
        // The value is read first, because all threads share its cache line and the value is almost always 0 already.
        if self.times.load(Ordering::Relaxed) != 0 {
            self.times.store(0, Ordering::Relaxed);
        }
    }

    /// Records that the backend has failed. Returns how long to wait.
    pub fn failed(&self, now: Instant) -> Duration {
        let mut wait_until = self.wait_until.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times = self.times.load(Ordering::Relaxed);
        if times == 0 || wait_until.is_none_or(|until| until <= now) {
            times = times.saturating_add(1);
            self.times.store(times, Ordering::Relaxed);
            *wait_until = now.checked_add(backoff(times));
        }
        backoff(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_at_one_moment_count_once() {
        let (shared, start) = (SharedBackoff::default(), Instant::now());
        for _ in 0..50 {
            assert_eq!(shared.failed(start), backoff(1));
        }
        let later = start + backoff(1);
        assert_eq!(shared.failed(later), backoff(2), "it was not asked meanwhile, and fails again");
        assert_eq!(shared.failed(later), backoff(2));
        shared.reset();
        assert_eq!(shared.failed(later), backoff(1));
    }
}
