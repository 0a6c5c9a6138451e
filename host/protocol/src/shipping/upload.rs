//! Keeps a collection (`gc`) from removing chunks that somebody is about to use.
//!
//! Who sends a component uses chunks that are there already, and some of them may be named by nothing else. So both sides say first
//! what they are about to do, and then look at the other side:
//!
//! - A sender puts an `upload` record with its chunks, and then looks whether a collection is going on. If so, it sends all chunks
//!   anew, whether they are there or not.
//! - A collection puts an `upload` record of its own, and then lists those of the senders. Their chunks stay.
//!
//! At least one of the two sees the other. A chunk that is sent anew has other bytes than the collection has read, or is too young
//! for it, so it stays.

use bytes::Bytes;

use super::LEAST_AGE;
use super::chunks::Component;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Millis;
use crate::ports::{Key, Kind, Store};
use crate::records::{ChunkEntry, UploadRecord};

/// The id of the record by which a collection says that it is going on. It is no digest.
pub(crate) const COLLECTION: &str = "gc";

/// For how long an `upload` record counts after it was put, in milliseconds.
pub(crate) fn life() -> Millis {
    u64::try_from(LEAST_AGE.as_millis()).unwrap_or(u64::MAX)
}

/// The key of the record by which a collection says that it is going on.
pub(crate) fn collection() -> Key {
    Key::new(COLLECTION, Kind::Upload)
}

/// True if a collection may be removing chunks. (A record that can't be read may be one of a later version.)
pub(super) async fn is_collecting(store: &dyn Store) -> Result<bool> {
    let found = store.get(&collection()).await?;
    let is_over = |bytes: &Bytes| UploadRecord::decode(bytes).is_ok_and(|record| record.at + life() < store.now());
    Ok(found.is_some_and(|bytes| !is_over(&bytes)))
}

/// A component that is being sent, or a collection that is going on.
pub(crate) struct Upload<'a> {
    store: &'a dyn Store,
    key: Key,
    record: UploadRecord,
}

impl<'a> Upload<'a> {
    /// Says that the chunks of this component are needed.
    pub async fn begin(store: &'a dyn Store, component: &Component) -> Result<Self> {
        Self::put(store, Key::upload(&component.digest()), component.chunks().to_vec()).await
    }

    /// Says that chunks are being removed.
    pub async fn collection(store: &'a dyn Store) -> Result<Self> {
        Self::put(store, collection(), Vec::new()).await
    }

    async fn put(store: &'a dyn Store, key: Key, chunks: Vec<ChunkEntry>) -> Result<Self> {
        let record = UploadRecord { at: store.now(), chunks };
        store.put(&key, record.encode()).await?;
        Ok(Self { store, key, record })
    }

    /// Says so again, from time to time.
    ///
    /// # Errors
    /// When the store fails. `Unavailable` if this process stood still for so long that the other side no longer counts with it.
    pub async fn renew(&mut self) -> Result<()> {
        let now = self.store.now();
        let passed = now.saturating_sub(self.record.at);
        if passed > life() / 2 {
            let reason =
                format!("it stood still for {} s; do it again: what is done is not done twice", passed / 1_000);
            return Err(Error::new(ErrorKind::Unavailable, "protocol", "send or collect components", reason));
        }
        if passed > life() / 20 {
            self.record.at = now;
            self.store.put(&self.key, self.record.encode()).await?;
        }
        Ok(())
    }

    /// Ends it; for a component, after its manifest was put. If somebody else is doing the same, the record stays.
    pub async fn end(self) -> Result<()> {
        self.store.swap(&self.key, Some(&self.record.encode()), None).await.map(drop)
    }
}
