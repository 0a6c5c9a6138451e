//! A bounded number of concurrent runs, and the number of messages that may wait for them. The caller passes the time
//! in.
//!
//! A worker has one lane for all of its runs, and one for each task that has its own `max-running`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A message that waits in a worker should start within this time. It is longer than a round trip to a server, so that
/// a worker of quick calls always has the next messages. It is so short that nobody notices if another worker was idle
/// meanwhile.
pub const MOMENT: Duration = Duration::from_millis(30);

/// The weight of the newest time in a mean. After one run of a second, some forty quick runs bring the mean back to
/// milliseconds. One quick run among long runs changes little.
const NEWEST: f64 = 1.0 / 8.0;

/// An exponentially weighted mean of times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean(Option<f64>);

impl Mean {
    /// Adds a measured time. The first time is the mean.
    pub fn add(&mut self, time: Duration) {
        let time = time.as_secs_f64();
        self.0 = Some(self.0.map_or(time, |mean| mean + (time - mean) * NEWEST));
    }

    /// `None`: nothing has been measured yet.
    pub fn get(self) -> Option<Duration> {
        self.0.and_then(|mean| Duration::try_from_secs_f64(mean).ok())
    }
}

/// The current runs, their usual time, and the number of waiting messages.
#[derive(Debug)]
pub struct Lane {
    max: usize,
    /// The most messages that may wait, however quick the runs are.
    most_ahead: usize,
    mean: Mean,
    /// The mean that is assumed until a run has ended.
    guess: Option<Duration>,
    /// The beginning of each run, by the run's number.
    runs: BTreeMap<u64, Instant>,
    next: u64,
    /// The number of runs that have taken longer than `MOMENT`. Runs below `counted_below` were checked.
    long: usize,
    counted_below: u64,
    /// Messages that wait for a permit to run.
    pub waiting: usize,
}

impl Lane {
    /// A lane without runs. `max` is the most runs at once (at least 1), and `most_ahead` the most messages that may
    /// wait.
    pub fn new(max: usize, most_ahead: usize) -> Self {
        Self {
            max: max.max(1),
            most_ahead,
            mean: Mean::default(),
            guess: None,
            runs: BTreeMap::new(),
            next: 0,
            long: 0,
            counted_below: 0,
            waiting: 0,
        }
    }

    /// The lane with a mean that is assumed until a run has ended.
    pub fn guessing(self, run: Duration) -> Self {
        Self { guess: Some(run), ..self }
    }

    /// The usual time of a run, if it was measured or assumed.
    pub fn mean(&self) -> Option<Duration> {
        self.mean.get().or(self.guess)
    }

    /// Has a run ended, so that the mean is measured?
    pub fn is_measured(&self) -> bool {
        self.mean.get().is_some()
    }

    /// The most runs at once.
    pub fn max(&self) -> usize {
        self.max
    }

    /// The number of current runs.
    #[cfg(test)]
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Does the lane have neither runs nor waiting messages?
    pub fn is_unused(&self) -> bool {
        self.runs.is_empty() && self.waiting == 0
    }

    /// Begins a run. Returns the number to end it with.
    pub fn begin(&mut self, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.runs.insert(number, now);
        number
    }

    /// Ends a run by the number that `begin` returned, and adds its time to the mean. An unknown number does nothing.
    pub fn end(&mut self, number: u64, now: Instant) {
        let Some(began) = self.runs.remove(&number) else { return };
        if number < self.counted_below {
            self.long -= 1;
        }
        self.mean.add(now.saturating_duration_since(began));
    }

    /// How many messages may wait now: as many as will start within `MOMENT` and `delay`, the time that a message needs
    /// in addition to its run. A run that has already taken longer than `MOMENT` is not expected to end within the next
    /// one.
    pub fn ahead(&mut self, now: Instant, delay: Duration) -> usize {
        while let Some((number, began)) = self.runs.range(self.counted_below..).next()
            && now.saturating_duration_since(*began) > MOMENT
        {
            self.counted_below = number + 1;
            self.long += 1;
        }
        let Some(mean) = self.mean() else { return 0 };
        let quick = self.max.saturating_sub(self.long);
        // No run takes less than a microsecond, and this avoids a division by 0.
        let each = (MOMENT + delay).as_secs_f64() / mean.as_secs_f64().max(1e-6);
        // The cast saturates, and larger numbers are cut to the bound anyway.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and bounded")]
        let ahead = (quick as f64 * each).min(self.most_ahead as f64) as usize;
        ahead
    }

    /// How long a run may take, estimated from the ended runs and from the last run that began. `MOMENT` before any
    /// run.
    pub fn expected(&self, now: Instant) -> Duration {
        let youngest = self.runs.last_key_value().map(|(_, began)| now.saturating_duration_since(*began));
        self.mean().unwrap_or(MOMENT).max(youngest.filter(|_| self.runs.len() >= self.max).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A lane in which runs of this length have ended.
    fn lane(max: usize, run: Duration, now: Instant) -> Lane {
        let mut lane = Lane::new(max, 5 * max);
        for _ in 0..100 {
            let number = lane.begin(now - run);
            lane.end(number, now);
        }
        lane
    }

    #[test]
    fn nothing_waits_before_a_run_was_measured() {
        assert_eq!(Lane::new(16, 80).ahead(Instant::now(), Duration::ZERO), 0);
    }

    #[test]
    fn longer_runs_let_fewer_messages_wait() {
        let now = Instant::now();
        let ahead = |run: Duration| lane(16, run, now).ahead(now, Duration::ZERO);
        assert_eq!(ahead(Duration::from_micros(57)), 80, "as many as there may be at most");
        assert_eq!(ahead(10 * MS), 16 * 3);
        assert_eq!(ahead(100 * MS), 4);
        assert_eq!(ahead(4000 * MS), 0);
        assert_eq!(lane(1, 20 * MS, now).ahead(now, Duration::ZERO), 1);
        assert_eq!(
            lane(16, 100 * MS, now).ahead(now, 70 * MS),
            16,
            "slow answers need this many to keep every slot busy"
        );
    }

    #[test]
    fn a_run_that_turns_out_long_reduces_how_many_may_wait() {
        let start = Instant::now();
        let mut lane = lane(4, 10 * MS, start);
        let runs: Vec<u64> = (0..4).map(|_| lane.begin(start)).collect();
        assert_eq!(lane.ahead(start + 10 * MS, Duration::ZERO), 12, "they may end soon");
        lane.end(runs[3], start + 10 * MS);
        assert_eq!(lane.ahead(start + MOMENT + MS, Duration::ZERO), 3, "three are long, one slot is free");
        let last = lane.begin(start + MOMENT + MS);
        assert_eq!(lane.ahead(start + 2 * MOMENT + 2 * MS, Duration::ZERO), 0);
        lane.end(last, start + 2 * MOMENT + 2 * MS);
        runs[..3].iter().for_each(|run| lane.end(*run, start + 2 * MOMENT + 2 * MS));
        assert!(lane.ahead(start + 3 * MOMENT, Duration::ZERO) > 3 && lane.is_unused());
    }

    #[test]
    fn one_long_run_is_forgotten_after_some_quick_ones() {
        let now = Instant::now();
        let mut lane = lane(4, Duration::from_secs(10), now);
        for _ in 0..100 {
            let number = lane.begin(now);
            lane.end(number, now + Duration::from_micros(100));
        }
        assert_eq!(lane.ahead(now, Duration::ZERO), 20);
    }
}
