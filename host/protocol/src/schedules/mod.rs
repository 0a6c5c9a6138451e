//! Schedules: jobs that are started by the clock.
//!
//! The schedules of a topic are one record (`SchedulesRecord`). All workers of the topic look at it when a tick is due. Nothing
//! else is needed: no leader, and no process that schedules.
//!
//! A **tick** is a moment that the cron pattern of a schedule names. Each tick is decided once, by a compare-and-swap of the
//! record: its job is to start, or it passes without a job. A look has these steps, and may end before and after each of them:
//!
//! 1. Decide the due ticks. Write into the record how far they are decided, and the jobs to start (`starting`).
//! 2. Schedule these jobs. Their ids are derived from their ticks, so this can be repeated, by any worker.
//! 3. Remove these jobs from `starting`.
//!
//! A worker that finds jobs in `starting` that another worker has left there for [`GRACE`] goes on with step 2. So each tick has
//! exactly one job, whoever dies, and however many workers look.
//!
//! - `cron`: when the next tick is; `timetable`: remembers that
//! - `decide`: which ticks get a job (pure); `look`: one look of a worker; `start`: starts the jobs that are decided
//! - `client`: adds, lists, changes and removes schedules

mod client;
mod cron;
mod decide;
mod look;
mod start;
mod timetable;

use std::time::Duration;

pub use client::{Declared, Put, Schedules, WasPut};
pub use cron::Pattern;
pub use decide::{MOST_STARTING, Skipped, Why};
pub use look::{Look, Looker};
pub use start::{Refused, Started};
pub use timetable::Timetable;

use crate::model::{CallHash, Millis, check_name};
use crate::options::LONGEST;
use crate::records::{Schedule, ScheduleSpec};

/// How late a tick may be started if nothing else is said.
pub const CATCH_UP: Duration = Duration::from_hours(1);

/// How often a worker looks at the schedules of its topic, even if no tick is due: somebody may have changed them.
pub const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A tick is in time if it is at most this late, whatever `catch_up` says: a worker notices a new schedule after
/// [`LOOK_AGAIN`], and may be busy for a moment.
pub const IN_TIME: Duration = Duration::from_secs(15);

/// How long a worker has for the jobs that it has decided to start, until other workers start them too. All workers look at the
/// same moment. Without this time each of them would send a message for each job.
pub const GRACE: Duration = Duration::from_secs(5);

/// The most bytes of the schedules of a topic. They are one record, and an item of `DynamoDB` has at most 400 KB. The rest is room
/// for what is decided.
pub const MOST_BYTES: usize = 350_000;

/// The most bytes of the name of a schedule. People read it, and it is in URLs.
const LONGEST_NAME: usize = 75;

/// Checks the name of a schedule. It is in URLs and in listings.
///
/// # Errors
/// What is wrong with the name, and what is allowed.
pub fn check_schedule_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // `.` and `..` mean something else in a URL.
    let is_named = name.chars().any(|c| c != '.');
    if is_named && name.len() <= LONGEST_NAME && name.chars().all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(LONGEST_NAME).flat_map(char::escape_debug).collect();
    Err(format!(
        "the schedule's name \"{shown}\" can't be used: a name has 1 to {LONGEST_NAME} letters (a-z, A-Z), digits, `-`, `_` \
         and `.`"
    ))
}

impl ScheduleSpec {
    /// A schedule with the usual rules: in UTC, a job for each tick, an hour to catch up.
    #[must_use]
    pub fn new(cron: impl Into<String>, task: impl Into<String>, payload: bytes::Bytes, call: CallHash) -> Self {
        Self {
            cron: cron.into(),
            tz: "UTC".to_owned(),
            task: task.into(),
            payload,
            call,
            options: crate::options::Options::default(),
            timeout: None,
            max_messages: 0,
            overlap: crate::records::Overlap::default(),
            catch_up: CATCH_UP,
        }
    }

    /// Checks the pattern, the time zone and the names.
    ///
    /// # Errors
    /// What is wrong, and how to write it.
    pub fn check(&self) -> Result<(), String> {
        check_name("the task's name", &self.task)?;
        if self.timeout.into_iter().chain([self.catch_up]).any(|time| time > LONGEST) {
            return Err("a time is longer than 100 years".to_owned());
        }
        match Pattern::parse(&self.cron, &self.tz)?.next(0) {
            Some(_) => Ok(()),
            None => Err(format!("the cron pattern \"{}\" never comes: there is no such day", self.cron.escape_debug())),
        }
    }
}

impl Schedule {
    /// The next tick, in milliseconds since the Unix epoch. `None`: the schedule is paused, or its pattern can't be read.
    #[must_use]
    pub fn next(&self, now: Millis) -> Option<Millis> {
        if self.is_paused {
            return None;
        }
        Pattern::parse(&self.spec.cron, &self.spec.tz).ok()?.next(now.max(self.decided))
    }
}

/// Milliseconds.
fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}
