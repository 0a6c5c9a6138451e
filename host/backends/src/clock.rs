//! The clock of a server, as far as its answers tell what time it is there.
//!
//! Workers and clients are on many machines, and deadlines, retries and schedules pass between them. So all of them go by the clock
//! of what they share.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::model::{Millis, system_now};

/// How long a measurement is good for. Clocks of computers drift by some milliseconds in that time.
const GOOD_FOR: Duration = Duration::from_mins(1);

/// How far a server is ahead of this machine.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    /// In milliseconds; negative: behind.
    ahead: AtomicI64,
    measured: Mutex<Option<Instant>>,
    is_being_measured: AtomicBool,
}

impl ServerClock {
    /// The time there. This machine's, as long as nothing was measured.
    pub fn now(&self) -> Millis {
        system_now().saturating_add_signed(self.ahead.load(Ordering::Relaxed))
    }

    /// A server that was asked at `asked`, and has answered at `answered`, has told the time. `resolution`: it cuts off what is
    /// less than that.
    ///
    /// One answer gives a range of differences that explain it. What earlier answers said stays as far as it lies in that range, so
    /// many answers of a server that tells whole seconds are more exact than one, and the time does not jump with each of them.
    pub fn tell(&self, asked: Millis, answered: Millis, told: Millis, resolution: Millis) {
        let signed = |time: Millis| i64::try_from(time).unwrap_or(i64::MAX);
        let least = signed(told) - signed(answered);
        let most = (signed(told + resolution) - signed(asked)).max(least);
        let known = self.ahead.load(Ordering::Relaxed);
        let is_near = (least - signed(resolution)..=most + signed(resolution)).contains(&known);
        let ahead = if is_near { known.clamp(least, most) } else { i64::midpoint(least, most) };
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// Says once that it is time to measure anew; `measured` is to follow, whatever comes of it.
    pub fn is_due(&self) -> bool {
        let measured = *self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        measured.is_none_or(|at| at.elapsed() >= GOOD_FOR) && !self.is_being_measured.swap(true, Ordering::Relaxed)
    }

    /// A measurement that `is_due` asked for is over.
    pub fn measured(&self) {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.is_being_measured.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_by_the_server() {
        let clock = ServerClock::default();
        assert!(clock.now().abs_diff(system_now()) < 1_000);
        let here = system_now();
        clock.tell(here, here + 10, here + 3_600_005, 0);
        assert!(clock.now().abs_diff(system_now() + 3_600_000) < 1_000);
        clock.tell(here, here + 10, here - 59_995, 0);
        assert!(clock.now().abs_diff(system_now() - 60_000) < 1_000);
        // A server that tells whole seconds may be as exact as this machine.
        let clock = ServerClock::default();
        clock.tell(here, here, here - 900, 1_000);
        assert!(clock.now().abs_diff(system_now()) < 300);
    }

    #[test]
    fn many_coarse_answers_are_more_exact_than_one() {
        let (clock, ahead) = (ServerClock::default(), 3_600_700);
        let here = system_now();
        for asked in (0..3_000).step_by(70).map(|passed| here + passed) {
            let told = (asked + 5 + ahead) / 1_000 * 1_000;
            clock.tell(asked, asked + 10, told, 1_000);
            let known = clock.ahead.load(Ordering::Relaxed);
            assert!(known.abs_diff(3_600_700) <= 510, "{known}");
        }
        let known = clock.ahead.load(Ordering::Relaxed);
        assert!(known.abs_diff(3_600_700) <= 80, "{known}");
    }

    #[test]
    fn it_is_measured_by_one_at_a_time() {
        let clock = ServerClock::default();
        assert!(clock.is_due() && !clock.is_due());
        clock.measured();
        assert!(!clock.is_due(), "just now");
    }
}
