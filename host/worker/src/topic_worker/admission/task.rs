//! The runs of a task with a `max-running`. Decides how many of its messages wait in the worker, and with which delay
//! the others are given back.
//!
//! A worker can't see how many messages of a task a queue has, because they are mixed with messages of other tasks. So
//! the few messages that will start within a moment wait in the worker. The others are given back, spread over half of
//! the time that this worker would need for all of them. Half of the time ensures that there are always enough
//! messages, for this worker and for another worker that starts to help. How often a message is given back grows with
//! the logarithm of the time that it has to wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::lane::{Lane, MOMENT};

/// The longest delay of a message that is given back. A new worker finds work after this time at the latest.
const LONGEST: Duration = Duration::from_secs(10);

/// The most given-back messages that are counted. More could not be run within `LONGEST` anyway.
const MOST_COUNTED: usize = 10_000;

/// The runs of one task.
pub(super) struct Limited {
    /// The current runs of the task, and its waiting messages.
    pub lane: Lane,
    /// One permit for each run that may start.
    pub slots: Arc<Semaphore>,
    /// The times at which the messages that were given back are delivered again.
    nacked_until: BinaryHeap<Reverse<Instant>>,
    /// The number of messages that were given back so far.
    count: u32,
}

impl Limited {
    /// `all` is the most runs of all tasks at once. A task leaves at least half of the worker's room to other tasks.
    /// `guess` is the assumed time of a run until one has ended.
    pub fn new(max: usize, all: usize, guess: Option<Duration>) -> Self {
        let max = max.max(1);
        Self {
            lane: Lane::new(max, (all / 2).max(1)).guessing(guess.unwrap_or(MOMENT)),
            slots: Arc::new(Semaphore::new(max)),
            nacked_until: BinaryHeap::new(),
            count: 0,
        }
    }

    /// Records that a message is given back. Returns the delay.
    pub fn record_nack(&mut self, now: Instant) -> Duration {
        while self.nacked_until.peek().is_some_and(|Reverse(due)| *due <= now) {
            self.nacked_until.pop();
        }
        // An assumed time is not multiplied. Otherwise all messages would be delayed for long before the first run has
        // ended.
        let before =
            if self.lane.is_measured() { self.lane.waiting + self.nacked_until.len() + 1 } else { self.lane.max() };
        let all = self.lane.expected(now).mul_f64(before as f64 / self.lane.max() as f64);
        let delay = (all / 2).min(LONGEST).mul_f64(self.share()).max(MOMENT);
        if self.nacked_until.len() < MOST_COUNTED {
            self.nacked_until.push(Reverse(now + delay));
        }
        delay
    }

    /// The next number of a sequence from 0 to 1. Every part of the sequence is spread evenly, because the numbers are
    /// multiples of the golden ratio.
    fn share(&mut self) -> f64 {
        self.count = self.count.wrapping_add(1);
        (f64::from(self.count) * 0.618_033_988_749_895).fract()
    }

    /// Can this be removed without losing information?
    pub fn is_unused(&self, now: Instant) -> bool {
        self.lane.is_unused() && self.nacked_until.iter().all(|Reverse(due)| *due <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Simulates one worker that is offered all messages again and again. Returns how often they are given back, and
    /// when all have run.
    fn work_off(calls: usize, run: Duration, max: usize) -> (usize, Duration) {
        let start = Instant::now();
        let (mut now, mut bounces) = (start, 0);
        let mut task = Limited::new(max, 16, None);
        let mut queue: BinaryHeap<Reverse<Instant>> = (0..calls).map(|_| Reverse(start)).collect();
        let mut running: Vec<(u64, Instant)> = Vec::new();
        while !queue.is_empty() || !running.is_empty() || task.lane.waiting > 0 {
            for (number, _) in running.extract_if(.., |(_, began)| *began + run <= now) {
                task.lane.end(number, now);
            }
            while queue.peek().is_some_and(|Reverse(due)| *due <= now)
                && task.lane.waiting < task.lane.ahead(now, Duration::ZERO).max(max - running.len())
            {
                queue.pop();
                task.lane.waiting += 1;
            }
            while running.len() < max && task.lane.waiting > 0 {
                task.lane.waiting -= 1;
                running.push((task.lane.begin(now), now));
            }
            while queue.peek().is_some_and(|Reverse(due)| *due <= now) {
                queue.pop();
                bounces += 1;
                queue.push(Reverse(now + task.record_nack(now)));
            }
            now += MS;
        }
        (bounces, now - start)
    }

    #[test]
    fn messages_are_nacked_a_few_times_each_and_no_slot_stays_free() {
        for (calls, run, max) in [(100, 5 * MS, 1), (3_000, 20 * MS, 1), (1_000, 20 * MS, 4)] {
            let (bounces, took) = work_off(calls, run, max);
            assert!(bounces < 12 * calls, "{bounces} for {calls}");
            let ideal = run * u32::try_from(calls / max).unwrap();
            assert!(took < ideal.mul_f64(1.3) + 3 * MOMENT, "{took:?} instead of {ideal:?}");
        }
    }

    #[test]
    fn one_long_run_delays_the_others_longer_and_longer() {
        let start = Instant::now();
        let mut task = Limited::new(1, 16, None);
        task.lane.begin(start);
        assert_eq!(task.record_nack(start), MOMENT, "no run has ended yet");
        let mut longest = |elapsed: Duration| (0..20).map(|_| task.record_nack(start + elapsed)).max();
        for (elapsed, most) in [(100 * MS, 50 * MS), (2_000 * MS, 1_000 * MS), (Duration::from_mins(1), LONGEST)] {
            let longest = longest(elapsed).unwrap();
            assert!(longest <= most && longest > most / 2, "{longest:?} after {elapsed:?}");
        }
    }
}
