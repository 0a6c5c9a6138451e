//! Handles one message: loads the call, runs it, and records the result.
//!
//! - `run`: runs the handler; `deferred`: the call waits for other calls; `failed`: the call is tried again or fails
//! - `timer`: the call waits for a time; `detached`: starts the detached jobs of a run
//! - `abandoned`: nothing runs, because the job is over or the call can not go on yet; `unknown_task`: this worker has no
//!   handler for the task
//! - `dead_letter`: the message can never be handled; `observe`: reports events to an observer; `traced`: the trace of a job

mod abandoned;
mod dead_letter;
mod deferred;
mod detached;
mod failed;
mod observe;
mod run;
mod timer;
mod traced;
mod unknown_task;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::abandoned::overdue;
use self::dead_letter::move_to_dlq;
use crate::error::{ErrorKind, Result};
use crate::events::{Observer, State};
use crate::gate::{Entry, Gate};
use crate::model::{CallHash, Failure, FailureKind, Millis};
use crate::multi_step::keep_log;
use crate::options::Options;
use crate::outcome_cache::OutcomeCache;
use crate::ports::{Backend, Delivery, Handler, JobHandler, Key, Loaded, Task, Work};
use crate::records::{JobRecord, JobState, RunLog, RunRecord};
pub use crate::topics::CallTopics;
use crate::wire::{CallRecord, Message};

/// Limits of a call and its job, apart from those of a single run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The number of messages that one job may send.
    pub max_messages: u64,
    /// How long a task may have no handler on its workers before its call fails. During a rolling deploy a task may have
    /// no handler for a while.
    pub unknown_task_grace: Duration,
    /// A message that was delivered more often than this becomes a dead letter, because its call seems to kill workers.
    pub max_deliveries: u32,
    /// How far the clocks of two workers may be apart, and how much too early a queue may deliver a delayed message, together.
    pub clock_skew: Duration,
    /// The topics that calls may be sent to.
    pub call_topics: Arc<CallTopics>,
    /// The most bytes that are kept of what the runs of a call log, in each job. 0: nothing is kept. At most `MOST_KEPT`.
    pub keep_logs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_messages: 1_000_000,
            unknown_task_grace: Duration::from_secs(60),
            // A crashed worker's messages are delivered again. Ten deliveries in a row are no accident.
            max_deliveries: 10,
            // Workers go by the clock of the backend, or share a machine. Their clocks differ by far less.
            clock_skew: Duration::from_secs(5),
            call_topics: Arc::new(CallTopics::any()),
            // Some hundred lines. Rewriting so much when a run ends costs little beside the other records of the transition.
            keep_logs: 64 << 10,
        }
    }
}

/// The result of handling one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The call has returned its value, and the value was stored.
    Completed,
    /// The call waits for this number of other calls, or for a time, or both.
    Deferred {
        /// The number of calls that the call waits for.
        waiting: usize,
    },
    /// The call failed, and is not tried again.
    Failed(Failure),
    /// The call failed and will be tried again.
    Retried {
        /// Why the attempt failed.
        failure: Failure,
        /// The number of the next attempt.
        attempt: u32,
        /// The time until the next attempt.
        after: Duration,
    },
    /// The call already had its outcome. Its waiting parents were notified.
    AlreadyEnded,
    /// The call's job is over. The call was abandoned.
    Abandoned(JobState),
    /// Something that the call waits for is still missing. The call was not run.
    NotReady,
    /// The message was given back to the queue, and is delivered again after this time.
    Nacked(Duration),
    /// The message was moved to the dead-letter queue, with this reason.
    DeadLettered(String),
}

/// Everything that a step needs beside the message.
pub struct Site<'a> {
    /// The backend that the message came from.
    pub backend: &'a Arc<dyn Backend>,
    /// Runs the calls.
    pub handler: &'a dyn Handler,
    /// The limits of calls and jobs on this worker.
    pub limits: &'a Limits,
    /// The outcomes that runs of calls on this worker got, for the next runs of these calls.
    pub outcomes: &'a OutcomeCache,
    /// Decides when a run may start.
    pub gate: &'a dyn Gate,
    /// Has what the run of this delivery logs. If a step is dropped while the call runs, the step after it gets the same one.
    pub log: &'a RunLog,
    /// Gets an event for each change of state.
    pub observer: Option<&'a dyn Observer>,
    /// Returns the current time. It is called each time the step needs the time, because a run may take long.
    pub clock: &'a (dyn Fn() -> Millis + Sync),
}

/// Handles one delivered message. After `Ok` the message was acknowledged, given back or moved to the dead-letter queue. After
/// `Err` it is still leased, and the caller may give it back.
///
/// `running`: an earlier step of this very delivery was dropped while the call ran, because the call's job is over.
///
/// # Errors
/// When the backend fails. Everything that was written may safely be written again.
pub async fn step(site: &Site<'_>, delivery: &Delivery, running: bool) -> Result<Step> {
    let message = match Message::decode(delivery.body.as_bytes()) {
        Ok(message) => message,
        Err(error) => return move_to_dlq(site.backend, delivery, error.reason).await,
    };
    let receipt = Some(delivery.receipt.clone());
    let mut stage = Stage {
        site,
        delivery,
        work: Work { message, topic: delivery.topic.clone(), receipt, ends_job: false, now: (site.clock)(), log: None },
        before: if running { State::Running } else { State::Ready },
        ran: false,
    };
    match stage.run().await {
        Err(error) if stage.is_hopeless(&error) => stage.dead_letter("?", &error.to_string()).await,
        other => other,
    }
}

/// After this time, a message of a job comes again that was created in the future.
const AHEAD: Duration = Duration::from_millis(100);

struct Stage<'a> {
    site: &'a Site<'a>,
    delivery: &'a Delivery,
    work: Work,
    /// The call's state when the message was delivered.
    before: State,
    /// The handler has run.
    ran: bool,
}

/// A call that is about to run or has run.
struct StepJob<'a> {
    call: &'a CallRecord,
    loaded: &'a Loaded,
    handler: &'a dyn Handler,
    task: &'a Task,
    /// The options that apply, after those of the job, the call and the task were combined.
    options: Options,
}

impl StepJob<'_> {
    fn attempt(&self) -> u32 {
        self.loaded.run.as_ref().map_or(1, |run| run.attempt.max(1))
    }

    fn max_messages(&self, limits: &Limits) -> u64 {
        self.loaded.job.as_ref().map(|job| job.max_messages).filter(|n| *n > 0).unwrap_or(limits.max_messages)
    }
}

impl Stage<'_> {
    async fn run(&mut self) -> Result<Step> {
        let loaded = self.backend().load(&self.work).await?;
        let now = self.now();
        self.work.now = now;
        if loaded.job.as_ref().is_some_and(|job| job.call == self.work.message.call) {
            self.work.ends_job = true;
        }
        if loaded.run.as_ref().is_some_and(RunRecord::is_waiting) && self.before == State::Ready {
            self.before = State::Deferred;
        }
        if let Some(outcome) = &loaded.outcome {
            let end = JobState::of_outcome(outcome);
            // The job's own call has an outcome when the job was cancelled, and its run was stopped for that.
            keep_log(self.backend().store(), &self.work_now()).await?;
            self.backend().notify_parents(&self.work, end).await?;
            let ends_job = self.work.ends_job && loaded.job.as_ref().is_some_and(|job| !job.is_over());
            self.report_span_of_ended(&loaded, (end, outcome.as_ref().err()), ends_job).await;
            if self.work.ends_job && loaded.job.as_ref().is_some_and(|job| job.is_over()) {
                self.report_abandoned(&loaded, self.before, end).await;
            } else {
                self.report_ended(&loaded, end);
            }
            return Ok(Step::AlreadyEnded);
        }
        if let Some(job) = &loaded.job
            && let Some(state) = self.ended(job, now).await?
        {
            return self.abandon(&loaded, state, self.before).await;
        }
        // A queue may deliver a message a little too early, and a person may send one again.
        if let Some(job) = &loaded.job
            && self.work.ends_job
            && job.is_delayed(now)
        {
            return self.nack(Duration::from_millis(job.start - now)).await;
        }
        let Some(call) = &loaded.call else {
            return self.dead_letter("?", "no record describes this call").await;
        };
        // No worker runs a promise. A worker of another SDK, or a job that was joined, may have sent a message for it.
        if call.is_promise() {
            self.ack().await?;
            return Ok(Step::NotReady);
        }
        if self.delivery.receives > self.site.limits.max_deliveries {
            let reason = format!(
                "delivered {} times without being settled: it may be killing its workers",
                self.delivery.receives - 1
            );
            return self.dead_letter(&call.task, &reason).await;
        }
        if !loaded.ready(now) {
            return self.drop_early(call, &loaded).await;
        }
        if let Some(run) = &loaded.run
            && run.not_before > now
        {
            return self.nack(Duration::from_millis(run.not_before - now)).await;
        }
        let created = loaded.job.as_ref().map(|job| job.created);
        let of_call = || self.site.handler.of_call(&call.task, &self.work.message.job_id, created);
        let mut found = of_call();
        if matches!(found, JobHandler::TooYoung) {
            self.site.handler.refresh().await?;
            found = of_call();
        }
        let other = match found {
            JobHandler::This => None,
            JobHandler::Other(handler) => Some(handler),
            JobHandler::NotHere(delay) => return self.nack(delay).await,
            JobHandler::Never(reason) => {
                return self.fail(&loaded, Failure::new(FailureKind::UnknownTask, &call.task, reason)).await;
            }
            // The clock of the job's client is ahead of this worker's.
            JobHandler::TooYoung => return self.nack(AHEAD).await,
        };
        let handler = other.as_deref().unwrap_or(self.site.handler);
        let Some(task) = handler.task(&call.task) else {
            return self.unknown_task(call, &loaded).await;
        };
        let running = match self.site.gate.enter(&call.task, &task).await {
            Entry::Granted(running) => running,
            Entry::NotNow(delay) => return self.nack(delay).await,
        };
        let job = loaded.job.as_ref().map(|job| &job.options);
        let of_call = loaded.run.as_ref().map(|run| &run.options);
        let options = [of_call, Some(&task.options)]
            .into_iter()
            .flatten()
            .fold(job.cloned().unwrap_or_default(), |near, far| near.over(far));
        self.ran = true;
        self.run_handler(&StepJob { call, loaded: &loaded, handler, task: &task, options }, running).await
    }

    fn backend(&self) -> &Arc<dyn Backend> {
        self.site.backend
    }

    /// The work, with the time now and with what the run has logged. The run of the call may have taken long.
    fn work_now(&self) -> Work {
        Work { now: self.now(), log: self.site.log.new_lines(), ..self.work.clone() }
    }

    fn now(&self) -> Millis {
        (self.site.clock)()
    }

    async fn ack(&self) -> Result<()> {
        match &self.work.receipt {
            Some(receipt) => self.backend().queue().ack(receipt).await,
            None => Ok(()),
        }
    }

    /// The name of a call's task, for people. `?` if no record says it.
    async fn task_of(&self, call: &CallHash) -> Result<String> {
        // A damaged record must not prevent a worker from ending the job.
        let bytes = self.if_readable(&Key::call(call)).await?;
        let record = bytes.as_ref().and_then(|bytes| CallRecord::decode(bytes).ok());
        Ok(record.map_or_else(|| "?".to_owned(), |record| record.task))
    }

    /// The job's record. `None`: this program has no record of the job, or the record can't be read.
    async fn job(&self) -> Result<Option<JobRecord>> {
        let bytes = self.if_readable(&Key::job(&self.work.message.job_id)).await?;
        Ok(bytes.and_then(|bytes| JobRecord::decode(&bytes).ok()))
    }

    async fn if_readable(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.backend().store().get(key).await {
            // A key that is too long for the store has no record.
            Err(error) if error.is_unreadable() || error.kind == ErrorKind::Limit => Ok(None),
            read => read,
        }
    }

    async fn nack(&self, delay: Duration) -> Result<Step> {
        self.backend().queue().nack(&self.delivery.receipt, delay).await?;
        Ok(Step::Nacked(delay))
    }
}
