//! Who waits for a call is woken.

use std::collections::HashSet;

use super::Ports;
use crate::concurrent::{Access, all};
use crate::error::Result;
use crate::model::{CallHash, Root, Topic};
use crate::ports::{Key, Store, Swap};
use crate::records::Waiting;
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
    Ok(())
}

/// Wakes those who wait under `root` for a call that failed there. The parents of other jobs stay, and the call is
/// queued again under one of theirs (R2).
pub(super) async fn wake_in_job(
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
pub(super) const MAX_LOOKS: usize = 50;

/// Has the parent enough outcomes to be worth running? Without a `run` record nobody knows: yes. Nor with one that can't be
/// read: it is the parent's, whose own message then finds and reports it. `ended`: a call of which it is known that it has one.
pub(super) async fn is_ready(store: &dyn Store, entry: &Return, ended: Option<&CallHash>) -> Result<bool> {
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
        let found = if keys.is_empty() { Vec::new() } else { store.has_many(&keys).await? };
        for outcome in found.chunks(2) {
            waiting.found(outcome.contains(&true));
        }
        if calls.len() < looks {
            return Ok(waiting.ready());
        }
        looks = (2 * looks).min(MAX_LOOKS);
    }
}
