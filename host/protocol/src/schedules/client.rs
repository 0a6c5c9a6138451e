//! Adds, lists, changes and removes the schedules of a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::start::{Place, Read};
use super::{MOST_BYTES, check_schedule_name};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{JobId, Millis, Topic};
use crate::ports::Backend;
use crate::records::{Schedule, ScheduleSpec, SchedulesRecord, Starting};

/// The bytes that a schedule may grow by when its first job has started.
const GROWTH: usize = 100;

/// The schedules of one topic.
#[derive(Clone)]
pub struct Schedules {
    backend: Arc<dyn Backend>,
    topic: Topic,
}

/// A schedule that is to be there.
#[derive(Clone, Debug)]
pub struct Put {
    /// What is started, and when.
    pub spec: ScheduleSpec,
    /// `None`: as it is; a new schedule is not paused.
    pub is_paused: Option<bool>,
    /// A `brrr.toml` declares the schedule.
    pub is_declared: bool,
    /// Another schedule of this name may be replaced.
    pub may_replace: bool,
}

/// What became of a schedule that was to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WasPut {
    /// It was added. Its ticks begin now.
    Added(Box<Schedule>),
    /// It was there, and was changed. If its pattern or time zone is another one, its ticks begin now.
    Changed(Box<Schedule>),
    /// It was there, exactly so.
    Same(Box<Schedule>),
    /// Another schedule has this name, and was not to be replaced. Nothing was changed.
    Exists(Box<Schedule>),
}

/// What became of the schedules that a file declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Those that were added.
    pub added: Vec<String>,
    /// Those that were changed.
    pub changed: Vec<String>,
    /// Those that the file no longer has, and that were removed.
    pub removed: Vec<String>,
    /// Those that a person has added under the same names. They stay as they are.
    pub of_persons: Vec<String>,
}

impl Schedules {
    /// The schedules of this topic.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, topic: Topic) -> Self {
        Self { backend, topic }
    }

    fn place(&self) -> Place<'_> {
        Place { backend: &self.backend, topic: &self.topic }
    }

    /// All schedules by their names.
    ///
    /// # Errors
    /// When the store can't be read. `Malformed` or `NewerRecord` if the record can't be read.
    pub async fn list(&self) -> Result<BTreeMap<String, Schedule>> {
        Ok(self.place().read().await?.record.schedules)
    }

    /// The schedule of this name. `None`: there is none.
    ///
    /// # Errors
    /// As `list`.
    pub async fn get(&self, name: &str) -> Result<Option<Schedule>> {
        Ok(self.list().await?.remove(name))
    }

    /// Adds or changes a schedule. The names and the pattern should be checked before, by [`check_schedule_name`] and
    /// [`ScheduleSpec::check`], to tell a user what is wrong.
    ///
    /// # Errors
    /// `Config` if the name or the pattern can't be used. `Limit` if the topic has no room for the schedule. Any other error as for
    /// `list`; after it, it is not known whether the schedule was put. Safe to repeat.
    pub async fn put(&self, name: &str, put: &Put, now: Millis) -> Result<WasPut> {
        check_schedule_name(name).and_then(|()| put.spec.check()).map_err(|reason| {
            Error::new(ErrorKind::Config, "protocol", format!("put a schedule of topic {}", self.topic), reason)
        })?;
        let mut read = self.place().read().await?;
        loop {
            let Some(old) = read.record.schedules.get(name) else {
                let new = added(put, now);
                read.record.schedules.insert(name.to_owned(), new.clone());
                self.check_size(&read.record)?;
                if self.place().replace(&mut read).await? {
                    return Ok(WasPut::Added(Box::new(new)));
                }
                continue;
            };
            let new = changed(old, put, now);
            if new == *old {
                return Ok(WasPut::Same(Box::new(new)));
            }
            if !put.may_replace {
                return Ok(WasPut::Exists(Box::new(old.clone())));
            }
            if self.finish(name, &mut read, now).await? {
                continue;
            }
            read.record.schedules.insert(name.to_owned(), new.clone());
            self.check_size(&read.record)?;
            if self.place().replace(&mut read).await? {
                return Ok(WasPut::Changed(Box::new(new)));
            }
        }
    }

    /// Removes a schedule. Jobs that it has started go on. Returns false if there is no such schedule.
    ///
    /// # Errors
    /// As `list`; after it, it is not known whether the schedule was removed. Safe to repeat.
    pub async fn remove(&self, name: &str, now: Millis) -> Result<bool> {
        let mut read = self.place().read().await?;
        while read.record.schedules.contains_key(name) {
            if self.finish(name, &mut read, now).await? {
                continue;
            }
            read.record.schedules.remove(name);
            if self.place().replace(&mut read).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Pauses a schedule: its ticks pass without a job, until `resume`. Returns it as it is afterwards. `None`: there is no such
    /// schedule.
    ///
    /// # Errors
    /// As `remove`.
    pub async fn pause(&self, name: &str, now: Millis) -> Result<Option<Schedule>> {
        self.set_paused(name, true, now).await
    }

    /// Ends a pause. The ticks of the pause are not caught up. Returns the schedule as it is afterwards. `None`: there is no such
    /// schedule.
    ///
    /// # Errors
    /// As `remove`.
    pub async fn resume(&self, name: &str, now: Millis) -> Result<Option<Schedule>> {
        self.set_paused(name, false, now).await
    }

    async fn set_paused(&self, name: &str, is_paused: bool, now: Millis) -> Result<Option<Schedule>> {
        let mut read = self.place().read().await?;
        loop {
            let Some(schedule) = read.record.schedules.get_mut(name) else { return Ok(None) };
            if schedule.is_paused == is_paused {
                return Ok(Some(schedule.clone()));
            }
            pause(schedule, is_paused, now);
            let schedule = schedule.clone();
            if self.place().replace(&mut read).await? {
                return Ok(Some(schedule));
            }
        }
    }

    /// Starts a job of the schedule now, beside its ticks, also if it is paused. The job counts as the previous one for the next
    /// tick. Returns false if there is no such schedule.
    ///
    /// # Errors
    /// When the backend fails: then it is not known whether the job was started. Safe to repeat with the same `job_id`. `Conflict` as
    /// for `Backend::schedule`.
    pub async fn run_now(&self, name: &str, job_id: &JobId, now: Millis) -> Result<bool> {
        let mut read = self.place().read().await?;
        let starting = Starting { tick: now, job_id: job_id.clone(), cancels: None, since: now };
        loop {
            let Some(schedule) = read.record.schedules.get_mut(name) else { return Ok(false) };
            schedule.last_job = Some(job_id.clone());
            // With the record in between, a worker starts the job if this client dies.
            schedule.starting.push(starting.clone());
            if self.place().replace(&mut read).await? {
                break;
            }
        }
        let starts = self.place().start(&mut read, &[(name.to_owned(), starting)], now).await?;
        let refused = starts.refused.into_iter().map(|refused| refused.error);
        starts.failed.into_iter().chain(refused).next().map_or(Ok(true), Err)
    }

    /// Makes the declared schedules of the topic those of a file. Schedules that a person has added stay.
    ///
    /// # Errors
    /// As `put`. Safe to repeat.
    pub async fn declare(&self, file: &BTreeMap<String, Put>, now: Millis) -> Result<Declared> {
        let before = self.list().await?;
        let mut declared = Declared::default();
        for (name, put) in file {
            if before.get(name).is_some_and(|schedule| !schedule.is_declared) {
                declared.of_persons.push(name.clone());
                continue;
            }
            let put = Put { is_declared: true, may_replace: true, ..put.clone() };
            match self.put(name, &put, now).await? {
                WasPut::Added(_) => declared.added.push(name.clone()),
                WasPut::Changed(_) => declared.changed.push(name.clone()),
                WasPut::Same(_) | WasPut::Exists(_) => {}
            }
        }
        for (name, schedule) in before {
            if schedule.is_declared && !file.contains_key(&name) && self.remove(&name, now).await? {
                declared.removed.push(name);
            }
        }
        Ok(declared)
    }

    /// Starts the jobs of a schedule that are decided. Returns false if there are none: then what the schedule starts may change.
    /// Otherwise the same tick could be started twice, with the old payload and with the new one.
    async fn finish(&self, name: &str, read: &mut Read, now: Millis) -> Result<bool> {
        let starting = read.record.schedules.get(name).map(|schedule| schedule.starting.clone()).unwrap_or_default();
        let jobs: Vec<_> = starting.into_iter().map(|starting| (name.to_owned(), starting)).collect();
        if jobs.is_empty() {
            return Ok(false);
        }
        let starts = self.place().start(read, &jobs, now).await?;
        starts.failed.map_or(Ok(true), Err)
    }

    fn check_size(&self, record: &SchedulesRecord) -> Result<()> {
        let size = record.encode().as_ref().map_or(0, Bytes::len) + GROWTH * record.schedules.len();
        if size <= MOST_BYTES {
            return Ok(());
        }
        let reason = format!(
            "all schedules of the topic would take {size} bytes; at most {MOST_BYTES} are possible; make their payloads smaller, \
             remove some, or use another topic"
        );
        Err(Error::new(ErrorKind::Limit, "protocol", format!("put a schedule of topic {}", self.topic), reason))
    }
}

/// A new schedule.
fn added(put: &Put, now: Millis) -> Schedule {
    Schedule {
        spec: put.spec.clone(),
        is_declared: put.is_declared,
        is_paused: put.is_paused.unwrap_or(false),
        created: now,
        changed: now,
        decided: now,
        last: 0,
        last_job: None,
        starting: Vec::new(),
        extra: Vec::new(),
    }
}

/// The schedule as it is to be. It is the same if nothing is to be changed.
fn changed(old: &Schedule, put: &Put, now: Millis) -> Schedule {
    let mut new = Schedule { is_declared: put.is_declared, ..old.clone() };
    if old.spec != put.spec {
        new.spec = put.spec.clone();
        new.changed = now;
    }
    if (&old.spec.cron, &old.spec.tz) != (&put.spec.cron, &put.spec.tz) {
        // The ticks of the new pattern before this moment are none of the schedule's.
        new.decided = old.decided.max(now);
    }
    if let Some(is_paused) = put.is_paused.filter(|is_paused| *is_paused != old.is_paused) {
        pause(&mut new, is_paused, now);
    }
    new
}

/// Begins or ends a pause. The ticks before the end of a pause are not caught up.
fn pause(schedule: &mut Schedule, is_paused: bool, now: Millis) {
    schedule.is_paused = is_paused;
    if !is_paused {
        schedule.decided = schedule.decided.max(now);
    }
}
