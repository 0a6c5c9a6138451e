//! Starts the jobs that are decided, and removes them from the record.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::decide::starting;
use super::millis;
use crate::client::Client;
use crate::concurrent::{Access, all};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Call, JobId, Millis, Topic};
use crate::options::{Options, Scope};
use crate::ports::{Backend, Key, NewJob, Swap};
use crate::records::{Schedule, ScheduleSpec, SchedulesRecord, Starting};

/// A job that was started for a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The name of the schedule.
    pub name: String,
    /// The tick, in milliseconds since the Unix epoch; or when a person asked for the job.
    pub tick: Millis,
    /// The id of the job.
    pub job_id: JobId,
}

/// A job that can never be started. Its tick passes without a job.
#[derive(Debug)]
pub struct Refused {
    /// The job, with its schedule.
    pub job: Started,
    /// Why it can't be started.
    pub error: Error,
}

/// The schedules of one topic, in a store.
pub(super) struct Place<'a> {
    pub backend: &'a Arc<dyn Backend>,
    pub topic: &'a Topic,
}

/// A record as it was read. `bytes` is `None` if there is no record.
pub(super) struct Read {
    pub bytes: Option<Bytes>,
    pub record: SchedulesRecord,
}

/// What became of jobs that were to start.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub started: Vec<Started>,
    pub refused: Vec<Refused>,
    /// The first error after which a job may be started later.
    pub failed: Option<Error>,
}

impl Place<'_> {
    pub async fn read(&self) -> Result<Read> {
        let bytes = self.backend.store().get(&Key::schedules(self.topic)).await?;
        self.decode(bytes)
    }

    pub fn decode(&self, bytes: Option<Bytes>) -> Result<Read> {
        let record = bytes.as_deref().map(SchedulesRecord::decode).transpose();
        let record = record.map_err(|error| error.of(&Key::schedules(self.topic)))?.unwrap_or_default();
        Ok(Read { bytes, record })
    }

    /// Replaces the record by the changed one in `read`, if it is still as it was read. Otherwise `read` becomes what is there now.
    /// Returns whether it was replaced.
    ///
    /// # Errors
    /// When the store fails: then it is not known whether it was replaced.
    pub async fn replace(&self, read: &mut Read) -> Result<bool> {
        let new = read.record.encode();
        match self.backend.store().swap(&Key::schedules(self.topic), read.bytes.as_ref(), new.clone()).await? {
            Swap::Done => {
                read.bytes = new;
                Ok(true)
            }
            Swap::Mismatch(found) => {
                *read = self.decode(found)?;
                Ok(false)
            }
        }
    }

    /// Starts jobs that are decided in the record, and removes them from the record. Safe to repeat.
    ///
    /// # Errors
    /// When the record can't be written. What hinders a job is in the answer.
    pub async fn start(&self, read: &mut Read, jobs: &[(String, Starting)], now: Millis) -> Result<Starts> {
        let mut accesses: Vec<Access<'_, (Started, Result<()>)>> = Vec::with_capacity(jobs.len());
        for (name, starting) in jobs {
            let Some(schedule) = read.record.schedules.get(name) else { continue };
            accesses.push(Box::pin(async move {
                let job = Started { name: name.clone(), tick: starting.tick, job_id: starting.job_id.clone() };
                Ok((job, self.start_one(schedule, starting, now).await))
            }));
        }
        let mut starts = Starts::default();
        for (job, result) in all(accesses).await? {
            match result {
                Ok(()) => starts.started.push(job),
                Err(error) if is_final(&error) => starts.refused.push(Refused { job, error }),
                Err(error) => starts.failed = starts.failed.take().or(Some(error)),
            }
        }
        let settled = starts.started.iter().chain(starts.refused.iter().map(|refused| &refused.job));
        let settled: HashSet<&JobId> = settled.map(|job| &job.job_id).collect();
        while remove(&mut read.record, &settled) && !self.replace(read).await? {}
        Ok(starts)
    }

    async fn start_one(&self, schedule: &Schedule, starting: &Starting, now: Millis) -> Result<()> {
        if let Some(previous) = &starting.cancels {
            match Client::new(self.backend.clone()).cancel(previous, now).await {
                // A damaged record can't be cancelled, and must not hold up what comes after it.
                Err(error) if error.is_unreadable() => {
                    tracing::warn!("job {previous} of a schedule is not cancelled: {error}");
                }
                result => drop(result?),
            }
        }
        self.backend.schedule(&new_job(self.topic, &schedule.spec, starting), now).await.map(drop)
    }
}

/// Removes these jobs from `starting`. Returns whether there was one of them.
fn remove(record: &mut SchedulesRecord, jobs: &HashSet<&JobId>) -> bool {
    let before = starting(record).count();
    for schedule in record.schedules.values_mut() {
        schedule.starting.retain(|starting| !jobs.contains(&starting.job_id));
    }
    starting(record).count() < before
}

/// The job of a tick. Everything in it follows from the record, so all who start it start the same job.
fn new_job(topic: &Topic, spec: &ScheduleSpec, starting: &Starting) -> NewJob {
    let scope = spec.options.scope.unwrap_or(Scope::Job);
    let deadline = spec.timeout.map_or(0, |time| starting.since.saturating_add(millis(time)));
    let call = Call {
        hash: spec.call.clone().within(scope, &starting.job_id, starting.tick),
        task: spec.task.clone(),
        payload: spec.payload.clone(),
        topic: topic.clone(),
        options: Options::default(),
    };
    NewJob {
        // A deadline that does not fit into the `i64` of a record counts as no deadline.
        deadline: Some(deadline).filter(|at| i64::try_from(*at).is_ok()).unwrap_or(0),
        max_messages: spec.max_messages,
        options: Options { scope: Some(scope), ..spec.options.clone() },
        ..NewJob::new(starting.job_id.clone(), call)
    }
}

/// True if the same attempt fails each time.
fn is_final(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Conflict | ErrorKind::Limit) || error.is_unreadable()
}
