//! Records what calls are, unless their hashes stand for other calls.

use crate::concurrent::{Access, all};
use crate::error::Result;
use crate::identity::{Described, compare};
use crate::model::Call;
use crate::ports::{Key, Store, Swap};
use crate::wire::CallRecord;

/// Puts the `call` records of `calls`. One that is there stays: two parents may register a call in the same moment, and then the
/// first one decides what the hash stands for.
///
/// # Errors
/// `Conflict` where a record describes another call; records of the other calls may have been put, which harms nobody. Else when
/// the store fails.
pub(super) async fn describe_all(store: &dyn Store, calls: &[Call]) -> Result<()> {
    let mut accesses: Vec<Access<'_, ()>> = Vec::with_capacity(calls.len());
    for call in calls {
        accesses.push(Box::pin(describe(store, call)));
    }
    all(accesses).await.map(drop)
}

/// As [`describe_all`].
pub(super) async fn describe(store: &dyn Store, call: &Call) -> Result<()> {
    let (key, new) = (Key::call(&call.hash), CallRecord::encode(&call.task, &call.payload));
    let mut expected = None;
    while let Swap::Mismatch(found) = store.swap(&key, expected.as_ref(), Some(new.clone())).await? {
        if let Some(found) = &found
            && compare(&call.hash, &call.task, &call.payload, found)? == Described::Same
        {
            break;
        }
        // A record that does not decode is replaced; one that has gone is put again.
        expected = found;
    }
    Ok(())
}
