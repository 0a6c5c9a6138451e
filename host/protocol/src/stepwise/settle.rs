//! A call that has its outcome, or is let go.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::jobs::{end_in_job, mark_over};
use super::wake::{wake_all, wake_in_job};
use crate::error::Result;
use crate::model::{CallHash, Failure, Root, Topic};
use crate::ports::{Key, Swap, Work};
use crate::records::{JobEnd, JobRecord, JobState, encode_failure};
use crate::release::{Release, Todo};
use crate::wire::{Message, PendingReturns};

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
    release_call(p, &work.message.root, &work.message.call, &work.topic).await?;
    p.ack(work).await
}

/// Lets go of a call, and of those above it that waited for it in jobs that are over.
pub(super) async fn release_call(p: &Ports<'_>, root: &Root, call: &CallHash, topic: &Topic) -> Result<()> {
    let mut release = Release::new(root, call, topic);
    while let Some(call) = release.next_call() {
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
        if let Some((root, topic)) = send {
            p.send(&topic, &Message { root, call: call.clone() }).await?;
        }
        // On a mismatch it is read again.
        if keep || p.store.swap(&key, Some(&bytes), new.map(|pending| pending.encode())).await? == Swap::Done {
            release.done();
        }
    }
    Ok(())
}
