//! Schedule a job, await or read its result, cancel it, try it again; forget a value.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{ErrorKind, Result};
use crate::identity::compare;
use crate::listing::Listing;
use crate::model::{Call, CallHash, Failure, FailureKind, Millis, Outcome, Root, Topic};
use crate::options::Options;
use crate::ports::{Backend, Key, Kind, NewJob, Scheduled, Swap};
use crate::records::{JobEnd, JobRecord, JobState, Latest, read_failure};
use crate::step::overdue;
use crate::wire::CallRecord;

/// How long a wait may sleep before it looks again, should a backend's notice get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A client of one backend.
#[derive(Clone)]
pub struct Client {
    backend: Arc<dyn Backend>,
}

/// What became of a request to forget a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    Done,
    /// There is no value.
    Absent,
    /// A live job may have used it.
    InUse(Root),
}

/// What became of a request to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    Done,
    /// It was over already.
    Already(JobState),
    /// No job of ours.
    Unknown,
}

/// What became of a request to try a job again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// Scheduled again, as a new job for this call.
    As(Box<Call>, Scheduled),
    /// It is not over yet.
    Alive,
    /// No job of ours, or its call is not described any more.
    Unknown,
}

/// What is known of a call without a job at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    Value(Bytes),
    /// The last job for it failed.
    Failed(Failure),
    /// No outcome yet, or nobody has asked for it.
    Nothing,
}

impl Client {
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The time that jobs go by, see `Store::now`.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.backend.now()
    }

    /// Schedules a job. Durable when it returns; safe to repeat under the same root.
    ///
    /// # Errors
    /// When the backend fails: whether the job was accepted is then unknown. `Conflict` when the call hash stands for another
    /// task or payload: nothing was changed.
    pub async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        self.backend.schedule(job, now).await
    }

    /// Waits until the job's call has its outcome, or its deadline has passed.
    ///
    /// # Errors
    /// When the backend can't be read, or the job's end not be written.
    pub async fn wait(&self, root: &Root, call: &CallHash, clock: impl Fn() -> Millis) -> Result<Outcome> {
        let deadline = self.job(root).await?.map(|job| job.deadline).filter(|deadline| *deadline > 0);
        let mut version = 0;
        loop {
            let left = deadline.map_or(LOOK_AGAIN, |at| Duration::from_millis(at.saturating_sub(clock())));
            version = self.backend.changed(version, left.min(LOOK_AGAIN)).await;
            if let Some(outcome) = self.outcome(root, call).await? {
                return Ok(outcome);
            }
            // A worker may do so too, if there is one.
            if deadline.is_some_and(|at| at <= clock()) {
                self.end_if_overdue(root, clock()).await?;
            }
        }
    }

    /// Ends a job whose deadline has passed. Returns the job as it then is; `None`: no job of ours.
    ///
    /// # Errors
    /// When the backend fails or a record does not decode.
    pub async fn end_if_overdue(&self, root: &Root, now: Millis) -> Result<Option<JobRecord>> {
        let Some(job) = self.job(root).await? else { return Ok(None) };
        if !job.is_overdue(now) {
            return Ok(Some(job));
        }
        let failure = overdue(&job, &self.task_of(&job.call).await?);
        self.backend.end_job(root, &failure, now).await
    }

    /// The job as it is at this moment: its deadline may have passed, or its call may have an outcome, without anybody having
    /// written down that it is over. (Workers of other SDKs do not.) Writes it down.
    ///
    /// # Errors
    /// When the backend can't be read, or a record does not decode.
    pub async fn as_it_is(&self, root: &Root, job: JobRecord, now: Millis) -> Result<JobRecord> {
        let mut job = job;
        if job.is_overdue(now)
            && let Some(ended) = self.end_if_overdue(root, now).await?
        {
            job = ended;
        }
        if job.is_over() {
            return Ok(job);
        }
        let Some(outcome) = self.outcome(root, &job.call).await? else { return Ok(job) };
        let (store, key) = (self.backend.store(), Key::job(root));
        let of_outcome = if outcome.is_ok() { Key::value(&job.call) } else { Key::failure(&job.call, root) };
        let at = store.written(&[of_outcome]).await?.into_iter().flatten().next().unwrap_or(0);
        let over = JobRecord { end: Some(JobEnd { state: JobState::of_outcome(&outcome), at }), ..job.clone() };
        // Somebody may have written it down meanwhile. And who may only read can still look.
        if let Err(error) = store.swap(&key, Some(&job.encode()), Some(over.encode())).await {
            tracing::debug!("that job {root} is over is not written down: {error}");
        }
        Ok(over)
    }

    /// Cancels a job: its running handlers are stopped soon, its queued calls dropped when their turn comes.
    ///
    /// # Errors
    /// When the backend fails: whether the job was cancelled is then unknown; safe to repeat.
    pub async fn cancel(&self, root: &Root, now: Millis) -> Result<Cancelled> {
        let Some(job) = self.job(root).await? else { return Ok(Cancelled::Unknown) };
        if let Some(end) = job.end {
            return Ok(Cancelled::Already(end.state));
        }
        let task = self.task_of(&job.call).await?;
        let failure = Failure::new(FailureKind::Cancelled, &task, "the job was cancelled");
        let job = self.backend.end_job(root, &failure, now).await?;
        Ok(match job.and_then(|job| job.end) {
            Some(JobEnd { state: JobState::Cancelled, .. }) => Cancelled::Done,
            Some(end) => Cancelled::Already(end.state),
            None => Cancelled::Unknown,
        })
    }

    /// Schedules the call of a job that is over again, as a new job linked to it. What succeeded is not run again.
    ///
    /// # Errors
    /// When the backend fails; safe to repeat under the same new root.
    pub async fn retry(&self, root: &Root, new: Root, now: Millis) -> Result<Retried> {
        let Some(job) = self.end_if_overdue(root, now).await? else { return Ok(Retried::Unknown) };
        if !job.is_over() {
            return Ok(Retried::Alive);
        }
        let Some(call) = self.call(&job.call, &job.topic).await? else { return Ok(Retried::Unknown) };
        let deadline = match job.deadline {
            0 => 0,
            // As much time as it had.
            at => now.saturating_add(at.saturating_sub(job.created)),
        };
        let (spawn_limit, options, retry_of) = (job.spawn_limit, job.options, Some(root.clone()));
        let new = NewJob { root: new, call, deadline, spawn_limit, options, retry_of };
        Ok(Retried::As(Box::new(new.call.clone()), self.schedule(&new, now).await?))
    }

    /// A call as it was asked for, to be asked for again; `None`: no record describes it.
    ///
    /// # Errors
    /// When the backend can't be read or the record does not decode.
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

    /// The task of a call, for people; `?` where no record tells.
    pub(crate) async fn task_of(&self, call: &CallHash) -> Result<String> {
        let bytes = self.backend.store().get(&Key::call(call)).await?;
        // A damaged record must not keep anybody from ending the job that it belongs to.
        let record = bytes.as_ref().and_then(|bytes| CallRecord::decode(bytes).ok());
        Ok(record.map_or_else(|| "?".to_owned(), |record| record.task))
    }

    /// Compares a call with the `call` record under its hash, for a client that was given an outcome by the hash alone. No record
    /// is no difference.
    ///
    /// # Errors
    /// `Conflict` when the record describes another task or payload; else when the backend can't be read.
    pub async fn compare(&self, hash: &CallHash, task: &str, payload: &[u8]) -> Result<()> {
        match self.backend.store().get(&Key::call(hash)).await? {
            Some(found) => compare(hash, task, payload, &found).map(drop),
            None => Ok(()),
        }
    }

    /// What is known of a call: its value, else the failure of the last job for it.
    ///
    /// # Errors
    /// When the backend can't be read or a record does not decode.
    pub async fn read(&self, call: &CallHash) -> Result<Known> {
        let store = self.backend.store();
        if let Some(value) = store.get(&Key::value(call)).await? {
            return Ok(Known::Value(value));
        }
        let Some(latest) = store.get(&Key::latest(call)).await? else { return Ok(Known::Nothing) };
        let latest = Latest::decode(&latest).map_err(|e| e.of(&Key::latest(call)))?.root;
        let key = Key::failure(call, &latest);
        Ok(match store.get(&key).await? {
            Some(bytes) => Known::Failed(read_failure(&key, &bytes)?),
            None => Known::Nothing,
        })
    }

    /// The job of a root; `None`: no job of ours has this id.
    ///
    /// # Errors
    /// When the backend can't be read or the record does not decode.
    pub async fn job(&self, root: &Root) -> Result<Option<JobRecord>> {
        let key = Key::job(root);
        let bytes = self.backend.store().get(&key).await?;
        bytes.as_deref().map(JobRecord::decode).transpose().map_err(|e| e.of(&key))
    }

    /// How a job's call ended in that job; `None`: not yet.
    ///
    /// # Errors
    /// When the backend can't be read or a record does not decode.
    pub async fn outcome(&self, root: &Root, call: &CallHash) -> Result<Option<Outcome>> {
        let found = self.backend.outcomes(root, std::slice::from_ref(call)).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// Removes a call's value, so that the next job for it runs it again. Refused while any job is alive: a replay of
    /// one that used the value would find it gone. (Who used a value is not recorded, hence *any* job; peers' jobs
    /// leave no record and can't be seen.)
    ///
    /// # Errors
    /// When the backend fails or a record does not decode.
    pub async fn forget(&self, call: &CallHash, now: Millis) -> Result<Forgotten> {
        let store = self.backend.store();
        let key = Key::value(call);
        let Some(value) = store.get(&key).await? else { return Ok(Forgotten::Absent) };
        let mut jobs = Listing::of(store, Kind::Job);
        while let Some(page) = jobs.next().await? {
            for id in page {
                let root = Root::from(id);
                match self.is_alive(&root, now).await {
                    Ok(false) => {}
                    Ok(true) => return Ok(Forgotten::InUse(root)),
                    // Whatever it was, nothing of it is run any more: its messages are set aside.
                    Err(error) if error.kind == ErrorKind::Malformed => {
                        tracing::warn!("job {root} is not asked about: {error}");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        // Whoever changed the value meanwhile has forgotten it too: the first value is never replaced.
        store.swap(&key, Some(&value), None).await?;
        Ok(Forgotten::Done)
    }

    /// Has the job no outcome yet? Writes down that it is over, so that forgetting its value revives nothing.
    pub(crate) async fn is_alive(&self, root: &Root, now: Millis) -> Result<bool> {
        self.end_if_overdue(root, now).await?;
        let store = self.backend.store();
        let key = Key::job(root);
        let Some(bytes) = store.get(&key).await? else { return Ok(false) };
        let job = JobRecord::decode(&bytes).map_err(|e| e.of(&key))?;
        if job.is_over() {
            return Ok(false);
        }
        let Some(outcome) = self.outcome(root, &job.call).await? else { return Ok(true) };
        // When that was, nobody has written down.
        let end = Some(JobEnd { state: JobState::of_outcome(&outcome), at: 0 });
        let over = JobRecord { end, ..job };
        match store.swap(&key, Some(&bytes), Some(over.encode())).await? {
            Swap::Done => Ok(false),
            // Changed by another client in the same moment; it says the same of a job that is over.
            Swap::Mismatch(found) => {
                Ok(found.as_deref().map(JobRecord::decode).transpose()?.is_some_and(|job| !job.is_over()))
            }
        }
    }
}
