//! One message: load, run, settle.
//!
//! - `run`: the handler runs; `deferred`: it waits for calls; `failed`: it is tried again or fails
//! - `abandoned`: nothing runs, because the job is over or the call can not go on yet; `unknown_task`: nobody here handles it
//! - `dead_letter`: nothing can come of the message; `observe`: what is told to those who watch

mod abandoned;
mod dead_letter;
mod deferred;
mod failed;
mod observe;
mod run;
mod unknown_task;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::abandoned::overdue;
use self::dead_letter::set_aside;
use crate::error::{ErrorKind, Result};
use crate::events::{Observer, State};
use crate::gate::{Entry, Gate};
use crate::model::{CallHash, Failure, Millis};
use crate::options::Options;
use crate::outcome_cache::OutcomeCache;
use crate::ports::{Backend, Delivery, Handler, Key, Loaded, Task, Work};
use crate::records::{JobRecord, JobState};
pub use crate::topics::CallTopics;
use crate::wire::{CallRecord, Message};

/// What bounds a call beyond its own run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Messages that one job may send.
    pub spawn_limit: u64,
    /// How long a task that nobody here handles may stay so (a rolling deploy) before its call fails.
    pub unknown_task_grace: Duration,
    /// A message delivered more often than this is set aside: whatever it is, it kills workers.
    pub max_deliveries: u32,
    /// Where calls may be sent to.
    pub call_topics: Arc<CallTopics>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            spawn_limit: 1_000_000,
            unknown_task_grace: Duration::from_secs(60),
            // Crashed workers return their messages; ten in a row are no accident.
            max_deliveries: 10,
            call_topics: Arc::new(CallTopics::any()),
        }
    }
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Completed,
    /// The call waits for so many others.
    Deferred {
        waiting: usize,
    },
    Failed(Failure),
    /// It failed, and is tried again.
    Retried {
        failure: Failure,
        /// The number of the attempt to come.
        attempt: u32,
        after: Duration,
    },
    /// The call had its outcome; who still waited was woken.
    AlreadyEnded,
    /// The call's job is over; it was let go.
    Released(JobState),
    /// Something that the call waits for is still missing; it was not run.
    NotReady,
    /// Returned to the queue, to come again after this time.
    GivenBack(Duration),
    /// Moved to the dead letters, with the reason.
    SetAside(String),
}

/// Where messages are worked on.
pub struct Site<'a> {
    pub backend: &'a Arc<dyn Backend>,
    pub handler: &'a dyn Handler,
    pub limits: &'a Limits,
    /// What runs of calls were told on this worker, for their next runs.
    pub outcomes: &'a OutcomeCache,
    /// Says when a run may start.
    pub gate: &'a dyn Gate,
    /// Told of what happens.
    pub observer: Option<&'a dyn Observer>,
    /// The time. Read when it is needed: a run may take long.
    pub clock: &'a (dyn Fn() -> Millis + Sync),
}

/// Works on one delivered message. Every way out has settled it; on `Err` it is still leased and may be given back.
///
/// `running`: an earlier step of this very delivery was dropped while the call ran, because its job is over.
///
/// # Errors
/// When the backend fails. What was written is safe to repeat.
pub async fn step(site: &Site<'_>, delivery: &Delivery, running: bool) -> Result<Step> {
    let message = match Message::decode(delivery.body.as_bytes()) {
        Ok(message) => message,
        Err(error) => return set_aside(site.backend, delivery, error.reason).await,
    };
    let receipt = Some(delivery.receipt.clone());
    let mut stage = Stage {
        site,
        delivery,
        work: Work { message, topic: delivery.topic.clone(), receipt, ends_job: None },
        before: if running { State::Running } else { State::Ready },
    };
    match stage.run().await {
        Err(error) if stage.is_hopeless(&error) => stage.bury("?", &error.to_string()).await,
        other => other,
    }
}

struct Stage<'a> {
    site: &'a Site<'a>,
    delivery: &'a Delivery,
    work: Work,
    /// The state that the call was in when the message came.
    before: State,
}

/// A call that is about to be run, or was.
struct Job<'a> {
    call: &'a CallRecord,
    loaded: &'a Loaded,
    task: &'a Task,
    /// What is in force, of all that was said at any level.
    options: Options,
}

impl Job<'_> {
    fn attempt(&self) -> u32 {
        self.loaded.run.as_ref().map_or(1, |run| run.attempt.max(1))
    }

    fn spawn_limit(&self, limits: &Limits) -> u64 {
        self.loaded.job.as_ref().map(|job| job.spawn_limit).filter(|n| *n > 0).unwrap_or(limits.spawn_limit)
    }
}

impl Stage<'_> {
    async fn run(&mut self) -> Result<Step> {
        let loaded = self.backend().load(&self.work).await?;
        let now = self.now();
        if loaded.job.as_ref().is_some_and(|job| job.call == self.work.message.call) {
            self.work.ends_job = Some(now);
        }
        if loaded.run.as_ref().is_some_and(|run| run.total > 0) && self.before == State::Ready {
            self.before = State::Deferred;
        }
        if let Some(outcome) = &loaded.outcome {
            let end = JobState::of_outcome(outcome);
            self.backend().discharge(&self.work, end).await?;
            if self.work.ends_job.is_some() && loaded.job.as_ref().is_some_and(|job| job.is_over()) {
                self.tell_dropped(&loaded, self.before, end).await;
            } else {
                self.tell_ended(&loaded, end);
            }
            return Ok(Step::AlreadyEnded);
        }
        if let Some(job) = &loaded.job
            && let Some(state) = self.ended(job, now).await?
        {
            return self.release(&loaded, state, self.before).await;
        }
        let Some(call) = &loaded.call else {
            return self.bury("?", "no record describes this call").await;
        };
        if self.delivery.receives > self.site.limits.max_deliveries {
            let reason = format!(
                "delivered {} times without being settled: it may be killing its workers",
                self.delivery.receives - 1
            );
            return self.bury(&call.task, &reason).await;
        }
        if !loaded.ready() {
            return self.drop_early(call, &loaded).await;
        }
        if let Some(run) = &loaded.run
            && run.not_before > now
        {
            return self.give_back(Duration::from_millis(run.not_before - now)).await;
        }
        let Some(task) = self.site.handler.task(&call.task) else {
            return self.unknown_task(call, &loaded).await;
        };
        let running = match self.site.gate.enter(&call.task, &task).await {
            Entry::Granted(running) => running,
            Entry::NotNow(delay) => return self.give_back(delay).await,
        };
        let job = loaded.job.as_ref().map(|job| &job.options);
        let of_call = loaded.run.as_ref().map(|run| &run.options);
        let options = [of_call, Some(&task.options)]
            .into_iter()
            .flatten()
            .fold(job.cloned().unwrap_or_default(), |near, far| near.over(far));
        self.run_handler(&Job { call, loaded: &loaded, task: &task, options }, running).await
    }

    fn backend(&self) -> &Arc<dyn Backend> {
        self.site.backend
    }

    /// The work, with the time at which it ends its job, if it does.
    fn work_now(&self) -> Cow<'_, Work> {
        match self.work.ends_job {
            Some(_) => Cow::Owned(Work { ends_job: Some(self.now()), ..self.work.clone() }),
            None => Cow::Borrowed(&self.work),
        }
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

    /// The task of a call, for people; `?` where no record tells.
    async fn task_of(&self, call: &CallHash) -> Result<String> {
        // A damaged record must not keep anybody from ending the job that it belongs to.
        let bytes = self.if_readable(&Key::call(call)).await?;
        let record = bytes.as_ref().and_then(|bytes| CallRecord::decode(bytes).ok());
        Ok(record.map_or_else(|| "?".to_owned(), |record| record.task))
    }

    /// The job's record; `None`: it is no job of ours, or nobody can read that.
    async fn job(&self) -> Result<Option<JobRecord>> {
        let bytes = self.if_readable(&Key::job(&self.work.message.root)).await?;
        Ok(bytes.and_then(|bytes| JobRecord::decode(&bytes).ok()))
    }

    async fn if_readable(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.backend().store().get(key).await {
            // A key that is too long has no record.
            Err(error) if error.is_unreadable() || error.kind == ErrorKind::Limit => Ok(None),
            read => read,
        }
    }

    async fn give_back(&self, delay: Duration) -> Result<Step> {
        self.backend().queue().give_back(&self.delivery.receipt, delay).await?;
        Ok(Step::GivenBack(delay))
    }
}
