//! What happens to jobs and calls, for people who watch: each change of state, as the worker sees it that makes it.

use std::time::Duration;

use crate::model::{CallHash, Failure, FailureKind, JobId, Millis, Topic};
use crate::records::JobState;

/// The states of a call, and of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has asked for it in this job.
    Unscheduled,
    /// Its message is queued; after a failure: for its next attempt.
    Ready,
    Running,
    /// It waits for other calls.
    Deferred,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl State {
    /// The word that stands for it in events and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unscheduled => "unscheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Deferred => "deferred",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
        }
    }

    /// The state of a call that failed so.
    #[must_use]
    pub fn of_failure(kind: &FailureKind) -> Self {
        JobState::of(Err(kind)).into()
    }
}

impl From<JobState> for State {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Completed => Self::Completed,
            JobState::Failed => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
            JobState::TimedOut => Self::TimedOut,
        }
    }
}

/// Whose state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Task,
    Job,
}

/// One change of state. Seen at least once: a worker that dies may leave one out, the next one says it again.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    pub at: Millis,
    pub subject: Subject,
    pub from: State,
    pub to: State,
    pub job_id: &'a JobId,
    /// The call; of a job its top call.
    pub call: &'a CallHash,
    pub task: &'a str,
    pub label: Option<&'a str>,
    pub topic: &'a Topic,
    /// From 1; on the way back to `Ready`, the number of the attempt to come.
    pub attempt: u32,
    pub failure: Option<&'a Failure>,
    /// How long until the next attempt.
    pub retry_in: Option<Duration>,
    /// How many calls it waits for.
    pub waiting: Option<usize>,
}

/// Told of every event. Called in the middle of work: it must be quick.
pub trait Observer: Send + Sync {
    fn observe(&self, event: &Event<'_>);
}
