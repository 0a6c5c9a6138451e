//! How a call is run: its time limit, its retries, and its share of a worker. Each option may be set at several levels. The
//! level that is nearer to the job wins.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::model::{CallHash, JobId};

/// The options of a task, a call or a whole job. `None`: the option is not set at this level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How long one run may take.
    pub timeout: Option<Duration>,
    /// How often a call is run again after failures that may pass.
    pub max_retries: Option<u32>,
    /// The delay before the first retry.
    pub retry_delay: Option<Duration>,
    /// The longest delay, if the delays grow.
    pub max_retry_delay: Option<Duration>,
    /// How the delays grow from one retry to the next.
    pub backoff: Option<Backoff>,
    /// The most runs of the task at the same time, in one worker.
    pub max_running: Option<u32>,
    /// The most bytes of memory that one run may use.
    pub memory: Option<u64>,
    /// The name that events and listings show for the call.
    pub label: Option<String>,
    /// Who shares the outcome of the call. Unlike the others, this option is part of the call's identity.
    pub scope: Option<Scope>,
    /// What a trace tells of the call or the job, see `trace`. It is of this level alone, and only in records.
    pub trace: Option<String>,
}

/// Who shares the outcome of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All jobs.
    #[default]
    Fleet,
    /// The job that makes the call, and the jobs that retry it.
    Job,
    /// All jobs that make the call within one period of this length. The periods follow each other from the Unix epoch on.
    For(Duration),
}

/// The scopes of tasks, by their names.
pub type Scopes = HashMap<String, Scope>;

impl Scope {
    /// Reads `fleet`, `job` or a duration such as `90s`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let of_time = || {
            let digits = text.find(|c: char| !c.is_ascii_digit())?;
            let (number, unit) = text.split_at(digits);
            let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
            let time = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*ms)?);
            (!time.is_zero() && time <= LONGEST).then_some(Scope::For(time))
        };
        match text {
            "fleet" => Ok(Self::Fleet),
            "job" => Ok(Self::Job),
            _ => of_time().ok_or_else(|| {
                format!("a scope is `fleet`, `job` or a duration such as 90s, 15m, 1h or 7d, not {text:?}")
            }),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fleet => f.write_str("fleet"),
            Self::Job => f.write_str("job"),
            Self::For(time) => {
                let ms = time.as_millis();
                let (unit, length) =
                    UNITS.iter().find(|(_, length)| ms % u128::from(*length) == 0).unwrap_or(&("ms", 1));
                write!(f, "{}{unit}", ms / u128::from(*length))
            }
        }
    }
}

/// The units of a duration, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// How the delays before retries grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// All delays are the same.
    Fixed,
    /// Each delay is twice the previous one.
    #[default]
    Exponential,
}

/// The names that `parse` knows.
const KEYS: [&str; 9] = [
    "timeout-ms",
    "max-retries",
    "retry-delay-ms",
    "max-retry-delay-ms",
    "retry-backoff",
    "max-running",
    "memory-bytes",
    "label",
    "scope",
];

/// No time may be longer than this: the sum of it and the current time must still be a valid time.
pub const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

const RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_mins(5);

impl Options {
    /// These options. Each option that is not set here is taken from `farther`.
    #[must_use]
    pub fn over(&self, farther: &Options) -> Options {
        Options {
            timeout: self.timeout.or(farther.timeout),
            max_retries: self.max_retries.or(farther.max_retries),
            retry_delay: self.retry_delay.or(farther.retry_delay),
            max_retry_delay: self.max_retry_delay.or(farther.max_retry_delay),
            backoff: self.backoff.or(farther.backoff),
            max_running: self.max_running.or(farther.max_running),
            memory: self.memory.or(farther.memory),
            label: self.label.clone().or_else(|| farther.label.clone()),
            scope: self.scope.or(farther.scope),
            trace: self.trace.clone(),
        }
    }

    /// True if no option is set at this level.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Options::default()
    }

    /// The delay after the failed attempt number `attempt` (from 1), if there is another retry. The delay is changed by up to a
    /// quarter in either direction, depending on the job, the call and the attempt. So calls that failed together do not come
    /// back together.
    #[must_use]
    pub fn retry_after(&self, attempt: u32, job_id: &JobId, call: &CallHash) -> Option<Duration> {
        if attempt > self.max_retries.unwrap_or(0) {
            return None;
        }
        let first = self.retry_delay.unwrap_or(RETRY_DELAY);
        let delay = match self.backoff.unwrap_or_default() {
            Backoff::Fixed => first,
            Backoff::Exponential => {
                let longest = self.max_retry_delay.unwrap_or(MAX_RETRY_DELAY).max(first);
                first.saturating_mul(1 << attempt.saturating_sub(1).min(30)).min(longest)
            }
        };
        let mut hasher = DefaultHasher::new();
        (job_id, call, attempt).hash(&mut hasher);
        let spread = 0.75 + 0.5 * (hasher.finish() as f64 / u64::MAX as f64);
        // The result is limited, because a product of floats may be too large for a `Duration`.
        Some(Duration::try_from_secs_f64(delay.as_secs_f64() * spread).unwrap_or(delay).min(LONGEST))
    }

    /// True if there is an option of this name.
    #[must_use]
    pub fn knows(key: &str) -> bool {
        KEYS.contains(&key)
    }

    /// Reads options in the form that guests and records use: pairs of text.
    ///
    /// # Errors
    /// What is wrong, and which options there are.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Options, String> {
        let mut options = Options::default();
        for (key, value) in pairs {
            options.set(key, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let time = |ms| Duration::from_millis(ms).min(LONGEST);
        let number = || value.parse::<u64>().map_err(|_| format!("the option {key} is not a whole number: {value:?}"));
        let small = || value.parse::<u32>().map_err(|_| format!("the option {key} is not a whole number: {value:?}"));
        match key {
            "timeout-ms" => self.timeout = Some(time(number()?)),
            "max-retries" => self.max_retries = Some(small()?),
            "retry-delay-ms" => self.retry_delay = Some(time(number()?)),
            "max-retry-delay-ms" => self.max_retry_delay = Some(time(number()?)),
            "retry-backoff" => {
                self.backoff = Some(match value {
                    "fixed" => Backoff::Fixed,
                    "exponential" => Backoff::Exponential,
                    other => return Err(format!("the option {key} is `fixed` or `exponential`, not {other:?}")),
                });
            }
            "max-running" => self.max_running = Some(small()?),
            "memory-bytes" => self.memory = Some(number()?),
            "label" => self.label = Some(value.to_owned()),
            "scope" => self.scope = Some(Scope::parse(value)?),
            other => return Err(format!("there is no option {other:?}; there are {}", KEYS.join(", "))),
        }
        Ok(())
    }

    /// The options that are set, as pairs that `parse` can read.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let ms = |time: Duration| time.as_millis().to_string();
        let backoff = self.backoff.map(|backoff| match backoff {
            Backoff::Fixed => "fixed".to_owned(),
            Backoff::Exponential => "exponential".to_owned(),
        });
        [
            ("label", self.label.clone()),
            ("max-retries", self.max_retries.map(|n| n.to_string())),
            ("max-retry-delay-ms", self.max_retry_delay.map(ms)),
            ("max-running", self.max_running.map(|n| n.to_string())),
            ("memory-bytes", self.memory.map(|n| n.to_string())),
            ("retry-backoff", backoff),
            ("retry-delay-ms", self.retry_delay.map(ms)),
            ("scope", self.scope.map(|scope| scope.to_string())),
            ("timeout-ms", self.timeout.map(ms)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(options: &Options) -> Vec<u64> {
        (1..)
            .map_while(|attempt| options.retry_after(attempt, &"r".into(), &"c".into()))
            .map(|d| d.as_millis() as u64)
            .collect()
    }

    #[test]
    fn retry_delays_grow_to_a_bound_or_stay_constant() {
        let options = Options {
            max_retries: Some(6),
            retry_delay: Some(Duration::from_millis(100)),
            max_retry_delay: Some(Duration::from_millis(1000)),
            ..Options::default()
        };
        for (delay, middle) in delays(&options).into_iter().zip([100, 200, 400, 800, 1000, 1000]) {
            assert!((middle * 3 / 4..=middle * 5 / 4).contains(&delay), "{delay} is far from {middle}");
        }
        let fixed = Options { backoff: Some(Backoff::Fixed), max_retries: Some(2), ..options };
        assert!(delays(&fixed).into_iter().all(|d| (75..=125).contains(&d)));
        assert_eq!(delays(&fixed).len(), 2, "N retries");
        assert!(delays(&Options::default()).is_empty());
        let huge = Options { max_retries: Some(9), retry_delay: Some(Duration::MAX), ..fixed };
        assert_eq!(delays(&huge).len(), 9);
    }

    #[test]
    fn the_nearer_level_wins() {
        let near = Options { max_retries: Some(0), ..Options::default() };
        let far = Options { max_retries: Some(5), timeout: Some(Duration::from_secs(1)), ..Options::default() };
        let both = near.over(&far);
        assert_eq!((both.max_retries, both.timeout), (Some(0), Some(Duration::from_secs(1))));
    }

    #[test]
    fn options_round_trip() {
        let options = Options {
            timeout: Some(Duration::from_millis(1500)),
            max_retries: Some(3),
            retry_delay: Some(Duration::from_secs(1)),
            max_retry_delay: Some(Duration::from_secs(60)),
            backoff: Some(Backoff::Fixed),
            max_running: Some(2),
            memory: Some(1 << 20),
            label: Some("dice".to_owned()),
            scope: Some(Scope::For(Duration::from_secs(90))),
            // Not one of the pairs: it is of records alone.
            trace: None,
        };
        let pairs = options.pairs();
        assert!(pairs.is_sorted() && pairs.len() == KEYS.len() && pairs.iter().all(|(key, _)| Options::knows(key)));
        assert_eq!(Options::parse(pairs.iter().map(|(k, v)| (*k, v.as_str()))).unwrap(), options);
        let error = Options::parse([("max-retrys", "1")]).unwrap_err();
        assert!(error.contains("\"max-retrys\"") && error.contains("max-retries"), "{error}");
        assert!(Options::parse([("timeout-ms", "-1")]).is_err());
        for text in ["fleet", "job", "90s", "15m", "1h", "7d", "1500ms"] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "Job", "0s", "-1h", "1 h", "1w", "99999999999d", "h"] {
            assert!(Scope::parse(text).unwrap_err().contains("such as 90s"), "{text}");
        }
    }
}
