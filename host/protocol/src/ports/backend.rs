//! `Backend`: all parts of a backend together, and the transitions that the scheduler makes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Counters, Deferral, Deferred, EventLog, Loaded, NewJob, Queue, Scheduled, Store, Work};
use crate::error::Result;
use crate::model::{CallHash, Failure, JobId, Millis, Outcome};
use crate::records::{JobRecord, JobState};

/// A store, a queue and counters that belong together.
#[async_trait]
pub trait BackendParts: Send + Sync {
    /// The backend's name for log and error messages, for example `sqlite:.brrr/state.db`. The name contains no secrets.
    fn name(&self) -> String;
    /// The records.
    fn store(&self) -> &dyn Store;
    /// The topics with their messages.
    fn queue(&self) -> &dyn Queue;
    /// The counters, for example of the messages that were sent for each job.
    fn counters(&self) -> &dyn Counters;

    /// See `Store::now`.
    fn now(&self) -> Millis {
        self.store().now()
    }

    /// The log of events. `None`: this backend can't store events.
    fn events(&self) -> Option<&dyn EventLog> {
        None
    }

    /// True if the backend is behind a network. Then a step spends most of its time waiting for answers, so a worker makes more
    /// steps at once.
    fn is_remote(&self) -> bool {
        false
    }

    /// Waits until something may have changed since `version`, but no longer than `at_most`, and returns a new version. A
    /// caller that waits for a record starts with version 0, which returns at once, and reads the record after each return.
    async fn changed(&self, version: u64, at_most: Duration) -> u64;
}

/// A backend, and the transitions that the scheduler makes.
///
/// A backend whose parts share a transaction makes each transition in one transaction. Any other backend is a
/// [`MultiStepBackend`](crate::multi_step::MultiStepBackend), which makes each transition in several steps from the parts. Both
/// kinds leave the same records. The transactional backends may send fewer messages.
#[async_trait]
pub trait Backend: BackendParts {
    /// Records a job and sends its first message. The job is durable when this returns.
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled>;

    /// Reads everything that the work on one message needs.
    async fn load(&self, work: &Work) -> Result<Loaded>;

    /// The outcomes of `calls` as the job `job_id` sees them. If a call has both a value and a failure in this job, the failure
    /// counts. The answer may stop early: it has at least the first outcome, and it stops when the outcomes reach
    /// [`MOST_AT_ONCE`](super::MOST_AT_ONCE) bytes.
    async fn outcomes(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>>;

    /// Registers the parent with the calls that it waits for, queues those of the calls that are not queued yet, and acknowledges
    /// the message.
    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred>;

    /// Stores the value (the first value of a call stays), notifies the waiting parents, and acknowledges the message.
    async fn complete(&self, work: &Work, value: Bytes) -> Result<()>;

    /// Records the failure unless the call has an outcome, notifies the waiting parents in this job, and acknowledges the
    /// message (rules R1 and R2).
    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()>;

    /// Notifies the waiting parents of a call that already has its outcome, and acknowledges the message.
    async fn notify_parents(&self, work: &Work, end: JobState) -> Result<()>;

    /// Abandons a call whose job is over (rule R3): if a live job waits for the call, queues the call again under that job;
    /// removes the parents that belong to jobs that are over; acknowledges the message.
    async fn abandon(&self, work: &Work) -> Result<()>;

    /// Ends a job before its top call has its outcome: records `failure` for that call, unless it has an outcome by now, and
    /// marks the job as over. Returns the job as it is afterwards. `None`: this program has no record of the job.
    async fn end_job(&self, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>>;

    /// Removes what calls have left for all jobs: their values, and the `latest_job` records that name the last job that asked for
    /// them. Nothing is removed of a call that has a waiting parent, or that another job than `job_id` asked for last. Returns
    /// for each call whether it was removed. Only `gc` calls this.
    ///
    /// `had_value`: the calls had a value before `gc` looked which calls are needed. If it is false, nothing is removed of a
    /// call that has a value by now.
    ///
    /// A transactional backend removes the `call` records as well. A multi-step backend keeps them, because a client may have
    /// sent a message for the call and may be about to write that down.
    async fn forget_calls(&self, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>>;
}
