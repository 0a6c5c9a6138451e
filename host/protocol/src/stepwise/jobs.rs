//! Jobs: how they begin and end.

use bytes::Bytes;

use super::Ports;
use super::describe::describe;
use super::join::{join, leave};
use super::load::outcomes;
use crate::error::Result;
use crate::joining::Start;
use crate::model::{CallHash, Failure, Millis, Root};
use crate::ports::{Key, NewJob, Scheduled, Store, Swap, spawn_counter};
use crate::records::{JobEnd, JobRecord, JobState, Latest, encode_failure, read_failure};

/// See `Backend::schedule`.
///
/// # Errors
/// When a port fails; safe to repeat under the same root. `Conflict` where the call hash stands for another call.
pub async fn schedule(p: &Ports<'_>, job: &NewJob, now: Millis) -> Result<Scheduled> {
    let call = &job.call;
    // Before anything else: a job that is refused changes nothing of the job that the call hash stands for.
    describe(p.store, call).await?;
    // Before the job, so that nobody takes the call for one that is no longer needed and forgets what is written next.
    let mut latest = Latest { root: job.root.clone(), is_on_its_way: false };
    let latest_before = replace(p.store, &Key::latest(&call.hash), latest.encode()).await?;
    let key = Key::job(&job.root);
    let (mut record, mut is_new) = (job.record(now), true);
    // Never replaced: a client that repeats itself must not revive a job that is over.
    if let Swap::Mismatch(Some(found)) = p.store.swap(&key, None, Some(record.encode())).await? {
        (record, is_new) = (JobRecord::decode(&found).map_err(|e| e.of(&key))?, false);
    }
    if record.is_over() {
        return Ok(Scheduled::AlreadyDone);
    }
    let mut found = p.store.get_many(&[Key::pending_returns(&call.hash), Key::value(&call.hash)]).await?;
    if found.pop().flatten().is_some() {
        let state = end_in_job(p.store, &job.root, &call.hash).await?;
        mark_over(p.store, &job.root, JobEnd { state, at: now }).await?;
        return Ok(Scheduled::AlreadyDone);
    }
    let pending = found.pop().flatten();
    let start = join(p, job, is_new, pending, latest_before.as_deref(), now).await?;
    let messages: Vec<_> = job.messages(now).into_iter().skip(usize::from(start == Start::Joins)).collect();
    if !messages.is_empty() {
        p.cache.incr(&spawn_counter(&job.root), messages.len() as u64).await?;
        p.queue.send_many(&messages).await?;
    }
    if start == Start::SendsAndLeaves {
        leave(p.store, &job.root, &call.hash).await?;
    }
    // Only now may others join this job. If another one is the latest by now, they join that one.
    let unsent = latest.encode();
    latest.is_on_its_way = true;
    p.store.swap(&Key::latest(&call.hash), Some(&unsent), Some(latest.encode())).await?;
    Ok(Scheduled::Queued)
}

/// Puts a record, and returns the one that was there.
async fn replace(store: &dyn Store, key: &Key, new: Bytes) -> Result<Option<Bytes>> {
    let mut expected = None;
    while let Swap::Mismatch(found) = store.swap(key, expected.as_ref(), Some(new.clone())).await? {
        expected = found;
    }
    Ok(expected)
}

/// Writes down how a job ended, if it is one of ours and alive. Returns the job as it then is.
pub(super) async fn mark_over(store: &dyn Store, root: &Root, end: JobEnd) -> Result<Option<JobRecord>> {
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

/// How a call that has an outcome ended in a job. A failure counts even if a value came after it (R1): somebody who ends
/// the job may have put one in the very moment in which the call completed.
pub(super) async fn end_in_job(store: &dyn Store, root: &Root, call: &CallHash) -> Result<JobState> {
    let key = Key::failure(call, root);
    let failure = store.get(&key).await?.map(|bytes| read_failure(&key, &bytes)).transpose()?;
    Ok(failure.map_or(JobState::Completed, |failure| JobState::of(Err(&failure.kind))))
}
