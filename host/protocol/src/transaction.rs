//! What a backend must offer to make each transition in one transaction (`transactional.rs`), and how it keeps a call with many
//! parents.
//!
//! The record `pending_returns` grows with the number of parents. If all of it were read and written for each new parent, each
//! parent would cost more than the one before. So when there are many parents, they are kept one by one, beside the record.
//! Then the row of the record holds only `scheduled_at`. The functions that read or replace the record (`get`, `put`, `delete`)
//! nevertheless show it in its usual form.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::error::Result;
use crate::model::{CallHash, Topic};
use crate::multi_step::{registered, with_me};
use crate::ports::{Key, Kind, Outgoing, Receipt};
use crate::registration::{Facts, Registered};
use crate::wire::{Message, PendingReturns, Return};

/// The first byte of a row whose parents are kept one by one. `scheduled_at` follows, if it is known.
const ONE_BY_ONE: u8 = b'*';

/// The row of a record whose parents are kept one by one.
#[must_use]
pub fn row_of_many(scheduled_at: Option<u64>) -> Bytes {
    let time = scheduled_at.map(|at| at.to_string()).unwrap_or_default();
    [&[ONE_BY_ONE], time.as_bytes()].concat().into()
}

/// The `scheduled_at` of a record whose parents are kept one by one. `None`: the row holds the record itself.
#[must_use]
pub fn read_row_of_many(key: &Key, row: &[u8]) -> Option<Option<u64>> {
    let [ONE_BY_ONE, time @ ..] = row else { return None };
    (key.kind == Kind::PendingReturns).then(|| std::str::from_utf8(time).ok()?.parse().ok())
}

/// Reads that all see the same consistent state.
pub trait Snapshot {
    /// The stored row of a record: the bytes of the record, or the result of `row_of_many`.
    fn row(&mut self, key: &Key) -> Result<Option<Bytes>>;

    /// The parents of a call that are kept one by one.
    ///
    /// # Errors
    /// When the backend fails.
    fn parents(&mut self, call: &CallHash) -> Result<BTreeSet<Return>>;

    /// A record's bytes.
    ///
    /// # Errors
    /// When the backend fails.
    fn get(&mut self, key: &Key) -> Result<Option<Bytes>> {
        let Some(row) = self.row(key)? else { return Ok(None) };
        let Some(scheduled_at) = read_row_of_many(key, &row) else { return Ok(Some(row)) };
        let returns = self.parents(&CallHash::from(&*key.id))?;
        // A row without parents is damaged. Its bytes are returned, and do not decode.
        Ok(Some(if returns.is_empty() { row } else { PendingReturns { returns, scheduled_at }.encode() }))
    }

    /// True if there is such a record. A backend should override this if it costs much to read the record's bytes.
    fn has(&mut self, key: &Key) -> Result<bool> {
        Ok(self.row(key)?.is_some())
    }
}

/// Reads and writes that become visible and durable together.
pub trait Transaction: Snapshot {
    /// If a call has more parents than this, they are kept one by one. Up to this number it costs less to write the record
    /// again.
    const MOST_LISTED: usize = 64;

    /// Puts (`None`: removes) the stored row of a record.
    ///
    /// # Errors
    /// When the backend fails. Then nothing of the transaction is kept.
    fn set_row(&mut self, key: &Key, row: Option<Bytes>) -> Result<()>;

    /// What the parent `me` needs to know about those parents of a call that are kept one by one. The cost does not depend on
    /// the number of parents.
    fn look_for(&mut self, call: &CallHash, me: &Return) -> Result<Facts>;

    /// Adds a parent to those that are kept one by one. The parent must not be among them yet.
    fn add_parent(&mut self, call: &CallHash, parent: &Return) -> Result<()>;

    /// Removes all parents of a call that are kept one by one.
    ///
    /// # Errors
    /// As `set_row`.
    fn remove_parents(&mut self, call: &CallHash) -> Result<()>;

    /// # Errors
    /// As `set_row`.
    fn enqueue(&mut self, message: Outgoing) -> Result<()>;

    /// # Errors
    /// As `set_row`.
    fn send(&mut self, topic: &Topic, message: &Message) -> Result<()> {
        self.enqueue(Outgoing::now(topic, message))
    }

    /// Adds to a counter and returns the sum.
    ///
    /// # Errors
    /// As `set_row`.
    fn add(&mut self, counter: &str, by: u64) -> Result<u64>;

    /// # Errors
    /// As `set_row`.
    fn ack(&mut self, receipt: &Receipt) -> Result<()>;

    /// Puts (`None`: removes) a record.
    ///
    /// # Errors
    /// As `set_row`.
    fn write(&mut self, key: &Key, value: Option<Bytes>) -> Result<()> {
        if key.kind == Kind::PendingReturns && self.row(key)?.is_some_and(|row| read_row_of_many(key, &row).is_some()) {
            self.remove_parents(&CallHash::from(&*key.id))?;
        }
        self.set_row(key, value)
    }

    /// # Errors
    /// As `set_row`.
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        self.write(key, Some(Bytes::copy_from_slice(value)))
    }

    /// # Errors
    /// As `set_row`.
    fn delete(&mut self, key: &Key) -> Result<()> {
        self.write(key, None)
    }

    /// What the parent `me` needs to know of the call's `pending_returns` when it registers.
    fn registered(&mut self, call: &CallHash, me: &Return) -> Result<Option<Registered>> {
        let key = Key::pending_returns(call);
        let row = self.row(&key)?;
        if let Some(scheduled_at) = row.as_ref().and_then(|row| read_row_of_many(&key, row)) {
            let facts = self.look_for(call, me)?;
            if facts.in_job || facts.in_other_jobs {
                return Ok(Some(Registered::one_by_one(Facts { scheduled_at, ..facts })));
            }
        }
        registered(call, row.as_ref(), me)
    }

    /// Adds the parent `me` to the waiting parents of a call. `found`: the result of `registered`.
    fn register(
        &mut self,
        call: &CallHash,
        found: Option<&Registered>,
        me: &Return,
        scheduled_at: Option<u64>,
    ) -> Result<()> {
        let key = Key::pending_returns(call);
        match found {
            Some(found) if found.is_one_by_one() => {
                if !found.has_me() {
                    self.add_parent(call, me)?;
                }
                if found.scheduled_at() != scheduled_at {
                    self.set_row(&key, Some(row_of_many(scheduled_at)))?;
                }
                Ok(())
            }
            Some(found) if found.listed() >= Self::MOST_LISTED => {
                let with_me = PendingReturns::decode(&found.with(me, scheduled_at))?;
                for parent in &with_me.returns {
                    self.add_parent(call, parent)?;
                }
                self.set_row(&key, Some(row_of_many(scheduled_at)))
            }
            found => self.put(&key, &with_me(found, me, scheduled_at)),
        }
    }
}
