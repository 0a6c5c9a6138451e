//! Finds stuck work and repairs it. A call is stuck if a parent or a job waits for it and no worker will run it. The doctor
//! finds that from the records and the queues.
//!
//! Our own workers leave no stuck work. Peers can: they lose a message if they die while they work on it, and a peer that reads
//! a stale store notifies no parent. A queue may lose messages, and a person may delete some.
//!
//! - `survey`: reads the records and queues; `judge`: decides what is wrong with a page of calls; `queued`: the calls that have
//!   a message
//! - `cycles`: calls that wait for themselves
//! - `repair`: repairs a finding. Each repair is a transition that is safe to repeat, or at worst one unnecessary message
//! - `unnotified`: parents that wait for a failed call and that can't be notified
//! - `homes`: the topic on which a call is run; `code`: deployed code that workers can't load

mod code;
mod cycles;
mod homes;
mod judge;
mod queued;
mod repair;
mod survey;
mod unnotified;

pub(crate) use queued::bits;

use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::model::{CallHash, JobId, Millis, Topic};
use crate::ports::{Backend, Key};
use crate::records::JobState;

/// Finds stuck work on one backend, and repairs it.
#[derive(Clone)]
pub struct Doctor {
    backend: Arc<dyn Backend>,
}

/// The settings of a survey.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The current time, in milliseconds since the Unix epoch, by the backend's clock.
    pub now: Millis,
    /// Calls that have waited for a shorter time are left out. A peer may be working on such a call, and then its message is in
    /// no queue.
    pub older_than: Duration,
}

/// The result of a survey.
#[derive(Debug, Default)]
pub struct Survey {
    /// The stuck work and the damaged records that were found.
    pub findings: Vec<Finding>,
    /// Jobs of ours that are alive.
    pub jobs: u64,
    /// The number of calls that a parent waits for.
    pub waiting: u64,
    /// Parents that will not be notified of a call that has failed. No repair helps them.
    pub unnotified: Vec<Unnotified>,
    /// Jobs of other SDKs that calls wait for. They have no record. So if such a job has lost its own message, the doctor can't
    /// find it.
    pub peer_jobs: u64,
    /// The topics that records name, without those that the backend can't have.
    pub topics: Vec<TopicState>,
}

/// A parent that waits for a call that has failed in its job, and that is not notified of failures: a worker of another SDK
/// runs it, and such workers see no failures. The parent continues when another job gives the call its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnotified {
    /// The call that has failed.
    pub call: CallHash,
    /// The parent that waits for the call.
    pub parent: CallHash,
    /// The live job in which the call failed and the parent waits.
    pub job_id: JobId,
}

/// The messages of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// The name of the topic.
    pub topic: Topic,
    /// The number of all messages.
    pub depth: u64,
    /// The number of messages that a worker has received, but whose lease has run out. They are delivered again when a worker
    /// next asks for messages of any topic. `None`: the queue can't list its messages.
    pub expired: Option<u64>,
    /// The number of dead letters, at most `MAX_DEAD_LETTERS`.
    pub dead_letters: u64,
}

/// The doctor counts at most this number of dead letters.
pub const MAX_DEAD_LETTERS: usize = 1_000;

/// Something that will not recover by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// A live job waits for this call, or it is the job's own call, and no message brings it to a worker.
    Lost(Lost),
    /// The call has ended in this job, and its waiting parents were not notified.
    Unnotified {
        /// The call that has ended.
        call: CallHash,
        /// A job in which a parent waits for the call.
        job_id: JobId,
        /// The topic of the call, or of a parent if no record says the topic of the call.
        topic: Topic,
        /// How the call ended in the job.
        end: JobState,
    },
    /// Only jobs that are over still wait for this call.
    Abandoned {
        /// The call that was not abandoned yet.
        call: CallHash,
        /// One of the jobs that are over.
        job_id: JobId,
        /// The topic of the call, or of a parent if no record says the topic of the call.
        topic: Topic,
    },
    /// Each of these calls waits for the next one, and the last one waits for the first. This job waits for the first.
    Cycle {
        /// The calls of the cycle, from parent to child.
        calls: Vec<CallHash>,
        /// A live job in which the last call waits for the first.
        job_id: JobId,
        /// The topic that the message for the last call is sent to.
        topic: Topic,
    },
    /// The job's deadline has passed, and it was not written down that the job is over.
    Overdue {
        /// The job whose deadline has passed.
        job_id: JobId,
    },
    /// The job's call has ended, and it was not written down that the job is over. Peers never write that down.
    Unended {
        /// The job whose top call has ended.
        job_id: JobId,
    },
    /// A revision whose code is not complete in the store, so workers can't load it. Whoever has its component can push it again.
    Unloadable {
        /// The topic of the revision.
        topic: Topic,
        /// Its number.
        revision: u64,
        /// The component that can't be loaded.
        component: Digest,
        /// What is missing or damaged, in words.
        reason: String,
    },
    /// A record that does not decode. The doctor does not change it.
    Damaged {
        /// The key of the record.
        key: Key,
        /// What is wrong with the record and where, in words.
        reason: String,
    },
}

/// A call that no worker will run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lost {
    /// The call hash of the lost call.
    pub call: CallHash,
    /// A live job that waits for the call.
    pub job_id: JobId,
    /// The name of the call's task. `None`: no record describes the call.
    pub task: Option<String>,
    /// The topic to queue the call on. `None`: no record says it, and on a wrong topic the call might fail.
    pub topic: Option<Topic>,
    /// Why no worker will run the call.
    pub why: Why,
    /// False: this queue can't list its messages, and it is not empty. So there may be a message after all.
    pub certain: bool,
}

/// Why no worker will run a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The call has no message.
    NotQueued,
    /// All the calls that it waits for have ended or do not list it as a parent.
    NotNotified,
}

/// The result of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// The repair was made.
    Done,
    /// The problem had disappeared, or can't be repaired from here.
    LeftAlone,
}

impl Doctor {
    /// A doctor for this backend.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }
}
