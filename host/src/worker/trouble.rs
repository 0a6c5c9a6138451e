//! How long a backend is left alone that fails.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::disposition::backoff;

/// Times in a row that the backend failed. What fails while it is left alone for an earlier failure is the same time: a
/// connection that breaks under fifty messages breaks once.
#[derive(Default)]
pub(super) struct Trouble {
    times: AtomicU32,
    alone_until: Mutex<Option<Instant>>,
}

impl Trouble {
    /// It works.
    pub fn is_over(&self) {
        // Not a plain store: the line is shared by all threads and nearly always 0 already.
        if self.times.load(Ordering::Relaxed) != 0 {
            self.times.store(0, Ordering::Relaxed);
        }
    }

    /// It failed; how long to leave it alone.
    pub fn failed(&self, now: Instant) -> Duration {
        let mut alone_until = self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times = self.times.load(Ordering::Relaxed);
        if times == 0 || alone_until.is_none_or(|until| until <= now) {
            times = times.saturating_add(1);
            self.times.store(times, Ordering::Relaxed);
            *alone_until = now.checked_add(backoff(times));
        }
        backoff(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_at_once_breaks_once() {
        let (trouble, start) = (Trouble::default(), Instant::now());
        for _ in 0..50 {
            assert_eq!(trouble.failed(start), backoff(1));
        }
        let later = start + backoff(1);
        assert_eq!(trouble.failed(later), backoff(2), "it was left alone, and fails again");
        assert_eq!(trouble.failed(later), backoff(2));
        trouble.is_over();
        assert_eq!(trouble.failed(later), backoff(1));
    }
}
