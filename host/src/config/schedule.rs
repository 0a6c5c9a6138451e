//! `[[schedules]]`: jobs that are started by the clock.

use std::num::NonZeroU32;
use std::time::Duration;

use brrr_protocol::model::check_name;
use brrr_protocol::options::{Backoff, Options};
use brrr_protocol::records::Overlap;
use brrr_protocol::schedules::{CATCH_UP, Pattern, check_schedule_name};
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::{Map, Value};

use super::sections::RetryBackoff;
use super::values::{ScopeText, Time};

/// A schedule that `run` puts in place at its start.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScheduleEntry {
    /// The name: letters, digits, `-`, `_` and `.`.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// When: minute, hour, day of month, month and day of week, with a second before them if you like; or `@daily`.
    #[serde(deserialize_with = "cron")]
    pub cron: String,
    /// The time zone of the pattern, as in the IANA database. Not given: UTC.
    #[serde(default = "utc", deserialize_with = "zone")]
    #[schemars(extend("examples" = ["Europe/Berlin"]))]
    pub tz: String,
    /// The topic of the task, in place of the file's topic.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub topic: Option<String>,
    /// The task.
    #[serde(deserialize_with = "task")]
    pub task: String,
    /// The named arguments of the task.
    #[serde(default)]
    pub input: Option<Map<String, Value>>,
    /// In place of `input`: the arguments as on the command line, which is JSON.
    #[serde(default)]
    pub payload: Option<String>,
    /// How the arguments are encoded.
    #[serde(default)]
    pub codec: CodecWord,
    /// What happens to a tick while the job of the tick before is alive.
    #[serde(default)]
    pub overlap: OverlapWord,
    /// How late a tick may be started if no worker was there when it was due. Not given: 1h.
    #[serde(default)]
    catch_up: Option<Time>,
    /// The ticks pass without a job. Not given: as `cron pause` and `cron resume` have left it.
    #[serde(default)]
    pub paused: Option<bool>,
    /// The longest time of a whole job.
    #[serde(default)]
    timeout: Option<Time>,
    /// The longest time of one run of any task in a job.
    #[serde(default)]
    task_timeout: Option<Time>,
    /// How often a failed call is retried.
    #[serde(default)]
    max_retries: Option<u32>,
    /// The pause before the first retry.
    #[serde(default)]
    retry_delay: Option<Time>,
    /// How the pauses between retries grow.
    #[serde(default)]
    retry_backoff: Option<RetryBackoff>,
    /// The longest pause before a retry.
    #[serde(default)]
    max_retry_delay: Option<Time>,
    /// The most messages that a job may send.
    #[serde(default)]
    max_messages: Option<NonZeroU32>,
    /// Who shares the outcomes of a job's calls. Not given: `job`, so that each job runs them anew.
    #[serde(default)]
    scope: Option<ScopeText>,
}

/// The encoding of a payload, in the words of the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CodecWord {
    /// Named arguments, as in Python and most other SDKs.
    #[default]
    Python,
    /// A list of arguments, or an object as the only one, as in TypeScript.
    Typescript,
    /// The text of `payload` as it is.
    Raw,
}

/// What happens to a tick while the previous job of its schedule is alive, in the words of flags and files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OverlapWord {
    /// Each tick starts a job.
    #[default]
    Allow,
    /// The tick passes without a job.
    Skip,
    /// The previous job is cancelled, and the tick starts a job.
    CancelPrevious,
}

impl From<OverlapWord> for Overlap {
    fn from(word: OverlapWord) -> Self {
        match word {
            OverlapWord::Allow => Self::Allow,
            OverlapWord::Skip => Self::Skip,
            OverlapWord::CancelPrevious => Self::CancelPrevious,
        }
    }
}

impl ScheduleEntry {
    /// How late a tick may be started.
    pub fn catch_up(&self) -> Duration {
        self.catch_up.map_or(CATCH_UP, |time| time.0)
    }

    /// The longest time of each job.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.map(|time| time.0)
    }

    /// The number of messages that each job may send. 0: the limit of the workers.
    pub fn max_messages(&self) -> u64 {
        self.max_messages.map_or(0, |most| most.get().into())
    }

    /// The options of each job.
    pub fn options(&self) -> Options {
        Options {
            timeout: self.task_timeout.map(|time| time.0),
            max_retries: self.max_retries,
            retry_delay: self.retry_delay.map(|time| time.0),
            max_retry_delay: self.max_retry_delay.map(|time| time.0),
            backoff: self.retry_backoff.map(Backoff::from),
            scope: self.scope.map(|scope| scope.0),
            ..Options::default()
        }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A text that passes this check. A check while the file is read knows the line.
fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    check(&text).map(|()| text).map_err(de::Error::custom)
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, check_schedule_name)
}

fn task<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, |text| check_name("the task's name", text))
}

fn cron<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, |text| Pattern::parse(text, "UTC").map(drop))
}

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, |text| Pattern::parse("@daily", text).map(drop))
}
