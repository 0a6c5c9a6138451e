//! A call that has its outcome, or is abandoned.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::jobs::{end_in_job, mark_over};
use super::keep_log::keep_log;
use super::notify::{notify_all, notify_in_job};
use crate::abandon::{Abandon, Todo};
use crate::error::Result;
use crate::model::{CallHash, Failure, JobId, Topic};
use crate::ports::{Key, Swap, Work};
use crate::records::{JobEnd, JobRecord, JobState, encode_failure};
use crate::wire::{Message, PendingReturns};

/// See `Backend::complete`.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn complete(p: &Ports<'_>, work: &Work, value: Bytes) -> Result<()> {
    let (Message { job_id, call }, p) = (&work.message, &p.at(work.now));
    keep_log(p.store, work).await?;
    // The first value stays. A mismatch means that another run was faster.
    p.store.swap(&Key::value(call), None, Some(value)).await?;
    notify_all(p, call, HashSet::new()).await?;
    if work.ends_job {
        let state = end_in_job(p.store, job_id, call).await?;
        mark_over(p.store, job_id, JobEnd { state, at: p.now }).await?;
    }
    p.ack(work).await
}

/// See `Backend::fail`. Rules R1 and R2.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn fail(p: &Ports<'_>, work: &Work, failure: &Failure) -> Result<()> {
    let Message { job_id, call } = &work.message;
    keep_log(p.store, work).await?;
    let key = Key::failure(call, job_id);
    let end = if p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await? {
        JobState::of(Err(&failure.kind))
    } else {
        end_in_job(p.store, job_id, call).await?
    };
    notify_parents(p, work, end).await
}

/// See `Backend::notify_parents`.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn notify_parents(p: &Ports<'_>, work: &Work, end: JobState) -> Result<()> {
    let (Message { job_id, call }, p) = (&work.message, &p.at(work.now));
    if end == JobState::Completed {
        notify_all(p, call, HashSet::new()).await?;
    } else {
        notify_in_job(p, call, job_id, &work.topic, HashSet::new()).await?;
    }
    if work.ends_job {
        mark_over(p.store, job_id, JobEnd { state: end, at: p.now }).await?;
    }
    p.ack(work).await
}

/// See `Backend::abandon`. Rule R3.
///
/// # Errors
/// When a port fails or a record does not decode; safe to repeat.
pub async fn abandon(p: &Ports<'_>, work: &Work) -> Result<()> {
    keep_log(p.store, work).await?;
    abandon_call(p, &work.message.job_id, &work.message.call, &work.topic).await?;
    p.ack(work).await
}

/// Abandons a call, and the calls above it that wait for it in jobs that are over.
pub(super) async fn abandon_call(p: &Ports<'_>, job_id: &JobId, call: &CallHash, topic: &Topic) -> Result<()> {
    let mut abandon = Abandon::new(job_id, call, topic);
    while let Some(call) = abandon.next_call() {
        let key = Key::pending_returns(&call);
        let Some(bytes) = p.store.get(&key).await? else {
            abandon.done();
            continue;
        };
        let pending = PendingReturns::decode(&bytes).map_err(|e| e.of(&key))?;
        let job_ids: Vec<JobId> = abandon.unknown_jobs(&pending).into_iter().collect();
        let jobs = p.store.get_many(&job_ids.iter().map(Key::job).collect::<Vec<_>>()).await?;
        for (job_id, job) in job_ids.into_iter().zip(jobs) {
            // A job without a record is a peer's job, and is alive.
            let over = job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(&job_id)))?;
            abandon.found(job_id, over);
        }
        let Todo::Settle { send, new, keep } = abandon.decide(&pending) else { continue };
        // The message is sent before the record is changed. In the other order a crash would leave the live parents without a
        // message.
        if let Some((job_id, topic)) = send {
            p.send(&topic, &Message { job_id, call: call.clone() }).await?;
        }
        // After a mismatch the loop reads the record again.
        if keep || p.store.swap(&key, Some(&bytes), new.map(|pending| pending.encode())).await? == Swap::Done {
            abandon.done();
        }
    }
    Ok(())
}
