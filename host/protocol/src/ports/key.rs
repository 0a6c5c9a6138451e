//! The keys of records.

use std::borrow::Cow;
use std::sync::Arc;

use crate::digest::Digest;
use crate::model::{CallHash, JobId, Topic};

/// A record's key: an id (usually of a call) and the kind of the record. In `DynamoDB` these are `pk` and `sk`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What the record is about: a call hash, a job id, a topic, a digest or the id of a dead letter, depending on `kind`.
    pub id: Arc<str>,
    /// What the record says.
    pub kind: Kind,
}

/// The kinds of record. Peers use the first three. `host/ARCHITECTURE.md` describes all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The task and payload of a call (`CallRecord`).
    Call,
    /// The value that a call returned: its bytes, without any envelope.
    Value,
    /// The parents that wait for a call (`PendingReturns`).
    PendingReturns,
    /// The parents that were not notified of a failure, because no `run` record says what they wait for.
    Unnotified,
    /// How far a call has come under this job (`RunRecord`).
    Run(JobId),
    /// How a call failed under this job (`Failure`).
    Failure(JobId),
    /// What the runs of a call have logged under this job (`LogRecord`).
    Log(JobId),
    /// The id is a job id, not a call hash.
    Job,
    /// The job that was last started for a call (`LatestJob`).
    LatestJob,
    /// The id is a topic, not a call hash.
    Tasks,
    /// What the tasks of a topic are (`TaskInfo`). The id is the topic.
    TaskInfo,
    /// The schedules of a topic (`SchedulesRecord`). The id is a topic, not a call hash.
    Schedules,
    /// The workers of a topic that run (`Workers`). The id is a topic, not a call hash.
    Workers,
    /// The revisions of the code of a topic (`DeploymentsRecord`). The id is a topic, not a call hash.
    Deployments,
    /// What a component is, and of which chunks it consists (`ManifestRecord`). The id is the digest of the component.
    Manifest,
    /// A part of a component, compressed (`ChunkRecord`). The id is the digest of the part, not compressed.
    Chunk,
    /// A component that is being sent (`UploadRecord`). The id is its digest; or `gc`: chunks are being removed.
    Upload,
    /// A dead letter of a queue that can't store dead letters itself. `records/dead_letter.rs` describes the id.
    DeadLetter,
}

impl Kind {
    /// The kinds of which there are few records, and that no call writes on its usual way. A store keeps the ids of their records
    /// apart, so that [`super::Store::list`] costs what there is of them. (Of `TaskInfo` and `Workers` nobody needs a list: who has
    /// a topic has their keys.)
    pub const LISTED: [Self; 8] = [
        Self::Unnotified,
        Self::Tasks,
        Self::Schedules,
        Self::Deployments,
        Self::Manifest,
        Self::Chunk,
        Self::Upload,
        Self::DeadLetter,
    ];

    /// Is this one of [`Kind::LISTED`]?
    #[must_use]
    pub fn is_listed(&self) -> bool {
        Self::LISTED.contains(self)
    }

    /// The kind's name in a store.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Kind::Call => "call".into(),
            Kind::Value => "value".into(),
            Kind::PendingReturns => "pending_returns".into(),
            Kind::Unnotified => "unnotified".into(),
            Kind::Run(job_id) => format!("run/{job_id}").into(),
            Kind::Failure(job_id) => format!("failure/{job_id}").into(),
            Kind::Log(job_id) => format!("log/{job_id}").into(),
            Kind::Job => "job".into(),
            Kind::LatestJob => "latest_job".into(),
            Kind::Tasks => "tasks".into(),
            Kind::TaskInfo => "task_info".into(),
            Kind::Schedules => "schedules".into(),
            Kind::Workers => "workers".into(),
            Kind::Deployments => "deployments".into(),
            Kind::Manifest => "manifest".into(),
            Kind::Chunk => "chunk".into(),
            Kind::Upload => "upload".into(),
            Kind::DeadLetter => "dead_letter".into(),
        }
    }
}

impl Key {
    /// The key of the record of this id and kind.
    #[must_use]
    pub fn new(id: &str, kind: Kind) -> Self {
        Self { id: id.into(), kind }
    }

    /// The key of the task and payload of a call.
    #[must_use]
    pub fn call(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Call)
    }

    /// The key of the value of a call.
    #[must_use]
    pub fn value(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Value)
    }

    /// The key of the parents that wait for a call.
    #[must_use]
    pub fn pending_returns(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::PendingReturns)
    }

    /// The key of the parents that were not notified of a failure of a call.
    #[must_use]
    pub fn unnotified(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Unnotified)
    }

    /// The key of the `run` record of a call under a job.
    #[must_use]
    pub fn run(call: &CallHash, job_id: &JobId) -> Self {
        Self::new(call.as_str(), Kind::Run(job_id.clone()))
    }

    /// The key of the failure of a call under a job.
    #[must_use]
    pub fn failure(call: &CallHash, job_id: &JobId) -> Self {
        Self::new(call.as_str(), Kind::Failure(job_id.clone()))
    }

    /// The key of what the runs of a call have logged under a job.
    #[must_use]
    pub fn log(call: &CallHash, job_id: &JobId) -> Self {
        Self::new(call.as_str(), Kind::Log(job_id.clone()))
    }

    /// The key of the record of a job.
    #[must_use]
    pub fn job(job_id: &JobId) -> Self {
        Self::new(job_id.as_str(), Kind::Job)
    }

    /// The key of the job that was last started for a call.
    #[must_use]
    pub fn latest_job(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::LatestJob)
    }

    /// The key of the tasks that the workers of a topic handle.
    #[must_use]
    pub fn tasks(topic: &Topic) -> Self {
        Self::new(topic.as_str(), Kind::Tasks)
    }

    /// The key of what the tasks of a topic are.
    #[must_use]
    pub fn task_info(topic: &Topic) -> Self {
        Self::new(topic.as_str(), Kind::TaskInfo)
    }

    /// The key of the schedules of a topic.
    #[must_use]
    pub fn schedules(topic: &Topic) -> Self {
        Self::new(topic.as_str(), Kind::Schedules)
    }

    /// The key of the workers of a topic that run.
    #[must_use]
    pub fn workers(topic: &Topic) -> Self {
        Self::new(topic.as_str(), Kind::Workers)
    }

    /// The key of the revisions of the code of a topic.
    #[must_use]
    pub fn deployments(topic: &Topic) -> Self {
        Self::new(topic.as_str(), Kind::Deployments)
    }

    /// The key of the manifest of a component.
    #[must_use]
    pub fn manifest(component: &Digest) -> Self {
        Self::new(&component.to_string(), Kind::Manifest)
    }

    /// The key of a chunk.
    #[must_use]
    pub fn chunk(chunk: &Digest) -> Self {
        Self::new(&chunk.to_string(), Kind::Chunk)
    }

    /// The key that says that this component is being sent.
    #[must_use]
    pub fn upload(component: &Digest) -> Self {
        Self::new(&component.to_string(), Kind::Upload)
    }
}
