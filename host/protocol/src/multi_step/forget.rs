//! Removes what calls have left that no job needs any more.

use crate::error::Result;
use crate::model::{CallHash, JobId};
use crate::ports::{Key, Store};
use crate::records::LatestJob;

/// See `Backend::forget_calls`.
///
/// # Errors
/// When the store fails or a record does not decode; safe to repeat.
pub async fn forget_calls(store: &dyn Store, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
    if !had_value {
        return Ok(vec![false; calls.len()]);
    }
    let keys: Vec<Key> = calls.iter().flat_map(|call| [Key::pending_returns(call), Key::latest_job(call)]).collect();
    let found = store.get_many(&keys).await?;
    let free = found.chunks(2).map(|found| may_forget(job_id, found[0].is_some(), found[1].as_deref()));
    let free: Vec<bool> = free.collect::<Result<_>>()?;
    let values = calls.iter().zip(&free).filter(|(_, free)| **free).map(|(call, _)| Key::value(call));
    store.remove_many(&values.collect::<Vec<_>>()).await?;
    Ok(free)
}

/// True if the call may be removed: no parent waits for it, and as far as the records say only `job_id` asked for it.
pub(crate) fn may_forget(job_id: &JobId, is_awaited: bool, latest: Option<&[u8]>) -> Result<bool> {
    Ok(!is_awaited && latest.map(LatestJob::decode).transpose()?.is_none_or(|latest| latest.job_id == *job_id))
}
