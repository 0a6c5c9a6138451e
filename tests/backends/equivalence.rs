//! Compares a backend's transactional transitions with the multi-step transitions: the same random history runs on both,
//! transition by transition.
//!
//! After every transition all records are the same. Messages may differ, because a multi-step transition sends some messages only
//! for safety, and a transaction does not need them. But no parent may be forgotten, see `check_notifications`.
//!
//! `BRRR_SEED=… cargo test -p brrr-backends --test equivalence` replays one history. `BRRR_HISTORIES=…` sets the number of
//! histories.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId, Topic};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Deferral, Deferred, Key, NewJob, Work};
use brrr_protocol::records::{
    JobRecord, JobState, LogLevel, LogLine, LogSource, NewLines, RunLog, RunRecord, encode_tasks,
};
use brrr_protocol::replay::Wait;
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};
use bytes::Bytes;
use support::{Fixture, Kind};

const TOPICS: [&str; 2] = ["t", "u"];

type Records = BTreeMap<Key, Bytes>;

/// One side: a backend, and the effect of its last transition.
struct Side {
    fixture: Fixture,
    before: Records,
    after: Records,
    sent: Vec<Message>,
}

/// A run between its load and its end.
struct Run {
    work: Work,
    run_before: Option<Bytes>,
    /// The children that had no outcome when the run was loaded.
    missing: Vec<usize>,
    has_outcome: bool,
    job_over: bool,
}

/// The kind of a transition, as far as its messages depend on it.
enum Made<'a> {
    Deferral(&'a Work, &'a Wait),
    /// The abandon of this call, for a job that is over.
    Abandon(&'a Message),
    Other,
}

struct History {
    rng: fastrand::Rng,
    multi_step: Side,
    transactional: Side,
    job_ids: Vec<JobId>,
    /// The children of each call, by number.
    graph: Vec<Vec<usize>>,
    runs: Vec<Run>,
    now: u64,
    log: String,
}

fn hash(n: usize) -> CallHash {
    format!("c{n}").into()
}

fn topic(n: usize) -> Topic {
    TOPICS[n % 2].into()
}

fn call(n: usize) -> Call {
    let max_retries = n.is_multiple_of(3).then_some(n as u32);
    let options = Options { max_retries, ..Options::default() };
    Call { hash: hash(n), task: "task".into(), payload: n.to_string().into(), topic: topic(n), options }
}

impl Side {
    async fn new(kind: Kind) -> Self {
        Self { fixture: kind.open().await, before: Records::new(), after: Records::new(), sent: Vec::new() }
    }

    fn backend(&self) -> &Arc<dyn Backend> {
        &self.fixture.backend
    }

    /// Reads all records, and takes the messages that were sent.
    async fn observe(&mut self, calls: usize, job_ids: &[JobId]) {
        let mut keys: Vec<Key> = job_ids.iter().map(Key::job).collect();
        for call in (0..calls).map(hash) {
            keys.extend([Key::call(&call), Key::value(&call), Key::pending_returns(&call), Key::latest_job(&call)]);
            keys.push(Key::unnotified(&call));
            let of_job = |job_id| [Key::run(&call, job_id), Key::failure(&call, job_id), Key::log(&call, job_id)];
            keys.extend(job_ids.iter().flat_map(of_job));
        }
        let found = self.backend().store().get_many(&keys).await.unwrap();
        let after = keys.into_iter().zip(found).filter_map(|(key, bytes)| Some((key, bytes?))).collect();
        self.before = std::mem::replace(&mut self.after, after);
        self.sent.clear();
        for topic in TOPICS {
            let queue = self.fixture.backend.queue();
            for delivery in queue.receive(&topic.into(), 1000, Duration::ZERO).await.unwrap() {
                queue.ack(&delivery.receipt).await.unwrap();
                self.sent.push(Message::decode(delivery.body.as_bytes()).unwrap());
            }
        }
    }
}

/// The registered parents, each with the call that it waits for.
fn registered(records: &Records) -> BTreeSet<(CallHash, Return)> {
    entries(records, &brrr_protocol::ports::Kind::PendingReturns)
}

/// The parents that a failure did not notify, each with the call that failed.
fn unnotified(records: &Records) -> BTreeSet<(CallHash, Return)> {
    entries(records, &brrr_protocol::ports::Kind::Unnotified)
}

fn entries(records: &Records, kind: &brrr_protocol::ports::Kind) -> BTreeSet<(CallHash, Return)> {
    records
        .iter()
        .filter(|(key, _)| key.kind == *kind)
        .flat_map(|(key, bytes)| {
            let call = CallHash::from(&*key.id);
            PendingReturns::decode(bytes).unwrap().returns.into_iter().map(move |r| (call.clone(), r))
        })
        .collect()
}

fn is_over(records: &Records, job_id: &JobId) -> bool {
    records.get(&Key::job(job_id)).is_some_and(|bytes| JobRecord::decode(bytes).unwrap().is_over())
}

fn has_outcome(records: &Records, job_id: &JobId, call: &CallHash) -> bool {
    records.contains_key(&Key::value(call)) || records.contains_key(&Key::failure(call, job_id))
}

/// Has the parent, according to the records, enough outcomes to run? This uses the definition, not the code under test.
/// `ended`: only this call may have failed since the parent was last told.
fn is_ready(records: &Records, job_id: &JobId, parent: &CallHash, ended: Option<&CallHash>) -> bool {
    let Some(bytes) = records.get(&Key::run(parent, job_id)) else { return true };
    let run = RunRecord::decode(bytes).unwrap();
    let there = run.sample.iter().filter(|call| has_outcome(records, job_id, call)).count();
    let mut looked_at = run.sample.iter().filter(|call| ended.is_none_or(|ended| ended == *call));
    let failed = looked_at.any(|call| records.contains_key(&Key::failure(call, job_id)));
    there + run.total as usize - run.sample.len() >= run.need as usize || run.fast && failed
}

impl History {
    async fn new(seed: u64, multi_step: Kind, transactional: Kind) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let calls = rng.usize(3..8);
        let cycles = rng.u8(..8) == 0;
        let graph = (0..calls)
            .map(|n| {
                let candidates: Vec<usize> = (0..calls).filter(|c| cycles || *c > n).collect();
                candidates.into_iter().filter(|_| rng.u8(..5) < 2).collect()
            })
            .collect();
        let job_ids = (0..rng.usize(1..4)).map(|n| JobId::from(format!("r{n}"))).collect();
        let (multi_step, transactional) = (Side::new(multi_step).await, Side::new(transactional).await);
        let mut history = Self {
            rng,
            multi_step,
            transactional,
            job_ids,
            graph,
            runs: Vec::new(),
            now: 1_000_000,
            log: String::new(),
        };
        if history.rng.u8(..4) > 0 {
            history.announce().await;
        }
        if history.rng.u8(..3) == 0 {
            history.crowd().await;
        }
        history
    }

    /// Workers have announced the task, so jobs may join calls that are already queued or running.
    async fn announce(&self) {
        for topic in TOPICS {
            let tasks = encode_tasks(&["another".to_owned(), "task".to_owned()].into());
            for side in [&self.multi_step, &self.transactional] {
                side.backend().store().put(&Key::tasks(&topic.into()), tasks.clone()).await.unwrap();
            }
        }
    }

    /// The history begins with a call whose number of parents is about the maximum that a backend keeps in one record.
    async fn crowd(&mut self) {
        let n = self.rng.usize(..self.graph.len());
        let parents = self.rng.usize(60..70);
        let returns = (0..parents).map(|parent| Return {
            job_id: self.job_ids[parent % self.job_ids.len()].clone(),
            parent: format!("{:0width$}", parent, width = parent % 12).into(),
            topic: topic(parent),
        });
        let pending = PendingReturns { returns: returns.collect(), scheduled_at: self.rng.bool().then_some(1_000) };
        let call = call(n);
        let _ = writeln!(self.log, "{parents} parents wait for c{n}: {pending:?}");
        for side in [&self.multi_step, &self.transactional] {
            let store = side.backend().store();
            store.put(&Key::call(&call.hash), CallRecord::encode(&call.task, &call.payload)).await.unwrap();
            store.put(&Key::pending_returns(&call.hash), pending.encode()).await.unwrap();
        }
        self.check(Made::Other).await;
    }

    async fn play(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now += self.rng.u64(..3_000);
            match self.rng.u8(..40) {
                0..=2 => self.schedule().await,
                3 => self.end_job().await,
                4..=17 => self.load().await,
                _ => self.settle().await,
            }
        }
    }

    fn some_job_id(&mut self) -> JobId {
        self.job_ids[self.rng.usize(..self.job_ids.len())].clone()
    }

    async fn schedule(&mut self) {
        let n = self.rng.usize(..self.graph.len());
        // The test ends before such a deadline.
        let deadline = if self.rng.bool() { self.now + 3_600_000 } else { 0 };
        // The clock of the history may come to such a start. The clock of the queue does not.
        let start = if self.rng.u8(..3) == 0 { self.now + self.rng.u64(60_000..120_000) } else { 0 };
        // There are few ids, so one id is also used for several calls, and several times for one call.
        let job = NewJob { deadline, start, ..NewJob::new(self.some_job_id(), call(n)) };
        let _ = writeln!(self.log, "schedule {:?} c{n} at {start}, it is {}", job.job_id, self.now);
        let a = self.multi_step.backend().schedule(&job, self.now).await.unwrap();
        let b = self.transactional.backend().schedule(&job, self.now).await.unwrap();
        assert_eq!(a, b);
        self.check(Made::Other).await;
    }

    async fn end_job(&mut self) {
        let job_id = self.some_job_id();
        let kind = if self.rng.bool() { FailureKind::Cancelled } else { FailureKind::Timeout };
        let failure = Failure::new(kind, "task", format!("at {}", self.now));
        let _ = writeln!(self.log, "end {job_id:?}");
        let a = self.multi_step.backend().end_job(&job_id, &failure, self.now).await.unwrap();
        let b = self.transactional.backend().end_job(&job_id, &failure, self.now).await.unwrap();
        assert_eq!(a, b);
        self.check(Made::Other).await;
    }

    async fn load(&mut self) {
        // A message is sent after the record that describes its call. Without that record, a worker moves the message to the
        // dead-letter queue.
        let described = |n: &usize| self.transactional.after.contains_key(&Key::call(&hash(*n)));
        let calls: Vec<usize> = (0..self.graph.len()).filter(described).collect();
        let Some(n) = self.rng.choice(calls) else { return };
        let message = Message { job_id: self.some_job_id(), call: hash(n) };
        let mut work = Work { message, topic: topic(n), receipt: None, ends_job: false, now: self.now, log: None };
        let a = self.multi_step.backend().load(&work).await.unwrap();
        let b = self.transactional.backend().load(&work).await.unwrap();
        let _ = writeln!(self.log, "load {:?}", work.message);
        assert_eq!(format!("{a:?}"), format!("{b:?}"));
        // If the call has its outcome, `ready` is not used.
        let ready = is_ready(&self.transactional.after, &work.message.job_id, &work.message.call, None);
        let is_looked_at = a.run.as_ref().and_then(|run| a.look(run)) == Some(0);
        assert!(a.outcome.is_some() || a.ready(0) == (ready || is_looked_at));
        let calls: Vec<CallHash> = self.graph[n].iter().map(|c| hash(*c)).collect();
        let outcomes = self.transactional.backend().outcomes(&work.message.job_id, &calls).await.unwrap();
        assert_eq!(self.multi_step.backend().outcomes(&work.message.job_id, &calls).await.unwrap(), outcomes);
        let missing =
            self.graph[n].iter().zip(outcomes).filter(|(_, outcome)| outcome.is_none()).map(|(c, _)| *c).collect();
        if a.job.as_ref().is_some_and(|job| job.call == work.message.call) {
            work.ends_job = true;
        }
        let job_over = a.job.is_some_and(|job| job.is_over());
        self.runs.push(Run { work, run_before: a.run_bytes, missing, has_outcome: a.outcome.is_some(), job_over });
    }

    /// Ends a run that was loaded earlier, in one of the possible ways.
    async fn settle(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        let run = self.runs.swap_remove(self.rng.usize(..self.runs.len()));
        let work = Work { log: self.some_lines(&run), ..run.work.clone() };
        let run = Run { work: work.clone(), ..run };
        if run.has_outcome {
            // The end of the call is the outcome that the worker has read.
            let calls = [work.message.call.clone()];
            let outcomes = self.transactional.backend().outcomes(&work.message.job_id, &calls).await.unwrap();
            let end = JobState::of_outcome(outcomes[0].as_ref().unwrap());
            let _ = writeln!(self.log, "notify_parents {:?} {end:?}", work.message);
            self.multi_step.backend().notify_parents(&work, end).await.unwrap();
            self.transactional.backend().notify_parents(&work, end).await.unwrap();
            return self.check(Made::Other).await;
        }
        // A run that was stopped is abandoned. A run that was not stopped continues.
        let over = is_over(&self.transactional.after, &work.message.job_id);
        if run.job_over || (over && self.rng.bool()) {
            let _ = writeln!(self.log, "abandon {:?}", work.message);
            self.multi_step.backend().abandon(&work).await.unwrap();
            self.transactional.backend().abandon(&work).await.unwrap();
            return self.check(Made::Abandon(&work.message)).await;
        }
        match self.rng.u8(..11) {
            10 => self.try_again(run).await,
            0..=5 if !run.missing.is_empty() => self.defer(run).await,
            6 | 7 => {
                let failure = Failure::new(FailureKind::Error, "task", format!("at {}", self.now));
                let _ = writeln!(self.log, "fail {:?}", work.message);
                self.multi_step.backend().fail(&work, &failure).await.unwrap();
                self.transactional.backend().fail(&work, &failure).await.unwrap();
                self.check(Made::Other).await;
            }
            _ => {
                let value: Bytes = format!("at {}", self.now).into();
                let _ = writeln!(self.log, "complete {:?}", work.message);
                self.multi_step.backend().complete(&work, value.clone()).await.unwrap();
                self.transactional.backend().complete(&work, value).await.unwrap();
                self.check(Made::Other).await;
            }
        }
    }

    /// What a run of this attempt has logged, perhaps nothing. It begins where an earlier run has left off, or before.
    fn some_lines(&mut self, run: &Run) -> Option<Arc<NewLines>> {
        let before = run.run_before.as_deref().map(|bytes| RunRecord::decode(bytes).unwrap()).unwrap_or_default();
        let log = RunLog::default();
        log.begin(before.attempt.max(1), [1_024, 2_000, 64 << 10][self.rng.usize(..3)]);
        let mut end = self.rng.u64(..50);
        for n in 0..self.rng.u64(..14) {
            let text = "x".repeat(self.rng.usize(..if n % 5 == 4 { 600 } else { 60 }));
            end += text.len() as u64 + 1;
            let fields = if n % 3 == 0 { vec![("n".to_owned(), n.to_string())] } else { Vec::new() };
            let from = [LogSource::Stdout, LogSource::Log(LogLevel::Warn)][self.rng.usize(..2)];
            log.add(LogLine { at: self.now + n, attempt: 0, end, from, text, fields, left_out: 0 });
        }
        log.new_lines()
    }

    /// A failure that is retried: writes the record of the next attempt, and gives the message back to its queue.
    async fn try_again(&mut self, run: Run) {
        let before = run.run_before.as_deref().map(|bytes| RunRecord::decode(bytes).unwrap()).unwrap_or_default();
        let record = RunRecord {
            attempt: before.attempt.max(1) + 1,
            not_before: self.now + 1_000,
            options: before.options,
            ..RunRecord::default()
        };
        let Message { job_id, call } = &run.work.message;
        let _ = writeln!(self.log, "try again {:?}", run.work.message);
        let key = Key::run(call, job_id);
        let mut swaps = Vec::new();
        for side in [&self.multi_step, &self.transactional] {
            let store = side.backend().store();
            swaps.push(store.swap(&key, run.run_before.as_ref(), Some(record.encode())).await.unwrap());
        }
        assert_eq!(swaps[0], swaps[1]);
        self.check(Made::Other).await;
    }

    async fn defer(&mut self, run: Run) {
        let total = run.missing.len() as u32;
        // The run usually waits for all children, and sometimes for a race. Sometimes the sample does not contain all of the
        // children.
        let need = if self.rng.u8(..4) == 0 { self.rng.u32(1..=total) } else { total };
        // The delayed message that belongs to a pace must not come before the end of the history: the sides are not looked at
        // in the same moment.
        let (fast, pace) = (self.rng.bool(), if self.rng.u8(..3) == 0 { 20_000 } else { 0 });
        // A call that is not named counts as ended where the record is read. So there may be no need to look at it again.
        let from = if pace == 0 && self.rng.u8(..4) == 0 { self.rng.usize(..run.missing.len()) } else { 0 };
        let wait = Wait { calls: run.missing.iter().map(|c| call(*c)).collect(), need, until: 0, fast, pace };
        let run_after = RunRecord {
            first: self.now,
            attempt: 1,
            digest: "d".into(),
            total,
            need,
            fast,
            pace,
            sample: run.missing[from..].iter().map(|c| hash(*c)).collect(),
            ..RunRecord::default()
        };
        let deferral = Deferral {
            work: &run.work,
            wait: &wait,
            run_before: run.run_before.as_ref(),
            run_after: &run_after,
            // There is no limit, because the numbers of messages may differ.
            max_messages: u64::MAX,
        };
        let _ = writeln!(
            self.log,
            "defer {:?} on {:?}, need {need}, fast {fast}, pace {pace}, sample from {from}",
            run.work.message, run.missing
        );
        let a = self.multi_step.backend().defer(&deferral).await.unwrap();
        let b = self.transactional.backend().defer(&deferral).await.unwrap();
        match (&a, &b) {
            // A multi-step transition also sends messages for calls that have ended, and notices that afterwards.
            (Deferred::Waiting { queued: multi_step }, Deferred::Waiting { queued: transactional }) => {
                let ended = |index: &usize| {
                    has_outcome(&self.transactional.after, &run.work.message.job_id, &wait.calls[*index].hash)
                };
                let multi_step: Vec<usize> = multi_step.iter().filter(|index| !ended(index)).copied().collect();
                assert_eq!(&multi_step, transactional);
            }
            (a, b) => assert_eq!(a, b),
        }
        let made = match b {
            Deferred::Waiting { .. } => Made::Deferral(&run.work, &wait),
            Deferred::JobOver => Made::Abandon(&run.work.message),
            _ => Made::Other,
        };
        self.check(made).await;
    }

    async fn check(&mut self, made: Made<'_>) {
        for side in [&mut self.multi_step, &mut self.transactional] {
            side.observe(self.graph.len(), &self.job_ids).await;
        }
        let _ = writeln!(
            self.log,
            "  multi_step sent {:?}\n  transactional sent    {:?}",
            self.multi_step.sent, self.transactional.sent
        );
        for key in self.multi_step.after.keys().chain(self.transactional.after.keys()) {
            let side = |side: &Side| side.after.get(key).cloned();
            let (multi_step, transactional) = (side(&self.multi_step), side(&self.transactional));
            assert_eq!(multi_step, transactional, "{key:?}: multi_step against transactional");
        }
        for (side, name) in [(&self.multi_step, "multi_step"), (&self.transactional, "transactional")] {
            check_notifications(side, name, &made);
        }
        // A parent that the transactional transition notifies is also notified by the multi-step one, or it still waits there.
        let waits: HashSet<Message> = registered(&self.multi_step.after).iter().map(|(_, r)| r.message()).collect();
        for message in &self.transactional.sent {
            let known = self.multi_step.sent.contains(message) || waits.contains(message);
            assert!(known, "only the transactional transition sent {message:?}");
        }
    }
}

/// No parent is forgotten. If a parent was removed from a list and has enough outcomes by the records, a message for it was sent.
/// The same is true for a parent that begins to wait for calls that have already ended. There the multi-step transition is an
/// exception: it sends only if it noticed itself that enough calls had ended. Otherwise it may leave the notification to the
/// calls that have not ended yet.
///
/// A parent whose job is over is abandoned and not notified. If a parent in a live job waits for the abandoned call, that call is
/// queued for the live job.
fn check_notifications(side: &Side, name: &str, made: &Made<'_>) {
    let (before, after) = (registered(&side.before), registered(&side.after));
    if let Made::Abandon(abandoned) = made {
        // If a job had only joined a call, the call's message belongs to another job. This may be the abandoned job, or another one
        // that is over and whose entries go too.
        let had_joined = |(call, entry): &(CallHash, Return)| entry.parent == *call;
        let joined_itself = |entry: &(CallHash, Return)| had_joined(entry) && entry.1.message() == **abandoned;
        let itself = (!before.iter().any(joined_itself)).then_some(&abandoned.call);
        let let_go = before.difference(&after).filter(|entry| !had_joined(entry)).map(|(_, entry)| &entry.parent);
        let let_go = let_go.chain(itself);
        for call in let_go {
            let mut wanted = after.iter().filter(|(c, entry)| c == call && !is_over(&side.after, &entry.job_id));
            let queued = side.sent.iter().any(|m| m.call == *call && !is_over(&side.after, &m.job_id));
            assert!(
                wanted.next().is_none() || queued,
                "{name}: nobody has queued {call:?}, which a live job waits for"
            );
        }
        for (call, entry) in before.difference(&after) {
            // This job had joined the call, and now has the call's message.
            let is_passed_on = entry.parent == *call && side.sent.contains(&entry.message());
            assert!(
                is_passed_on || is_over(&side.after, &entry.job_id),
                "{name}: {entry:?}, alive, no longer waits for {call:?}"
            );
        }
        return;
    }
    let deferred = match made {
        Made::Deferral(work, wait) => Some((*work, *wait)),
        _ => None,
    };
    let (kept_before, kept) = (unnotified(&side.before), unnotified(&side.after));
    for (call, entry) in kept.difference(&kept_before) {
        let run = side.after.get(&Key::run(&entry.parent, &entry.job_id)).map(|run| RunRecord::decode(run).unwrap());
        assert!(run.is_none_or(|run| run.was_never_run()), "{name}: {entry:?} was not notified of {call:?}");
        assert!(side.after.contains_key(&Key::failure(call, &entry.job_id)), "{name}: {call:?} has not failed");
    }
    for (call, entry) in before.difference(&after).chain(kept_before.difference(&kept)) {
        if kept.contains(&(call.clone(), entry.clone())) {
            continue;
        }
        let message = entry.message();
        let itself = deferred.is_some_and(|(work, _)| work.message == message);
        // This job had joined the call, and the call has now failed in this job.
        if entry.parent == *call && side.after.contains_key(&Key::failure(call, &entry.job_id)) {
            continue;
        }
        // If the call had failed in this job before, the parent was told when it registered.
        let had_failed = side.before.contains_key(&Key::failure(call, &entry.job_id));
        let ended = if had_failed { CallHash::from("none") } else { call.clone() };
        if !itself && is_ready(&side.after, &message.job_id, &message.call, Some(&ended)) {
            assert!(
                side.sent.contains(&message),
                "{name}: {message:?} no longer waits for {call:?}, and nothing notifies it"
            );
        }
    }
    if let Some((work, wait)) = deferred {
        let ended = wait.calls.iter().filter(|c| has_outcome(&side.after, &work.message.job_id, &c.hash)).count();
        let waits = after.iter().any(|(_, r)| r.message() == work.message);
        if ended >= wait.need as usize && !side.sent.contains(&work.message) {
            assert!(waits && name == "multi_step", "{name}: {:?} need not wait, and nothing notifies it", work.message);
        }
        for child in &wait.calls {
            let on_list = after.iter().any(|(call, r)| *call == child.hash && r.message() == work.message);
            let ended = has_outcome(&side.after, &work.message.job_id, &child.hash);
            assert!(on_list || ended, "{name}: {:?} is not registered with {:?}", work.message, child.hash);
            let sent = side.sent.iter().any(|m| m.call == child.hash);
            let queued = side.before.contains_key(&Key::pending_returns(&child.hash));
            assert!(ended || sent || queued, "{name}: nobody has queued {:?}", child.hash);
        }
    }
}

/// Prints the data that is needed to reproduce a failure.
struct Witness {
    seed: u64,
    history: Option<History>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.history.as_ref().map_or("", |h| &h.log);
            eprintln!("{log}replay with BRRR_SEED={}", self.seed);
        }
    }
}

async fn compare(multi_step: Kind, transactional: Kind, histories: usize, steps: usize) {
    if !(multi_step.is_there() && transactional.is_there()) {
        return;
    }
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let histories = number("BRRR_HISTORIES").map_or(histories, |n| n as usize);
    let seeds = match number("BRRR_SEED") {
        Some(seed) => vec![seed],
        None => (0..histories).map(|_| fastrand::u64(..)).collect(),
    };
    for seed in seeds {
        let mut witness = Witness { seed, history: None };
        witness.history.insert(History::new(seed, multi_step, transactional).await).play(steps).await;
    }
}

#[tokio::test]
async fn memory() {
    compare(Kind::MemoryMultiStep, Kind::Memory, 3_000, 40).await;
}

#[tokio::test]
async fn sqlite() {
    compare(Kind::MemoryMultiStep, Kind::Sqlite, 60, 60).await;
}

#[tokio::test]
async fn sqlite_multi_step() {
    compare(Kind::SqliteMultiStep, Kind::Memory, 20, 60).await;
}

#[tokio::test]
async fn redis() {
    compare(Kind::MemoryMultiStep, Kind::Redis, 150, 60).await;
}

#[tokio::test]
async fn redis_multi_step() {
    compare(Kind::RedisMultiStep, Kind::Memory, 30, 60).await;
}

#[tokio::test]
async fn redis_without_scripts() {
    compare(Kind::RedisWithoutScripts, Kind::Memory, 30, 60).await;
}

#[tokio::test]
async fn valkey() {
    compare(Kind::MemoryMultiStep, Kind::Valkey, 60, 60).await;
}

#[tokio::test]
async fn dynamodb() {
    compare(Kind::DynamoDb, Kind::Memory, 15, 60).await;
}

#[tokio::test]
async fn dynamodb_sqs() {
    compare(Kind::DynamoDbSqs, Kind::Memory, 5, 40).await;
}

#[tokio::test]
async fn redis_dynamodb() {
    compare(Kind::RedisDynamoDb, Kind::Memory, 5, 60).await;
}
