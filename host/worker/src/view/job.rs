//! A job as JSON: in lists, and with its result.

use brrr_protocol::Result;
use brrr_protocol::events::State;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::ports::{Backend, Key, message_counter};
use brrr_protocol::records::JobRecord;
use brrr_protocol::wire::CallRecord;
use serde::Serialize;
use utoipa::ToSchema;

use crate::events::time;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// The job's id: 32 hexadecimal digits, unless another program chose it.
    pub job: String,
    /// `scheduled`, `running`, `completed`, `failed`, `cancelled` or `timed-out`.
    pub state: &'static str,
    /// The task of the job's call. `null`: the record of the call is no longer in the store.
    pub task: Option<String>,
    /// The hash of the job's call.
    pub call: String,
    /// The topic of the job's call.
    pub topic: String,
    /// When the job was asked for.
    pub created: String,
    /// When the job starts, if it was to start later.
    pub starts: Option<String>,
    /// `null`: the job is not over, or its end has no recorded time.
    pub ended: Option<String>,
    /// The time from the job's start to its end, or until now, in milliseconds.
    pub duration_ms: Option<Millis>,
    /// The time by which the job must have ended.
    pub deadline: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The job that this job retries.
    pub retry_of: Option<String>,
    /// The number of messages sent for the job. `null`: the backend could not be asked.
    pub messages: Option<u64>,
}

/// The state of a job at this time.
#[must_use]
pub fn state_of(job: &JobRecord, now: Millis) -> State {
    match job.end {
        Some(end) => end.state.into(),
        None if job.is_delayed(now) => State::Scheduled,
        None => State::Running,
    }
}

impl JobView {
    /// Reads what the record of a job does not say itself.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn of(backend: &dyn Backend, job_id: &JobId, job: &JobRecord, now: Millis) -> Result<Self> {
        let call = backend.store().get(&Key::call(&job.call)).await?;
        let task = call.as_ref().and_then(|bytes| CallRecord::decode(bytes).ok()).map(|call| call.task);
        // Increasing by 0 is a write. If the backend is read-only, jobs can still be listed.
        let messages = backend.counters().incr(&message_counter(job_id), 0).await.ok();
        Ok(Self::new(job_id, job, now, task, messages))
    }

    /// The view of a job whose task and number of messages are known.
    #[must_use]
    pub fn new(job_id: &JobId, job: &JobRecord, now: Millis, task: Option<String>, messages: Option<u64>) -> Self {
        // An end that was recorded only later has no time.
        let ended = job.end.map(|end| end.at).filter(|at| *at > 0);
        let until = if job.is_over() { ended } else { Some(now) };
        Self {
            job: job_id.to_string(),
            state: state_of(job, now).as_str(),
            task,
            call: job.call.to_string(),
            topic: job.topic.to_string(),
            created: time(job.created),
            starts: (job.start > 0).then(|| time(job.start)),
            ended: ended.map(time),
            duration_ms: until.map(|at| at.saturating_sub(job.created.max(job.start))),
            deadline: (job.deadline > 0).then(|| time(job.deadline)),
            label: job.options.label.clone(),
            retry_of: job.retry_of.as_ref().map(JobId::to_string),
            messages,
        }
    }
}
