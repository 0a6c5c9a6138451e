//! Garbage collection: removes what no live job can reach, that is, what jobs that ended a while ago have left in the store.
//!
//! A live job needs what its `run` records name. Also needed is everything that a parent waits for or that has a message.
//!
//! - `mark`: notes which values are there, and then finds what is needed; `sweep`: removes what ended jobs have left and is not
//!   needed. It starts at the leaves and removes the job's own record last, so the next collection can continue after one that
//!   died
//! - `waiting`: looks through the parents that wait for calls. `calls`: the calls of one job
//! - `code`: removes revisions, components and chunks that nothing needs
//!
//! A collection reads the jobs that may be old, those that are alive or did not complete, their records, and the kinds of which there
//! are few (`Kind::LISTED`). Where peers may use the store (`Store::may_have_peers`) it also makes one pass over all waiting parents
//! if it has found something old, and a second pass if it has abandoned a promise in the first.
//!
//! A running call may ask for a call that no live job had asked for before, while the value of that call is removed. Then the
//! run may find the value in one replay, and the value may have to be computed again for the next replay. This can't happen
//! with a call that it waits for: only values are removed that were there before the calls of live jobs were read, and each of
//! them only once in a collection.

mod calls;
mod code;
mod mark;
mod sweep;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use crate::model::{JobId, Millis};
use crate::ports::Backend;

pub use code::{CodeStays, CollectedCode};

/// Removes from one backend what no live job can reach.
#[derive(Clone)]
pub struct Collector {
    backend: Arc<dyn Backend>,
}

/// What to remove.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The current time, in milliseconds since the Unix epoch, by the backend's clock.
    pub now: Millis,
    /// Jobs that ended longer ago than this are removed, and components that were sent longer ago and that nothing names. If the queue can't list its messages (SQS), jobs stay at least 14
    /// days.
    pub older_than: Duration,
    /// Only count what would be removed.
    pub dry_run: bool,
}

/// What was removed, or would be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Jobs whose records were removed.
    pub jobs: u64,
    /// Calls whose value was removed.
    pub calls: u64,
    /// Jobs that ended long ago but still have messages or waiting calls. `doctor` abandons the calls.
    pub left: u64,
    /// Why values stay. `None`: unneeded values were removed.
    pub values_stay: Option<Reason>,
    /// What was removed of the code of topics.
    pub code: CollectedCode,
}

/// Why a collection can't know which values a live job needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A call of this live job asked for more calls than its record names. Nothing was removed.
    Unnamed(JobId),
    /// This job's record does not decode. Nothing was removed.
    Damaged(JobId),
    /// Calls wait for a job of peers, which keep no record of the calls that they asked for. The records of jobs that ended are
    /// removed, but values stay.
    Peers(JobId),
}

/// The longest time that a queue without a listing keeps a message: the longest retention of SQS. A late message learns only
/// from the job's record that the job is over. So with such a queue the record stays at least this long.
const MESSAGE_LIFE: Duration = Duration::from_hours(14 * 24);

impl Collector {
    /// A collector for this backend.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }
}
