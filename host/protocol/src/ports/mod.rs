//! The traits between the protocol and the outside world.
//!
//! | trait | what it is |
//! |---|---|
//! | [`Store`] | records by [`Key`], and an index of the jobs by time |
//! | [`Queue`] | topics with messages, delivered at least once |
//! | [`Counters`], [`EventLog`] | data that may be lost without harm |
//! | [`BackendParts`], [`Backend`] | all parts of a backend, and the transitions that the scheduler makes |
//! | [`Handler`] | runs a call |
//!
//! An `Err` of a write means that the *outcome is unknown*: the write may have been made or not. A missing record, a mismatch
//! and a refusal are values, not errors.

mod backend;
mod counters;
mod event_log;
mod handler;
mod jobs;
mod key;
mod queue;
mod store;
mod transitions;

pub use backend::{Backend, BackendParts};
pub use counters::{Counters, message_counter};
pub use event_log::{EVENTS_KEPT, EVENTS_KEPT_FOR, EventLog};
pub use handler::{Ended, Handler, JobHandler, Request, Task};
pub use jobs::{
    IndexedJob, IndexedState, JobFacts, JobFilter, JobOrder, JobPage, JobQuery, is_job_cursor, position_of,
};
pub use key::{Key, Kind};
pub use queue::{Backlog, DeadLetter, Delivery, MessageState, Outgoing, Queue, Receipt, Visit};
pub use store::{Page, Store, Swap};
pub use transitions::{Deferral, Deferred, Loaded, MOST_AT_ONCE, NewJob, Scheduled, Work};
