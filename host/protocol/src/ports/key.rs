//! The keys of records.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::{CallHash, JobId, Topic};

/// A record's key: an id (usually of a call) and the kind of the record. In `DynamoDB` these are `pk` and `sk`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub id: Arc<str>,
    pub kind: Kind,
}

/// The kinds of record. Peers use the first three. `host/ARCHITECTURE.md` describes all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Call,
    Value,
    PendingReturns,
    /// The parents that were not notified of a failure, because no `run` record says what they wait for.
    Unnotified,
    Run(JobId),
    Failure(JobId),
    /// The id is a job id, not a call hash.
    Job,
    Latest,
    /// The id is a topic, not a call hash.
    Tasks,
    /// A dead letter of a queue that can't store dead letters itself. `records/dead.rs` describes the id.
    Dead,
}

impl Kind {
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
            Kind::Job => "job".into(),
            Kind::Latest => "latest".into(),
            Kind::Tasks => "tasks".into(),
            Kind::Dead => "dead".into(),
        }
    }
}

impl Key {
    #[must_use]
    pub fn new(id: &str, kind: Kind) -> Self {
        Self { id: id.into(), kind }
    }

    #[must_use]
    pub fn call(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Call)
    }

    #[must_use]
    pub fn value(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Value)
    }

    #[must_use]
    pub fn pending_returns(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::PendingReturns)
    }

    #[must_use]
    pub fn unnotified(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Unnotified)
    }

    #[must_use]
    pub fn run(call: &CallHash, job_id: &JobId) -> Self {
        Self::new(call.as_str(), Kind::Run(job_id.clone()))
    }

    #[must_use]
    pub fn failure(call: &CallHash, job_id: &JobId) -> Self {
        Self::new(call.as_str(), Kind::Failure(job_id.clone()))
    }

    #[must_use]
    pub fn job(job_id: &JobId) -> Self {
        Self::new(job_id.as_str(), Kind::Job)
    }

    #[must_use]
    pub fn latest(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Latest)
    }

    #[must_use]
    pub fn tasks(topic: &Topic) -> Self {
        Self::new(topic.as_str(), Kind::Tasks)
    }
}
