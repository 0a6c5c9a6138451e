//! How a task is run, and how one call of it is.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What `#[brrr::handler(…)]` may set. What is not set is the worker's choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long one run may take, its waiting for calls not counted. Whole milliseconds, as all times here.
    pub timeout: Option<Duration>,
    /// How often it is run again after a retryable error, a trap, or running out of time or memory.
    pub max_retries: Option<u32>,
    /// The pause before the first of those.
    pub retry_delay: Option<Duration>,
    /// The longest pause where they grow.
    pub max_retry_delay: Option<Duration>,
    /// How the pauses grow; exponentially where nothing is said.
    pub backoff: Option<Backoff>,
    /// How many runs of the task one worker has at once.
    pub max_running: Option<u32>,
    /// The memory that one run may have, in bytes; the worker may allow less.
    pub memory_bytes: Option<u64>,
    /// Who shares its values.
    pub scope: Option<Scope>,
    /// It calls nobody, and has the real clock, sleep and random numbers.
    pub leaf: bool,
}

impl Options {
    /// None is set.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            timeout: None,
            max_retries: None,
            retry_delay: None,
            max_retry_delay: None,
            backoff: None,
            max_running: None,
            memory_bytes: None,
            scope: None,
            leaf: false,
        }
    }

    /// By the names that the WIT gives them.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        let entries = [
            ("leaf", self.leaf.then(|| "true".to_owned())),
            ("timeout-ms", self.timeout.map(milliseconds)),
            ("max-retries", self.max_retries.map(|retries| retries.to_string())),
            ("retry-delay-ms", self.retry_delay.map(milliseconds)),
            ("max-retry-delay-ms", self.max_retry_delay.map(milliseconds)),
            ("retry-backoff", self.backoff.map(|backoff| backoff.as_str().to_owned())),
            ("max-running", self.max_running.map(|runs| runs.to_string())),
            ("memory-bytes", self.memory_bytes.map(|bytes| bytes.to_string())),
            ("scope", self.scope.map(|scope| scope.to_string())),
        ];
        entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// Rounded up: what is not nothing must not become nothing.
fn milliseconds(duration: Duration) -> String {
    duration.as_nanos().div_ceil(1_000_000).min(u64::MAX.into()).to_string()
}

/// Who shares the value of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Every job.
    Fleet,
    /// One job, and the jobs that retry it.
    Job,
    /// Every job, for at most this long. Whole milliseconds, rounded up.
    For(Duration),
}

/// As the host reads it: `fleet`, `job`, `90s`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("fleet"),
            Self::Job => f.write_str("job"),
            Self::For(duration) if duration.subsec_nanos() == 0 => write!(f, "{}s", duration.as_secs()),
            Self::For(duration) => write!(f, "{}ms", milliseconds(*duration)),
        }
    }
}

/// How the pauses before retries grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
        self.set(key, milliseconds(duration));
    }

    /// The call is a job of its own. The host answers it at once, with the job's id.
    pub(crate) fn set_detached(&mut self) {
        self.set("detached", true);
    }

    /// In the asynchronous world each call is a poll of its own, so that nobody asks.
    #[cfg(not(all(feature = "async-world", target_family = "wasm")))]
    pub(crate) fn is_detached(&self) -> bool {
        self.0.contains_key("detached")
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
    fn options_have_the_names_of_the_wit() {
        assert!(Options::new().pairs().is_empty());
        let options = Options {
            timeout: Some(Duration::from_millis(1500)),
            max_retries: Some(0),
            retry_delay: Some(Duration::from_micros(1)),
            max_retry_delay: Some(Duration::from_secs(60)),
            backoff: Some(Backoff::Fixed),
            max_running: Some(2),
            memory_bytes: Some(64 << 20),
            scope: Some(Scope::Job),
            leaf: true,
        };
        let pairs = options.pairs();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let wanted = [
            ("leaf", "true"),
            ("timeout-ms", "1500"),
            ("max-retries", "0"),
            ("retry-delay-ms", "1"),
            ("max-retry-delay-ms", "60000"),
            ("retry-backoff", "fixed"),
            ("max-running", "2"),
            ("memory-bytes", "67108864"),
            ("scope", "job"),
        ];
        assert_eq!(pairs, wanted);
    }

    #[test]
    fn scopes_are_written_as_the_host_reads_them() {
        let scopes =
            [Scope::Fleet, Scope::Job, Scope::For(Duration::from_secs(3600)), Scope::For(Duration::from_micros(1))];
        assert_eq!(scopes.map(|scope| scope.to_string()), ["fleet", "job", "3600s", "1ms"]);
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
