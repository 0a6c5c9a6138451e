//! Writes the `call` records of calls, unless a hash stands for another call.

use crate::concurrent::{Access, all};
use crate::error::Result;
use crate::identity::{Described, compare};
use crate::model::Call;
use crate::ports::{Key, Store, Swap};
use crate::wire::CallRecord;

/// Puts the `call` records of `calls`. A record that is already there stays: if two parents register a call at the same moment,
/// the first one decides what the hash stands for.
///
/// # Errors
/// `Conflict` if a record describes another call. Then records of the other calls may have been put, which does no harm. Any
/// other error if the store fails.
pub(super) async fn describe_all(store: &dyn Store, calls: &[Call]) -> Result<()> {
    let mut accesses: Vec<Access<'_, ()>> = Vec::with_capacity(calls.len());
    for call in calls {
        accesses.push(Box::pin(describe(store, call)));
    }
    all(accesses).await.map(drop)
}

/// The same as [`describe_all`], for one call.
pub(super) async fn describe(store: &dyn Store, call: &Call) -> Result<()> {
    let (key, new) = (Key::call(&call.hash), CallRecord::encode(&call.task, &call.payload));
    let mut expected = None;
    while let Swap::Mismatch(found) = store.swap(&key, expected.as_ref(), Some(new.clone())).await? {
        if let Some(found) = &found
            && compare(&call.hash, &call.task, &call.payload, found)? == Described::Same
        {
            break;
        }
        // A record that does not decode is replaced. A record that was removed meanwhile is put again.
        expected = found;
    }
    Ok(())
}
