//! Jobs: how they begin and end.

use bytes::Bytes;

use super::Ports;
use super::describe::describe;
use super::join::{join, leave};
use super::load::outcomes;
use crate::error::Result;
use crate::joining::Start;
use crate::model::{CallHash, Failure, JobId, Millis};
use crate::ports::{Key, NewJob, Scheduled, Store, Swap, message_counter};
use crate::records::{JobEnd, JobRecord, JobState, LatestJob, encode_failure, read_failure};

/// See `Backend::schedule`.
///
/// # Errors
/// When a port fails; safe to repeat with the same `job_id`. `Conflict` if the call hash stands for another call.
pub async fn schedule(p: &Ports<'_>, job: &NewJob, now: Millis) -> Result<Scheduled> {
    let call = &job.call;
    // This comes before any other write: a job that is refused must not change anything of the call that the hash stands for.
    describe(p.store, call).await?;
    // This is written before the job record. So `gc` does not take the call for one that is no longer needed, and does not
    // remove what is written next.
    let latest = Key::latest_job(&call.hash);
    let unsent = LatestJob::unsent(job.job_id.clone()).encode();
    let latest_before = replace(p.store, &latest, unsent.clone()).await?;
    let key = Key::job(&job.job_id);
    let (mut record, mut is_new) = (job.record(now), true);
    // The record is never replaced: a client that repeats its request must not revive a job that is over.
    if let Swap::Mismatch(Some(found)) = p.store.swap(&key, None, Some(record.encode())).await? {
        (record, is_new) = (JobRecord::decode(&found).map_err(|e| e.of(&key))?, false);
    }
    if record.call != call.hash {
        p.store.swap(&latest, Some(&unsent), latest_before).await?;
        return Ok(Scheduled::Taken);
    }
    if record.is_over() {
        return Ok(Scheduled::AlreadyDone);
    }
    let mut found = p.store.get_many(&[Key::pending_returns(&call.hash), Key::value(&call.hash)]).await?;
    if found.pop().flatten().is_some() {
        let state = end_in_job(p.store, &job.job_id, &call.hash).await?;
        mark_over(p.store, &job.job_id, JobEnd { state, at: now }).await?;
        return Ok(Scheduled::AlreadyDone);
    }
    // Another message could run the call a second time, while a worker runs it.
    if !is_new && LatestJob::says_sent(latest_before.as_deref(), &job.job_id) {
        p.store.swap(&latest, Some(&unsent), latest_before).await?;
        return Ok(Scheduled::Queued);
    }
    let pending = found.pop().flatten();
    let start = join(p, job, is_new, pending, latest_before.as_deref(), now).await?;
    let messages: Vec<_> = job.messages(now).into_iter().skip(usize::from(start == Start::Joins)).collect();
    if !messages.is_empty() {
        p.counters.incr(&message_counter(&job.job_id), messages.len() as u64).await?;
        p.queue.send_many(&messages).await?;
    }
    if start == Start::SendsAndLeaves {
        leave(p.store, &job.job_id, &call.hash).await?;
    }
    // Only now may other jobs join this job. If another job is the latest by now, they join that job.
    let sent = LatestJob::sent(job.job_id.clone(), job.is_delayed(now));
    p.store.swap(&latest, Some(&unsent), Some(sent.encode())).await?;
    Ok(Scheduled::Queued)
}

/// Puts a record, and returns the record that was there before.
async fn replace(store: &dyn Store, key: &Key, new: Bytes) -> Result<Option<Bytes>> {
    let mut expected = None;
    while let Swap::Mismatch(found) = store.swap(key, expected.as_ref(), Some(new.clone())).await? {
        expected = found;
    }
    Ok(expected)
}

/// Writes down how a job ended, if the job has a record and is alive. Returns the job as it is afterwards.
pub(super) async fn mark_over(store: &dyn Store, job_id: &JobId, end: JobEnd) -> Result<Option<JobRecord>> {
    let key = Key::job(job_id);
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

/// See `Backend::end_job`. The failure is written first. After a crash in between, the job's top call has its outcome but the
/// job is alive. The next message for that call, or the next attempt of the caller, finds that and marks the job as over.
pub async fn end_job(store: &dyn Store, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
    let key = Key::job(job_id);
    let Some(bytes) = store.get(&key).await? else { return Ok(None) };
    let job = JobRecord::decode(&bytes).map_err(|e| e.of(&key))?;
    if job.is_over() {
        return Ok(Some(job));
    }
    let (key, value) = (Key::failure(&job.call, job_id), Key::value(&job.call));
    let state = if store.put_if(&key, encode_failure(failure), &value).await? {
        JobState::of(Err(&failure.kind))
    } else {
        // The call already has its outcome, so that outcome is how the job ended.
        match outcomes(store, job_id, std::slice::from_ref(&job.call)).await?.first() {
            Some(Some(outcome)) => JobState::of_outcome(outcome),
            _ => JobState::of(Err(&failure.kind)),
        }
    };
    mark_over(store, job_id, JobEnd { state, at: now }).await
}

/// How a call with an outcome ended in a job. A failure counts even if a value came after it (R1): a client that ends the job
/// may have put the failure at the moment in which the call completed.
pub(super) async fn end_in_job(store: &dyn Store, job_id: &JobId, call: &CallHash) -> Result<JobState> {
    let key = Key::failure(call, job_id);
    let failure = store.get(&key).await?.map(|bytes| read_failure(&key, &bytes)).transpose()?;
    Ok(failure.map_or(JobState::Completed, |failure| JobState::of(Err(&failure.kind))))
}
