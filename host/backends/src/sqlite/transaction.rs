//! One operation inside the writer's transaction. If it fails, its changes are undone, and the changes of the other
//! operations stay.

use std::collections::BTreeSet;

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::CallHash;
use brrr_protocol::ports::{Key, Outgoing, Receipt};
use brrr_protocol::registration::Facts;
use brrr_protocol::transactional::{Snapshot, Transaction};
use brrr_protocol::wire::Return;
use bytes::Bytes;

use super::error::BACKEND;
use super::parents;
use super::queue::QueuedRow;
use super::rows::{Record, Seen};
use super::session::{Counter, Session};

/// The most bytes of a record: SQLite's limit for a row is 1,000,000,000, and some of that is left for the key.
const MAX_VALUE: usize = 999_000_000;

/// One operation on the session's transaction.
pub(super) struct SqliteTx<'a> {
    session: &'a mut Session,
    undo: Vec<SqliteUndo>,
    sends_before: usize,
    acks_before: usize,
}

enum SqliteUndo {
    Record(Key, Record),
    Counter(String, Counter),
    Parent(CallHash, Return),
    Parents(CallHash, BTreeSet<Return>),
}

impl<'a> SqliteTx<'a> {
    pub fn new(session: &'a mut Session) -> Self {
        Self {
            undo: Vec::new(),
            sends_before: session.outbox.messages.len(),
            acks_before: session.outbox.acks.len(),
            session,
        }
    }

    /// The session, for operations of single statements, which need no undo.
    pub fn session(&mut self) -> &mut Session {
        self.session
    }

    fn insert(&mut self, call: &CallHash, parent: &Return) -> Result<()> {
        let session = &mut *self.session;
        let n = session.rows.number(&session.conn, &call.as_str().into());
        let n = session.check(n)?;
        let added = parents::add(&session.conn, n, parent);
        session.check(added)
    }

    /// Undoes all changes of this operation.
    pub fn undo(mut self) {
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            match undo {
                SqliteUndo::Record(key, before) => self.session.rows.restore(&key, before),
                SqliteUndo::Counter(name, before) => self.session.restore_counter(name, before),
                // Errors need no handling here: `Session::check` remembers them, and then the whole transaction is
                // rolled back.
                SqliteUndo::Parent(call, parent) => {
                    let removed = parents::remove(&self.session.conn, &call, &parent);
                    let _ = self.session.check(removed);
                }
                SqliteUndo::Parents(call, parents) => {
                    let _ = parents.iter().try_for_each(|parent| self.insert(&call, parent));
                }
            }
        }
        self.session.outbox.messages.truncate(self.sends_before);
        self.session.outbox.acks.truncate(self.acks_before);
    }
}

impl Snapshot for SqliteTx<'_> {
    fn row(&mut self, key: &Key) -> Result<Option<Bytes>> {
        let found = self.session.rows.get(&self.session.conn, key);
        self.session.check(found)
    }

    fn parents(&mut self, call: &CallHash) -> Result<BTreeSet<Return>> {
        let found = parents::all(&self.session.conn, call);
        self.session.check(found)
    }

    fn has(&mut self, key: &Key) -> Result<bool> {
        let found = self.session.rows.has(&self.session.conn, key);
        self.session.check(found)
    }
}

/// Reads small records only. A large read on this thread would delay all operations that want to write.
pub(super) struct Small<'a, 'b> {
    tx: &'a mut SqliteTx<'b>,
    too_large: bool,
}

impl<'a, 'b> Small<'a, 'b> {
    /// Runs `body`. `None`: a record was too large, so a reader must run `body` instead.
    pub fn read<T>(tx: &'a mut SqliteTx<'b>, body: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        let mut small = Self { tx, too_large: false };
        let found = body(&mut small);
        if small.too_large { Ok(None) } else { found.map(Some) }
    }
}

impl Snapshot for Small<'_, '_> {
    fn row(&mut self, key: &Key) -> Result<Option<Bytes>> {
        let session = &mut *self.tx.session;
        let seen = session.rows.get_small(&session.conn, key);
        match session.check(seen)? {
            Seen::Record(record) => Ok(record),
            Seen::TooLarge => {
                self.too_large = true;
                Ok(None)
            }
        }
    }

    fn parents(&mut self, call: &CallHash) -> Result<BTreeSet<Return>> {
        self.tx.parents(call)
    }

    fn has(&mut self, key: &Key) -> Result<bool> {
        self.tx.has(key)
    }
}

impl Transaction for SqliteTx<'_> {
    fn set_row(&mut self, key: &Key, row: Option<Bytes>) -> Result<()> {
        if let Some(size) = row.as_ref().map(Bytes::len).filter(|size| *size > MAX_VALUE) {
            return Err(Error::new(
                ErrorKind::Limit,
                BACKEND,
                format!("store the {} of {}", key.kind.name(), key.id),
                format!("it has {size} bytes, and a record can have {MAX_VALUE}; store it elsewhere and pass its name"),
            ));
        }
        let before = self.session.rows.set(key, row);
        self.undo.push(SqliteUndo::Record(key.clone(), before));
        Ok(())
    }

    fn look_for(&mut self, call: &CallHash, me: &Return) -> Result<Facts> {
        let found = parents::look_for(&self.session.conn, call, me);
        self.session.check(found)
    }

    fn add_parent(&mut self, call: &CallHash, parent: &Return) -> Result<()> {
        self.insert(call, parent)?;
        self.undo.push(SqliteUndo::Parent(call.clone(), parent.clone()));
        Ok(())
    }

    fn remove_parents(&mut self, call: &CallHash) -> Result<()> {
        let before = self.parents(call)?;
        let removed = parents::remove_all(&self.session.conn, call.as_str());
        self.session.check(removed)?;
        self.undo.push(SqliteUndo::Parents(call.clone(), before));
        Ok(())
    }

    fn enqueue(&mut self, message: Outgoing) -> Result<()> {
        let Outgoing { topic, body, delay } = message;
        self.session.outbox.messages.push(QueuedRow { topic, body, receives: 0, delay });
        Ok(())
    }

    fn add(&mut self, counter: &str, by: u64) -> Result<u64> {
        let (before, sum) = self.session.add(counter, by)?;
        self.undo.push(SqliteUndo::Counter(counter.to_owned(), before));
        Ok(sum)
    }

    fn ack(&mut self, receipt: &Receipt) -> Result<()> {
        self.session.outbox.acks.push(number(receipt)?);
        Ok(())
    }
}

/// The number of the message in a receipt of this backend.
pub(super) fn number(receipt: &Receipt) -> Result<i64> {
    receipt.0.parse().map_err(|_| {
        let operation = format!("find the message of receipt {:?}", receipt.0);
        Error::new(ErrorKind::Internal, BACKEND, operation, "it is not a receipt of this backend")
    })
}
