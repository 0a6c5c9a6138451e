//! `Store`: records by key.

use async_trait::async_trait;
use bytes::Bytes;

use super::{JobPage, JobQuery, Key, Kind};
use crate::error::Result;
use crate::model::{Millis, system_now};

/// The result of a compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The record was the expected one, and the change was made.
    Done,
    /// The record was not the expected one. This is the record that was found.
    Mismatch(Option<Bytes>),
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The ids of this page, in any order. What they identify depends on the kind of the records, see `Key::id`.
    pub ids: Vec<String>,
    /// The cursor of the next page. `None`: this was the last page.
    pub next: Option<String>,
}

/// A key-value store whose reads see every earlier write.
#[async_trait]
pub trait Store: Send + Sync {
    /// The time by the clock that all users of the store share: the server's clock, if there is a server that tells its time;
    /// otherwise this machine's clock.
    fn now(&self) -> Millis {
        system_now()
    }

    /// The record of `key`. `None`: there is no such record.
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// The records of `keys`, in the order of `keys`. They are read one by one, in any order, so the answer may show records
    /// that were never there at the same time.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(key).await?);
        }
        Ok(found)
    }

    /// The same as `get_many`, but stops after the record with which the sum reaches `bytes` bytes. The answer has at least the
    /// first record. The caller asks again for the rest. For records that may be large.
    async fn get_some(&self, keys: &[Key], bytes: usize) -> Result<Vec<Option<Bytes>>> {
        let (mut found, mut sum) = (Vec::new(), 0);
        for key in keys {
            let record = self.get(key).await?;
            sum += record.as_ref().map_or(0, Bytes::len);
            found.push(record);
            if sum >= bytes {
                break;
            }
        }
        Ok(found)
    }

    /// Returns for each of `keys` whether it has a record. The records may be large, so no more than a few of them are read at
    /// once.
    async fn has_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        const FEW: usize = 8;
        let mut found = Vec::with_capacity(keys.len());
        for few in keys.chunks(FEW) {
            found.extend(self.get_many(few).await?.iter().map(Option::is_some));
        }
        Ok(found)
    }

    /// Puts a record, whatever was there before.
    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Puts records that do not depend on each other, in any order. After an `Err` any of them may have been put.
    async fn put_many(&self, records: &[(Key, Bytes)]) -> Result<()> {
        for (key, value) in records {
            self.put(key, value.clone()).await?;
        }
        Ok(())
    }

    /// Compare and swap: creates (`None`, `Some`), replaces, or deletes (`Some`, `None`) a record.
    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap>;

    /// Puts `key` if neither `key` nor `absent` has a record, in one atomic step (rule R1). Returns whether it was put.
    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool>;

    /// Removes records, whatever they contain, in any order. After an `Err` any of them may have been removed.
    async fn remove_many(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            let mut found = self.get(key).await?;
            while let Some(bytes) = found {
                match self.swap(key, Some(&bytes), None).await? {
                    Swap::Done => break,
                    Swap::Mismatch(other) => found = other,
                }
            }
        }
        Ok(())
    }

    /// When each of these records was first written. `None`: there is no such record, or the store does not know. For people's
    /// commands.
    async fn written(&self, keys: &[Key]) -> Result<Vec<Option<Millis>>> {
        Ok(vec![None; keys.len()])
    }

    /// About `limit` ids that have a record of this kind, in any order. `cursor` is `None` for the first page, and the `next`
    /// of the page before for any other page. An id that has its record during the whole listing is listed at least once. An id
    /// whose record is written or removed meanwhile may be listed or not. A page may be empty although more pages follow, and
    /// may repeat an id.
    ///
    /// For the kinds in [`Kind::LISTED`], all pages together cost what there is of this kind, however many other records there
    /// are: the store keeps their ids apart, and writes them in one step with the records. (Somebody who deletes such a record on
    /// the server by other means may leave its id in the list. Readers pass over an id without a record.) For any other kind, all
    /// pages together may cost one pass over all records of the store, whatever `limit` is.
    ///
    /// For people's commands, repairs and collections only; no transition may depend on it. See [`crate::listing::Listing`].
    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page>;

    /// A page of jobs in the order of time. The store keeps this index itself, and writes it in one step with the record of the
    /// job: a job is in the index from the moment when its record is there, with the state that its record says.
    ///
    /// A page of a query that an index serves costs the same however many jobs there are. For other queries the store reads
    /// a bounded number of entries, and returns a page that may have fewer jobs than `limit`, or none, and a cursor.
    ///
    /// # Errors
    /// `Config` if the cursor is none of this store. Any other error when the store fails.
    async fn jobs(&self, query: &JobQuery) -> Result<JobPage>;

    /// How much earlier than jobs that are there a new job can stand in the order of [`Store::jobs`], in milliseconds. 0: a new
    /// job is always the newest.
    fn jobs_come_late_by(&self) -> Millis {
        0
    }

    /// True if workers of other implementations may use this store too. They write `call`, `pending_returns` and `value` records
    /// only, so nothing tells which calls their jobs need but a pass over all waiting parents.
    fn may_have_peers(&self) -> bool {
        true
    }

    /// Gives the space of removed records back to the operating system, if the store can do that.
    async fn compact(&self) -> Result<()> {
        Ok(())
    }

    /// Creates what the store needs on its server (a table), if it is not there. Returns a line of text for each thing that was
    /// created or found. Only `brrr-host setup` calls this: no other command creates anything on a server.
    async fn create(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
