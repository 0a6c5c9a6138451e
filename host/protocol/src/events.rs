//! Events about jobs and calls, for people who watch them. Each change of state is one event, reported by the worker that makes
//! the change.

use std::time::Duration;

use crate::model::{CallHash, Failure, FailureKind, JobId, Millis, Topic};
use crate::records::JobState;
use crate::trace::CallSpan;

/// The states of a call, and of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The job starts later. A job has this state only in listings.
    Scheduled,
    /// No call of the job has asked for the call yet.
    Unscheduled,
    /// The call's message is queued. After a failure it is the message for the next attempt.
    Ready,
    /// A worker runs the call. For a job: its top call was run at least once.
    Running,
    /// The call waits for other calls.
    Deferred,
    /// The call, or the job's top call, has a value.
    Completed,
    /// The call, or the job's top call, failed, and there is no further attempt.
    Failed,
    /// The job was cancelled, or the job was over before this call had an outcome.
    Cancelled,
    /// A run took longer than its time limit, or the job did not end by its deadline.
    TimedOut,
}

impl State {
    /// The word for this state in events and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
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

    /// The state of a call that failed with this kind of failure.
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

/// The thing whose state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A call.
    Task,
    /// A job.
    Job,
}

/// One change of state. Each change is reported at least once: if a worker dies before it reports a change, the next worker
/// reports it again.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// When the change happened, in milliseconds since the Unix epoch, by the worker's clock.
    pub at: Millis,
    /// Says whether the call or the job has changed its state.
    pub subject: Subject,
    /// The state before the change.
    pub from: State,
    /// The state after the change.
    pub to: State,
    /// The job, or the job that the call is run for.
    pub job_id: &'a JobId,
    /// The call. For a job this is its top call.
    pub call: &'a CallHash,
    /// The name of the call's task. `?` if no record describes the call.
    pub task: &'a str,
    /// The name to show for the call, if its options set one.
    pub label: Option<&'a str>,
    /// The topic of the call's message.
    pub topic: &'a Topic,
    /// The number of the attempt, from 1. When a call goes back to `Ready`, this is the number of the next attempt.
    pub attempt: u32,
    /// Why the attempt failed, if the change is due to a failure.
    pub failure: Option<&'a Failure>,
    /// The time until the next attempt.
    pub retry_in: Option<Duration>,
    /// The number of calls that the call waits for.
    pub waiting: Option<usize>,
}

/// Gets every event. It is called while a message is handled, so it must be quick.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn observe(&self, event: &Event<'_>);

    /// Is this job traced? Every worker must give the same answer for a job.
    fn traces(&self, job_id: &JobId) -> bool {
        let _ = job_id;
        false
    }

    /// Takes the span of a call of a traced job, once for each job for which the call was run, when it has ended. If a worker dies
    /// just after a call has ended, nobody reports the span. If two workers run a job's call at the same time before it has waited
    /// for anything, both may.
    fn span(&self, span: &CallSpan<'_>) {
        let _ = span;
    }
}
