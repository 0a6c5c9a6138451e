//! Schedule a job, await or read its result, forget a value.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Result;
use crate::model::{Call, CallHash, Failure, Millis, Outcome, Root};
use crate::ports::{Backend, Key, Kind, NewJob, Scheduled, Swap};
use crate::records::{JobRecord, decode_failure, decode_latest};

/// How long a wait may sleep before it looks again, should a backend's notice get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How many jobs a listing reads at once.
const PAGE: usize = 500;

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

    /// Schedules `call` as a job. Durable when it returns; safe to repeat under the same root.
    ///
    /// # Errors
    /// When the backend fails: whether the job was accepted is then unknown.
    pub async fn schedule(&self, root: Root, call: Call, now: Millis) -> Result<Scheduled> {
        self.backend.schedule(&NewJob { root, call }, now).await
    }

    /// Waits until the job's call has its outcome.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn wait(&self, root: &Root, call: &CallHash) -> Result<Outcome> {
        let mut version = 0;
        loop {
            version = self.backend.changed(version, LOOK_AGAIN).await;
            let found = self.backend.outcomes(root, std::slice::from_ref(call)).await?;
            if let Some(outcome) = found.into_iter().flatten().next() {
                return Ok(outcome);
            }
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
        let failure = store.get(&Key::failure(call, &decode_latest(&latest)?)).await?;
        Ok(match failure {
            Some(bytes) => Known::Failed(decode_failure(&bytes)?),
            None => Known::Nothing,
        })
    }

    /// The job of a root; `None`: no job of ours has this id.
    ///
    /// # Errors
    /// When the backend can't be read or the record does not decode.
    pub async fn job(&self, root: &Root) -> Result<Option<JobRecord>> {
        let bytes = self.backend.store().get(&Key::job(root)).await?;
        bytes.as_deref().map(JobRecord::decode).transpose()
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
    pub async fn forget(&self, call: &CallHash) -> Result<Forgotten> {
        let store = self.backend.store();
        let key = Key::value(call);
        let Some(value) = store.get(&key).await? else { return Ok(Forgotten::Absent) };
        let mut after: Option<String> = None;
        loop {
            let page = store.list(&Kind::Job, after.as_deref(), PAGE).await?;
            let Some(last) = page.last().cloned() else { break };
            for id in page {
                let root = Root::from(id);
                if self.is_alive(&root).await? {
                    return Ok(Forgotten::InUse(root));
                }
            }
            after = Some(last);
        }
        // Whoever changed the value meanwhile has forgotten it too: the first value is never replaced.
        store.swap(&key, Some(&value), None).await?;
        Ok(Forgotten::Done)
    }

    /// Has the job no outcome yet? Writes down that it is over, so that forgetting its value revives nothing.
    async fn is_alive(&self, root: &Root) -> Result<bool> {
        let store = self.backend.store();
        let key = Key::job(root);
        let Some(bytes) = store.get(&key).await? else { return Ok(false) };
        let job = JobRecord::decode(&bytes)?;
        if job.done {
            return Ok(false);
        }
        if self.outcome(root, &job.call).await?.is_none() {
            return Ok(true);
        }
        let done = JobRecord { done: true, ..job };
        match store.swap(&key, Some(&bytes), Some(done.encode())).await? {
            Swap::Done => Ok(false),
            // Changed by another client in the same moment; it says the same of a job that is over.
            Swap::Mismatch(found) => {
                Ok(found.as_deref().map(JobRecord::decode).transpose()?.is_some_and(|job| !job.done))
            }
        }
    }
}
