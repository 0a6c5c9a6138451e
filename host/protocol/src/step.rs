//! One message: load, run, settle.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{CallHash, Failure, FailureKind, Millis};
use crate::ports::{Backend, Deferral, Deferred, Delivery, Ended, Handler, Key, Loaded, Request, Swap, Work};
use crate::records::RunRecord;
use crate::replay::{Replay, Wait};
use crate::stepwise::find_cycle;
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            spawn_limit: 1_000_000,
            unknown_task_grace: Duration::from_secs(60),
            // Crashed workers return their messages; ten in a row are no accident.
            max_deliveries: 10,
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
    /// The call had its outcome; who still waited was woken.
    AlreadyEnded,
    /// Something that the call waits for is still missing; it was not run.
    NotReady,
    /// Returned to the queue, to come again after this time.
    GivenBack(Duration),
    /// Moved to the dead letters, with the reason.
    SetAside(String),
}

/// Works on one delivered message. Every way out has settled it; on `Err` it is still leased and may be given back.
///
/// # Errors
/// When the backend fails. What was written is safe to repeat.
pub async fn step(
    backend: &Arc<dyn Backend>,
    handler: &dyn Handler,
    delivery: &Delivery,
    limits: &Limits,
    now: Millis,
) -> Result<Step> {
    let message = match Message::decode(delivery.body.as_bytes()) {
        Ok(message) => message,
        Err(error) => return set_aside(backend, delivery, error.reason).await,
    };
    let work = Work { message, topic: delivery.topic.clone(), receipt: Some(delivery.receipt.clone()) };
    let stage = Stage { backend, work: &work, delivery, limits, now };
    match stage.run(handler).await {
        Err(error) if error.kind == ErrorKind::Malformed => stage.bury("?", &error.to_string()).await,
        other => other,
    }
}

struct Stage<'a> {
    backend: &'a Arc<dyn Backend>,
    work: &'a Work,
    delivery: &'a Delivery,
    limits: &'a Limits,
    now: Millis,
}

impl Stage<'_> {
    async fn run(&self, handler: &dyn Handler) -> Result<Step> {
        let loaded = self.backend.load(self.work).await?;
        if let Some(outcome) = &loaded.outcome {
            self.backend.discharge(self.work, outcome.is_err()).await?;
            return Ok(Step::AlreadyEnded);
        }
        let Some(call) = &loaded.call else {
            return self.bury("?", "no record describes this call").await;
        };
        if self.delivery.receives > self.limits.max_deliveries {
            let reason = format!(
                "delivered {} times without being settled: it may be killing its workers",
                self.delivery.receives - 1
            );
            return self.bury(&call.task, &reason).await;
        }
        if !loaded.ready() {
            return self.drop_early(call).await;
        }
        if let Some(run) = &loaded.run
            && run.not_before > self.now
        {
            return self.give_back(Duration::from_millis(run.not_before - self.now)).await;
        }
        let Some(digest) = handler.component(&call.task) else {
            return self.unknown_task(call, &loaded).await;
        };
        self.run_handler(handler, call, &loaded, digest).await
    }

    async fn run_handler(
        &self,
        handler: &dyn Handler,
        call: &CallRecord,
        loaded: &Loaded,
        digest: String,
    ) -> Result<Step> {
        let before = loaded.run.as_ref();
        let first_run = before.map(|run| run.first).filter(|t| *t > 0).unwrap_or(self.now);
        let request = Request {
            task: call.task.clone(),
            payload: call.payload.clone(),
            call: self.work.message.call.clone(),
            root: self.work.message.root.clone(),
            topic: self.work.topic.clone(),
            attempt: before.map_or(1, |run| run.attempt.max(1)),
            first_run,
        };
        let replay = Replay::new(self.backend.clone(), self.work, loaded);
        let (ended, replay) = handler.run(request, replay).await?;

        if !matches!(ended, Ended::Failed(_))
            && let Some((old, new)) = replay.first_difference()
        {
            let text = self.difference(&old, new.as_ref()).await?;
            // A new version of the component may well ask for other calls.
            if before.is_some_and(|run| run.digest == digest) {
                return self.fail(Failure::new(FailureKind::Nondeterminism, &call.task, text)).await;
            }
            tracing::warn!(task = call.task, "a new version of the component asks for other calls: {text}");
        }
        match ended {
            Ended::Completed(value) => match self.backend.complete(self.work, value).await {
                Ok(()) => Ok(Step::Completed),
                Err(error) => self.limit(call, error).await,
            },
            Ended::Failed(failure) => self.fail(failure).await,
            Ended::Suspended => match replay.wait() {
                Some(wait) => {
                    let record = replay.record(wait, first_run, digest);
                    self.defer(call, loaded, wait, &record).await
                }
                None => Err(Error::new(
                    ErrorKind::Internal,
                    "protocol",
                    format!("defer a run of {}", call.task),
                    "the handler says that it is suspended, but it has not polled",
                )),
            },
        }
    }

    async fn defer(&self, call: &CallRecord, loaded: &Loaded, wait: &Wait, run_after: &RunRecord) -> Result<Step> {
        let deferral = Deferral {
            work: self.work,
            wait,
            run_before: loaded.run_bytes.as_ref(),
            run_after,
            now: self.now,
            spawn_limit: self.limits.spawn_limit,
        };
        match self.backend.defer(&deferral).await {
            Ok(Deferred::Waiting) => Ok(Step::Deferred { waiting: wait.calls.len() }),
            Ok(Deferred::OverSpawnLimit) => {
                let text = format!("the job has sent its limit of {} messages", self.limits.spawn_limit);
                self.fail(Failure::new(FailureKind::Limit, &call.task, text)).await
            }
            Ok(Deferred::Cycle(path)) => self.fail_cycle(call, &path).await,
            Err(error) => self.limit(call, error).await,
        }
    }

    /// A message for a call that can't go on yet. Such a message also comes where a call waits for itself.
    async fn drop_early(&self, call: &CallRecord) -> Result<Step> {
        let me = &self.work.message.call;
        match find_cycle(self.backend.store(), me, HashSet::from([me.clone()])).await? {
            Some(path) => self.fail_cycle(call, &path).await,
            None => {
                if let Some(receipt) = &self.work.receipt {
                    self.backend.queue().ack(receipt).await?;
                }
                Ok(Step::NotReady)
            }
        }
    }

    async fn fail_cycle(&self, call: &CallRecord, path: &[CallHash]) -> Result<Step> {
        let mut names = Vec::with_capacity(path.len());
        for hash in path {
            let record = self.backend.store().get(&Key::call(hash)).await?;
            let record = record.as_ref().map(CallRecord::decode).transpose()?;
            names.push(format!("{} ({})", record.map_or_else(|| "?".into(), |r| r.task), hash.short()));
        }
        let text = format!("the call waits for itself: {}", names.join(" -> "));
        self.fail(Failure::new(FailureKind::Cycle, &call.task, text)).await
    }

    async fn fail(&self, failure: Failure) -> Result<Step> {
        self.backend.fail(self.work, &failure).await?;
        Ok(Step::Failed(failure))
    }

    /// What the backend can't hold fails the call; any other error stays one.
    async fn limit(&self, call: &CallRecord, error: Error) -> Result<Step> {
        if error.kind != ErrorKind::Limit {
            return Err(error);
        }
        self.fail(Failure::new(FailureKind::Limit, &call.task, error.to_string())).await
    }

    async fn give_back(&self, delay: Duration) -> Result<Step> {
        self.backend.queue().give_back(&self.delivery.receipt, delay).await?;
        Ok(Step::GivenBack(delay))
    }

    /// A task that nobody here handles: perhaps a new version of this worker is on its way. The first sight of it is
    /// written down, because the next delivery may go to another worker.
    async fn unknown_task(&self, call: &CallRecord, loaded: &Loaded) -> Result<Step> {
        let mut run = loaded.run.clone().unwrap_or_default();
        if run.unknown_since == 0 {
            run.unknown_since = self.now;
            let key = Key::run(&self.work.message.call, &self.work.message.root);
            let swap = self.backend.store().swap(&key, loaded.run_bytes.as_ref(), Some(run.encode())).await?;
            if swap != Swap::Done {
                return self.give_back(Duration::ZERO).await;
            }
        }
        let waited = Duration::from_millis(self.now.saturating_sub(run.unknown_since));
        if waited >= self.limits.unknown_task_grace {
            let text = format!(
                "no worker of topic {:?} has handled this task for {} s",
                self.work.topic.as_str(),
                waited.as_secs()
            );
            return self.fail(Failure::new(FailureKind::UnknownTask, &call.task, text)).await;
        }
        // Soon at first, then more and more rarely, but not past the grace.
        let left = self.limits.unknown_task_grace - waited;
        let delay = (waited / 2).clamp(Duration::from_millis(200), Duration::from_secs(5)).min(left);
        self.give_back(delay).await
    }

    /// Fails the call, so that nobody waits for it in vain, and sets the message aside.
    async fn bury(&self, task: &str, reason: &str) -> Result<Step> {
        let work = Work { receipt: None, ..self.work.clone() };
        let failure = Failure::new(FailureKind::DeadLetter, task, reason);
        match self.backend.fail(&work, &failure).await {
            Ok(()) => set_aside(self.backend, self.delivery, reason.to_owned()).await,
            // Its record of waiting parents is damaged too: nobody can be told.
            Err(error) if error.kind == ErrorKind::Malformed => {
                set_aside(self.backend, self.delivery, format!("{reason}; {error}")).await
            }
            Err(error) => Err(error),
        }
    }

    async fn difference(&self, old: &CallHash, new: Option<&CallHash>) -> Result<String> {
        let old = self.describe(old).await?;
        let new = match new {
            Some(call) => self.describe(call).await?,
            None => "no further call".to_owned(),
        };
        Ok(format!(
            "a replay did not ask again for a call that the run before waits for\n- before: {old}\n+ now:    {new}"
        ))
    }

    /// A call's task, the beginning of its payload, and its hash.
    async fn describe(&self, call: &CallHash) -> Result<String> {
        let Some(bytes) = self.backend.store().get(&Key::call(call)).await? else {
            return Ok(format!("a call that was not queued yet ({})", call.short()));
        };
        let record = CallRecord::decode(&bytes)?;
        let payload: String = String::from_utf8_lossy(&record.payload).chars().take(120).collect();
        Ok(format!("{} {payload} ({})", record.task, call.short()))
    }
}

async fn set_aside(backend: &Arc<dyn Backend>, delivery: &Delivery, reason: String) -> Result<Step> {
    backend.queue().set_aside(delivery, &reason).await?;
    Ok(Step::SetAside(reason))
}
