//! The transitions as one transaction each, for backends whose queue and store share a transaction.
//!
//! They leave the same records as `multi_step` and may send fewer messages. No other worker can look in between, so messages
//! that `multi_step` sends only for safety are not needed here. The equivalence tests compare the two.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::abandon::{Abandon, Todo};
use crate::cycle::{self, Walk, may_wait};
use crate::error::Result;
use crate::identity::{Described, compare};
use crate::joining::{self, Start, has_joined, is_on_its_way, pass_on, topic_of};
use crate::model::{Call, CallHash, Failure, JobId, Millis, Outcome, Topic, size_of_outcome};
use crate::multi_step::{
    is_first_of_job, may_forget, must_send, outcome, over_options_only_record, read_pending, run_with_options,
};
use crate::ports::{Deferral, Deferred, Key, Loaded, MOST_AT_ONCE, NewJob, Outgoing, Scheduled, Work, message_counter};
use crate::records::{
    ChildEnd, JobEnd, JobRecord, JobState, LatestJob, Readiness, RunRecord, Waiting, encode_failure, read_failure,
};
use crate::registration::Registered;
pub use crate::transaction::{Snapshot, Transaction};
use crate::wire::{CallRecord, Message, PendingReturns, Return};

/// See `Backend::schedule`.
///
/// # Errors
/// When the backend fails. `Conflict` if the call hash stands for another call. Then nothing was written.
pub fn schedule(tx: &mut impl Transaction, job: &NewJob, now: Millis) -> Result<Scheduled> {
    let call = &job.call;
    if found_call(tx, call)? != Some(Described::Same) {
        tx.put(&Key::call(&call.hash), &CallRecord::encode(&call.task, &call.payload))?;
    }
    let before = read_job(tx, &job.job_id)?;
    if before.is_none() {
        tx.put(&Key::job(&job.job_id), &job.record(now).encode())?;
    }
    let key = Key::latest_job(&call.hash);
    let latest = tx.get(&key)?;
    let unsent = LatestJob::unsent(job.job_id.clone());
    if before.as_ref().is_some_and(|before| before.call != call.hash) {
        return Ok(Scheduled::Taken);
    }
    if before.as_ref().is_some_and(JobRecord::is_over) {
        tx.put(&key, &unsent.encode())?;
        return Ok(Scheduled::AlreadyDone);
    }
    if tx.has(&Key::value(&call.hash))? {
        tx.put(&key, &unsent.encode())?;
        let state = end_in_job(tx, &job.job_id, &call.hash)?;
        mark_over(tx, &job.job_id, JobEnd { state, at: now })?;
        return Ok(Scheduled::AlreadyDone);
    }
    if before.is_some() && LatestJob::says_sent(latest.as_deref(), &job.job_id) {
        return Ok(Scheduled::Queued);
    }
    tx.put(&key, &LatestJob::sent(job.job_id.clone(), job.is_delayed(now)).encode())?;
    let start = join(tx, job, before.is_none(), latest.as_deref(), now)?;
    for message in job.messages(now).into_iter().skip(usize::from(start == Start::Joins)) {
        tx.add(&message_counter(&job.job_id), 1)?;
        tx.enqueue(message)?;
    }
    if start == Start::SendsAndLeaves {
        leave(tx, job)?;
    }
    Ok(Scheduled::Queued)
}

/// See `join` in `multi_step`.
fn join(tx: &mut impl Transaction, job: &NewJob, is_new: bool, latest: Option<&[u8]>, now: Millis) -> Result<Start> {
    if job.is_delayed(now) {
        return Ok(Start::Sends);
    }
    let (call, me) = (&job.call, joining::entry_of(job));
    let pending = match tx.registered(&call.hash, &me) {
        // A damaged record fails the call when its message is handled.
        Err(error) if error.is_unreadable() => return Ok(Start::Sends),
        found => found?,
    };
    if pending.as_ref().is_some_and(Registered::has_me) {
        return Ok(if is_on_its_way(pending.as_ref()) { Start::Joins } else { Start::SendsAndLeaves });
    }
    if !is_new || !is_on_its_way(pending.as_ref()) && !latest_job_carries(tx, job, latest, now)? {
        return Ok(Start::Sends);
    }
    if !joining::is_announced(tx.get(&Key::tasks(&call.topic))?.as_deref(), &call.task) {
        return Ok(Start::Sends);
    }
    let scheduled_at = pending.as_ref().and_then(Registered::scheduled_at).or(Some(now / 1000));
    tx.register(&call.hash, pending.as_ref(), &me, scheduled_at)?;
    Ok(Start::Joins)
}

fn leave(tx: &mut impl Transaction, job: &NewJob) -> Result<()> {
    let call = &job.call.hash;
    let key = Key::pending_returns(call);
    match pending(tx, call)?.and_then(|pending| joining::left_by(pending, call, &job.job_id)) {
        Some(pending) => tx.put(&key, &pending.encode()),
        None => tx.delete(&key),
    }
}

/// True if the job that was last started for the call before this one has the call's message.
fn latest_job_carries(tx: &mut impl Snapshot, new: &NewJob, latest: Option<&[u8]>, now: Millis) -> Result<bool> {
    let Some(job_id) = joining::carrier(latest, &new.job_id) else { return Ok(false) };
    let call = &new.call;
    let (job, run) = (tx.get(&Key::job(&job_id))?, tx.get(&Key::run(&call.hash, &job_id))?);
    Ok(joining::may_be_joined(job.as_deref(), run.as_deref(), call, now)
        && !tx.has(&Key::failure(&call.hash, &job_id))?)
}

/// Compares a call with its record. `None`: the call has no record.
fn found_call(tx: &mut impl Snapshot, call: &Call) -> Result<Option<Described>> {
    let found = tx.get(&Key::call(&call.hash))?;
    found.map(|found| compare(&call.hash, &call.task, &call.payload, &found)).transpose()
}

fn read_job(tx: &mut impl Snapshot, job_id: &JobId) -> Result<Option<JobRecord>> {
    let key = Key::job(job_id);
    tx.get(&key)?.as_deref().map(JobRecord::decode).transpose().map_err(|e| e.of(&key))
}

fn is_over(tx: &mut impl Snapshot, job_id: &JobId) -> Result<bool> {
    let key = Key::job(job_id);
    tx.get(&key)?.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&key))
}

fn mark_over(tx: &mut impl Transaction, job_id: &JobId, end: JobEnd) -> Result<Option<JobRecord>> {
    let Some(mut job) = read_job(tx, job_id)? else { return Ok(None) };
    if !job.is_over() {
        job.end = Some(end);
        tx.put(&Key::job(job_id), &job.encode())?;
    }
    Ok(Some(job))
}

/// See `Backend::end_job`.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn end_job(tx: &mut impl Transaction, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
    let Some(job) = read_job(tx, job_id)? else { return Ok(None) };
    if job.is_over() {
        return Ok(Some(job));
    }
    let state = match read_outcome(tx, job_id, &job.call)? {
        Some(outcome) => JobState::of_outcome(&outcome),
        None => {
            tx.put(&Key::failure(&job.call, job_id), &encode_failure(failure))?;
            JobState::of(Err(&failure.kind))
        }
    };
    mark_over(tx, job_id, JobEnd { state, at: now })
}

/// See `Backend::load`.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn load(tx: &mut impl Snapshot, work: &Work) -> Result<Loaded> {
    let Message { job_id, call } = &work.message;
    let (call_key, run_key) = (Key::call(call), Key::run(call, job_id));
    let run_bytes = tx.get(&run_key)?;
    let mut loaded = Loaded {
        call: tx.get(&call_key)?.as_ref().map(CallRecord::decode).transpose().map_err(|e| e.of(&call_key))?,
        job: read_job(tx, job_id)?.map(Box::new),
        outcome: read_outcome(tx, job_id, call)?,
        run: run_bytes.as_deref().map(RunRecord::decode).transpose().map_err(|e| e.of(&run_key))?,
        run_bytes,
        ..Loaded::default()
    };
    if let (Some(run), None) = (&loaded.run, &loaded.outcome) {
        let named: Vec<CallHash> = run.sample.iter().rev().cloned().collect();
        loaded.take_sample(outcomes(tx, job_id, &named)?);
    }
    Ok(loaded)
}

/// See `Backend::outcomes`.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn outcomes(tx: &mut impl Snapshot, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
    let (mut bytes, mut outcomes) = (0, Vec::with_capacity(calls.len()));
    for call in calls {
        let outcome = read_outcome(tx, job_id, call)?;
        bytes += outcome.as_ref().map_or(0, size_of_outcome);
        outcomes.push(outcome);
        if bytes > MOST_AT_ONCE {
            break;
        }
    }
    Ok(outcomes)
}

fn read_outcome(tx: &mut impl Snapshot, job_id: &JobId, call: &CallHash) -> Result<Option<Outcome>> {
    let (value, failure) = (tx.get(&Key::value(call))?, tx.get(&Key::failure(call, job_id))?);
    outcome(job_id, call, value, failure)
}

/// See `Backend::defer`.
///
/// # Errors
/// When the backend fails or a record does not decode. The caller must then drop the transaction. `Conflict` if a call hash
/// stands for another call. Then nothing was written.
pub fn defer(tx: &mut impl Transaction, d: &Deferral<'_>) -> Result<Deferred> {
    let Message { job_id, call: parent } = &d.work.message;
    let me = Return { job_id: job_id.clone(), parent: parent.clone(), topic: d.work.topic.clone() };

    if is_over(tx, job_id)? {
        abandon(tx, d.work)?;
        return Ok(Deferred::JobOver);
    }
    if let Some(cycle) = cycle::direct(parent, &d.wait.calls) {
        return Ok(Deferred::Cycle(cycle));
    }
    let mut children = Vec::with_capacity(d.wait.calls.len());
    for call in &d.wait.calls {
        children.push(TransactionChild::read(tx, call, &me)?);
    }
    let messages = children.iter().filter(|c| c.sends()).count();
    if messages > 0 && tx.add(&message_counter(job_id), messages as u64)? > d.max_messages {
        return Ok(Deferred::TooManyMessages);
    }
    for child in &children {
        child.register(tx, &me, d.work.now)?;
    }

    // Calls that ended after the guest asked for them notified no parent, because this parent was not registered. So this
    // parent gets a message here.
    let ends: Vec<ChildEnd> = children.iter().filter_map(|c| c.ended).collect();
    let is_ready = ends.len() >= d.wait.need as usize || d.wait.fast && ends.contains(&ChildEnd::Failure);
    let is_looked_at = !is_ready && d.wait.pace > 0 && !ends.is_empty();
    let look = if is_looked_at { d.work.now.saturating_add(d.wait.pace) } else { 0 };
    keep_log(tx, d.work)?;
    let run_after = RunRecord { look, ..d.run_after.clone() };
    let key = Key::run(parent, job_id);
    match tx.get(&key)? {
        found if found.as_ref() == d.run_before => {
            tx.put(&key, &run_after.encode())?;
        }
        Some(found) => {
            if let Some(new) = over_options_only_record(&found, d, &run_after)? {
                tx.put(&key, &new)?;
            }
        }
        None => {}
    }
    let mut waiting = HashSet::new();
    for child in children.iter().filter(|c| c.known) {
        let run = tx.get(&Key::run(&child.call.hash, job_id))?;
        let in_other_jobs = child.pending.as_ref().is_some_and(Registered::is_awaited_in_other_jobs);
        if may_wait(run.as_deref(), in_other_jobs) {
            waiting.insert(child.call.hash.clone());
        }
    }
    if let Some(cycle) = find_cycle(tx, parent, waiting)? {
        return Ok(Deferred::Cycle(cycle));
    }
    if is_ready && !ends.is_empty() {
        send(tx, &d.work.topic, &d.work.message)?;
    } else if is_looked_at {
        send_after(tx, d.wait.pace, &me)?;
    }
    ack(tx, d.work)?;
    let queued = (0..).zip(&children).filter(|(_, c)| c.sends()).map(|(index, _)| index);
    Ok(Deferred::Waiting { queued: queued.collect() })
}

struct TransactionChild<'a> {
    call: &'a Call,
    /// The call was asked for before. Most calls are new, and need none of the other reads.
    known: bool,
    /// The call's `call` record must be written.
    undescribed: bool,
    pending: Option<Registered>,
    must_send: bool,
    ended: Option<ChildEnd>,
}

impl<'a> TransactionChild<'a> {
    fn read(tx: &mut impl Transaction, call: &'a Call, me: &Return) -> Result<Self> {
        let Some(described) = found_call(tx, call)? else {
            return Ok(Self { call, known: false, undescribed: true, pending: None, must_send: true, ended: None });
        };
        let pending = tx.registered(&call.hash, me)?;
        let ended = if tx.has(&Key::failure(&call.hash, &me.job_id))? {
            Some(ChildEnd::Failure)
        } else {
            tx.has(&Key::value(&call.hash))?.then_some(ChildEnd::Value)
        };
        let (undescribed, must_send) = (described == Described::Unreadable, must_send(pending.as_ref()));
        Ok(Self { call, known: true, undescribed, must_send, pending, ended })
    }

    /// Must a message be sent for the call?
    fn sends(&self) -> bool {
        self.must_send && self.ended.is_none() && !self.call.is_promise()
    }

    fn register(&self, tx: &mut impl Transaction, me: &Return, now: Millis) -> Result<()> {
        let hash = &self.call.hash;
        if self.undescribed {
            tx.put(&Key::call(hash), &CallRecord::encode(&self.call.task, &self.call.payload))?;
        }
        if is_first_of_job(self.pending.as_ref())
            && let Some(run) = run_with_options(self.call)
        {
            let key = Key::run(hash, &me.job_id);
            if !tx.has(&key)? {
                tx.put(&key, &run.encode())?;
            }
        }
        if self.must_send {
            match self.ended {
                // `multi_step` sends the message, registers without `scheduled_at`, and then finds the outcome. All that is
                // left to do after that is to notify the parents, so only that is done here.
                Some(ChildEnd::Value) => return notify_all(tx, hash, now),
                Some(ChildEnd::Failure) => {
                    if let Some(mut pending) = pending(tx, hash)? {
                        pending.scheduled_at = None;
                        tx.put(&Key::pending_returns(hash), &pending.encode())?;
                    }
                    return notify_in_job(tx, hash, &me.job_id, &self.call.topic, (now, Some(me)));
                }
                None if self.call.is_promise() => {}
                None => {
                    tx.send(&self.call.topic, &Message { job_id: me.job_id.clone(), call: hash.clone() })?;
                }
            }
        }
        let pending = self.pending.as_ref();
        if self.must_send || !pending.is_some_and(Registered::has_me) {
            let scheduled_at =
                if self.must_send { Some(now / 1000) } else { pending.and_then(Registered::scheduled_at) };
            tx.register(hash, pending, me, scheduled_at)?;
        }
        Ok(())
    }
}

fn find_cycle(tx: &mut impl Snapshot, start: &CallHash, targets: HashSet<CallHash>) -> Result<Option<Vec<CallHash>>> {
    if targets.is_empty() {
        return Ok(None);
    }
    let mut walk = Walk::new(start, targets);
    loop {
        let calls = walk.next_unread();
        if calls.is_empty() {
            return Ok(None);
        }
        for call in calls {
            if let Some(pending) = pending(tx, &call)?
                && let Some(cycle) = walk.read(&call, &pending)
            {
                return Ok(Some(cycle));
            }
        }
    }
}

/// See `Backend::complete`.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn complete(tx: &mut impl Transaction, work: &Work, value: &[u8]) -> Result<()> {
    let Message { job_id, call } = &work.message;
    keep_log(tx, work)?;
    let key = Key::value(call);
    if !tx.has(&key)? {
        tx.put(&key, value)?;
    }
    notify_all(tx, call, work.now)?;
    if work.ends_job {
        let state = end_in_job(tx, job_id, call)?;
        mark_over(tx, job_id, JobEnd { state, at: work.now })?;
    }
    ack(tx, work)
}

/// How a call with an outcome ended in a job. A failure counts even if a value came after it (R1).
fn end_in_job(tx: &mut impl Snapshot, job_id: &JobId, call: &CallHash) -> Result<JobState> {
    let key = Key::failure(call, job_id);
    let failure = tx.get(&key)?.map(|bytes| read_failure(&key, &bytes)).transpose()?;
    Ok(failure.map_or(JobState::Completed, |failure| JobState::of(Err(&failure.kind))))
}

/// See `Backend::fail`.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn fail(tx: &mut impl Transaction, work: &Work, failure: &Failure) -> Result<()> {
    let Message { job_id, call } = &work.message;
    keep_log(tx, work)?;
    let key = Key::failure(call, job_id);
    if !tx.has(&key)? && !tx.has(&Key::value(call))? {
        tx.put(&key, &encode_failure(failure))?;
    }
    let end = end_in_job(tx, job_id, call)?;
    notify_parents(tx, work, end)
}

/// See `Backend::notify_parents`.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn notify_parents(tx: &mut impl Transaction, work: &Work, end: JobState) -> Result<()> {
    let Message { job_id, call } = &work.message;
    if end == JobState::Completed {
        notify_all(tx, call, work.now)?;
    } else {
        notify_in_job(tx, call, job_id, &work.topic, (work.now, None))?;
    }
    if work.ends_job {
        mark_over(tx, job_id, JobEnd { state: end, at: work.now })?;
    }
    ack(tx, work)
}

/// See `Backend::abandon`. Rule R3.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn abandon(tx: &mut impl Transaction, work: &Work) -> Result<()> {
    keep_log(tx, work)?;
    let mut abandon = Abandon::new(&work.message.job_id, &work.message.call, &work.topic);
    while let Some(call) = abandon.next_call() {
        let key = Key::pending_returns(&call);
        let Some(pending) = pending(tx, &call)? else {
            abandon.done();
            continue;
        };
        for job_id in abandon.unknown_jobs(&pending) {
            let over = is_over(tx, &job_id)?;
            abandon.found(job_id, over);
        }
        let Todo::Settle { send: live, new, keep } = abandon.decide(&pending) else { continue };
        if let Some((job_id, topic)) = live {
            send(tx, &topic, &Message { job_id, call: call.clone() })?;
        }
        match new {
            _ if keep => {}
            Some(pending) => tx.put(&key, &pending.encode())?,
            None => tx.delete(&key)?,
        }
        abandon.done();
    }
    ack(tx, work)
}

fn pending(tx: &mut impl Snapshot, call: &CallHash) -> Result<Option<PendingReturns>> {
    read_pending(call, tx.get(&Key::pending_returns(call))?.as_deref())
}

fn notify_all(tx: &mut impl Transaction, call: &CallHash, now: Millis) -> Result<()> {
    if let Some(pending) = pending(tx, call)? {
        notify_ready(tx, (call, now), pending.returns)?;
        tx.delete(&Key::pending_returns(call))?;
    }
    if let Some(unnotified) = unnotified(tx, call)? {
        notify_ready(tx, (call, now), unnotified.returns)?;
        tx.delete(&Key::unnotified(call))?;
    }
    Ok(())
}

/// The parents that were not notified of a failure of the call.
fn unnotified(tx: &mut impl Snapshot, call: &CallHash) -> Result<Option<PendingReturns>> {
    let key = Key::unnotified(call);
    tx.get(&key)?.as_deref().map(PendingReturns::decode).transpose().map_err(|e| e.of(&key))
}

/// See `notify_in_job` in `multi_step`. `ourselves`: a parent that must not be notified, because it is the one that registers.
fn notify_in_job(
    tx: &mut impl Transaction,
    call: &CallHash,
    job_id: &JobId,
    topic: &Topic,
    (now, ourselves): (Millis, Option<&Return>),
) -> Result<()> {
    let key = Key::pending_returns(call);
    let Some(pending) = pending(tx, call)? else { return Ok(()) };
    let (mine, mut kept): (Vec<_>, Vec<_>) = pending.returns.into_iter().partition(|r| r.job_id == *job_id);
    let is_elsewhere = mine.iter().any(|entry| has_joined(entry, call));
    let parents = mine.into_iter().filter(|entry| Some(entry) != ourselves && !has_joined(entry, call));
    let unknown = notify_known(tx, (call, ChildEnd::Failure, now), parents)?;
    if !unknown.is_empty() {
        let parents = unnotified(tx, call)?.unwrap_or_default().and(&unknown);
        tx.put(&Key::unnotified(call), &parents.encode())?;
    }
    if let Some(other) = PendingReturns::next_in_turn(&kept, job_id).filter(|_| !is_elsewhere) {
        let job_id = other.job_id.clone();
        send(tx, topic_of(other, call, topic), &Message { job_id: job_id.clone(), call: call.clone() })?;
        kept = pass_on(kept, call, &job_id);
    }
    if kept.is_empty() {
        return tx.delete(&key);
    }
    let kept = PendingReturns { returns: kept.into_iter().collect(), scheduled_at: pending.scheduled_at };
    tx.put(&key, &kept.encode())
}

/// Notifies those of `entries` that have enough outcomes by now, and those without a `run` record.
fn notify_ready(
    tx: &mut impl Transaction,
    (ended, now): (&CallHash, Millis),
    entries: impl IntoIterator<Item = Return>,
) -> Result<()> {
    let unknown = notify_known(tx, (ended, ChildEnd::Value, now), entries)?;
    notify(tx, &unknown)
}

/// Notifies those of `entries` whose `run` record says that they are worth running now, or after a while. Returns the entries
/// that have no such record.
fn notify_known(
    tx: &mut impl Transaction,
    (ended, end, now): (&CallHash, ChildEnd, Millis),
    entries: impl IntoIterator<Item = Return>,
) -> Result<Vec<Return>> {
    let (mut ready, mut unknown) = (Vec::new(), Vec::new());
    for entry in entries {
        match readiness(tx, &entry, ended, end)? {
            Readiness::Ready => ready.push(entry),
            Readiness::Unknown => unknown.push(entry),
            Readiness::Look(pace) => look_later(tx, &entry, pace, now)?,
            Readiness::NotYet => {}
        }
    }
    notify(tx, &ready)?;
    Ok(unknown)
}

/// Counts and sends the messages that notify parents.
fn notify(tx: &mut impl Transaction, parents: &[Return]) -> Result<()> {
    let mut counts = BTreeMap::<&JobId, u64>::new();
    for entry in parents {
        tx.send(&entry.topic, &entry.message())?;
        *counts.entry(&entry.job_id).or_default() += 1;
    }
    for (job_id, count) in counts {
        tx.add(&message_counter(job_id), count)?;
    }
    Ok(())
}

/// See `look_later` in `multi_step`.
fn look_later(tx: &mut impl Transaction, parent: &Return, pace: Millis, now: Millis) -> Result<()> {
    send_after(tx, pace, parent)?;
    let key = Key::run(&parent.parent, &parent.job_id);
    let run = tx.get(&key)?.and_then(|bytes| RunRecord::decode(&bytes).ok());
    run.map_or(Ok(()), |run| tx.put(&key, &RunRecord { look: now.saturating_add(pace), ..run }.encode()))
}

/// See `readiness` in `multi_step`.
fn readiness(tx: &mut impl Snapshot, entry: &Return, ended: &CallHash, end: ChildEnd) -> Result<Readiness> {
    match by_record(tx, entry, ended, end) {
        Err(error) if error.is_unreadable() => Ok(Readiness::Ready),
        known => known,
    }
}

fn by_record(tx: &mut impl Snapshot, entry: &Return, ended: &CallHash, end: ChildEnd) -> Result<Readiness> {
    let Some(bytes) = tx.get(&Key::run(&entry.parent, &entry.job_id))? else { return Ok(Readiness::Unknown) };
    let mut waiting = Waiting::decode(&bytes)?;
    while let Some(call) = waiting.next_call()?.map(CallHash::from) {
        let has_outcome = tx.has(&Key::value(&call))? || tx.has(&Key::failure(&call, &entry.job_id))?;
        // A call without a `pending_returns` record has ended, see `multi_step`.
        let there = has_outcome || !tx.has(&Key::pending_returns(&call))?;
        waiting.found(there);
    }
    waiting.readiness(Some(ended), end)
}

/// Counts and sends one message.
fn send(tx: &mut impl Transaction, topic: &Topic, message: &Message) -> Result<()> {
    tx.add(&message_counter(&message.job_id), 1)?;
    tx.send(topic, message)
}

/// Counts and sends one message to a parent, which arrives after `delay` milliseconds.
fn send_after(tx: &mut impl Transaction, delay: Millis, parent: &Return) -> Result<()> {
    tx.add(&message_counter(&parent.job_id), 1)?;
    let message = Outgoing::now(&parent.topic, &parent.message());
    tx.enqueue(Outgoing { delay: Duration::from_millis(delay), ..message })
}

/// See `keep_log` in `multi_step`.
fn keep_log(tx: &mut impl Transaction, work: &Work) -> Result<()> {
    let Some(new) = &work.log else { return Ok(()) };
    let key = Key::log(&work.message.call, &work.message.job_id);
    let before = tx.get(&key)?;
    new.after(before.as_deref()).map_or(Ok(()), |record| tx.put(&key, &record))
}

fn ack(tx: &mut impl Transaction, work: &Work) -> Result<()> {
    work.receipt.as_ref().map_or(Ok(()), |receipt| tx.ack(receipt))
}

/// See `Backend::forget_calls`.
///
/// # Errors
/// When the backend fails or a record does not decode.
pub fn forget_calls(
    tx: &mut impl Transaction,
    job_id: &JobId,
    calls: &[CallHash],
    had_value: bool,
) -> Result<Vec<bool>> {
    let mut forgotten = Vec::with_capacity(calls.len());
    for call in calls {
        let is_awaited = tx.has(&Key::pending_returns(call))?;
        let latest = tx.get(&Key::latest_job(call))?;
        let is_free =
            may_forget(job_id, is_awaited, latest.as_deref())? && (had_value || !tx.has(&Key::value(call))?);
        forgotten.push(is_free);
        if is_free {
            for key in [Key::value(call), Key::call(call), Key::latest_job(call)] {
                tx.delete(&key)?;
            }
        }
    }
    Ok(forgotten)
}
