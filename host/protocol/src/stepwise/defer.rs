//! A call that waits for others.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::child::{Child, ChildEnd, read_pending};
use super::describe::describe_all;
use super::settle::release;
use super::wake::readiness;
use crate::concurrent::{Access, all};
use crate::cycle::{self, Walk, may_wait};
use crate::error::Result;
use crate::model::{CallHash, Root};
use crate::ports::{Deferral, Deferred, Key, Outgoing, Store, Swap, spawn_counter};
use crate::records::{JobRecord, Readiness, RunRecord};
use crate::wire::{Message, Return};

/// See `Backend::defer`. Rule R4.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat. `Conflict` where a call hash stands for another call: then the
/// parent is registered nowhere.
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
    if let Some(cycle) = cycle::direct(parent, &d.wait.calls) {
        return Ok(Deferred::Cycle(cycle));
    }
    describe_all(p.store, &d.wait.calls).await?;

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
    if seen.ended.iter().any(Option::is_some) && readiness(p.store, &me, None).await? != Readiness::NotYet {
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

/// What a run that waits writes where it finds a record that was not there at its start: over one that no run has written
/// its own, with the options that were left there. `None`: another run of the call has written it, and that is as good.
pub(crate) fn over_what_no_run_wrote(found: &[u8], d: &Deferral<'_>) -> Result<Option<Bytes>> {
    let Message { root, call } = &d.work.message;
    let found = RunRecord::decode(found).map_err(|e| e.of(&Key::run(call, root)))?;
    Ok(found.was_never_run().then(|| RunRecord { options: found.options, ..d.run_after.clone() }.encode()))
}

/// What is there after the parent has registered and its own `run` record is written.
struct Seen {
    /// The children that may wait for calls of their own.
    may_wait: Vec<bool>,
    /// Of each child. Of those whose message was not sent only failures: a value wakes whoever is registered, and a failure only
    /// those whose `run` record it finds.
    ended: Vec<Option<ChildEnd>>,
    job_over: bool,
}

/// Looks at all of it at once, without reading what the children came to; see `load` for values and failures.
async fn look_again(store: &dyn Store, root: &Root, children: &[Child<'_>]) -> Result<Seen> {
    let mut read: Vec<Key> = children.iter().map(|c| Key::run(&c.call.hash, root)).collect();
    let sent: Vec<&CallHash> = children.iter().filter(|c| c.sent).map(|c| &c.call.hash).collect();
    if !sent.is_empty() {
        read.push(Key::job(root));
    }
    let mut runs = store.get_many(&read).await?;
    let job = if sent.is_empty() { None } else { runs.pop().flatten() };
    let failed = children.iter().map(|c| Key::failure(&c.call.hash, root));
    let looked: Vec<Key> = sent.iter().map(|call| Key::value(call)).chain(failed).collect();
    let mut of_sent = store.has_many(&looked).await?;
    let mut failures = of_sent.split_off(sent.len());
    let mut of_sent = of_sent.into_iter();
    let values: Vec<bool> = children.iter().map(|c| c.sent && of_sent.next().unwrap_or_default()).collect();
    let doubtful: Vec<usize> = (0..children.len()).filter(|n| values[*n] && !failures[*n]).collect();
    if !doubtful.is_empty() {
        let again: Vec<Key> = doubtful.iter().map(|n| Key::failure(&children[*n].call.hash, root)).collect();
        for (n, failure) in doubtful.into_iter().zip(store.has_many(&again).await?) {
            failures[n] = failure;
        }
    }
    let may_wait = children.iter().zip(&runs).map(|(child, run)| may_wait(run.as_deref(), child.in_other_jobs));
    let ended = values.into_iter().zip(failures).map(|(value, failure)| match (value, failure) {
        (_, true) => Some(ChildEnd::Failure),
        (true, false) => Some(ChildEnd::Value),
        (false, false) => None,
    });
    Ok(Seen {
        may_wait: may_wait.collect(),
        ended: ended.collect(),
        job_over: job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(root)))?,
    })
}

/// For each child whose message was sent: it may have ended before we registered; then whoever else waits for it is
/// woken. If not, the message is known to be sent, and that is written down.
async fn settle_sent(p: &Ports<'_>, d: &Deferral<'_>, children: &[Child<'_>], seen: &Seen, me: &Return) -> Result<()> {
    let mut accesses: Vec<Access<'_, ()>> = Vec::with_capacity(seen.ended.len());
    for (child, ended) in children.iter().zip(&seen.ended).filter(|(child, _)| child.sent) {
        accesses.push(Box::pin(child.settle(p, d, *ended, seen.job_over, me)));
    }
    all(accesses).await?;
    Ok(())
}

/// The children that may wait for their parent in turn, see [`may_wait`].
///
/// Looked at only after the parent's own `run` record was written: of the parents of a cycle, each then either sees its
/// child's record or is seen by it, so that the last one finds the whole cycle, in whatever order they register.
fn waiting_children(children: &[Child<'_>], seen: &Seen) -> HashSet<CallHash> {
    let waiting = children.iter().zip(&seen.may_wait).filter(|(_, may_wait)| **may_wait);
    waiting.map(|(child, _)| child.call.hash.clone()).collect()
}

/// Walks up from `start` looking for one of `targets`; the cycle from a call down to itself. `None` also where the walk is longer
/// than [`Walk`] goes.
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
    loop {
        let calls = walk.next_unread();
        if calls.is_empty() {
            return Ok(None);
        }
        let found = store.get_many(&calls.iter().map(Key::pending_returns).collect::<Vec<_>>()).await?;
        for (call, bytes) in calls.iter().zip(found) {
            if let Some(pending) = read_pending(call, bytes.as_deref())?
                && let Some(cycle) = walk.read(call, &pending)
            {
                return Ok(Some(cycle));
            }
        }
    }
}
