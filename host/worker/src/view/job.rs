//! A job as JSON: in lists, and with its result.

use brrr_protocol::events::State;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::ports::{Backend, message_counter};
use brrr_protocol::records::JobRecord;
use serde::Serialize;
use utoipa::ToSchema;

use crate::events::time;
use crate::job_list::Listed;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// The job's id: 32 hexadecimal digits, unless another program chose it.
    pub job: String,
    /// `scheduled`, `running`, `completed`, `failed`, `cancelled` or `timed-out`.
    pub state: &'static str,
    /// The task of the job's call. `null`: it is not known.
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
    pub async fn of(backend: &dyn Backend, job_id: &JobId, job: &JobRecord, now: Millis) -> Self {
        let messages = Self::messages(backend, &[job_id]).await.pop().flatten();
        Self::new(job_id, job, now, messages)
    }

    /// The same for the jobs of a list, with one access for all of them.
    pub async fn of_all(backend: &dyn Backend, jobs: &[Listed], now: Millis) -> Vec<Self> {
        let messages = Self::messages(backend, &jobs.iter().map(|listed| &listed.job_id).collect::<Vec<_>>()).await;
        jobs.iter()
            .zip(messages)
            .map(|(listed, messages)| Self::new(&listed.job_id, &listed.job, now, messages))
            .collect()
    }

    /// The number of messages of each job. `None`: the counters could not be read.
    async fn messages(backend: &dyn Backend, job_ids: &[&JobId]) -> Vec<Option<u64>> {
        let counters: Vec<String> = job_ids.iter().map(|job_id| message_counter(job_id)).collect();
        match backend.counters().read_many(&counters).await {
            Ok(sums) => sums.into_iter().map(|sum| Some(sum.unwrap_or(0))).collect(),
            Err(_) => vec![None; job_ids.len()],
        }
    }

    /// The view of a job whose number of messages is known.
    #[must_use]
    pub fn new(job_id: &JobId, job: &JobRecord, now: Millis, messages: Option<u64>) -> Self {
        // An end that was recorded only later has no time.
        let ended = job.end.map(|end| end.at).filter(|at| *at > 0);
        let until = if job.is_over() { ended } else { Some(now) };
        Self {
            job: job_id.to_string(),
            state: state_of(job, now).as_str(),
            task: (!job.task.is_empty()).then(|| job.task.clone()),
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
