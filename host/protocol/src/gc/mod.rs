//! Removes what no live job can reach: what jobs that ended a while ago have left in the store.
//!
//! What a live job needs is what its `run` records name, and everything that somebody waits for or that has a message.
//! - `mark`: finds that, after it was noted which values are there; `sweep`: removes what ended jobs have left beside it, from the leaves up and the job's own record
//!   last, so that a collection that dies is taken up by the next one
//! - `calls`: the calls of one job
//!
//! A run that is in progress while the value of a call is removed that no live job had asked for before, and that asks for
//! it, may find it in one replay and have it computed again for the next. Not for a call that it waits for: only values go that
//! were there before it was looked what lives, and each once in a collection.

mod calls;
mod mark;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Millis, Root};
use crate::ports::Backend;

/// Removes what no live job can reach from one backend.
#[derive(Clone)]
pub struct Collector {
    backend: Arc<dyn Backend>,
}

/// What to remove.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub now: Millis,
    /// Jobs that ended longer ago than this go; where the queue can't be looked through (SQS), after 14 days at the earliest.
    pub older_than: Duration,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub jobs: u64,
    /// Calls whose value went with them.
    pub calls: u64,
    /// Jobs that ended long ago, of which messages or waiting calls are left. `doctor` lets go of the calls.
    pub left: u64,
    /// Why values stay, if they do.
    pub values_stay: Option<Reason>,
}

/// Why a collection can't tell which values a live job needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A call of this live job asked for more calls than its record names. Nothing was removed.
    Unnamed(Root),
    /// This job's record does not decode. Nothing was removed.
    Damaged(Root),
    /// Calls wait for a job of peers, who keep no record of what they asked for. The records of jobs that ended are removed,
    /// and values stay.
    Peers(Root),
}

/// The longest that a queue which can't be looked through keeps a message: SQS's longest retention. Only its record tells a
/// job's late messages that it is over, so there a job stays so long at least.
const MESSAGE_LIFE: Duration = Duration::from_hours(14 * 24);

impl Collector {
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }
}
