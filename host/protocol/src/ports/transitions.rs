//! The arguments and results of a backend's transitions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Outgoing, Receipt};
use crate::model::{Call, CallHash, JobId, Millis, Outcome, Topic};
use crate::options::Options;
use crate::records::{JobRecord, NewLines, RunRecord};
use crate::replay::Wait;
use crate::wire::{CallRecord, Message};

/// One delivered message, decoded: a call that a worker works on, on behalf of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The call and the job.
    pub message: Message,
    /// The topic that the message was received from.
    pub topic: Topic,
    /// The message that a transition acknowledges. `None`: the transition acknowledges nothing, because the caller moves the
    /// message to the dead-letter queue itself.
    pub receipt: Option<Receipt>,
    /// True if the call is its job's top call: the job is over when the call has its outcome.
    pub ends_job: bool,
    /// The current time, in milliseconds since the Unix epoch. The job ends at this time.
    pub now: Millis,
    /// What the run that has ended has logged. The transition keeps it with the call. `None`: nothing.
    pub log: Option<Arc<NewLines>>,
}

/// Everything that the work on one message needs.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// `None`: no `call` record describes the call.
    pub call: Option<CallRecord>,
    /// `None`: this program has no record of the job. Such a job is a peer's, and is always alive.
    pub job: Option<Box<JobRecord>>,
    /// The call's own outcome, if it has one.
    pub outcome: Option<Outcome>,
    /// The bytes of the `run` record as they were read. A deferral compares the record with them.
    pub run_bytes: Option<Bytes>,
    /// The call's `run` record in this job, decoded. `None`: there is none.
    pub run: Option<RunRecord>,
    /// The outcomes of the calls in the `run` record's sample, in the same order.
    pub sample: Vec<Option<Outcome>>,
}

/// The limit, in bytes, of the outcomes that are read at once. Handlers decide how large outcomes are and how many a call waits
/// for. So a worker must not read them all at once: they could take gigabytes of its memory.
pub const MOST_AT_ONCE: usize = 64 << 20;

impl Loaded {
    /// Takes the outcomes that were read for the sample, the last call first. If the outcomes were too large to be read at
    /// once, some are missing. Then the `run` record's sample is cut to the calls that were read. A call that is not named in
    /// the sample counts as ended, and its outcome is read when the run asks for it.
    pub fn take_sample(&mut self, outcomes: impl IntoIterator<Item = Option<Outcome>>) {
        self.sample = outcomes.into_iter().collect();
        self.sample.reverse();
        if let Some(run) = &mut self.run {
            run.sample.drain(..run.sample.len().saturating_sub(self.sample.len()));
        }
    }

    /// True if it is worth running the call: enough outcomes are there, or one of them is a failure and that suffices, or some
    /// have been there for long enough, or the time that the call waits for has passed.
    #[must_use]
    pub fn ready(&self, now: Millis) -> bool {
        self.run.as_ref().is_none_or(|run| {
            let is_sleep = run.total == 0 && run.until > 0;
            let is_enough = !is_sleep && self.there(run) >= u64::from(run.need);
            let has_failed = run.fast && self.sample.iter().flatten().any(Outcome::is_err);
            let was_awaited = self.look(run).is_some_and(|look| look <= now);
            let is_late = run.until > 0 && run.until <= now;
            is_enough || has_failed || was_awaited || is_late
        })
    }

    /// When it is worth running the call because of the outcomes that are there, although they are not enough. `None`: never.
    #[must_use]
    pub fn look(&self, run: &RunRecord) -> Option<Millis> {
        (run.pace > 0 && self.there(run) > 0).then_some(run.look)
    }

    /// How many of the calls that the call waits for have an outcome. A call that the record does not name counts.
    fn there(&self, run: &RunRecord) -> u64 {
        let there = self.sample.iter().flatten().count() as u64;
        there + u64::from(run.total) - run.sample.len() as u64
    }
}

/// A run that ended because it waits for other calls.
#[derive(Debug)]
pub struct Deferral<'a> {
    /// The call that waits: the parent.
    pub work: &'a Work,
    /// The children that the parent waits for.
    pub wait: &'a Wait,
    /// The bytes of the `run` record when the run began.
    pub run_before: Option<&'a Bytes>,
    /// The new `run` record.
    pub run_after: &'a RunRecord,
    /// The number of messages that the job may send in all.
    pub max_messages: u64,
}

/// The result of a deferral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deferred {
    /// The parent was registered and the message acknowledged. `queued`: the positions (in `Wait::calls`) of the calls whose
    /// messages this deferral sent.
    Waiting {
        /// Positions in `Wait::calls`.
        queued: Vec<usize>,
    },
    /// The job is over: the call was abandoned and its message acknowledged.
    JobOver,
    /// The job would send more messages than it may. Nothing was acknowledged. The caller must fail the job.
    TooManyMessages,
    /// The call waits for itself through these calls. Nothing was acknowledged. The caller must fail the call.
    Cycle(Vec<CallHash>),
}

/// A job to be scheduled. A client that does not know whether a request succeeded repeats it with the same `job_id`.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The id of the new job. The client chooses it.
    pub job_id: JobId,
    /// The job's top call.
    pub call: Call,
    /// The time by which the job must have ended, in milliseconds since the Unix epoch. 0: no deadline.
    pub deadline: Millis,
    /// The number of messages that the job may send. 0: the limit of its workers.
    pub max_messages: u64,
    /// How the job's calls are run. These options override those of their tasks.
    pub options: Options,
    /// The job that this job retries.
    pub retry_of: Option<JobId>,
    /// See `JobRecord::scope`.
    pub scope: Option<JobId>,
    /// When the job's first message is due, in milliseconds since the Unix epoch. 0: at once.
    pub start: Millis,
}

impl NewJob {
    /// A job without deadline, limit or options.
    #[must_use]
    pub fn new(job_id: JobId, call: Call) -> Self {
        let (options, retry_of, scope) = (Options::default(), None, None);
        Self { job_id, call, deadline: 0, max_messages: 0, options, retry_of, scope, start: 0 }
    }

    /// The record of the job when it begins.
    #[must_use]
    pub fn record(&self, now: Millis) -> JobRecord {
        JobRecord {
            deadline: self.deadline,
            max_messages: self.max_messages,
            options: self.options.clone(),
            retry_of: self.retry_of.clone(),
            scope: self.scope.clone(),
            start: self.start,
            task: self.call.task.clone(),
            ..JobRecord::new(self.call.hash.clone(), self.call.topic.clone(), now)
        }
    }

    /// Does the job start later?
    #[must_use]
    pub fn is_delayed(&self, now: Millis) -> bool {
        self.start > now
    }

    /// The messages that start the job: the first message, which is due when the job starts, and a second one at the deadline. The
    /// second one makes sure that the job ends then, even if nothing else happens.
    #[must_use]
    pub fn messages(&self, now: Millis) -> Vec<Outgoing> {
        let message = Message { job_id: self.job_id.clone(), call: self.call.hash.clone() };
        let after = |at: Millis| Duration::from_millis(at.saturating_sub(now));
        let first = Outgoing { delay: after(self.start), ..Outgoing::now(&self.call.topic, &message) };
        let last = Outgoing { delay: after(self.deadline), ..first.clone() };
        if self.deadline > 0 { vec![first, last] } else { vec![first] }
    }
}

/// The result of scheduling a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduled {
    /// The job is alive. A message for its call was sent (it may be a delayed one), or the job has joined a call that another job has queued.
    Queued,
    /// The call already had its value, or the job was scheduled before under this `job_id` and is over. Nothing was sent.
    AlreadyDone,
    /// The id belongs to a job of another call. Nothing was sent, and that job was not changed.
    Taken,
}
