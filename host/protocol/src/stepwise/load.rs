//! What a message finds, and the outcomes of calls.

use bytes::Bytes;

use super::wake::MAX_LOOKS;
use crate::error::Result;
use crate::model::{CallHash, Outcome, Root, size_of_outcome};
use crate::ports::{Key, Loaded, MOST_AT_ONCE, Store, Work};
use crate::records::{JobRecord, RunRecord, read_failure};
use crate::wire::{CallRecord, Message};

/// See `Backend::load`.
///
/// Value and failure are read together, in whatever order. Where neither is found, neither was there at the earlier of the two
/// moments. Where the failure is found, it counts. Only a value without a failure leaves a doubt: the failure may have been put
/// between the two, before the value, and seen by others. So it is read again, after the value (R1).
///
/// # Errors
/// When the store fails or a record does not decode.
pub async fn load(store: &dyn Store, work: &Work) -> Result<Loaded> {
    let Message { root, call } = &work.message;
    let keys = [Key::call(call), Key::value(call), Key::failure(call, root), Key::run(call, root), Key::job(root)];
    let found = store.get_many(&keys).await?;
    let [call_bytes, value, mut failure, run_bytes, job] = <[_; 5]>::try_from(found).unwrap_or_default();
    if value.is_some() && failure.is_none() {
        failure = store.get(&keys[2]).await?;
    }
    let mut loaded = Loaded {
        call: call_bytes.as_ref().map(CallRecord::decode).transpose().map_err(|e| e.of(&keys[0]))?,
        job: job.as_deref().map(JobRecord::decode).transpose().map_err(|e| e.of(&keys[4]))?.map(Box::new),
        outcome: outcome(root, call, value, failure)?,
        run: run_bytes.as_deref().map(RunRecord::decode).transpose().map_err(|e| e.of(&keys[3]))?,
        run_bytes,
        ..Loaded::default()
    };
    if let (Some(run), None) = (&loaded.run, &loaded.outcome) {
        let sampled = run.sample.len();
        if is_far_from_ready(store, root, run).await? {
            loaded.sample = vec![None; sampled];
            return Ok(loaded);
        }
        let calls: Vec<CallHash> = run.sample.iter().rev().cloned().collect();
        loaded.take_sample(outcomes(store, root, &calls).await?);
    }
    Ok(loaded)
}

/// Is so much missing among the last few calls alone that the others need not be looked at? A parent of a thousand is woken in
/// vain while it registers, and must not read a thousand outcomes each time. Few calls are read at once either way.
async fn is_far_from_ready(store: &dyn Store, root: &Root, run: &RunRecord) -> Result<bool> {
    if run.sample.len() <= MAX_LOOKS {
        return Ok(false);
    }
    let last = &run.sample[run.sample.len() - LAST_FEW..];
    let keys: Vec<Key> = last.iter().flat_map(|c| [Key::value(c), Key::failure(c, root)]).collect();
    let found = store.has_many(&keys).await?;
    let missing = found.chunks(2).filter(|outcome| !outcome.contains(&true)).count();
    Ok(missing as u64 > u64::from(run.total.saturating_sub(run.need)))
}

/// Calls end in about their order, so that these tell.
const LAST_FEW: usize = 4;

/// See `Backend::outcomes`.
///
/// # Errors
/// When the store fails or a record does not decode.
pub async fn outcomes(store: &dyn Store, root: &Root, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
    let (mut bytes, mut found) = (0, Vec::with_capacity(calls.len()));
    while found.len() < calls.len() && bytes < MOST_AT_ONCE {
        let outcomes = some_outcomes(store, root, &calls[found.len()..], MOST_AT_ONCE - bytes).await?;
        bytes += outcomes.iter().flatten().map(size_of_outcome).sum::<usize>();
        found.extend(outcomes);
    }
    Ok(found)
}

/// The outcomes of the first of `calls`, whose values come to about so many bytes.
async fn some_outcomes(
    store: &dyn Store,
    root: &Root,
    calls: &[CallHash],
    bytes: usize,
) -> Result<Vec<Option<Outcome>>> {
    // All values first, then all failures: a failure is put only while there is no value, so this order never misses
    // one that an earlier reader saw (R1). Not together as in `load`: here most calls have a value, and so would be read again.
    let values = store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?;
    let calls = &calls[..values.len()];
    let failures = store.get_many(&calls.iter().map(|c| Key::failure(c, root)).collect::<Vec<_>>()).await?;
    let found = values.into_iter().zip(failures).zip(calls);
    found.map(|((value, failure), call)| outcome(root, call, value, failure)).collect()
}

/// Of the value and the failure of a call in a job, the failure: a replay must not change its mind (R1).
///
/// # Errors
/// As `read_failure`.
pub fn outcome(root: &Root, call: &CallHash, value: Option<Bytes>, failure: Option<Bytes>) -> Result<Option<Outcome>> {
    match failure {
        Some(bytes) => Ok(Some(Err(read_failure(&Key::failure(call, root), &bytes)?))),
        None => Ok(value.map(Ok)),
    }
}
