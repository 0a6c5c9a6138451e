//! Schedules jobs, waits for results and reads them, cancels and retries jobs, and forgets values.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{ErrorKind, Result};
use crate::identity::compare;
use crate::listing::JobListing;
use crate::model::{Call, CallHash, Failure, FailureKind, JobId, Millis, Outcome, PROMISE, Topic};
use crate::options::Options;
use crate::ports::{Backend, IndexedJob, IndexedState, JobFilter, JobOrder, Key, NewJob, Scheduled, Swap, Work};
use crate::records::{JobEnd, JobRecord, JobState, LatestJob, read_failure};
use crate::step::overdue;
use crate::wire::{CallRecord, Message};

/// The longest time that a wait sleeps before it looks again. A backend's notice of a change may get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A client of one backend.
#[derive(Clone)]
pub struct Client {
    backend: Arc<dyn Backend>,
}

/// The result of a request to forget a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// The value was removed.
    Done,
    /// There is no value.
    Absent,
    /// This job is alive and may have used the value.
    InUse(JobId),
}

/// The result of a request to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// The job was alive and is now cancelled.
    Done,
    /// The job was already over.
    Already(JobState),
    /// There is no record of the job.
    Unknown,
}

/// The result of a request to retry a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// The call was scheduled again, as a new job.
    As(Box<Call>, Scheduled),
    /// The job is not over yet.
    Alive,
    /// There is no record of the job, or its call is not described any more.
    Unknown,
}

/// The result of an answer to a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The promise has this answer now.
    Done,
    /// The promise had this answer already.
    Same,
    /// The promise has another answer, which stays.
    Other,
    /// The job is over.
    JobOver(JobState),
    /// There is no record of the job.
    Unknown,
}

/// What is known of a call, if only its hash is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The call has this value, encoded by the codec of its task.
    Value(Bytes),
    /// The last job that asked for the call failed.
    Failed(Failure),
    /// The call has no outcome yet, or no job has asked for it.
    Nothing,
}

impl Client {
    /// A client of this backend.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The client's backend.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// The time that deadlines go by, see `Store::now`.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.backend.now()
    }

    /// Schedules a job. The job is durable when this returns. Safe to repeat with the same `job_id`.
    ///
    /// # Errors
    /// When the backend fails: then it is unknown whether the job was accepted. `Conflict` if the call hash stands for another
    /// task or payload: then nothing was changed.
    pub async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        self.backend.schedule(job, now).await
    }

    /// Waits until the job's call has its outcome. If the job's deadline passes first, ends the job, and returns the outcome
    /// that the call then has.
    ///
    /// # Errors
    /// When the backend can't be read, or the end of the job can't be written.
    pub async fn wait(&self, job_id: &JobId, call: &CallHash, clock: impl Fn() -> Millis) -> Result<Outcome> {
        let deadline = self.job(job_id).await?.map(|job| job.deadline).filter(|deadline| *deadline > 0);
        let mut version = 0;
        loop {
            let left = deadline.map_or(LOOK_AGAIN, |at| Duration::from_millis(at.saturating_sub(clock())));
            version = self.backend.changed(version, left.min(LOOK_AGAIN)).await;
            if let Some(outcome) = self.outcome(job_id, call).await? {
                return Ok(outcome);
            }
            // A worker may do this too, but there may be none.
            if deadline.is_some_and(|at| at <= clock()) {
                self.end_if_overdue(job_id, clock()).await?;
            }
        }
    }

    /// Ends a job if its deadline has passed. Returns the job as it is afterwards. `None`: there is no record of the job.
    pub async fn end_if_overdue(&self, job_id: &JobId, now: Millis) -> Result<Option<JobRecord>> {
        let Some(job) = self.job(job_id).await? else { return Ok(None) };
        if !job.is_overdue(now) {
            return Ok(Some(job));
        }
        let failure = overdue(&job, &self.task_of(&job.call).await?);
        self.backend.end_job(job_id, &failure, now).await
    }

    /// The job's state at this moment. The job's deadline may have passed, or its call may have an outcome, although no worker
    /// has written down that the job is over. (Workers of other SDKs never do that.) This function writes it down.
    pub async fn as_it_is(&self, job_id: &JobId, job: JobRecord, now: Millis) -> Result<JobRecord> {
        let mut job = job;
        if job.is_overdue(now)
            && let Some(ended) = self.end_if_overdue(job_id, now).await?
        {
            job = ended;
        }
        if job.is_over() {
            return Ok(job);
        }
        let Some(outcome) = self.outcome(job_id, &job.call).await? else { return Ok(job) };
        // A job that starts later takes a value when it starts.
        if outcome.is_ok() && job.is_delayed(now) {
            return Ok(job);
        }
        let (store, key) = (self.backend.store(), Key::job(job_id));
        let of_outcome = if outcome.is_ok() { Key::value(&job.call) } else { Key::failure(&job.call, job_id) };
        let at = store.written(&[of_outcome]).await?.into_iter().flatten().next().unwrap_or(0);
        let over = JobRecord { end: Some(JobEnd { state: JobState::of_outcome(&outcome), at }), ..job.clone() };
        // Another client may have written it down meanwhile. And a client that may only read can still see the state.
        if let Err(error) = store.swap(&key, Some(&job.encode()), Some(over.encode())).await {
            tracing::debug!("that job {job_id} is over is not written down: {error}");
        }
        Ok(over)
    }

    /// Cancels a job. Its running handlers are stopped soon. Its queued calls are dropped when a worker receives their
    /// messages.
    ///
    /// # Errors
    /// When the backend fails: then it is unknown whether the job was cancelled. Safe to repeat.
    pub async fn cancel(&self, job_id: &JobId, now: Millis) -> Result<Cancelled> {
        let Some(job) = self.job(job_id).await? else { return Ok(Cancelled::Unknown) };
        if let Some(end) = job.end {
            return Ok(Cancelled::Already(end.state));
        }
        let task = self.task_of(&job.call).await?;
        let failure = Failure::new(FailureKind::Cancelled, &task, "the job was cancelled");
        let job = self.backend.end_job(job_id, &failure, now).await?;
        Ok(match job.and_then(|job| job.end) {
            Some(JobEnd { state: JobState::Cancelled, .. }) => Cancelled::Done,
            Some(end) => Cancelled::Already(end.state),
            None => Cancelled::Unknown,
        })
    }

    /// Schedules the call of a job that is over again, as a new job that names the old one in `retry_of`. Calls that succeeded
    /// are not run again.
    ///
    /// # Errors
    /// When the backend fails; safe to repeat with the same `job_id` for the new job.
    pub async fn retry(&self, job_id: &JobId, new: JobId, now: Millis) -> Result<Retried> {
        let Some(job) = self.end_if_overdue(job_id, now).await? else { return Ok(Retried::Unknown) };
        if !job.is_over() {
            return Ok(Retried::Alive);
        }
        let Some(call) = self.call(&job.call, &job.topic).await? else { return Ok(Retried::Unknown) };
        let deadline = match job.deadline {
            0 => 0,
            // The new job gets as much time as the old one had.
            at => now.saturating_add(at.saturating_sub(job.created.max(job.start))),
        };
        let (max_messages, options, retry_of) = (job.max_messages, job.options, Some(job_id.clone()));
        let scope = Some(job.scope.unwrap_or_else(|| job_id.clone()));
        let new = NewJob { job_id: new, call, deadline, max_messages, options, retry_of, scope, start: 0 };
        Ok(Retried::As(Box::new(new.call.clone()), self.schedule(&new, now).await?))
    }

    /// Gives a job's promise its value. The job may wait for the promise now, later or never.
    ///
    /// # Errors
    /// When the backend fails: then it is unknown whether the promise has the answer. Safe to repeat.
    pub async fn resolve(&self, job_id: &JobId, name: &str, value: Bytes, now: Millis) -> Result<Answered> {
        self.answer(job_id, name, Ok(value), now).await
    }

    /// Rejects a job's promise. Whoever waits for it gets a failure of the kind `Rejected` with this reason.
    ///
    /// # Errors
    /// As `resolve`.
    pub async fn reject(&self, job_id: &JobId, name: &str, reason: &str, now: Millis) -> Result<Answered> {
        self.answer(job_id, name, Err(Failure::new(FailureKind::Rejected, PROMISE, reason)), now).await
    }

    async fn answer(&self, job_id: &JobId, name: &str, answer: Outcome, now: Millis) -> Result<Answered> {
        let Some(job) = self.end_if_overdue(job_id, now).await? else { return Ok(Answered::Unknown) };
        let call = CallHash::of_promise(job.scope.as_ref().unwrap_or(job_id), name.as_bytes());
        if let Some(end) = job.end {
            // A client that did not get the answer to its request repeats it. The job may have ended meanwhile.
            let is_same = self.outcome(job_id, &call).await?.as_ref() == Some(&answer);
            return Ok(if is_same { Answered::Same } else { Answered::JobOver(end.state) });
        }
        let message = Message { job_id: job_id.clone(), call: call.clone() };
        let work = Work { message, topic: job.topic, receipt: None, ends_job: false, now, log: None };
        let before = self.outcome(job_id, &call).await?;
        if let Some(before) = before.as_ref().filter(|before| **before != answer) {
            // The client that gave this answer may have died before it notified those who wait.
            self.backend.notify_parents(&work, JobState::of_outcome(before)).await?;
            return Ok(Answered::Other);
        }
        // Listings and `gc` know a call by this record.
        let described = CallRecord::encode(PROMISE, name.as_bytes());
        self.backend.store().swap(&Key::call(&call), None, Some(described)).await?;
        // This is done even if the promise has the answer already: a client that died may have notified nobody.
        match answer.clone() {
            Ok(value) => self.backend.complete(&work, value).await?,
            Err(failure) => self.backend.fail(&work, &failure).await?,
        }
        Ok(match self.outcome(job_id, &call).await? {
            Some(after) if after != answer => Answered::Other,
            _ if before.is_some() => Answered::Same,
            _ => Answered::Done,
        })
    }

    /// A call as it was asked for, so that it can be asked for again. `None`: no record describes the call.
    pub async fn call(&self, hash: &CallHash, topic: &Topic) -> Result<Option<Call>> {
        let key = Key::call(hash);
        let bytes = self.backend.store().get(&key).await?;
        let record = bytes.as_ref().map(CallRecord::decode).transpose().map_err(|e| e.of(&key))?;
        Ok(record.map(|CallRecord { task, payload }| Call {
            hash: hash.clone(),
            task,
            payload,
            topic: topic.clone(),
            options: Options::default(),
        }))
    }

    /// The name of a call's task, for people. `?` if no record says it.
    pub(crate) async fn task_of(&self, call: &CallHash) -> Result<String> {
        let bytes = self.backend.store().get(&Key::call(call)).await?;
        // A damaged record must not prevent anyone from ending the job.
        let record = bytes.as_ref().and_then(|bytes| CallRecord::decode(bytes).ok());
        Ok(record.map_or_else(|| "?".to_owned(), |record| record.task))
    }

    /// Compares a call with the `call` record under its hash. This is for a client that got an outcome by the hash alone. If
    /// there is no record, there is no difference.
    ///
    /// # Errors
    /// `Conflict` if the record describes another task or payload. Any other error if the backend can't be read.
    pub async fn compare(&self, hash: &CallHash, task: &str, payload: &[u8]) -> Result<()> {
        match self.backend.store().get(&Key::call(hash)).await? {
            Some(found) => compare(hash, task, payload, &found).map(drop),
            None => Ok(()),
        }
    }

    /// What is known of a call: its value, or else the failure of the last job that asked for it.
    pub async fn read(&self, call: &CallHash) -> Result<Known> {
        let store = self.backend.store();
        if let Some(value) = store.get(&Key::value(call)).await? {
            return Ok(Known::Value(value));
        }
        let Some(latest) = store.get(&Key::latest_job(call)).await? else { return Ok(Known::Nothing) };
        let latest = LatestJob::decode(&latest).map_err(|e| e.of(&Key::latest_job(call)))?.job_id;
        let key = Key::failure(call, &latest);
        Ok(match store.get(&key).await? {
            Some(bytes) => Known::Failed(read_failure(&key, &bytes)?),
            None => Known::Nothing,
        })
    }

    /// The record of a job. `None`: there is no record of a job with this id.
    pub async fn job(&self, job_id: &JobId) -> Result<Option<JobRecord>> {
        let key = Key::job(job_id);
        let bytes = self.backend.store().get(&key).await?;
        bytes.as_deref().map(JobRecord::decode).transpose().map_err(|e| e.of(&key))
    }

    /// How a job's call ended in that job. `None`: the call has not ended yet.
    pub async fn outcome(&self, job_id: &JobId, call: &CallHash) -> Result<Option<Outcome>> {
        let found = self.backend.outcomes(job_id, std::slice::from_ref(call)).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// Removes a call's value, so that the next job that asks for it runs it again. Refused while any job is alive: a replay in
    /// a job that used the value would miss it. (No record says which jobs used a value, so *every* live job counts. Jobs of
    /// peers have no record, so they can't be seen.)
    pub async fn forget(&self, call: &CallHash, now: Millis) -> Result<Forgotten> {
        let store = self.backend.store();
        let key = Key::value(call);
        let Some(value) = store.get(&key).await? else { return Ok(Forgotten::Absent) };
        let alive = JobFilter { state: Some(IndexedState::Alive), ..JobFilter::default() };
        let mut jobs = JobListing::of(store, alive, JobOrder::OldestFirst);
        while let Some(page) = jobs.next().await? {
            for IndexedJob { job_id, .. } in page {
                match self.is_alive(&job_id, now).await {
                    Ok(false) => {}
                    Ok(true) => return Ok(Forgotten::InUse(job_id)),
                    // Nothing of this job will run any more: its messages become dead letters.
                    Err(error) if error.kind == ErrorKind::Malformed => {
                        tracing::warn!("job {job_id} is not asked about: {error}");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        // If the value has changed meanwhile, another request has forgotten it too, because the first value is never replaced.
        store.swap(&key, Some(&value), None).await?;
        Ok(Forgotten::Done)
    }

    /// True if the job has no outcome yet. Writes down that the job is over if it is, so that a forgotten value does not revive
    /// the job.
    pub(crate) async fn is_alive(&self, job_id: &JobId, now: Millis) -> Result<bool> {
        self.end_if_overdue(job_id, now).await?;
        let store = self.backend.store();
        let key = Key::job(job_id);
        let Some(bytes) = store.get(&key).await? else { return Ok(false) };
        let job = JobRecord::decode(&bytes).map_err(|e| e.of(&key))?;
        if job.is_over() {
            return Ok(false);
        }
        let Some(outcome) = self.outcome(job_id, &job.call).await? else { return Ok(true) };
        // A job that starts later takes a value when it starts, which may be at any moment.
        if outcome.is_ok() && job.is_delayed(now) {
            return Ok(true);
        }
        // No record says when the job ended, so the time is 0.
        let end = Some(JobEnd { state: JobState::of_outcome(&outcome), at: 0 });
        let over = JobRecord { end, ..job };
        match store.swap(&key, Some(&bytes), Some(over.encode())).await? {
            Swap::Done => Ok(false),
            // Another client has changed the record at the same moment. If the job is over, that client has written the same.
            Swap::Mismatch(found) => {
                Ok(found.as_deref().map(JobRecord::decode).transpose()?.is_some_and(|job| !job.is_over()))
            }
        }
    }
}
