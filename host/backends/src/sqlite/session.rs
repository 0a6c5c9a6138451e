//! The writing connection, with what is known of the database and what is about to be written.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use brrr_protocol::error::{Error, Result};
use brrr_protocol::model::{Millis, Topic};
use brrr_protocol::ports::Key;
use rusqlite::{Connection, OptionalExtension};

use super::error::{copy, translate};
use super::queue::Outbox;
use super::rows::Rows;
use crate::now_millis;

/// Counters are kept for so many jobs before they are read again.
const MAX_COUNTERS: usize = 10_000;

/// The writing connection. What it remembers holds as long as no other connection writes, which is checked at the
/// beginning of each transaction (`PRAGMA data_version`).
pub(super) struct Session {
    pub conn: Connection,
    pub path: PathBuf,
    pub lease: Duration,
    pub rows: Rows,
    pub outbox: Outbox,
    /// The number of the message that was queued last.
    pub last_message: i64,
    /// No delay and no lease ends before this. May be too early, never too late.
    pub next_due: Millis,
    counters: HashMap<String, Counter>,
    data_version: i64,
    /// Is the connection set to wait for the disk at each commit?
    synced: bool,
    /// Records were written before the end of this transaction.
    wrote_early: bool,
    /// A statement failed in this transaction, so that it must not be committed.
    failed: Option<Error>,
}

/// What a transaction is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// Reads only.
    Read,
    /// Writes; on the disk with the next checkpoint or durable transaction.
    Write,
    /// Writes; on the disk when it is answered.
    Durable,
}

/// A counter's sum, and whether it is still to be written.
#[derive(Clone, Copy, Default)]
pub(super) struct Counter {
    sum: u64,
    changed: bool,
}

/// What a transaction has done that others need to be told of.
#[derive(Default)]
pub(super) struct Effects {
    /// Topics with new messages that are ready.
    pub topics: HashSet<Topic>,
    /// Records were written.
    pub wrote: bool,
}

impl Session {
    /// # Errors
    /// When the file can't be read.
    pub fn new(conn: Connection, path: PathBuf, lease: Duration) -> Result<Self> {
        let mut session = Self {
            conn,
            path,
            lease,
            rows: Rows::default(),
            outbox: Outbox::default(),
            last_message: 0,
            next_due: 0,
            counters: HashMap::new(),
            data_version: 0,
            synced: false,
            wrote_early: false,
            failed: None,
        };
        // What was written until now is no news.
        session.look()?;
        Ok(session)
    }

    /// Translates an error of a statement, and keeps in mind that there was one.
    pub fn check<T>(&mut self, result: rusqlite::Result<T>) -> Result<T> {
        result.map_err(|e| {
            let error = translate(&self.path, "write to", e);
            self.failed = Some(copy(&error));
            error
        })
    }

    /// The error of a statement that failed in this transaction.
    pub fn failure(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// Has another connection written since the last look? If so, forgets what was known.
    pub fn look(&mut self) -> Result<bool> {
        let version: rusqlite::Result<i64> =
            self.conn.prepare_cached("PRAGMA data_version").and_then(|mut s| s.query_row([], |row| row.get(0)));
        let version = self.check(version)?;
        let changed = version != self.data_version;
        if changed {
            self.data_version = version;
            self.forget();
        }
        Ok(changed)
    }

    /// Begins a transaction; says whether another connection has written since the last look.
    pub fn begin(&mut self, mode: Mode) -> Result<bool> {
        self.failed = None;
        if mode == Mode::Read {
            let begun = self.execute("BEGIN");
            self.check(begun)?;
            return self.look();
        }
        let durable = mode == Mode::Durable;
        if self.synced != durable {
            // Not possible inside a transaction.
            let setting = if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            let set = self.conn.execute_batch(setting);
            self.check(set)?;
            self.synced = durable;
        }
        let begun = self.execute("BEGIN IMMEDIATE");
        self.check(begun)?;
        self.look()
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Writes everything that is to be written.
    pub fn flush(&mut self) -> Result<Effects> {
        let wrote = self.rows.flush(&self.conn, now_millis());
        let wrote = self.check(wrote)? | std::mem::take(&mut self.wrote_early);
        let counted = self.flush_counters();
        self.check(counted)?;
        let topics = self.flush_outbox();
        Ok(Effects { topics: self.check(topics)?, wrote })
    }

    pub fn commit(&mut self) -> Result<()> {
        let committed = self.execute("COMMIT");
        self.check(committed)?;
        self.rows.trim();
        if self.counters.len() > MAX_COUNTERS {
            self.counters.clear();
        }
        Ok(())
    }

    pub fn rollback(&mut self) {
        self.forget();
        self.outbox = Outbox::default();
        // SQLite may have rolled back on its own already; then there is nothing to do and this says so.
        let _ = self.conn.execute_batch("ROLLBACK");
    }

    fn forget(&mut self) {
        self.rows.forget();
        self.counters.clear();
        self.next_due = 0;
    }

    /// Removes records, and the names of those that have none any more.
    pub fn remove(&mut self, keys: &[Key]) -> Result<()> {
        // Others have written in this transaction, and nobody may remember a name's number that is gone.
        let flushed = self.rows.flush(&self.conn, now_millis());
        self.wrote_early |= self.check(flushed)?;
        self.rows.forget();
        let removed = self.remove_statements(keys);
        self.check(removed)
    }

    fn remove_statements(&self, keys: &[Key]) -> rusqlite::Result<()> {
        let mut record = self
            .conn
            .prepare_cached("DELETE FROM record WHERE n = (SELECT n FROM name WHERE id = ?1) AND kind = ?2")?;
        let mut name = self.conn.prepare_cached(
            "DELETE FROM name WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM record WHERE record.n = name.n)",
        )?;
        for key in keys {
            record.execute((&*key.id, &*key.kind.name()))?;
            name.execute([&*key.id])?;
        }
        Ok(())
    }

    pub fn forget_counters(&mut self, names: &[String]) -> Result<()> {
        let forgotten = self
            .conn
            .prepare_cached("DELETE FROM counter WHERE name = ?1")
            .and_then(|mut delete| names.iter().try_for_each(|name| delete.execute([name]).map(drop)));
        self.counters.retain(|name, _| !names.contains(name));
        self.check(forgotten)
    }

    /// Adds to a counter; returns what it was, and the sum.
    pub fn add(&mut self, name: &str, by: u64) -> Result<(Counter, u64)> {
        if !self.counters.contains_key(name) {
            let read = self
                .conn
                .prepare_cached("SELECT value FROM counter WHERE name = ?1")
                .and_then(|mut s| s.query_row([name], |row| row.get::<_, i64>(0)).optional());
            let sum = self.check(read)?.unwrap_or(0) as u64;
            self.counters.insert(name.to_owned(), Counter { sum, changed: false });
        }
        let Some(counter) = self.counters.get_mut(name) else { return Ok((Counter::default(), by)) };
        let before = *counter;
        *counter = Counter { sum: before.sum.saturating_add(by), changed: true };
        Ok((before, counter.sum))
    }

    pub fn restore_counter(&mut self, name: String, before: Counter) {
        self.counters.insert(name, before);
    }

    fn flush_counters(&mut self) -> rusqlite::Result<()> {
        for (name, counter) in self.counters.iter_mut().filter(|(_, counter)| counter.changed) {
            self.conn
                .prepare_cached("INSERT INTO counter VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?
                .execute((name, counter.sum as i64))?;
            counter.changed = false;
        }
        Ok(())
    }
}
