//! Every transition built step by step from the small ports: what any store and queue can do.
//!
//! The store may be a network away: what does not depend on each other goes in one request, or at once.
//!
//! The order of the steps is what makes a crash between any two of them heal by redelivery alone. The rules R1, R2 and
//! R4 are named where they are kept; `host/ARCHITECTURE.md` states them.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use crate::concurrent::{Access, all};
use crate::cycle::Walk;
use crate::error::Result;
use crate::model::{Call, CallHash, Failure, Millis, Outcome, Root, Topic, size_of_outcome};
use crate::ports::{
    Cache, Deferral, Deferred, Key, Loaded, MOST_AT_ONCE, NewJob, Outgoing, Queue, Scheduled, Store, Swap, Work,
    spawn_counter,
};
use crate::records::{
    JobEnd, JobRecord, JobState, RunRecord, Waiting, decode_latest, encode_failure, encode_latest, read_failure,
};
use crate::release::{Release, Todo};
use crate::wire::{CallRecord, Message, PendingReturns, Return};

/// The small ports that the transitions are made of.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    store: &'a dyn Store,
    queue: &'a dyn Queue,
    cache: &'a dyn Cache,
}

impl<'a> Ports<'a> {
    #[must_use]
    pub fn of(store: &'a dyn Store, queue: &'a dyn Queue, cache: &'a dyn Cache) -> Self {
        Self { store, queue, cache }
    }

    /// Counts and sends one message.
    async fn send(&self, topic: &Topic, message: &Message) -> Result<()> {
        self.cache.incr(&spawn_counter(&message.root), 1).await?;
        self.queue.send_many(&[Outgoing::now(topic, message)]).await
    }

    /// Counts and sends wake-ups.
    async fn wake(&self, entries: &[&Return]) -> Result<()> {
        let mut counts: BTreeMap<&Root, u64> = BTreeMap::new();
        for entry in entries {
            *counts.entry(&entry.root).or_default() += 1;
        }
        for (root, count) in counts {
            self.cache.incr(&spawn_counter(root), count).await?;
        }
        let messages: Vec<Outgoing> = entries.iter().map(|r| Outgoing::now(&r.topic, &r.message())).collect();
        if messages.is_empty() { Ok(()) } else { self.queue.send_many(&messages).await }
    }

    async fn ack(&self, work: &Work) -> Result<()> {
        match &work.receipt {
            Some(receipt) => self.queue.ack(receipt).await,
            None => Ok(()),
        }
    }
}

/// See `Backend::schedule`.
///
/// # Errors
/// When a port fails; safe to repeat under the same root.
pub async fn schedule(p: &Ports<'_>, job: &NewJob, now: Millis) -> Result<Scheduled> {
    let call = &job.call;
    // First, so that nobody takes the call for one that is no longer needed and forgets what is written next.
    p.store.put(&Key::latest(&call.hash), encode_latest(&job.root)).await?;
    p.store.put(&Key::call(&call.hash), CallRecord::encode(&call.task, &call.payload)).await?;
    let key = Key::job(&job.root);
    let mut record = job.record(now);
    // Never replaced: a client that repeats itself must not revive a job that is over.
    if let Swap::Mismatch(Some(found)) = p.store.swap(&key, None, Some(record.encode())).await? {
        record = JobRecord::decode(&found).map_err(|e| e.of(&key))?;
    }
    if record.is_over() {
        return Ok(Scheduled::AlreadyDone);
    }
    if p.store.get(&Key::value(&call.hash)).await?.is_some() {
        let state = end_in_job(p.store, &job.root, &call.hash).await?;
        mark_over(p.store, &job.root, JobEnd { state, at: now }).await?;
        return Ok(Scheduled::AlreadyDone);
    }
    let messages = job.messages(now);
    p.cache.incr(&spawn_counter(&job.root), messages.len() as u64).await?;
    p.queue.send_many(&messages).await?;
    Ok(Scheduled::Queued)
}

/// Writes down how a job ended, if it is one of ours and alive. Returns the job as it then is.
async fn mark_over(store: &dyn Store, root: &Root, end: JobEnd) -> Result<Option<JobRecord>> {
    let key = Key::job(root);
    let mut found = store.get(&key).await?;
    while let Some(bytes) = found {
        let job = JobRecord::decode(&bytes).map_err(|e| e.of(&key))?;
        if job.is_over() {
            return Ok(Some(job));
        }
        let over = JobRecord { end: Some(end), ..job };
        match store.swap(&key, Some(&bytes), Some(over.encode())).await? {
            Swap::Done => return Ok(Some(over)),
            Swap::Mismatch(other) => found = other,
        }
    }
    Ok(None)
}

/// See `Backend::end_job`. The failure first: a crash after it leaves a job whose top call has its outcome, which the
/// next message for that call, or whoever repeats this, finds and writes down.
///
/// # Errors
/// When the store fails or a record does not decode; safe to repeat.
pub async fn end_job(store: &dyn Store, root: &Root, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
    let key = Key::job(root);
    let Some(bytes) = store.get(&key).await? else { return Ok(None) };
    let job = JobRecord::decode(&bytes).map_err(|e| e.of(&key))?;
    if job.is_over() {
        return Ok(Some(job));
    }
    let (key, value) = (Key::failure(&job.call, root), Key::value(&job.call));
    let state = if store.put_if(&key, encode_failure(failure), &value).await? {
        JobState::of(Err(&failure.kind))
    } else {
        // It has its outcome, so that is how it ended.
        match outcomes(store, root, std::slice::from_ref(&job.call)).await?.first() {
            Some(Some(outcome)) => JobState::of_outcome(outcome),
            _ => JobState::of(Err(&failure.kind)),
        }
    };
    mark_over(store, root, JobEnd { state, at: now }).await
}

/// See `Backend::load`.
///
/// Value and failure are read together, in whatever order. Where neither is found, neither was there at the earlier of the two
/// moments. Where the failure is found, it counts. Only a value without a failure leaves a doubt: the failure may have been put
/// between the two, before the value, and seen by others. So it is read again, after the value (R1).
///
/// # Errors
/// When the store fails or a record does not decode.
pub async fn load(store: &dyn Store, work: &Work) -> Result<Loaded> {
    let Message { root, call } = &work.message;
    let keys = [Key::call(call), Key::value(call), Key::failure(call, root), Key::run(call, root), Key::job(root)];
    let found = store.get_many(&keys).await?;
    let [call_bytes, value, mut failure, run_bytes, job] = <[_; 5]>::try_from(found).unwrap_or_default();
    if value.is_some() && failure.is_none() {
        failure = store.get(&keys[2]).await?;
    }
    let mut loaded = Loaded {
        call: call_bytes.as_ref().map(CallRecord::decode).transpose().map_err(|e| e.of(&keys[0]))?,
        job: job.as_deref().map(JobRecord::decode).transpose().map_err(|e| e.of(&keys[4]))?.map(Box::new),
        outcome: outcome(root, call, value, failure)?,
        run: run_bytes.as_deref().map(RunRecord::decode).transpose().map_err(|e| e.of(&keys[3]))?,
        run_bytes,
        ..Loaded::default()
    };
    if let (Some(run), None) = (&loaded.run, &loaded.outcome) {
        let sampled = run.sample.len();
        if is_far_from_ready(store, root, run).await? {
            loaded.sample = vec![None; sampled];
            return Ok(loaded);
        }
        let calls: Vec<CallHash> = run.sample.iter().rev().chain(&run.earlier).cloned().collect();
        let mut sample = outcomes(store, root, &calls).await?;
        let earlier = sample.split_off(sampled.min(sample.len()));
        loaded.take_sample(sample);
        if loaded.ready() {
            loaded.earlier = earlier;
        }
    }
    Ok(loaded)
}

/// Is so much missing among the last few calls alone that the others need not be looked at? A parent of a thousand is woken in
/// vain while it registers, and must not read a thousand outcomes each time. Few calls are read at once either way.
async fn is_far_from_ready(store: &dyn Store, root: &Root, run: &RunRecord) -> Result<bool> {
    if run.sample.len() <= MAX_LOOKS {
        return Ok(false);
    }
    let last = &run.sample[run.sample.len() - LAST_FEW..];
    let keys: Vec<Key> = last.iter().flat_map(|c| [Key::value(c), Key::failure(c, root)]).collect();
    let found = store.get_many(&keys).await?;
    let missing = found.chunks(2).filter(|outcome| outcome.iter().all(Option::is_none)).count();
    Ok(missing as u64 > u64::from(run.total.saturating_sub(run.need)))
}

/// Calls end in about their order, so that these tell.
const LAST_FEW: usize = 4;

/// See `Backend::outcomes`.
///
/// # Errors
/// When the store fails or a record does not decode.
pub async fn outcomes(store: &dyn Store, root: &Root, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
    let (mut bytes, mut found) = (0, Vec::with_capacity(calls.len()));
    for some in calls.chunks(FEW) {
        let outcomes = some_outcomes(store, root, some).await?;
        bytes += outcomes.iter().flatten().map(size_of_outcome).sum::<usize>();
        found.extend(outcomes);
        if bytes > MOST_AT_ONCE {
            break;
        }
    }
    Ok(found)
}

/// Calls whose outcomes are asked for before their size is known: 200 MB of DynamoDB's largest items.
const FEW: usize = 512;

async fn some_outcomes(store: &dyn Store, root: &Root, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
    // All values first, then all failures: a failure is put only while there is no value, so this order never misses
    // one that an earlier reader saw (R1). Not together as in `load`: here most calls have a value, and so would be read again.
    let values = store.get_many(&calls.iter().map(Key::value).collect::<Vec<_>>()).await?;
    let failures = store.get_many(&calls.iter().map(|c| Key::failure(c, root)).collect::<Vec<_>>()).await?;
    let found = values.into_iter().zip(failures).zip(calls);
    found.map(|((value, failure), call)| outcome(root, call, value, failure)).collect()
}

/// Of the value and the failure of a call in a job, the failure: a replay must not change its mind (R1).
///
/// # Errors
/// As `read_failure`.
pub fn outcome(root: &Root, call: &CallHash, value: Option<Bytes>, failure: Option<Bytes>) -> Result<Option<Outcome>> {
    match failure {
        Some(bytes) => Ok(Some(Err(read_failure(&Key::failure(call, root), &bytes)?))),
        None => Ok(value.map(Ok)),
    }
}

/// See `Backend::defer`. Rule R4.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn defer(p: &Ports<'_>, d: &Deferral<'_>) -> Result<Deferred> {
    let Message { root, call: parent } = &d.work.message;
    let me = Return { root: root.clone(), parent: parent.clone(), topic: d.work.topic.clone() };

    let keys: Vec<Key> = d.wait.calls.iter().map(|c| Key::pending_returns(&c.hash)).chain([Key::job(root)]).collect();
    let mut found = p.store.get_many(&keys).await?;
    let job = found.pop().flatten();
    if job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(root)))? {
        release(p, d.work).await?;
        return Ok(Deferred::JobOver);
    }
    let described = d.wait.calls.iter().map(|c| (Key::call(&c.hash), CallRecord::encode(&c.task, &c.payload)));
    p.store.put_many(&described.collect::<Vec<_>>()).await?;

    // Messages first: a peer that gets a redelivery sees a record and sends nothing.
    let mut children = Vec::with_capacity(keys.len());
    for (child, bytes) in d.wait.calls.iter().zip(found) {
        children.push(Child::new(child, bytes, &me)?);
    }
    let messages: Vec<Outgoing> = children.iter().filter(|c| c.sent).map(|c| c.message(root)).collect();
    if !messages.is_empty() {
        let count = p.cache.incr(&spawn_counter(root), messages.len() as u64).await?;
        if count > d.spawn_limit {
            return Ok(Deferred::OverSpawnLimit);
        }
    }
    let mut accesses: Vec<Access<'_, ()>> = Vec::new();
    for child in children.iter().filter(|c| c.first_of_job) {
        accesses.push(Box::pin(child.put_options(p, root)));
    }
    all(accesses).await?;
    if !messages.is_empty() {
        p.queue.send_many(&messages).await?;
    }
    let mut accesses: Vec<Access<'_, ()>> = Vec::with_capacity(children.len());
    // The last one first: meanwhile the children are run, in about their order. One that ends before it is registered wakes
    // nobody, and one that ends after, while others are still being registered, wakes in vain.
    for child in children.iter_mut().rev() {
        accesses.push(Box::pin(child.register(p, &me)));
    }
    all(accesses).await?;
    let key = Key::run(parent, root);
    if let Swap::Mismatch(Some(found)) = p.store.swap(&key, d.run_before, Some(d.run_after.encode())).await?
        && let Some(new) = over_what_no_run_wrote(&found, d)?
    {
        p.store.swap(&key, Some(&found), Some(new)).await?;
    }

    let seen = look_again(p.store, root, &children).await?;
    // What ended before we were registered wakes nobody; so one wake-up for all of that, if it is enough. Before our entries go:
    // if we have lost our lease, another run may have registered the same ones, and nobody does again what we don't come to do.
    if seen.outcomes.iter().any(Option::is_some) && is_ready(p.store, &me, None).await? {
        p.send(&me.topic, &d.work.message).await?;
    }
    settle_sent(p, d, &children, &seen, &me).await?;
    let waiting = waiting_children(&children, &seen);
    if let Some(cycle) = find_cycle(p.store, parent, waiting).await? {
        return Ok(Deferred::Cycle(cycle));
    }
    p.ack(d.work).await?;
    Ok(Deferred::Waiting { queued: (0..).zip(&children).filter(|(_, c)| c.sent).map(|(place, _)| place).collect() })
}

/// A child while its parent registers with it.
struct Child<'a> {
    call: &'a Call,
    /// The record's bytes as last seen or written.
    bytes: Option<Bytes>,
    was_there: bool,
    /// Its message was sent by this deferral.
    sent: bool,
    /// Nobody else waits for it in this job, so that it is run as this parent wants it.
    first_of_job: bool,
}

impl<'a> Child<'a> {
    fn new(call: &'a Call, bytes: Option<Bytes>, me: &Return) -> Result<Self> {
        let pending = read_pending(&call.hash, bytes.as_deref())?;
        let (sent, first_of_job) = (must_send(pending.as_ref(), me), is_first_of_job(pending.as_ref(), me));
        Ok(Self { call, was_there: bytes.is_some(), bytes, sent, first_of_job })
    }

    fn message(&self, root: &Root) -> Outgoing {
        Outgoing::now(&self.call.topic, &Message { root: root.clone(), call: self.call.hash.clone() })
    }

    /// Leaves word of how the call is to be run, for its first run in this job. Before its message is sent, and also if
    /// another job has sent one: the call may come to be run for this job yet.
    async fn put_options(&self, p: &Ports<'_>, root: &Root) -> Result<()> {
        if let Some(run) = run_with_options(self.call) {
            p.store.swap(&Key::run(&self.call.hash, root), None, Some(run.encode())).await?;
        }
        Ok(())
    }

    /// Adds `me` by compare-and-swap; without `scheduled_at` if the message was sent by us, until that is certain.
    async fn register(&mut self, p: &Ports<'_>, me: &Return) -> Result<()> {
        loop {
            let mut pending = read_pending(&self.call.hash, self.bytes.as_deref())?.unwrap_or_default();
            // The record may have gone meanwhile, with its call completed and nobody told of us.
            if !self.sent && must_send(self.bytes.as_ref().map(|_| &pending), me) {
                self.put_options(p, &me.root).await?;
                p.send(&self.call.topic, &Message { root: me.root.clone(), call: self.call.hash.clone() }).await?;
                self.sent = true;
            }
            let added = pending.returns.insert(me.clone());
            if !added && !self.sent {
                return Ok(());
            }
            if self.sent {
                pending.scheduled_at = None;
            }
            let new = pending.encode();
            match self.write(p, new.clone()).await? {
                Some(Swap::Done) => {
                    self.bytes = Some(new);
                    return Ok(());
                }
                Some(Swap::Mismatch(found)) => self.bytes = found,
                None => return Ok(()),
            }
        }
    }

    /// See `settle_sent`.
    async fn settle(
        &self,
        p: &Ports<'_>,
        d: &Deferral<'_>,
        outcome: Option<&Outcome>,
        job_over: bool,
        me: &Return,
    ) -> Result<()> {
        let (call, root) = (&self.call.hash, &me.root);
        let ourselves = HashSet::from([me.clone()]);
        match outcome {
            Some(Ok(_)) => wake_all(p, call, ourselves).await,
            Some(Err(_)) => wake_in_job(p, call, root, &self.call.topic, ourselves).await,
            // A job that ended while its messages were sent: they may have been dropped before we were registered. So nobody
            // may believe that they are on their way.
            None if job_over => release_call(p, call, &self.call.topic).await,
            None => {
                if let (Some(bytes), Some(mut pending)) = (&self.bytes, read_pending(call, self.bytes.as_deref())?) {
                    pending.scheduled_at = Some(d.now / 1000);
                    // On a mismatch somebody else registered; then the next one who does sends once more.
                    p.store.swap(&Key::pending_returns(call), Some(bytes), Some(pending.encode())).await?;
                }
                Ok(())
            }
        }
    }

    /// Replaces the record, or creates it; `None`: the call has its value, so there is nothing to wait for.
    ///
    /// A record is created only while there is no value. One that came after it would stand there unread if we died before
    /// looking: a peer that then registers finds a record, sends nothing, and waits for ever.
    async fn write(&self, p: &Ports<'_>, new: Bytes) -> Result<Option<Swap>> {
        let (key, value) = (Key::pending_returns(&self.call.hash), Key::value(&self.call.hash));
        if self.bytes.is_some() {
            return p.store.swap(&key, self.bytes.as_ref(), Some(new)).await.map(Some);
        }
        if p.store.put_if(&key, new, &value).await? {
            return Ok(Some(Swap::Done));
        }
        let mut found = p.store.get_many(&[key, value]).await?;
        let has_value = found.pop().flatten().is_some();
        let found = found.pop().flatten();
        Ok((found.is_some() || !has_value).then_some(Swap::Mismatch(found)))
    }
}

/// The record of a call that was not run yet, if its caller wants it to be run in some way.
pub fn run_with_options(call: &Call) -> Option<RunRecord> {
    (!call.options.is_empty()).then(|| RunRecord { options: call.options.clone(), ..RunRecord::default() })
}

/// Does nobody wait for the call in this job yet?
pub(crate) fn is_first_of_job(pending: Option<&PendingReturns>, me: &Return) -> bool {
    pending.is_none_or(|pending| pending.returns.iter().all(|r| r.root != me.root))
}

/// What a run that waits writes where it finds a record that was not there at its start: over one that no run has written
/// its own, with the options that were left there. `None`: another run of the call has written it, and that is as good.
pub(crate) fn over_what_no_run_wrote(found: &[u8], d: &Deferral<'_>) -> Result<Option<Bytes>> {
    let Message { root, call } = &d.work.message;
    let found = RunRecord::decode(found).map_err(|e| e.of(&Key::run(call, root)))?;
    let ours = d.run_before.is_none() && found.was_never_run();
    Ok(ours.then(|| RunRecord { options: found.options, ..d.run_after.clone() }.encode()))
}

/// Who waits for a call, by the record of that.
pub(crate) fn read_pending(call: &CallHash, bytes: Option<&[u8]>) -> Result<Option<PendingReturns>> {
    bytes.map(PendingReturns::decode).transpose().map_err(|error| error.of(&Key::pending_returns(call)))
}

/// Must a parent that registers send the child's message? No record, or nobody knows whether it was sent, or this very
/// parent waits already but under another job.
pub(crate) fn must_send(pending: Option<&PendingReturns>, me: &Return) -> bool {
    pending.is_none_or(|p| p.scheduled_at.is_none() || p.only_under_other_roots(me))
}

/// What is there after the parent has registered and its own `run` record is written.
struct Seen {
    /// The children that were deferred in this job themselves.
    deferred: Vec<bool>,
    /// Of those whose message was sent, in their order.
    outcomes: Vec<Option<Outcome>>,
    job_over: bool,
}

/// Reads all of it at once; see `load` for values and failures.
async fn look_again(store: &dyn Store, root: &Root, children: &[Child<'_>]) -> Result<Seen> {
    let mut keys: Vec<Key> = children.iter().map(|c| Key::run(&c.call.hash, root)).collect();
    let sent: Vec<&CallHash> = children.iter().filter(|c| c.sent).map(|c| &c.call.hash).collect();
    keys.extend(sent.iter().map(|call| Key::value(call)));
    keys.extend(sent.iter().map(|call| Key::failure(call, root)));
    if !sent.is_empty() {
        keys.push(Key::job(root));
    }
    let mut found = store.get_many(&keys).await?;
    let job = if sent.is_empty() { None } else { found.pop().flatten() };
    let mut failures = found.split_off(children.len() + sent.len());
    let values = found.split_off(children.len());
    let doubtful: Vec<usize> = (0..sent.len()).filter(|n| values[*n].is_some() && failures[*n].is_none()).collect();
    if !doubtful.is_empty() {
        let again: Vec<Key> = doubtful.iter().map(|n| Key::failure(sent[*n], root)).collect();
        for (n, failure) in doubtful.into_iter().zip(store.get_many(&again).await?) {
            failures[n] = failure;
        }
    }
    let outcomes = values.into_iter().zip(failures).zip(sent);
    Ok(Seen {
        deferred: found.iter().map(Option::is_some).collect(),
        outcomes: outcomes.map(|((v, f), call)| outcome(root, call, v, f)).collect::<Result<_>>()?,
        job_over: job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(root)))?,
    })
}

/// For each child whose message was sent: it may have ended before we registered; then whoever else waits for it is
/// woken. If not, the message is known to be sent, and that is written down.
async fn settle_sent(p: &Ports<'_>, d: &Deferral<'_>, children: &[Child<'_>], seen: &Seen, me: &Return) -> Result<()> {
    let mut accesses: Vec<Access<'_, ()>> = Vec::with_capacity(seen.outcomes.len());
    for (child, outcome) in children.iter().filter(|c| c.sent).zip(&seen.outcomes) {
        accesses.push(Box::pin(child.settle(p, d, outcome.as_ref(), seen.job_over, me)));
    }
    all(accesses).await?;
    Ok(())
}

/// The children that may wait for their parent in turn: those that others wait for too, and those that have been
/// deferred in this job themselves.
///
/// Looked at only after the parent's own `run` record was written: of the parents of a cycle, each then either sees its
/// child's record or is seen by it, so that the last one finds the whole cycle, in whatever order they register.
fn waiting_children(children: &[Child<'_>], seen: &Seen) -> HashSet<CallHash> {
    let waiting = children.iter().zip(&seen.deferred).filter(|(child, deferred)| child.was_there || **deferred);
    waiting.map(|(child, _)| child.call.hash.clone()).collect()
}

/// Walks up from `start` looking for one of `targets`; the cycle from a call down to itself.
///
/// # Errors
/// When the store fails or a record does not decode.
pub async fn find_cycle(
    store: &dyn Store,
    start: &CallHash,
    targets: HashSet<CallHash>,
) -> Result<Option<Vec<CallHash>>> {
    if targets.is_empty() {
        return Ok(None);
    }
    let mut walk = Walk::new(start, targets);
    while let Some(call) = walk.next_unread() {
        let bytes = store.get(&Key::pending_returns(&call)).await?;
        if let Some(pending) = read_pending(&call, bytes.as_deref())?
            && let Some(cycle) = walk.read(&call, &pending)
        {
            return Ok(Some(cycle));
        }
    }
    Ok(None)
}

/// See `Backend::complete`.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn complete(p: &Ports<'_>, work: &Work, value: Bytes) -> Result<()> {
    let Message { root, call } = &work.message;
    // The first value stays: a mismatch means that another run was faster.
    p.store.swap(&Key::value(call), None, Some(value)).await?;
    wake_all(p, call, HashSet::new()).await?;
    if let Some(at) = work.ends_job {
        let state = end_in_job(p.store, root, call).await?;
        mark_over(p.store, root, JobEnd { state, at }).await?;
    }
    p.ack(work).await
}

/// How a call that has an outcome ended in a job. A failure counts even if a value came after it (R1): somebody who ends
/// the job may have put one in the very moment in which the call completed.
async fn end_in_job(store: &dyn Store, root: &Root, call: &CallHash) -> Result<JobState> {
    let key = Key::failure(call, root);
    let failure = store.get(&key).await?.map(|bytes| read_failure(&key, &bytes)).transpose()?;
    Ok(failure.map_or(JobState::Completed, |failure| JobState::of(Err(&failure.kind))))
}

/// See `Backend::fail`. Rules R1 and R2.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn fail(p: &Ports<'_>, work: &Work, failure: &Failure) -> Result<()> {
    let Message { root, call } = &work.message;
    let key = Key::failure(call, root);
    let end = if p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await? {
        JobState::of(Err(&failure.kind))
    } else {
        end_in_job(p.store, root, call).await?
    };
    discharge(p, work, end).await
}

/// See `Backend::discharge`.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn discharge(p: &Ports<'_>, work: &Work, end: JobState) -> Result<()> {
    let Message { root, call } = &work.message;
    if end == JobState::Completed {
        wake_all(p, call, HashSet::new()).await?;
    } else {
        wake_in_job(p, call, root, &work.topic, HashSet::new()).await?;
    }
    if let Some(at) = work.ends_job {
        mark_over(p.store, root, JobEnd { state: end, at }).await?;
    }
    p.ack(work).await
}

/// See `Backend::release`. Rule R3.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn release(p: &Ports<'_>, work: &Work) -> Result<()> {
    release_call(p, &work.message.call, &work.topic).await?;
    p.ack(work).await
}

/// Lets go of a call, and of those above it that waited for it in jobs that are over.
async fn release_call(p: &Ports<'_>, call: &CallHash, topic: &Topic) -> Result<()> {
    let mut release = Release::new(call, topic);
    while let Some((call, topic)) = release.next_call() {
        let key = Key::pending_returns(&call);
        let Some(bytes) = p.store.get(&key).await? else {
            release.done();
            continue;
        };
        let pending = PendingReturns::decode(&bytes).map_err(|e| e.of(&key))?;
        let roots: Vec<Root> = release.unknown_roots(&pending).into_iter().collect();
        let jobs = p.store.get_many(&roots.iter().map(Key::job).collect::<Vec<_>>()).await?;
        for (root, job) in roots.into_iter().zip(jobs) {
            // A root without a record is a peer's job, and alive.
            let over = job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(&root)))?;
            release.found(root, over);
        }
        let Todo::Settle { send, new, keep } = release.decide(&pending) else { continue };
        // Sent first, removed after: the other way round a crash would strand the live ones.
        if let Some(root) = send {
            p.send(&topic, &Message { root, call: call.clone() }).await?;
        }
        // On a mismatch it is read again.
        if keep || p.store.swap(&key, Some(&bytes), new.map(|pending| pending.encode())).await? == Swap::Done {
            release.done();
        }
    }
    Ok(())
}

/// Wakes everybody, but for those `handled`, who waits for a call that has its value. Sends first and deletes after: the other
/// way round a crash loses wake-ups.
async fn wake_all(p: &Ports<'_>, call: &CallHash, mut handled: HashSet<Return>) -> Result<()> {
    let key = Key::pending_returns(call);
    let mut found = p.store.get(&key).await?;
    while let Some(bytes) = found {
        let pending = PendingReturns::decode(&bytes).map_err(|e| e.of(&key))?;
        wake_new(p, call, pending.returns, &mut handled).await?;
        match p.store.swap(&key, Some(&bytes), None).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    Ok(())
}

/// Wakes those who wait under `root` for a call that failed there. The parents of other jobs stay, and the call is
/// queued again under one of theirs (R2).
async fn wake_in_job(
    p: &Ports<'_>,
    call: &CallHash,
    root: &Root,
    topic: &Topic,
    mut handled: HashSet<Return>,
) -> Result<()> {
    let key = Key::pending_returns(call);
    let mut passed_on = false;
    let mut found = p.store.get(&key).await?;
    while let Some(bytes) = found {
        let pending = PendingReturns::decode(&bytes).map_err(|e| e.of(&key))?;
        let (mine, kept): (Vec<_>, Vec<_>) = pending.returns.into_iter().partition(|r| r.root == *root);
        wake_new(p, call, mine, &mut handled).await?;
        if let (Some(other), false) = (PendingReturns::next_in_turn(&kept, root), passed_on) {
            p.send(topic, &Message { root: other.root.clone(), call: call.clone() }).await?;
            passed_on = true;
        }
        let new = (!kept.is_empty()).then(|| {
            PendingReturns { returns: kept.into_iter().collect(), scheduled_at: pending.scheduled_at }.encode()
        });
        if new.as_ref() == Some(&bytes) {
            break;
        }
        match p.store.swap(&key, Some(&bytes), new).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    Ok(())
}

/// Wakes those of `entries` that were not handled yet, and are worth running now that `ended` has its outcome.
async fn wake_new(
    p: &Ports<'_>,
    ended: &CallHash,
    entries: impl IntoIterator<Item = Return>,
    handled: &mut HashSet<Return>,
) -> Result<()> {
    let new: Vec<Return> = entries.into_iter().filter(|entry| !handled.contains(entry)).collect();
    let mut looks: Vec<Access<'_, Option<&Return>>> = Vec::with_capacity(new.len());
    for entry in &new {
        looks.push(Box::pin(async move { Ok(is_ready(p.store, entry, Some(ended)).await?.then_some(entry)) }));
    }
    let ready: Vec<&Return> = all(looks).await?.into_iter().flatten().collect();
    p.wake(&ready).await?;
    handled.extend(new);
    Ok(())
}

/// The most calls that are looked at in one request; two records each, and a request of DynamoDB reads a hundred.
const MAX_LOOKS: usize = 50;

/// Has the parent enough outcomes to be worth running? Without a `run` record nobody knows: yes. Nor with one that can't be
/// read: it is the parent's, whose own message then finds and reports it. `ended`: a call of which it is known that it has one.
async fn is_ready(store: &dyn Store, entry: &Return, ended: Option<&CallHash>) -> Result<bool> {
    match may_be_ready(store, entry, ended).await {
        Err(error) if error.is_unreadable() => Ok(true),
        known => known,
    }
}

async fn may_be_ready(store: &dyn Store, entry: &Return, ended: Option<&CallHash>) -> Result<bool> {
    let Some(bytes) = store.get(&Key::run(&entry.parent, &entry.root)).await? else {
        return Ok(true);
    };
    let mut waiting = Waiting::decode(&bytes)?;
    // One first, because mostly one is enough to know; then more and more, so that a thousand cost a few requests.
    let mut looks = 1;
    loop {
        let mut calls = Vec::with_capacity(looks);
        while calls.len() < looks
            && let Some(call) = waiting.next_call()?
        {
            if ended.is_some_and(|ended| ended.as_str() == call) {
                waiting.found(true);
            } else {
                calls.push(CallHash::from(call));
            }
        }
        // In any order: what is missed here was put after we began, by somebody who then looks himself.
        let keys: Vec<Key> = calls.iter().flat_map(|c| [Key::value(c), Key::failure(c, &entry.root)]).collect();
        let found = if keys.is_empty() { Vec::new() } else { store.get_many(&keys).await? };
        for outcome in found.chunks(2) {
            waiting.found(outcome.iter().any(Option::is_some));
        }
        if calls.len() < looks {
            return Ok(waiting.ready());
        }
        looks = (2 * looks).min(MAX_LOOKS);
    }
}

/// See `Backend::forget_calls`.
///
/// # Errors
/// When the store fails or a record does not decode; safe to repeat.
pub async fn forget_calls(store: &dyn Store, root: &Root, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
    if !had_value {
        return Ok(vec![false; calls.len()]);
    }
    let keys: Vec<Key> = calls.iter().flat_map(|call| [Key::pending_returns(call), Key::latest(call)]).collect();
    let found = store.get_many(&keys).await?;
    let free = found.chunks(2).map(|found| may_forget(root, found[0].is_some(), found[1].as_deref()));
    let free: Vec<bool> = free.collect::<Result<_>>()?;
    let values = calls.iter().zip(&free).filter(|(_, free)| **free).map(|(call, _)| Key::value(call));
    store.remove_many(&values.collect::<Vec<_>>()).await?;
    Ok(free)
}

/// May a call be forgotten that only `root` asked for, as far as anybody knows?
pub(crate) fn may_forget(root: &Root, is_awaited: bool, latest: Option<&[u8]>) -> Result<bool> {
    Ok(!is_awaited && latest.map(decode_latest).transpose()?.is_none_or(|latest| latest == *root))
}
