//! How a task is run, and how one call of it is.

use std::collections::BTreeMap;
use std::time::Duration;

/// What `#[brrr::handler(…)]` may set. What is not set is the worker's choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// How long one run may take, its waiting for calls not counted, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How often it is run again after a retryable error, a trap, or running out of time or memory.
    pub max_retries: Option<u32>,
    /// The pause before the first of those, in milliseconds.
    pub retry_delay_ms: Option<u64>,
    /// The longest pause where they grow, in milliseconds.
    pub max_retry_delay_ms: Option<u64>,
    /// How the pauses grow; exponentially where nothing is said.
    pub backoff: Option<Backoff>,
    /// How many runs of the task one worker has at once.
    pub max_running: Option<u32>,
    /// The memory that one run may have, in bytes; the worker may allow less.
    pub memory_bytes: Option<u64>,
    /// It calls nobody, and has the real clock, sleep and random numbers.
    pub leaf: bool,
}

impl Options {
    /// Those that the WIT's record has no field for: what `describe` gives as `extra`.
    #[must_use]
    pub fn extra(&self) -> Vec<(String, String)> {
        let entries = [
            ("retry-backoff", self.backoff.map(|backoff| backoff.as_str().to_owned())),
            ("max-retry-delay-ms", self.max_retry_delay_ms.map(|ms| ms.to_string())),
            ("max-running", self.max_running.map(|runs| runs.to_string())),
            ("memory-bytes", self.memory_bytes.map(|bytes| bytes.to_string())),
        ];
        entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// How the pauses before retries grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// All alike.
    Fixed,
    /// Each twice the one before.
    Exponential,
}

impl Backoff {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Exponential => "exponential",
        }
    }
}

/// Options of one call, by the names that the WIT gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallOptions(BTreeMap<&'static str, String>);

impl CallOptions {
    /// The last value of an option counts.
    pub(crate) fn set(&mut self, key: &'static str, value: impl ToString) {
        self.0.insert(key, value.to_string());
    }

    pub(crate) fn set_duration(&mut self, key: &'static str, duration: Duration) {
        // Rounded up: what is not nothing must not become nothing.
        self.set(key, duration.as_nanos().div_ceil(1_000_000).min(u64::MAX.into()));
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn number<N: std::str::FromStr>(&self, key: &str) -> Option<N> {
        self.0.get(key)?.parse().ok()
    }

    #[cfg(any(test, target_family = "wasm"))]
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_has_what_the_record_has_no_field_for() {
        assert!(Options { timeout_ms: Some(1), leaf: true, ..Options::default() }.extra().is_empty());
        let options = Options {
            max_retry_delay_ms: Some(60_000),
            backoff: Some(Backoff::Fixed),
            max_running: Some(2),
            memory_bytes: Some(64 << 20),
            ..Options::default()
        };
        let extra = options.extra();
        let extra: Vec<_> = extra.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let wanted = [
            ("retry-backoff", "fixed"),
            ("max-retry-delay-ms", "60000"),
            ("max-running", "2"),
            ("memory-bytes", "67108864"),
        ];
        assert_eq!(extra, wanted);
    }

    #[test]
    fn durations_of_calls_are_whole_milliseconds() {
        let mut options = CallOptions::default();
        options.set_duration("timeout-ms", Duration::from_micros(1));
        options.set_duration("retry-delay-ms", Duration::from_millis(1500));
        options.set_duration("max-retry-delay-ms", Duration::MAX);
        let pairs = [("max-retry-delay-ms", u64::MAX), ("retry-delay-ms", 1500), ("timeout-ms", 1)];
        assert_eq!(options.into_pairs(), pairs.map(|(key, ms)| (key.to_owned(), ms.to_string())));
    }
}
