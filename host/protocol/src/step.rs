//! One message: load, run, settle.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, State, Subject};
use crate::gate::{Entry, Gate};
use crate::model::{Call, CallHash, Failure, FailureKind, Millis, brief};
use crate::options::Options;
use crate::outcome_cache::{KnownOutcomes, OutcomeCache};
use crate::ports::{
    Backend, Deferral, Deferred, Delivery, Ended, Handler, Key, Loaded, Outgoing, Request, Swap, Task, Work,
};
use crate::records::{JobRecord, JobState, RunRecord};
use crate::replay::{Replay, Wait};
use crate::stepwise::find_cycle;
pub use crate::topics::CallTopics;
use crate::topics::Callable;
use crate::wire::{CallRecord, Message, PendingReturns};

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

    /// How the job ended; `None`: it is alive. A job whose deadline has passed is ended here and now.
    async fn ended(&self, job: &JobRecord, now: Millis) -> Result<Option<JobState>> {
        if let Some(end) = job.end {
            return Ok(Some(end.state));
        }
        if !job.is_overdue(now) {
            return Ok(None);
        }
        let failure = overdue(job, &self.task_of(&job.call).await?);
        let job = self.backend().end_job(&self.work.message.root, &failure, now).await?;
        Ok(job.and_then(|job| job.end).map(|end| end.state))
    }

    /// Will the message never come to anything, because of this error?
    fn is_hopeless(&self, error: &Error) -> bool {
        match error.kind {
            // What a backend can't hold, it can't hold the next time either: a call with too long a name, say.
            ErrorKind::Malformed | ErrorKind::Limit => true,
            // A newer worker may be the next to get it. It comes back with its lease, which counts as a delivery.
            ErrorKind::NewerRecord | ErrorKind::Internal => self.delivery.receives > self.site.limits.max_deliveries,
            _ => false,
        }
    }

    async fn release(&self, loaded: &Loaded, state: JobState, from: State) -> Result<Step> {
        // Also of the top call: its outcome was put when the job was ended, and what waits for it in other jobs must not
        // take that for theirs.
        self.backend().release(&self.work).await?;
        self.tell_dropped(loaded, from, state).await;
        Ok(Step::Released(state))
    }

    async fn run_handler(&self, job: &Job<'_>, running: Box<dyn Send>) -> Result<Step> {
        let Job { call, loaded, .. } = *job;
        let before = loaded.run.as_ref();
        let now = self.now();
        let first_run = before.map(|run| run.first).filter(|t| *t > 0).unwrap_or(now);
        let deadline = loaded.job.as_ref().map_or(0, |job| job.deadline);
        let left = (deadline > 0).then(|| Duration::from_millis(deadline.saturating_sub(now)));
        let request = Request {
            task: call.task.clone(),
            payload: call.payload.clone(),
            call: self.work.message.call.clone(),
            root: self.work.message.root.clone(),
            topic: self.work.topic.clone(),
            attempt: job.attempt(),
            first_run,
            deadline,
            timeout: job.options.timeout.into_iter().chain(left).min(),
            memory: job.options.memory,
        };
        self.tell_running(job);
        let known = before.map(|run| self.site.outcomes.take(&self.work.message, run)).unwrap_or_default();
        let replay = Replay::new(self.backend().clone(), &self.work, loaded).with_known(known);
        let ran = self.site.handler.run(request, replay).await;
        // What follows is the backend's work: another guest may run meanwhile.
        drop(running);
        let (ended, mut replay) = match ran {
            Err(error) if error.kind == ErrorKind::Conflict => return self.limit(job, error).await,
            ran => ran?,
        };

        if !matches!(ended, Ended::Failed { .. })
            && let Some((old, new)) = replay.first_difference()
        {
            let text = self.difference(old, new).await?;
            // A new version of the component may well ask for other calls.
            if before.is_some_and(|run| run.digest == job.task.digest) {
                return self.fail(loaded, Failure::new(FailureKind::Nondeterminism, &call.task, text)).await;
            }
            tracing::warn!(task = call.task, "a new version of the component asks for other calls: {text}");
        }
        match ended {
            Ended::Completed(value) => match self.backend().complete(&self.work_now(), value.clone()).await {
                // Who waits can't be told, which ends the job (`bury`). The value is what the call came to all the same.
                Err(error) if error.is_unreadable() => {
                    let key = Key::value(&self.work.message.call);
                    self.backend().store().swap(&key, None, Some(value)).await?;
                    Err(error)
                }
                Ok(()) => {
                    self.tell(loaded, Subject::Task, State::Running, State::Completed, |_| {});
                    self.tell_ended(loaded, JobState::Completed);
                    Ok(Step::Completed)
                }
                Err(error) => self.limit(job, error).await,
            },
            Ended::Failed { failure, retryable } => self.try_again_or_fail(job, &replay, failure, retryable).await,
            Ended::Suspended => match replay.take_wait() {
                Some(wait) => {
                    let record = replay.record(&wait, first_run, job.task.digest.clone());
                    self.defer(job, &wait, &record, replay.into_known()).await
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

    /// A failure that may pass is tried again later, if the options say so: the message goes back to the queue, which
    /// brings it in time, and no worker waits.
    async fn try_again_or_fail(
        &self,
        job: &Job<'_>,
        replay: &Replay,
        mut failure: Failure,
        retryable: bool,
    ) -> Result<Step> {
        let (attempt, now) = (job.attempt(), self.now());
        failure.attempts = attempt;
        if let Some(record) = &job.loaded.job
            && let Some(state) = self.ended(record, now).await?
        {
            return self.release(job.loaded, state, State::Running).await;
        }
        let Message { root, call } = &self.work.message;
        let Some(after) = job.options.retry_after(attempt, root, call).filter(|_| retryable) else {
            return self.fail(job.loaded, failure).await;
        };
        let not_before = now.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        let why = brief(failure.to_string().lines().next().unwrap_or_default());
        let record = replay.next_attempt(job.task.digest.clone(), not_before, why);
        let swapped = self
            .backend()
            .store()
            .swap(&Key::run(call, root), job.loaded.run_bytes.as_ref(), Some(record.encode()))
            .await;
        let swapped = match swapped {
            Ok(swapped) => swapped,
            Err(error) => return self.limit(job, error).await,
        };
        if swapped != Swap::Done {
            // Another run of the call has come as far. It may have lost its lease of this very message, and then nobody
            // else brings the call back: so it is looked at again, as that run left it.
            return self.give_back(Duration::ZERO).await;
        }
        self.backend().queue().give_back(&self.delivery.receipt, after).await?;
        self.tell(job.loaded, Subject::Task, State::Running, State::Ready, |event| {
            event.attempt = attempt + 1;
            event.failure = Some(&failure);
            event.retry_in = Some(after);
        });
        Ok(Step::Retried { failure, attempt: attempt + 1, after })
    }

    async fn defer(&self, job: &Job<'_>, wait: &Wait, run_after: &RunRecord, known: KnownOutcomes) -> Result<Step> {
        if let Some(step) = self.check_topics(job, wait, run_after).await? {
            return Ok(step);
        }
        let spawn_limit = job.spawn_limit(self.site.limits);
        let deferral = Deferral {
            work: &self.work,
            wait,
            run_before: job.loaded.run_bytes.as_ref(),
            run_after,
            now: self.now(),
            spawn_limit,
        };
        match self.backend().defer(&deferral).await {
            Ok(Deferred::Waiting { queued }) => {
                self.site.outcomes.put(&self.work.message, run_after, known);
                self.tell_deferred(job.loaded, wait, &queued);
                Ok(Step::Deferred { waiting: wait.calls.len() })
            }
            Ok(Deferred::JobOver) => {
                let state = self.state_of_job().await?;
                self.tell_dropped(job.loaded, State::Running, state).await;
                Ok(Step::Released(state))
            }
            Ok(Deferred::OverSpawnLimit) => self.fail_job(job, spawn_limit).await,
            Ok(Deferred::Cycle(path)) => self.fail_cycle(job.loaded, job.call, &path).await,
            Err(error) => self.limit(job, error).await,
        }
    }

    /// A run that asks for a call on a topic that may not be called does not defer. If workers may yet announce the topic (they
    /// start in any order), the run is made again a little later, up to the grace; else it fails.
    async fn check_topics(&self, job: &Job<'_>, wait: &Wait, run_after: &RunRecord) -> Result<Option<Step>> {
        let mut checked = HashSet::from([&self.work.topic]);
        for call in &wait.calls {
            if !checked.insert(&call.topic) {
                continue;
            }
            match self.site.limits.call_topics.judge(&**self.backend(), &call.topic).await? {
                Callable::Yes => {}
                Callable::Never(reason) => {
                    let text = format!("its call of {} can't be made: {reason}", brief(&call.task));
                    return self
                        .fail(job.loaded, Failure::new(FailureKind::Limit, &job.call.task, text))
                        .await
                        .map(Some);
                }
                Callable::Unannounced => return self.unannounced(job, call, run_after).await.map(Some),
            }
        }
        Ok(None)
    }

    /// Nobody has announced the topic of a call.
    async fn unannounced(&self, job: &Job<'_>, call: &Call, run_after: &RunRecord) -> Result<Step> {
        // A call that has not run yet was waiting for its own task.
        let before = job.loaded.run.as_ref().filter(|run| run.first > 0).map_or(0, |run| run.unknown_since);
        let since = if before > 0 { before } else { self.now() };
        let delay = match self.until_next_look(since) {
            Ok(delay) => delay,
            Err(waited) => {
                let text = format!(
                    "its call of {} can't be made: no worker has announced the topic {:?} for {} s; start one, or name the \
                     topic to this worker: run --call-topic {}",
                    brief(&call.task),
                    call.topic.as_str(),
                    waited.as_secs(),
                    call.topic
                );
                return self.fail(job.loaded, Failure::new(FailureKind::UnknownTask, &job.call.task, text)).await;
            }
        };
        // It waits for no call: what it asks for is not registered yet.
        let run = RunRecord { total: 0, need: 0, sample: Vec::new(), unknown_since: since, ..run_after.clone() };
        let key = Key::run(&self.work.message.call, &self.work.message.root);
        let swap = self.backend().store().swap(&key, job.loaded.run_bytes.as_ref(), Some(run.encode())).await?;
        self.tell(job.loaded, Subject::Task, State::Running, State::Ready, |_| {});
        self.give_back(if swap == Swap::Done { delay } else { Duration::ZERO }).await
    }

    /// How long until it is looked again for something that has been unknown since then: soon at first, then more and more
    /// rarely, but not past the grace. If the grace is over: how long it took.
    fn until_next_look(&self, since: Millis) -> std::result::Result<Duration, Duration> {
        let waited = Duration::from_millis(self.now().saturating_sub(since));
        if waited >= self.site.limits.unknown_task_grace {
            return Err(waited);
        }
        let left = self.site.limits.unknown_task_grace - waited;
        Ok((waited / 2).clamp(Duration::from_millis(200), Duration::from_secs(5)).min(left))
    }

    /// The job has sent too many messages: all of it fails, not only the call that happened to send the last one.
    async fn fail_job(&self, job: &Job<'_>, spawn_limit: u64) -> Result<Step> {
        let text = format!("the job has sent its limit of {spawn_limit} messages");
        let root = &self.work.message.root;
        let failure = Failure::new(FailureKind::Limit, &job.call.task, text);
        match &job.loaded.job {
            Some(record) if record.call != self.work.message.call => {
                let top = Failure::of_parent(&self.task_of(&record.call).await?, &failure);
                self.backend().end_job(root, &top, self.now()).await?;
                self.backend().release(&self.work).await?;
                self.tell(job.loaded, Subject::Task, State::Running, State::Failed, |e| e.failure = Some(&failure));
                self.tell_job_over(job.loaded, JobState::Failed).await;
                Ok(Step::Failed(failure))
            }
            _ => self.fail(job.loaded, failure).await,
        }
    }

    async fn state_of_job(&self) -> Result<JobState> {
        let job = self.job().await?;
        Ok(job.and_then(|job| job.end).map_or(JobState::Cancelled, |end| end.state))
    }

    /// A message for a call that can't go on yet. Such a message also comes where a call waits for itself.
    async fn drop_early(&self, call: &CallRecord, loaded: &Loaded) -> Result<Step> {
        let me = &self.work.message.call;
        if let Some(path) = find_cycle(self.backend().store(), me, HashSet::from([me.clone()])).await? {
            return self.fail_cycle(loaded, call, &path).await;
        }
        // It may be the one that ends the job at its deadline, brought by a queue whose clock is ahead of ours.
        let deadline = loaded.job.as_ref().map(|job| job.deadline).filter(|at| self.work.ends_job.is_some() && *at > 0);
        if let Some(deadline) = deadline {
            return self.give_back(Duration::from_millis(deadline.saturating_sub(self.now()))).await;
        }
        // What it waits for may be missing because it was there and is forgotten, and then the job is over by now. A message that is
        // dropped would leave the call behind as one that is still waited for.
        if let Some(end) = self.job().await?.and_then(|job| job.end) {
            return self.release(loaded, end.state, self.before).await;
        }
        self.ack().await?;
        Ok(Step::NotReady)
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

    async fn fail_cycle(&self, loaded: &Loaded, call: &CallRecord, path: &[CallHash]) -> Result<Step> {
        let mut names = Vec::with_capacity(path.len());
        for hash in path {
            names.push(format!("{} ({})", self.task_of(hash).await?, hash.short()));
        }
        let text = format!("the call waits for itself: {}", names.join(" -> "));
        self.fail(loaded, Failure::new(FailureKind::Cycle, &call.task, text)).await
    }

    async fn fail(&self, loaded: &Loaded, failure: Failure) -> Result<Step> {
        self.backend().fail(&self.work_now(), &failure).await?;
        let to = State::of_failure(&failure.kind);
        self.tell(loaded, Subject::Task, State::Running, to, |event| event.failure = Some(&failure));
        self.tell_ended(loaded, JobState::of(Err(&failure.kind)));
        Ok(Step::Failed(failure))
    }

    /// What the backend can't hold, or a call hash that stands for another call, fails the call; any other error stays one.
    async fn limit(&self, job: &Job<'_>, error: Error) -> Result<Step> {
        let kind = match error.kind {
            ErrorKind::Limit => FailureKind::Limit,
            ErrorKind::Conflict => FailureKind::Conflict,
            _ => return Err(error),
        };
        self.fail(job.loaded, Failure::new(kind, &job.call.task, error.to_string())).await
    }

    async fn give_back(&self, delay: Duration) -> Result<Step> {
        self.backend().queue().give_back(&self.delivery.receipt, delay).await?;
        Ok(Step::GivenBack(delay))
    }

    /// A task that nobody here handles: perhaps a new version of this worker is on its way. The first sight of it is
    /// written down, because the next delivery may go to another worker.
    async fn unknown_task(&self, call: &CallRecord, loaded: &Loaded) -> Result<Step> {
        let mut run = loaded.run.clone().unwrap_or_default();
        if run.unknown_since == 0 {
            run.unknown_since = self.now();
            let key = Key::run(&self.work.message.call, &self.work.message.root);
            let swap = self.backend().store().swap(&key, loaded.run_bytes.as_ref(), Some(run.encode())).await?;
            if swap != Swap::Done {
                return self.give_back(Duration::ZERO).await;
            }
        }
        let delay = match self.until_next_look(run.unknown_since) {
            Ok(delay) => delay,
            Err(waited) => {
                let text = format!(
                    "no worker of topic {:?} has handled this task for {} s",
                    self.work.topic.as_str(),
                    waited.as_secs()
                );
                return self.fail(loaded, Failure::new(FailureKind::UnknownTask, &call.task, text)).await;
            }
        };
        self.give_back(delay).await
    }

    /// Fails the call, so that nobody waits for it in vain, and sets the message aside.
    async fn bury(&self, task: &str, reason: &str) -> Result<Step> {
        // Looked at anew: what does not decode may have kept us from knowing, or may be the job's own record by now.
        let is_top = self.job().await?.is_some_and(|job| job.call == self.work.message.call);
        let ends_job = is_top.then(|| self.now());
        let work = Work { receipt: None, ends_job, ..self.work.clone() };
        let failure = Failure::new(FailureKind::DeadLetter, task, reason);
        match self.backend().fail(&work, &failure).await {
            Ok(()) => set_aside(self.backend(), self.delivery, reason.to_owned()).await,
            Err(error) if error.is_unreadable() || error.kind == ErrorKind::Limit => {
                self.end_untold(&failure).await?;
                let error = error.to_string();
                let reason = if reason == error { error } else { format!("{reason}; {error}") };
                set_aside(self.backend(), self.delivery, reason).await
            }
            Err(error) => Err(error),
        }
    }

    /// The record of who waits for the call is damaged, so nobody can tell them that it has ended. Its job ends instead,
    /// because one of its calls would wait for ever. Whom the record still names is woken: in this job to be let go, in
    /// another one to find out.
    async fn end_untold(&self, failure: &Failure) -> Result<()> {
        let Message { root, call } = &self.work.message;
        if let Some(job) = self.job().await? {
            let top = match job.call == *call {
                true => failure.clone(),
                false => Failure::of_parent(&self.task_of(&job.call).await?, failure),
            };
            match self.backend().end_job(root, &top, self.now()).await {
                Err(error) if error.is_unreadable() => {}
                ended => drop(ended?),
            }
        }
        let bytes = self.if_readable(&Key::pending_returns(call)).await?;
        let waiting = bytes.map(|bytes| PendingReturns::salvage(&bytes)).unwrap_or_default();
        let wake: Vec<Outgoing> = waiting.iter().map(|entry| Outgoing::now(&entry.topic, &entry.message())).collect();
        match self.backend().queue().send_many(&wake).await {
            // All others were sent.
            Err(error) if error.kind == ErrorKind::Limit => Ok(()),
            sent => sent,
        }
    }

    async fn difference(&self, old: &CallHash, new: Option<&Call>) -> Result<String> {
        let bytes = self.if_readable(&Key::call(old)).await?;
        let old = match bytes.and_then(|bytes| CallRecord::decode(&bytes).ok()) {
            Some(record) => describe(&record.task, &record.payload, old),
            None => format!("a call that no record describes ({})", old.short()),
        };
        let new = new.map_or_else(
            || "no call that it had not asked for before".to_owned(),
            |call| describe(&call.task, &call.payload, &call.hash),
        );
        Ok(format!(
            "a replay did not ask again for a call that the run before waits for\n- before: {old}\n+ now:    {new}"
        ))
    }
}

/// A call's task, the beginning of its payload, and its hash.
fn describe(task: &str, payload: &[u8], call: &CallHash) -> String {
    let payload: String = String::from_utf8_lossy(payload).chars().take(120).collect();
    format!("{task} {payload} ({})", call.short())
}

/// What is told to who watches.
impl Stage<'_> {
    fn tell<'e>(
        &'e self,
        loaded: &'e Loaded,
        subject: Subject,
        from: State,
        to: State,
        more: impl FnOnce(&mut Event<'e>),
    ) {
        let Some(observer) = self.site.observer else { return };
        let run = loaded.run.as_ref();
        let mut event = Event {
            at: self.now(),
            subject,
            from,
            to,
            root: &self.work.message.root,
            call: &self.work.message.call,
            task: loaded.call.as_ref().map_or("?", |call| &call.task),
            label: run.and_then(|run| run.options.label.as_deref()),
            topic: &self.work.topic,
            attempt: run.map_or(1, |run| run.attempt.max(1)),
            failure: None,
            retry_in: None,
            waiting: None,
        };
        more(&mut event);
        observer.observe(&event);
    }

    /// The first run of a job's top call is also the first that is seen of the job.
    fn tell_running(&self, job: &Job<'_>) {
        let loaded = job.loaded;
        if self.work.ends_job.is_some() && loaded.run.is_none() && self.delivery.receives <= 1 {
            let created = loaded.job.as_ref().map_or(0, |job| job.created);
            self.tell(loaded, Subject::Job, State::Unscheduled, State::Ready, |event| event.at = created);
            self.tell(loaded, Subject::Task, State::Unscheduled, State::Ready, |event| event.at = created);
            self.tell(loaded, Subject::Job, State::Ready, State::Running, |_| {});
        }
        self.tell(loaded, Subject::Task, self.before, State::Running, |_| {});
    }

    fn tell_deferred(&self, loaded: &Loaded, wait: &Wait, queued: &[usize]) {
        if self.site.observer.is_none() {
            return;
        }
        self.tell(loaded, Subject::Task, State::Running, State::Deferred, |event| {
            event.waiting = Some(wait.calls.len());
        });
        for call in queued.iter().filter_map(|place| wait.calls.get(*place)) {
            self.tell(loaded, Subject::Task, State::Unscheduled, State::Ready, |event| {
                event.call = &call.hash;
                event.task = &call.task;
                event.topic = &call.topic;
                event.label = call.options.label.as_deref();
                event.attempt = 1;
            });
        }
    }

    /// The job's top call has ended, and the job with it.
    fn tell_ended(&self, loaded: &Loaded, state: JobState) {
        if self.work.ends_job.is_some() && loaded.job.as_ref().is_some_and(|job| !job.is_over()) {
            self.tell(loaded, Subject::Job, State::Running, state.into(), |_| {});
        }
    }

    /// The call was let go, because its job is over.
    async fn tell_dropped(&self, loaded: &Loaded, from: State, state: JobState) {
        // To a job that completed or failed without it, it is cancelled.
        let to = if state == JobState::TimedOut { State::TimedOut } else { State::Cancelled };
        let early = matches!(state, JobState::Cancelled | JobState::TimedOut);
        if early || self.work.ends_job.is_none() {
            self.tell(loaded, Subject::Task, from, to, |_| {});
        }
        if early {
            self.tell_job_over(loaded, state).await;
        }
    }

    /// The job was ended before its top call was. Every worker tells that has something of the job; who watches hears it
    /// several times.
    async fn tell_job_over(&self, loaded: &Loaded, state: JobState) {
        if let (Some(job), Some(_)) = (&loaded.job, self.site.observer) {
            // Only for who watches: no reason to fail.
            let task = self.task_of(&job.call).await.unwrap_or_else(|_| "?".to_owned());
            self.tell(loaded, Subject::Job, State::Running, state.into(), |event| {
                (event.call, event.topic, event.task) = (&job.call, &job.topic, &task);
                (event.attempt, event.label) = (1, None);
            });
        }
    }
}

/// The failure of a job's top call whose deadline has passed.
#[must_use]
pub fn overdue(job: &JobRecord, task: &str) -> Failure {
    let after = Duration::from_millis(job.deadline.saturating_sub(job.created));
    Failure::new(FailureKind::Timeout, task, format!("the job did not end within its {after:?}"))
}

async fn set_aside(backend: &Arc<dyn Backend>, delivery: &Delivery, reason: String) -> Result<Step> {
    backend.queue().set_aside(delivery, &reason).await?;
    Ok(Step::SetAside(reason))
}
