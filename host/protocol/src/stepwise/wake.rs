//! Who waits for a call is woken.

use std::collections::HashSet;

use super::Ports;
use crate::concurrent::{Access, all};
use crate::error::Result;
use crate::joining::{has_joined, is_passed_on, pass_on, topic_of};
use crate::model::{CallHash, Root, Topic};
use crate::ports::{Key, Store, Swap};
use crate::records::{Readiness, Waiting};
use crate::wire::{Message, PendingReturns, Return};

/// Wakes everybody, but for those `handled`, who waits for a call that has its value. Sends first and deletes after: the other
/// way round a crash loses wake-ups.
pub(super) async fn wake_all(p: &Ports<'_>, call: &CallHash, mut handled: HashSet<Return>) -> Result<()> {
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
    wake_unnotified(p, call, &mut handled).await
}

/// Wakes the parents that a failure of the call did not notify. Read after `pending_returns`: a failure writes an entry here
/// before it removes it there, so this order misses none.
async fn wake_unnotified(p: &Ports<'_>, call: &CallHash, handled: &mut HashSet<Return>) -> Result<()> {
    let key = Key::unnotified(call);
    let mut found = p.store.get(&key).await?;
    while let Some(record) = found {
        let parents = PendingReturns::decode(&record).map_err(|e| e.of(&key))?.returns;
        wake_new(p, call, parents, handled).await?;
        match p.store.swap(&key, Some(&record), None).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    Ok(())
}

/// Wakes those who wait under `root` for a call that failed there. The parents of other jobs stay, and the call is
/// queued again under one of theirs (R2). Not if the job had only joined the call: then it was cancelled or its time is over, and
/// another job has the call's message.
///
/// A parent that no `run` record tells of is not woken. If it is ours, it has yet to write that record, and then looks for
/// failures itself (R4). A worker of another SDK sees no failures: woken, it would register and send the call's message once
/// more, for ever. So it is kept for a later value. Not in `pending_returns`: the next peer that comes for the call in
/// another job would take the record for a sign that the call's message is on its way.
pub(super) async fn wake_in_job(
    p: &Ports<'_>,
    call: &CallHash,
    root: &Root,
    topic: &Topic,
    mut handled: HashSet<Return>,
) -> Result<()> {
    let key = Key::pending_returns(call);
    let mut passed_on: Option<Return> = None;
    let mut found = p.store.get(&key).await?;
    while let Some(bytes) = found {
        let pending = PendingReturns::decode(&bytes).map_err(|e| e.of(&key))?;
        let (mine, kept): (Vec<_>, Vec<_>) = pending.returns.into_iter().partition(|r| r.root == *root);
        let is_elsewhere = mine.iter().any(|entry| has_joined(entry, call));
        let parents = mine.into_iter().filter(|entry| !has_joined(entry, call));
        let unknown = wake_known(p, call, parents, &mut handled).await?;
        if !unknown.is_empty() {
            keep_unnotified(p, call, &unknown).await?;
        }
        let is_sent = is_elsewhere || passed_on.as_ref().is_some_and(|to| is_passed_on(to, &kept, call));
        if let Some(next) = PendingReturns::next_in_turn(&kept, root).filter(|_| !is_sent) {
            let message = Message { root: next.root.clone(), call: call.clone() };
            p.send(topic_of(next, call, topic), &message).await?;
            passed_on = Some(next.clone());
        }
        let kept = match &passed_on {
            Some(to) => pass_on(kept, call, &to.root),
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

/// Adds parents to those that a failure of the call did not notify.
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
    // The call may have got its value meanwhile. Who stored it has looked here before.
    if p.store.has_many(&[Key::value(call)]).await?.contains(&true) {
        wake_unnotified(p, call, &mut HashSet::new()).await?;
    }
    Ok(())
}

/// Wakes those of `entries` that were not handled yet, and are worth running now that `ended` has its value. Also where
/// nobody knows whether they are.
async fn wake_new(
    p: &Ports<'_>,
    ended: &CallHash,
    entries: impl IntoIterator<Item = Return>,
    handled: &mut HashSet<Return>,
) -> Result<()> {
    let unknown = wake_known(p, ended, entries, handled).await?;
    p.wake(&unknown.iter().collect::<Vec<_>>()).await?;
    handled.extend(unknown);
    Ok(())
}

/// Wakes those of `entries` that were not handled yet and whose `run` record says that they are worth running now that
/// `ended` has its outcome. Returns those that have no such record.
async fn wake_known(
    p: &Ports<'_>,
    ended: &CallHash,
    entries: impl IntoIterator<Item = Return>,
    handled: &mut HashSet<Return>,
) -> Result<Vec<Return>> {
    let new: Vec<Return> = entries.into_iter().filter(|entry| !handled.contains(entry)).collect();
    let mut looks: Vec<Access<'_, (Return, Readiness)>> = Vec::with_capacity(new.len());
    for entry in new {
        looks.push(Box::pin(async move {
            let found = readiness(p.store, &entry, Some(ended)).await?;
            Ok((entry, found))
        }));
    }
    // In no order.
    let looked = all(looks).await?;
    let ready: Vec<&Return> = looked.iter().filter(|(_, r)| *r == Readiness::Ready).map(|(entry, _)| entry).collect();
    p.wake(&ready).await?;
    let (unknown, known): (Vec<_>, Vec<_>) = looked.into_iter().partition(|(_, r)| *r == Readiness::Unknown);
    handled.extend(known.into_iter().map(|(entry, _)| entry));
    Ok(unknown.into_iter().map(|(entry, _)| entry).collect())
}

/// The most calls that are looked at in one request; two records each, and a request of DynamoDB reads a hundred.
pub(super) const MAX_LOOKS: usize = 50;

/// Has the parent enough outcomes to be worth running? With a `run` record that can't be read, yes: it is the parent's, whose
/// own message then finds and reports it. `ended`: a call of which it is known that it has one.
pub(super) async fn readiness(store: &dyn Store, entry: &Return, ended: Option<&CallHash>) -> Result<Readiness> {
    match by_record(store, entry, ended).await {
        Err(error) if error.is_unreadable() => Ok(Readiness::Ready),
        known => known,
    }
}

async fn by_record(store: &dyn Store, entry: &Return, ended: Option<&CallHash>) -> Result<Readiness> {
    let Some(bytes) = store.get(&Key::run(&entry.parent, &entry.root)).await? else {
        return Ok(Readiness::Unknown);
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
        let keys = |c| [Key::value(c), Key::failure(c, &entry.root), Key::pending_returns(c)];
        let keys: Vec<Key> = calls.iter().flat_map(keys).collect();
        let found = if keys.is_empty() { Vec::new() } else { store.has_many(&keys).await? };
        for found in found.chunks(3) {
            // Where nobody waits for a call it has ended: its outcome is forgotten, and nothing else would wake the parent.
            waiting.found(matches!(found, [true, ..] | [_, true, _] | [.., false]));
        }
        if calls.len() < looks {
            return Ok(waiting.readiness());
        }
        looks = (2 * looks).min(MAX_LOOKS);
    }
}
