//! Starts a job as an application asks for it: now or later, and once for each key, however often it is asked for.

use std::time::Duration;

use bytes::Bytes;

use crate::client::Client;
use crate::error::Result;
use crate::model::{Call, CallHash, JobId, Millis, Topic, check_name};
use crate::options::{Options, Scope};
use crate::ports::{Backend, Key, NewJob, Scheduled};
use crate::records::{JobRecord, TaskInfos, decode_task_infos};
use crate::wire::CallRecord;

/// A job as an application asks for it.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The topic that the top call's message is sent to.
    pub topic: Topic,
    /// The task of the top call.
    pub task: String,
    /// The arguments, as the codec of the caller encoded them.
    pub payload: Bytes,
    /// The hash of the call for all jobs. The scope is hashed into it.
    pub hash: CallHash,
    /// With a key, the job is started once, however often it is asked for. The key counts within its topic.
    pub key: Option<String>,
    /// When the job starts.
    pub start: StartTime,
    /// The longest time of the job, from its start. `None`: no limit.
    pub timeout: Option<Duration>,
    /// The time by which the job must have ended, in milliseconds since the Unix epoch. If there is a timeout too, the earlier
    /// one holds.
    pub deadline: Option<Millis>,
    /// The number of messages that the job may send. 0: the limit of its workers.
    pub max_messages: u64,
    /// How the job's calls are run.
    pub options: Options,
    /// Who shares the outcome of the top call, if the options do not say it. `None`: all jobs.
    pub task_scope: Option<Scope>,
}

/// When a job starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartTime {
    /// At once.
    #[default]
    Now,
    /// After this time.
    After(Duration),
    /// At this time, in milliseconds since the Unix epoch. If it has passed: at once.
    At(Millis),
}

/// The result of a request to start a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// The job is new.
    New {
        /// Its id.
        job_id: JobId,
        /// The hash of its top call.
        call: CallHash,
        /// Was a message sent, or is the job over already?
        scheduled: Scheduled,
    },
    /// An earlier request with the same key has started this job, with the same call.
    Existing {
        /// Its id.
        job_id: JobId,
        /// Its record.
        job: Box<JobRecord>,
    },
    /// An earlier request with the same key has started this job, with another task or payload. Nothing was changed.
    KeyReused(JobId),
    /// The job can't be started as it is asked for. Nothing was changed.
    Bad(BadStart),
}

/// Why a job can't be started as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStart {
    /// The key is no key. The text says why.
    #[error("{0}")]
    Key(String),
    /// The time of the start does not fit into a record.
    #[error("the job would start too late to be recorded; choose an earlier start")]
    TooLate,
    /// The deadline has passed.
    #[error("the deadline has passed; choose a later one")]
    DeadlinePassed,
    /// The job would have to end before it begins.
    #[error("the deadline is not after the start of the job; choose a later deadline, or an earlier start")]
    Deadline,
}

impl StartRequest {
    /// A job of this call that starts now, without key, limits and options.
    #[must_use]
    pub fn new(topic: Topic, task: impl Into<String>, payload: Bytes, hash: CallHash) -> Self {
        let (task, options) = (task.into(), Options::default());
        let (key, start, timeout, deadline, max_messages) = (None, StartTime::Now, None, None, 0);
        Self { topic, task, payload, hash, key, start, timeout, deadline, max_messages, options, task_scope: None }
    }

    /// Who shares the outcome of the top call.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.options.scope.or(self.task_scope).unwrap_or_default()
    }

    /// The id of the job: it follows from the key, or else is this new one.
    fn id(&self, new: JobId) -> JobId {
        self.key.as_ref().map_or(new, |key| JobId::of_key(&self.topic, key))
    }

    /// The job that begins now.
    ///
    /// # Errors
    /// If its key is no key, or its deadline is before its start.
    pub fn job(&self, new: JobId, now: Millis) -> std::result::Result<NewJob, BadStart> {
        if let Some(key) = &self.key {
            check_key(key).map_err(BadStart::Key)?;
        }
        let after = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let start = match self.start {
            StartTime::Now => now,
            StartTime::After(time) => now.saturating_add(after(time)),
            StartTime::At(at) => at.max(now),
        };
        if i64::try_from(start).is_err() {
            return Err(BadStart::TooLate);
        }
        if self.deadline.is_some_and(|at| at <= now) {
            return Err(BadStart::DeadlinePassed);
        }
        if self.deadline.is_some_and(|at| at <= start) {
            return Err(BadStart::Deadline);
        }
        let by_timeout = self.timeout.map(|time| start.saturating_add(after(time)));
        let job_id = self.id(new);
        let hash = self.hash.clone().within(self.scope(), &job_id, start);
        let (task, payload, topic) = (self.task.clone(), self.payload.clone(), self.topic.clone());
        let call = Call { hash, task, payload, topic, options: Options::default() };
        Ok(NewJob {
            // A deadline that does not fit into the `i64` of a record counts as no deadline.
            deadline: by_timeout
                .into_iter()
                .chain(self.deadline)
                .min()
                .filter(|at| i64::try_from(*at).is_ok())
                .unwrap_or(0),
            max_messages: self.max_messages,
            options: self.options.clone(),
            start: if start > now { start } else { 0 },
            ..NewJob::new(job_id, call)
        })
    }
}

/// Is the text a key? It is part of no record, but people and logs see it.
///
/// # Errors
/// What is wrong.
pub fn check_key(key: &str) -> std::result::Result<(), String> {
    check_name("the key", key)
}

impl Client {
    /// What the workers of a topic have announced of their tasks. Empty if nothing was announced, or it can't be read.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn task_infos(&self, topic: &Topic) -> Result<TaskInfos> {
        match self.backend().store().get(&Key::task_info(topic)).await {
            Ok(bytes) => Ok(bytes.and_then(|bytes| decode_task_infos(&bytes).ok()).unwrap_or_default()),
            Err(error) if error.is_unreadable() => Ok(TaskInfos::default()),
            Err(error) => Err(error),
        }
    }

    /// The same request, with the scope that the workers have announced for its task.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn with_task_scope(&self, request: StartRequest) -> Result<StartRequest> {
        if request.options.scope.is_some() {
            return Ok(request);
        }
        let infos = self.task_infos(&request.topic).await?;
        let scope = infos.get(&request.task).and_then(|info| info.scope.as_deref());
        Ok(StartRequest { task_scope: scope.and_then(|scope| Scope::parse(scope).ok()), ..request })
    }

    /// Starts a job, which is durable when this returns. `new` is the id of the job if the request has no key. Safe to repeat with
    /// the same `new` or the same key.
    ///
    /// # Errors
    /// When the backend fails: then it is unknown whether the job was started. `Conflict` if the call hash stands for another task or
    /// payload.
    pub async fn start(&self, request: &StartRequest, new: JobId) -> Result<Started> {
        let job_id = request.id(new.clone());
        loop {
            if request.key.is_some()
                && let Some(found) = self.job(&job_id).await?
            {
                return self.start_again(request, job_id, found).await;
            }
            let now = self.now();
            let job = match request.job(new.clone(), now) {
                Ok(job) => job,
                Err(bad) => return Ok(Started::Bad(bad)),
            };
            match self.schedule(&job, now).await? {
                // Another client has used the key for another call, or in another period of the scope, at the same time.
                Scheduled::Taken if request.key.is_some() => {}
                scheduled => return Ok(Started::New { job_id, call: job.call.hash, scheduled }),
            }
        }
    }

    /// The answer to a request whose key has started a job already.
    async fn start_again(&self, request: &StartRequest, job_id: JobId, found: JobRecord) -> Result<Started> {
        let (task, payload) = (request.task.clone(), request.payload.clone());
        let topic = request.topic.clone();
        let asked = Call { hash: request.hash.clone(), task, payload, topic, options: Options::default() };
        if !is_job_of(self.backend(), &job_id, &found, &asked, request.scope()).await? {
            return Ok(Started::KeyReused(job_id));
        }
        if !found.is_over() {
            // The client that began may have died before it sent the message.
            let call = Call { hash: found.call.clone(), ..asked };
            let (deadline, start) = (found.deadline, found.start);
            let again = NewJob { deadline, start, ..NewJob::new(job_id.clone(), call) };
            self.schedule(&again, self.now()).await?;
        }
        Ok(Started::Existing { job_id, job: Box::new(found) })
    }
}

/// Was the job `found` started for this call? `asked` has the hash of the call for all jobs. The hash of the job's own call may
/// be that of an earlier period of its scope.
pub(crate) async fn is_job_of(
    backend: &dyn Backend,
    job_id: &JobId,
    found: &JobRecord,
    asked: &Call,
    scope: Scope,
) -> Result<bool> {
    let key = Key::call(&found.call);
    let is_same = match backend.store().get(&key).await? {
        Some(bytes) => {
            let call = CallRecord::decode(&bytes).map_err(|error| error.of(&key))?;
            call.task == asked.task && call.payload == asked.payload
        }
        // `gc` has removed what describes the call. Its hash still tells what it was.
        None => asked.hash.clone().within(scope, job_id, found.created.max(found.start)) == found.call,
    };
    Ok(is_same && found.topic == asked.topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> StartRequest {
        StartRequest::new("t".into(), "f", Bytes::from_static(b"[]"), "c".into())
    }

    fn job(request: &StartRequest) -> std::result::Result<NewJob, BadStart> {
        request.job("new".into(), 5_000)
    }

    #[test]
    fn the_earlier_of_two_deadlines_counts() {
        let second = Some(Duration::from_secs(1));
        let deadline =
            |timeout, deadline| job(&StartRequest { timeout, deadline, ..request() }).map(|job| job.deadline);
        assert_eq!(deadline(None, None), Ok(0));
        assert_eq!(deadline(second, None), Ok(6_000));
        assert_eq!(deadline(second, Some(5_500)), Ok(5_500));
        assert_eq!(deadline(second, Some(9_000)), Ok(6_000));
        assert_eq!(deadline(Some(Duration::MAX), None), Ok(0));
        assert!(deadline(None, Some(5_000)).is_err());
    }

    #[test]
    fn a_later_job_has_its_time_from_its_start() {
        let timeout = Some(Duration::from_secs(1));
        let later = |start| job(&StartRequest { start, timeout, ..request() }).map(|job| (job.start, job.deadline));
        assert_eq!(later(StartTime::After(Duration::from_secs(60))), Ok((65_000, 66_000)));
        assert_eq!(later(StartTime::At(9_000)), Ok((9_000, 10_000)));
        // A time that has passed is no delay.
        assert_eq!(later(StartTime::At(4_000)), Ok((0, 6_000)));
        assert!(later(StartTime::After(Duration::MAX)).is_err());
        let before_start = StartRequest { deadline: Some(8_000), start: StartTime::At(9_000), ..request() };
        assert_eq!(job(&before_start).unwrap_err(), BadStart::Deadline);
        let messages =
            job(&StartRequest { start: StartTime::At(9_000), timeout, ..request() }).unwrap().messages(5_000);
        assert_eq!(messages.iter().map(|m| m.delay.as_millis()).collect::<Vec<_>>(), [4_000, 5_000]);
    }

    #[test]
    fn a_key_names_one_job_of_a_topic() {
        let of = |topic: &str, key: &str| {
            let request = StartRequest { key: Some(key.to_owned()), topic: topic.into(), ..request() };
            job(&request).map(|job| job.job_id.to_string())
        };
        assert_eq!(of("t", "order-17"), of("t", "order-17"));
        assert_eq!(of("t", "order-17").unwrap().len(), 32);
        assert!(of("t", "order-17") != of("u", "order-17") && of("t", "order-17") != of("t", "order-18"));
        assert!(of("t", "").is_err() && of("t", "a\nb").is_err());
    }
}
