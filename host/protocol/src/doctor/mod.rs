//! Stuck work: calls that somebody waits for and that nobody will run. Found from the records and the queues, and set
//! going again.
//!
//! Our own workers leave none behind. Peers can: a message of theirs is gone when they die over it, and one that reads a
//! stale store wakes nobody. So can a queue that loses messages, and a person who deletes some.
//!
//! - `survey`: looks; `judge`: what a page of calls comes to; `queued`: which calls have a message
//! - `repair`: sets going again. Each repair is a transition that is safe to repeat, or one message too many
//! - `unnotified`: parents that wait for a call that failed and that can't be told
//! - `homes`: on which topic a call is run

mod homes;
mod judge;
mod queued;
mod repair;
mod survey;
mod unnotified;

pub(crate) use queued::bits;

use std::sync::Arc;
use std::time::Duration;

use crate::model::{CallHash, Millis, Root, Topic};
use crate::ports::{Backend, Key};
use crate::records::JobState;

/// Finds stuck work on one backend, and sets it going again.
#[derive(Clone)]
pub struct Doctor {
    backend: Arc<dyn Backend>,
}

/// How to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub now: Millis,
    /// What has waited for less is left alone: a peer that has it in work is in no queue.
    pub older_than: Duration,
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Survey {
    pub findings: Vec<Finding>,
    /// Jobs of ours that are alive.
    pub jobs: u64,
    /// Calls that somebody waits for.
    pub waiting: u64,
    /// Parents that will not be notified of a call that has failed. No repair helps them.
    pub unnotified: Vec<Unnotified>,
    /// Jobs of other SDKs that calls wait for. They leave no record: one whose own message was lost can't be found.
    pub peer_jobs: u64,
    pub topics: Vec<TopicState>,
}

/// A parent that waits for a call that has failed in its job, and that no failure notifies: it is run by a worker of another
/// SDK, which sees no failures. It goes on when another job gives the call its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnotified {
    pub call: CallHash,
    pub parent: CallHash,
    pub root: Root,
}

/// Messages of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    pub topic: Topic,
    /// All of them.
    pub depth: u64,
    /// Those that a worker took and neither settled nor kept. They come back when a worker next asks for messages of any
    /// topic. `None`: the queue can't be looked through.
    pub expired: Option<u64>,
    /// Set aside, up to `MAX_DEAD`.
    pub dead: u64,
}

/// Dead letters are counted up to so many.
pub const MAX_DEAD: usize = 1_000;

/// Something that will not come right by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// A live job waits for this call, or it is the job's own, and no message brings it to a worker.
    Lost(Lost),
    /// The call has ended in this job, and who waits for it was not told.
    Unwoken { call: CallHash, root: Root, topic: Topic, end: JobState },
    /// Only jobs that are over still wait for this call.
    Abandoned { call: CallHash, root: Root, topic: Topic },
    /// The job's deadline has passed, and nobody has written down that it is over.
    Overdue { root: Root },
    /// The job's call has ended, and nobody has written down that the job is over. Peers don't.
    Unended { root: Root },
    /// A record that does not decode. Left alone.
    Damaged { key: Key, reason: String },
}

/// A call that nobody will run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lost {
    pub call: CallHash,
    /// A live job that waits for it.
    pub root: Root,
    pub task: Option<String>,
    /// Where to queue it; `None`: no record tells, and a guess might fail it.
    pub topic: Option<Topic>,
    pub why: Why,
    /// False: this queue can't be looked through, and is not empty. So a message may be there after all.
    pub certain: bool,
}

/// Why nobody will run a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It has no message.
    NotQueued,
    /// It waits for calls that have all ended or don't know of it.
    NotWoken,
}

/// What became of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    Done,
    /// It was right again by then, or can't be repaired from here.
    LeftAlone,
}

impl Doctor {
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }
}
