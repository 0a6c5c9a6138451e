//! Notifies the waiting parents of a call.

use std::collections::HashSet;
use std::time::Duration;

use super::Ports;
use crate::concurrent::{Access, all};
use crate::error::Result;
use crate::joining::{has_joined, is_passed_on, pass_on, topic_of};
use crate::model::{CallHash, JobId, Millis, Topic};
use crate::ports::{Key, Store, Swap};
use crate::records::{ChildEnd, Readiness, RunRecord, Waiting};
use crate::wire::{Message, PendingReturns, Return};

/// Notifies all waiting parents of a call that has its value, except those in `handled`. The messages are sent before the
/// record is deleted. In the other order a crash would lose messages.
pub(super) async fn notify_all(p: &Ports<'_>, call: &CallHash, mut handled: HashSet<Return>) -> Result<()> {
    let key = Key::pending_returns(call);
    let mut found = p.store.get(&key).await?;
    while let Some(bytes) = found {
        let pending = PendingReturns::decode(&bytes).map_err(|e| e.of(&key))?;
        notify_new(p, call, pending.returns, &mut handled).await?;
        match p.store.swap(&key, Some(&bytes), None).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    notify_unnotified(p, call, &mut handled).await
}

/// Notifies the parents that were not notified of a failure of the call. This record is read after `pending_returns`: a failure
/// writes a parent here before it removes the parent there, so this order misses no parent.
async fn notify_unnotified(p: &Ports<'_>, call: &CallHash, handled: &mut HashSet<Return>) -> Result<()> {
    let key = Key::unnotified(call);
    let mut found = p.store.get(&key).await?;
    while let Some(record) = found {
        let parents = PendingReturns::decode(&record).map_err(|e| e.of(&key))?.returns;
        notify_new(p, call, parents, handled).await?;
        match p.store.swap(&key, Some(&record), None).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    Ok(())
}

/// Notifies the parents that wait under `job_id` for a call that failed in this job. The parents of other jobs stay in the
/// record, and the call is queued again under one of their jobs (R2). The call is not queued again if the job `job_id` had only
/// joined the call: then that job was cancelled or its deadline has passed, and another job has the call's message.
///
/// A parent without a `run` record is not notified. If it is a parent of ours, it has yet to write that record, and looks for
/// failures itself afterwards (R4). If it runs on a worker of another SDK, it sees no failures: after each message it would
/// register again and send the call's message again, without end. So the parent is kept for a later value. It is not kept in
/// `pending_returns`, because a peer that asks for the call in another job would take that record as a sign that the call's
/// message is on its way.
pub(super) async fn notify_in_job(
    p: &Ports<'_>,
    call: &CallHash,
    job_id: &JobId,
    topic: &Topic,
    mut handled: HashSet<Return>,
) -> Result<()> {
    let key = Key::pending_returns(call);
    let mut passed_on: Option<Return> = None;
    let mut found = p.store.get(&key).await?;
    while let Some(bytes) = found {
        let pending = PendingReturns::decode(&bytes).map_err(|e| e.of(&key))?;
        let (mine, kept): (Vec<_>, Vec<_>) = pending.returns.into_iter().partition(|r| r.job_id == *job_id);
        let is_elsewhere = mine.iter().any(|entry| has_joined(entry, call));
        let parents = mine.into_iter().filter(|entry| !has_joined(entry, call));
        let unknown = notify_known(p, (call, ChildEnd::Failure), parents, &mut handled).await?;
        if !unknown.is_empty() {
            keep_unnotified(p, call, &unknown).await?;
        }
        let is_sent = is_elsewhere || passed_on.as_ref().is_some_and(|to| is_passed_on(to, &kept, call));
        if let Some(next) = PendingReturns::next_in_turn(&kept, job_id).filter(|_| !is_sent) {
            let message = Message { job_id: next.job_id.clone(), call: call.clone() };
            p.send(topic_of(next, call, topic), &message).await?;
            passed_on = Some(next.clone());
        }
        let kept = match &passed_on {
            Some(to) => pass_on(kept, call, &to.job_id),
            None => kept,
        };
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

/// Adds parents to the record of those that were not notified of a failure of the call.
async fn keep_unnotified(p: &Ports<'_>, call: &CallHash, parents: &[Return]) -> Result<()> {
    let key = Key::unnotified(call);
    let mut found = p.store.get(&key).await?;
    loop {
        let kept = found.as_deref().map(PendingReturns::decode).transpose().map_err(|e| e.of(&key))?;
        let new = kept.unwrap_or_default().and(parents).encode();
        if found.as_ref() == Some(&new) {
            return Ok(());
        }
        match p.store.swap(&key, found.as_ref(), Some(new)).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    // The call may have got its value meanwhile. The worker that stored the value may have read this record before the parents
    // were added.
    if p.store.has_many(&[Key::value(call)]).await?.contains(&true) {
        notify_unnotified(p, call, &mut HashSet::new()).await?;
    }
    Ok(())
}

/// Notifies those of `entries` that were not handled yet and that are worth running now that `ended` has its value. Also
/// notifies the parents without a `run` record, because nothing says whether they are worth running.
async fn notify_new(
    p: &Ports<'_>,
    ended: &CallHash,
    entries: impl IntoIterator<Item = Return>,
    handled: &mut HashSet<Return>,
) -> Result<()> {
    let unknown = notify_known(p, (ended, ChildEnd::Value), entries, handled).await?;
    p.notify(&unknown.iter().collect::<Vec<_>>()).await?;
    handled.extend(unknown);
    Ok(())
}

/// Notifies those of `entries` that were not handled yet and whose `run` record says that they are worth running now that
/// `ended` has its outcome. Returns the entries that have no such record.
async fn notify_known(
    p: &Ports<'_>,
    (ended, end): (&CallHash, ChildEnd),
    entries: impl IntoIterator<Item = Return>,
    handled: &mut HashSet<Return>,
) -> Result<Vec<Return>> {
    let new: Vec<Return> = entries.into_iter().filter(|entry| !handled.contains(entry)).collect();
    let mut looks: Vec<Access<'_, (Return, Readiness)>> = Vec::with_capacity(new.len());
    for entry in new {
        looks.push(Box::pin(async move {
            let found = readiness(p.store, &entry, Some(ended), end).await?;
            Ok((entry, found))
        }));
    }
    // The results come in no particular order.
    let looked = all(looks).await?;
    let ready: Vec<&Return> = looked.iter().filter(|(_, r)| *r == Readiness::Ready).map(|(entry, _)| entry).collect();
    p.notify(&ready).await?;
    for (entry, readiness) in &looked {
        if let Readiness::Look(pace) = readiness {
            look_later(p, entry, *pace).await?;
        }
    }
    let (unknown, known): (Vec<_>, Vec<_>) = looked.into_iter().partition(|(_, r)| *r == Readiness::Unknown);
    handled.extend(known.into_iter().map(|(entry, _)| entry));
    Ok(unknown.into_iter().map(|(entry, _)| entry).collect())
}

/// Sends a parent a message for another look after `pace` milliseconds, and notes this in its `run` record. So the children that
/// end meanwhile send none. The message is sent first: if the worker dies in between, there is a message too many.
pub(super) async fn look_later(p: &Ports<'_>, parent: &Return, pace: Millis) -> Result<()> {
    p.notify_after(Duration::from_millis(pace), &[parent]).await?;
    let key = Key::run(&parent.parent, &parent.job_id);
    let Some(bytes) = p.store.get(&key).await? else { return Ok(()) };
    let Ok(run) = RunRecord::decode(&bytes) else { return Ok(()) };
    // If another child has noted its message meanwhile, that one is enough. If the parent has begun another wait, it has looked
    // at its calls itself.
    if run.pace == pace && run.look == 0 {
        let noted = RunRecord { look: p.now.saturating_add(pace), ..run };
        p.store.swap(&key, Some(&bytes), Some(noted.encode())).await?;
    }
    Ok(())
}

/// The most calls that are looked at in one request. A look reads two or three records of each call, and one request to
/// DynamoDB reads at most a hundred records.
pub(super) const MAX_LOOKS: usize = 50;

/// Has the parent enough outcomes to be worth running? If its `run` record can't be read, the answer is yes: the parent's own
/// message then finds the damage and reports it. `ended`: a call that is known to have its outcome.
pub(super) async fn readiness(
    store: &dyn Store,
    entry: &Return,
    ended: Option<&CallHash>,
    end: ChildEnd,
) -> Result<Readiness> {
    match by_record(store, entry, ended, end).await {
        Err(error) if error.is_unreadable() => Ok(Readiness::Ready),
        known => known,
    }
}

async fn by_record(store: &dyn Store, entry: &Return, ended: Option<&CallHash>, end: ChildEnd) -> Result<Readiness> {
    let Some(bytes) = store.get(&Key::run(&entry.parent, &entry.job_id)).await? else {
        return Ok(Readiness::Unknown);
    };
    let mut waiting = Waiting::decode(&bytes)?;
    // The first request looks at one call, because that is usually enough. Each later request looks at twice as many, so that a
    // thousand calls take few requests.
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
        // The records may be read in any order. If an outcome is missed here, it was put after this function began. Then the
        // worker that put it looks at this parent itself.
        let keys = |c| [Key::value(c), Key::failure(c, &entry.job_id), Key::pending_returns(c)];
        let keys: Vec<Key> = calls.iter().flat_map(keys).collect();
        let found = if keys.is_empty() { Vec::new() } else { store.has_many(&keys).await? };
        for found in found.chunks(3) {
            // A call without a `pending_returns` record has ended: its outcome was removed. Nothing else would notify the
            // parent.
            waiting.found(matches!(found, [true, ..] | [_, true, _] | [.., false]));
        }
        if calls.len() < looks {
            return waiting.readiness(ended, end);
        }
        looks = (2 * looks).min(MAX_LOOKS);
    }
}
