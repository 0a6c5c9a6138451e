//! A call that waits for other calls.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::child::{Child, read_pending};
use super::describe::describe_all;
use super::keep_log::keep_log;
use super::notify::{look_later, readiness};
use super::settle::abandon;
use crate::concurrent::{Access, all};
use crate::cycle::{self, Walk, may_wait};
use crate::error::Result;
use crate::model::{CallHash, JobId};
use crate::ports::{Deferral, Deferred, Key, Outgoing, Store, Swap, message_counter};
use crate::records::{ChildEnd, JobRecord, Readiness, RunRecord};
use crate::wire::{Message, Return};

/// See `Backend::defer`. Rule R4.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat. `Conflict` if a call hash stands for another call. Then the
/// parent is not registered with any call.
pub async fn defer(p: &Ports<'_>, d: &Deferral<'_>) -> Result<Deferred> {
    let p = &p.at(d.work.now);
    let Message { job_id, call: parent } = &d.work.message;
    let me = Return { job_id: job_id.clone(), parent: parent.clone(), topic: d.work.topic.clone() };

    let keys: Vec<Key> = d.wait.calls.iter().map(|c| Key::pending_returns(&c.hash)).chain([Key::job(job_id)]).collect();
    let mut found = p.store.get_many(&keys).await?;
    let job = found.pop().flatten();
    if job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(job_id)))? {
        abandon(p, d.work).await?;
        return Ok(Deferred::JobOver);
    }
    if let Some(cycle) = cycle::direct(parent, &d.wait.calls) {
        return Ok(Deferred::Cycle(cycle));
    }
    describe_all(p.store, &d.wait.calls).await?;

    // Messages first: a peer that gets a redelivery finds a record and sends nothing. So the messages must be sent by then.
    let mut children = Vec::with_capacity(keys.len());
    for (child, bytes) in d.wait.calls.iter().zip(found) {
        children.push(Child::new(child, bytes, &me)?);
    }
    let sent = |c: &&Child<'_>| c.sent && !c.call.is_promise();
    let messages: Vec<Outgoing> = children.iter().filter(sent).map(|c| c.message(job_id)).collect();
    if !messages.is_empty() {
        let count = p.counters.incr(&message_counter(job_id), messages.len() as u64).await?;
        if count > d.max_messages {
            return Ok(Deferred::TooManyMessages);
        }
    }
    let mut accesses: Vec<Access<'_, ()>> = Vec::new();
    for child in children.iter().filter(|c| c.first_of_job) {
        accesses.push(Box::pin(child.put_options(p, job_id)));
    }
    all(accesses).await?;
    if !messages.is_empty() {
        p.queue.send_many(&messages).await?;
    }
    let mut accesses: Vec<Access<'_, ()>> = Vec::with_capacity(children.len());
    // The last child comes first. The children are run meanwhile, in about the order of the list. A child that ends before its
    // parent is registered notifies no parent. A child that ends while its parent still registers with others notifies the
    // parent too early.
    for child in children.iter_mut().rev() {
        accesses.push(Box::pin(child.register(p, &me)));
    }
    if d.work.log.is_some() {
        accesses.push(Box::pin(keep_log(p.store, d.work)));
    }
    all(accesses).await?;
    let key = Key::run(parent, job_id);
    let is_written = match p.store.swap(&key, d.run_before, Some(d.run_after.encode())).await? {
        Swap::Done => true,
        Swap::Mismatch(None) => false,
        Swap::Mismatch(Some(found)) => match over_options_only_record(&found, d, d.run_after)? {
            Some(new) => p.store.swap(&key, Some(&found), Some(new)).await? == Swap::Done,
            None => false,
        },
    };

    let seen = look_again(p.store, job_id, &children, d.wait.pace > 0).await?;
    // Calls that ended before this parent was registered did not notify it. So one message goes to the parent itself, if enough
    // of its calls have ended. The message is sent before the entries of this parent are removed: if this worker has lost its
    // lease, another run may have registered the same entries and acknowledged, and then no other worker would send the
    // message.
    let ended = [ChildEnd::Failure, ChildEnd::Value].into_iter().find(|end| seen.ended.contains(&Some(*end)));
    if let Some(end) = ended {
        match readiness(p.store, &me, None, end).await? {
            Readiness::Ready | Readiness::Unknown => p.send(&me.topic, &d.work.message).await?,
            // The record of another run says for what that run waits, and that run has looked itself.
            Readiness::Look(pace) if is_written => look_later(p, &me, pace).await?,
            Readiness::Look(_) | Readiness::NotYet => {}
        }
    }
    settle_sent(p, &children, &seen, &me).await?;
    let waiting = waiting_children(&children, &seen);
    if let Some(cycle) = find_cycle(p.store, parent, waiting).await? {
        return Ok(Deferred::Cycle(cycle));
    }
    p.ack(d.work).await?;
    let queued = (0..).zip(&children).filter(|(_, c)| sent(c)).map(|(index, _)| index).collect();
    Ok(Deferred::Waiting { queued })
}

/// The record to write if a run that waits finds a `run` record that was not there at its start. If no run has written the
/// record that was found, the result is this run's record with the options of the found one. `None`: another run of the call
/// has written the record, and that record is as good.
pub(crate) fn over_options_only_record(found: &[u8], d: &Deferral<'_>, run_after: &RunRecord) -> Result<Option<Bytes>> {
    let Message { job_id, call } = &d.work.message;
    let found = RunRecord::decode(found).map_err(|e| e.of(&Key::run(call, job_id)))?;
    Ok(found.was_never_run().then(|| RunRecord { options: found.options, ..run_after.clone() }.encode()))
}

/// The state that was read after the parent was registered and its own `run` record was written.
struct Seen {
    /// For each child: may it wait for calls of its own?
    may_wait: Vec<bool>,
    /// How each child ended. For a child that another parent has asked for before, and not this one, only failures are looked
    /// for: a value notifies every registered parent, but a failure notifies only parents whose `run` record it finds. A parent
    /// that wants progress looks for all values, because any of them is a reason for another look.
    ended: Vec<Option<ChildEnd>>,
    job_over: bool,
}

/// Reads the state of all children at once, without reading their values and failures themselves. `load` explains the order of
/// values and failures.
async fn look_again(store: &dyn Store, job_id: &JobId, children: &[Child<'_>], wants_progress: bool) -> Result<Seen> {
    let mut read: Vec<Key> = children.iter().map(|c| Key::run(&c.call.hash, job_id)).collect();
    let sent = children.iter().any(|c| c.sent);
    let may_have_value = |c: &Child<'_>| c.sent || c.again || wants_progress;
    let doubted: Vec<&CallHash> = children.iter().filter(|c| may_have_value(c)).map(|c| &c.call.hash).collect();
    if sent {
        read.push(Key::job(job_id));
    }
    let mut runs = store.get_many(&read).await?;
    let job = if sent { runs.pop().flatten() } else { None };
    let failed = children.iter().map(|c| Key::failure(&c.call.hash, job_id));
    let looked: Vec<Key> = doubted.iter().map(|call| Key::value(call)).chain(failed).collect();
    let mut found = store.has_many(&looked).await?;
    let mut failures = found.split_off(doubted.len());
    let mut found = found.into_iter();
    let values: Vec<bool> = children.iter().map(|c| may_have_value(c) && found.next().unwrap_or_default()).collect();
    let doubtful: Vec<usize> = (0..children.len()).filter(|n| values[*n] && !failures[*n]).collect();
    if !doubtful.is_empty() {
        let again: Vec<Key> = doubtful.iter().map(|n| Key::failure(&children[*n].call.hash, job_id)).collect();
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
        job_over: job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(job_id)))?,
    })
}

/// Settles each child whose message was sent. If the child ended before this parent was registered, its other waiting parents
/// are notified. If not, the message is known to be sent, and `scheduled_at` is written.
async fn settle_sent(p: &Ports<'_>, children: &[Child<'_>], seen: &Seen, me: &Return) -> Result<()> {
    let mut accesses: Vec<Access<'_, ()>> = Vec::with_capacity(seen.ended.len());
    for (child, ended) in children.iter().zip(&seen.ended).filter(|(child, _)| child.sent) {
        accesses.push(Box::pin(child.settle(p, *ended, seen.job_over, me)));
    }
    all(accesses).await?;
    Ok(())
}

/// The children that may in turn wait for their parent, see [`may_wait`].
///
/// This is read only after the parent's own `run` record was written. So of the parents of a cycle each one either sees its
/// child's record, or its own record is seen by its child. Therefore the last of them finds the whole cycle, in whatever order
/// they register.
fn waiting_children(children: &[Child<'_>], seen: &Seen) -> HashSet<CallHash> {
    let waiting = children.iter().zip(&seen.may_wait).filter(|(_, may_wait)| **may_wait);
    waiting.map(|(child, _)| child.call.hash.clone()).collect()
}

/// Walks up from `start` and looks for one of `targets`. Returns the cycle, from a call down to itself. Also returns `None` if
/// the cycle is longer than a [`Walk`] goes.
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
