//! `brrr.toml`: what a project says once instead of at every command.
//!
//! ```toml
//! [worker]                 # for `run`
//! max-running = 16         # calls at once
//! timeout = "1m"           # of one run, unless its task says otherwise
//! memory = "128MiB"        # of one run
//!
//! [job]                    # for `call` and `schedule`, as their flags
//! timeout = "1h"           # of the whole job
//! task-timeout = "30s"     # of one run of any of its tasks; then as in `tasks`
//! spawn-limit = 10000
//! max-retries = 3
//!
//! [tasks.blend]            # for `run`, whatever the component says of this task
//! timeout = "10s"
//! max-retries = 3
//! retry-delay = "1s"
//! retry-backoff = "fixed"  # or "exponential"
//! max-retry-delay = "1m"
//! max-running = 2
//! memory = "64MiB"
//!
//! [tasks."*"]              # of all, where their own entry says nothing
//! max-retries = 1
//! ```
//!
//! Flag over environment over file; what is said of a call: its job over its caller over this file over its
//! component.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use brrr_protocol::options::{Backoff, Options};
use clap::ValueEnum;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::units;

/// The file that is read unless another one is named.
pub const DEFAULT: &str = "brrr.toml";

/// All of a `brrr.toml`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub worker: Worker,
    pub job: Job,
    tasks: BTreeMap<String, Task>,
}

/// Defaults of a worker's flags.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Worker {
    #[serde(deserialize_with = "calls_at_once")]
    pub max_running: Option<NonZeroU32>,
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    #[serde(deserialize_with = "size")]
    pub memory: Option<u64>,
}

/// Defaults of the flags of a job.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Job {
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub task_timeout: Option<Duration>,
    pub max_retries: Option<u32>,
    #[serde(deserialize_with = "duration")]
    pub retry_delay: Option<Duration>,
    pub retry_backoff: Option<RetryBackoff>,
    #[serde(deserialize_with = "duration")]
    pub max_retry_delay: Option<Duration>,
    pub spawn_limit: Option<NonZeroU32>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Task {
    #[serde(deserialize_with = "duration")]
    timeout: Option<Duration>,
    max_retries: Option<u32>,
    #[serde(deserialize_with = "duration")]
    retry_delay: Option<Duration>,
    retry_backoff: Option<RetryBackoff>,
    #[serde(deserialize_with = "duration")]
    max_retry_delay: Option<Duration>,
    max_running: Option<NonZeroU32>,
    #[serde(deserialize_with = "size")]
    memory: Option<u64>,
}

/// How the pauses before retries grow, as flags and files write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RetryBackoff {
    /// All alike.
    Fixed,
    /// Each twice the one before.
    Exponential,
}

impl From<RetryBackoff> for Backoff {
    fn from(backoff: RetryBackoff) -> Self {
        match backoff {
            RetryBackoff::Fixed => Self::Fixed,
            RetryBackoff::Exponential => Self::Exponential,
        }
    }
}

/// A file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: there is no such file", path.display())]
    NotFound { path: PathBuf },
    #[error("{} can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}{place}: {reason}", path.display())]
    Wrong { path: PathBuf, place: Place, reason: String },
}

/// A line of a file, and what stands there.
#[derive(Debug, PartialEq, Eq)]
pub struct Place(Option<(usize, String)>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((line, text)) => write!(f, ", line {line} ({text})"),
            None => Ok(()),
        }
    }
}

impl Config {
    /// Reads the file named, or else the one that may be in this folder.
    ///
    /// # Errors
    /// When the file named is not there, or what is there can't be read or understood.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT));
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match named {
                Some(_) => Err(ConfigError::NotFound { path: path.to_owned() }),
                None => Ok(Self::default()),
            },
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Wrong {
            path: path.to_owned(),
            place: Place(error.span().map(|span| line_at(text, span.start))),
            reason: error.message().to_owned(),
        })
    }

    /// How tasks are to be run, whatever their components say, by their names; `*`: all others.
    #[must_use]
    pub fn tasks(&self) -> BTreeMap<String, Options> {
        self.tasks.iter().map(|(name, task)| (name.clone(), task.options())).collect()
    }
}

impl Task {
    fn options(&self) -> Options {
        Options {
            timeout: self.timeout,
            max_retries: self.max_retries,
            retry_delay: self.retry_delay,
            max_retry_delay: self.max_retry_delay,
            backoff: self.retry_backoff.map(Backoff::from),
            max_running: self.max_running.map(NonZeroU32::get),
            memory: self.memory,
            label: None,
        }
    }
}

fn line_at(text: &str, offset: usize) -> (usize, String) {
    let line = text[..offset.min(text.len())].matches('\n').count();
    (line + 1, text.lines().nth(line).unwrap_or_default().trim().to_owned())
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    units::duration(&text).map(Some).map_err(de::Error::custom)
}

/// As the flag: more is not what one process can hold.
fn calls_at_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU32>, D::Error> {
    let n = NonZeroU32::deserialize(deserializer)?;
    if n.get() > 10_000 { Err(de::Error::custom("more than 10000")) } else { Ok(Some(n)) }
}

/// A text with a unit, or a number of bytes.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Size;

    impl Visitor<'_> for Size {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as \"64MiB\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            units::size(text).map_err(E::custom)
        }

        fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
            units::size(&bytes.to_string()).map_err(E::custom)
        }
    }

    deserializer.deserialize_any(Size).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("brrr.toml"), text).map_err(|error| error.to_string())
    }

    /// The example at the top of this file.
    fn example() -> String {
        let lines = include_str!("config.rs").lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let lines = lines.take_while(|line| *line != "//! ```");
        lines.map(|line| line.trim_start_matches("//!").to_owned() + "\n").collect()
    }

    #[test]
    fn the_example_is_read() {
        let config = parse(&example()).unwrap();
        assert_eq!(config.worker.memory, Some(128 << 20));
        assert_eq!(config.job.spawn_limit, NonZeroU32::new(10_000));
        let tasks = config.tasks();
        assert_eq!(tasks["*"].max_retries, Some(1));
        assert_eq!(
            tasks["blend"],
            Options {
                timeout: Some(Duration::from_secs(10)),
                max_retries: Some(3),
                retry_delay: Some(Duration::from_secs(1)),
                max_retry_delay: Some(Duration::from_secs(60)),
                backoff: Some(Backoff::Fixed),
                max_running: Some(2),
                memory: Some(64 << 20),
                label: None,
            }
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, words) in [
            ("\n[worker]\nmax-runing = 1", vec!["brrr.toml, line 3", "max-runing", "max-running"]),
            ("[tasks.a]\ntimeout = \"5\"", vec!["line 2 (timeout = \"5\")", "30s"]),
            ("[tasks.a]\ntimeout = 5", vec!["line 2 (timeout = 5)", "expected a string"]),
            ("[worker]\nmemory = \"lots\"", vec!["line 2", "16MiB"]),
            ("[worker]\nmemory = 0", vec!["line 2", "more than 0"]),
            ("[job]\nmax-retries = -1", vec!["line 2", "-1"]),
            ("[job]\nretry-backoff = \"linear\"", vec!["line 2", "linear", "exponential"]),
            ("[worker]\nmax-running = 0", vec!["line 2", "0"]),
            ("[wroker]", vec!["line 1", "wroker", "worker"]),
            ("[worker", vec!["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{word:?} is not in {error:?}");
            }
        }
        assert_eq!(parse("").unwrap(), Config::default());
        assert_eq!(parse("[worker]\nmemory = 65536").unwrap().worker.memory, Some(65536));
    }
}
