//! The clock of a server, estimated from the times in the server's answers.
//!
//! Workers and clients are on many machines, and exchange deadlines, retries and schedules. So all of them use the
//! clock of the server that they share.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::model::{Millis, system_now};

/// How long a measurement is valid. The clocks of computers drift by some milliseconds in that time.
const GOOD_FOR: Duration = Duration::from_mins(1);

/// How far a server is ahead of this machine.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    /// In milliseconds. Negative if the server is behind.
    ahead: AtomicI64,
    measured: Mutex<Option<Instant>>,
    is_being_measured: AtomicBool,
}

impl ServerClock {
    /// The server's time; this machine's time until the first measurement.
    pub fn now(&self) -> Millis {
        system_now().saturating_add_signed(self.ahead.load(Ordering::Relaxed))
    }

    /// Takes a measurement: the server was asked at `asked`, it answered at `answered`, and `server_time` is the time in its
    /// answer. The server rounds its time down to a multiple of `resolution`.
    ///
    /// One answer is consistent with a range of differences. The known difference is only moved into that range, and is
    /// kept if it lies in it. So many answers of a server that tells whole seconds are more exact than one answer. And
    /// the time does not jump with each answer.
    pub fn measure(&self, asked: Millis, answered: Millis, server_time: Millis, resolution: Millis) {
        let signed = |time: Millis| i64::try_from(time).unwrap_or(i64::MAX);
        let least = signed(server_time) - signed(answered);
        let most = (signed(server_time + resolution) - signed(asked)).max(least);
        let known = self.ahead.load(Ordering::Relaxed);
        let is_near = (least - signed(resolution)..=most + signed(resolution)).contains(&known);
        let ahead = if is_near { known.clamp(least, most) } else { i64::midpoint(least, most) };
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// Is it time for a new measurement? Returns true to one caller only. That caller must call `measured` afterwards,
    /// even if the measurement failed.
    pub fn is_due(&self) -> bool {
        let measured = *self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        measured.is_none_or(|at| at.elapsed() >= GOOD_FOR) && !self.is_being_measured.swap(true, Ordering::Relaxed)
    }

    /// Ends a measurement that `is_due` asked for.
    pub fn measured(&self) {
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.is_being_measured.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_clock_of_the_server() {
        let clock = ServerClock::default();
        assert!(clock.now().abs_diff(system_now()) < 1_000);
        let here = system_now();
        clock.measure(here, here + 10, here + 3_600_005, 0);
        assert!(clock.now().abs_diff(system_now() + 3_600_000) < 1_000);
        clock.measure(here, here + 10, here - 59_995, 0);
        assert!(clock.now().abs_diff(system_now() - 60_000) < 1_000);
        // The clock of a server that tells whole seconds can be equal to this machine's clock.
        let clock = ServerClock::default();
        clock.measure(here, here, here - 900, 1_000);
        assert!(clock.now().abs_diff(system_now()) < 300);
    }

    #[test]
    fn many_coarse_answers_are_more_exact_than_one() {
        let (clock, ahead) = (ServerClock::default(), 3_600_700);
        let here = system_now();
        for asked in (0..3_000).step_by(70).map(|passed| here + passed) {
            let server_time = (asked + 5 + ahead) / 1_000 * 1_000;
            clock.measure(asked, asked + 10, server_time, 1_000);
            let known = clock.ahead.load(Ordering::Relaxed);
            assert!(known.abs_diff(3_600_700) <= 510, "{known}");
        }
        let known = clock.ahead.load(Ordering::Relaxed);
        assert!(known.abs_diff(3_600_700) <= 80, "{known}");
    }

    #[test]
    fn one_caller_at_a_time_measures_it() {
        let clock = ServerClock::default();
        assert!(clock.is_due() && !clock.is_due());
        clock.measured();
        assert!(!clock.is_due(), "just now");
    }
}
