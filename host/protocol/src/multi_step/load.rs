//! Reads what a message needs, and the outcomes of calls.

use bytes::Bytes;

use super::notify::MAX_LOOKS;
use crate::error::Result;
use crate::model::{CallHash, JobId, Outcome, size_of_outcome};
use crate::ports::{Key, Loaded, MOST_AT_ONCE, Store, Work};
use crate::records::{JobRecord, RunRecord, read_failure};
use crate::wire::{CallRecord, Message};

/// See `Backend::load`.
///
/// The value and the failure are read together, in any order. If neither is found, neither was there at the earlier of the two
/// moments. If the failure is found, it counts. Only a value without a failure leaves a doubt: the failure may have been put
/// between the two reads, before the value, and other readers may have seen it. So the failure is then read again, after the
/// value (R1).
///
/// # Errors
/// When the store fails or a record does not decode.
pub async fn load(store: &dyn Store, work: &Work) -> Result<Loaded> {
    let Message { job_id, call } = &work.message;
    let keys =
        [Key::call(call), Key::value(call), Key::failure(call, job_id), Key::run(call, job_id), Key::job(job_id)];
    let found = store.get_many(&keys).await?;
    let [call_bytes, value, mut failure, run_bytes, job] = <[_; 5]>::try_from(found).unwrap_or_default();
    if value.is_some() && failure.is_none() {
        failure = store.get(&keys[2]).await?;
    }
    let mut loaded = Loaded {
        call: call_bytes.as_ref().map(CallRecord::decode).transpose().map_err(|e| e.of(&keys[0]))?,
        job: job.as_deref().map(JobRecord::decode).transpose().map_err(|e| e.of(&keys[4]))?.map(Box::new),
        outcome: outcome(job_id, call, value, failure)?,
        run: run_bytes.as_deref().map(RunRecord::decode).transpose().map_err(|e| e.of(&keys[3]))?,
        run_bytes,
        ..Loaded::default()
    };
    if let (Some(run), None) = (&loaded.run, &loaded.outcome) {
        let sampled = run.sample.len();
        if is_far_from_ready(store, job_id, run).await? {
            loaded.sample = vec![None; sampled];
            return Ok(loaded);
        }
        let calls: Vec<CallHash> = run.sample.iter().rev().cloned().collect();
        loaded.take_sample(outcomes(store, job_id, &calls).await?);
    }
    Ok(loaded)
}

/// True if so many of the last few calls have no outcome that the others need not be looked at. A parent of a thousand calls
/// gets messages too early while it registers, and must not read a thousand outcomes for each of them. If the record names few
/// calls, they are read at once anyway.
async fn is_far_from_ready(store: &dyn Store, job_id: &JobId, run: &RunRecord) -> Result<bool> {
    if run.sample.len() <= MAX_LOOKS {
        return Ok(false);
    }
    let last = &run.sample[run.sample.len() - LAST_FEW..];
    let keys: Vec<Key> = last.iter().flat_map(|c| [Key::value(c), Key::failure(c, job_id)]).collect();
    let found = store.has_many(&keys).await?;
    let missing = found.chunks(2).filter(|outcome| !outcome.contains(&true)).count();
    Ok(missing as u64 > u64::from(run.total.saturating_sub(run.need)))
}

/// Calls end in about the order of the list. So the last few show whether many are missing.
const LAST_FEW: usize = 4;

/// See `Backend::outcomes`.
///
/// # Errors
/// When the store fails or a record does not decode.
pub async fn outcomes(store: &dyn Store, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
    let (mut bytes, mut found) = (0, Vec::with_capacity(calls.len()));
    while found.len() < calls.len() && bytes < MOST_AT_ONCE {
        let outcomes = some_outcomes(store, job_id, &calls[found.len()..], MOST_AT_ONCE - bytes).await?;
        bytes += outcomes.iter().flatten().map(size_of_outcome).sum::<usize>();
        found.extend(outcomes);
    }
    Ok(found)
}

/// The outcomes of the first of `calls`, until their values reach about `bytes` bytes.
async fn some_outcomes(
    store: &dyn Store,
    job_id: &JobId,
    calls: &[CallHash],
    bytes: usize,
) -> Result<Vec<Option<Outcome>>> {
    // All values are read first, and then all failures. A failure is put only while there is no value, so this order never
    // misses a failure that an earlier reader saw (R1). They are not read together as in `load`: most of these calls have a
    // value, and each would need a second read.
    let values = store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?;
    let calls = &calls[..values.len()];
    let failures = store.get_many(&calls.iter().map(|c| Key::failure(c, job_id)).collect::<Vec<_>>()).await?;
    let found = values.into_iter().zip(failures).zip(calls);
    found.map(|((value, failure), call)| outcome(job_id, call, value, failure)).collect()
}

/// The outcome of a call in a job, from its value and its failure. If both are there, the failure counts: a replay must not get
/// another answer than an earlier run (R1).
pub fn outcome(
    job_id: &JobId,
    call: &CallHash,
    value: Option<Bytes>,
    failure: Option<Bytes>,
) -> Result<Option<Outcome>> {
    match failure {
        Some(bytes) => Ok(Some(Err(read_failure(&Key::failure(call, job_id), &bytes)?))),
        None => Ok(value.map(Ok)),
    }
}
