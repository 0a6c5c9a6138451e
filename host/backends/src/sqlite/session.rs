//! The writing connection, with its cache of the database and the changes that are not written yet.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use brrr_protocol::error::{Error, Result};
use brrr_protocol::model::{Millis, Topic};
use brrr_protocol::ports::{Key, Kind};
use rusqlite::{Connection, OptionalExtension};

use super::error::{copy, translate};
use super::parents;
use super::queue::Outbox;
use super::rows::Rows;
use crate::now_millis;

/// The most counters in the cache. Beyond that the cache is cleared.
const MAX_COUNTERS: usize = 10_000;

/// The writing connection. Its cache is valid as long as no other connection writes. Each transaction checks that at
/// its beginning (`PRAGMA data_version`).
pub(super) struct Session {
    pub conn: Connection,
    pub path: PathBuf,
    pub lease: Duration,
    pub rows: Rows,
    pub outbox: Outbox,
    /// The number of the last queued message.
    pub last_message: i64,
    /// No delay and no lease ends before this time. It may be too early, but never too late.
    pub next_due: Millis,
    counters: HashMap<String, Counter>,
    data_version: i64,
    /// Does the connection sync each commit to the disk?
    synced: bool,
    /// Were records written before the end of this transaction?
    wrote_early: bool,
    /// The error of a statement that failed in this transaction. The transaction must then not be committed.
    failed: Option<Error>,
    lock_history: LockHistory,
}

/// The times when this connection could write. While another process locks the file, nobody can renew a lease. So a
/// lease that ran out during the lock is not lost at once.
#[derive(Default)]
struct LockHistory {
    /// The last time, in Unix ms.
    last: Millis,
    /// The last time before a lock. Leases that had run out by then are lost, even during the grace period.
    lost_by: Millis,
    /// The end of the grace period after a lock. Until then, no other lease is lost, so that its holder can renew it
    /// first.
    grace_until: Millis,
}

/// The shortest time that counts as a lock by another process: this connection had to wait for the lock, and it has not
/// written for this time. Our own transactions are shorter.
const KEPT_OUT: Millis = 50;

impl LockHistory {
    /// The connection got the lock at time `now`. `waited`: another connection had the lock. `lease`: the length of
    /// leases.
    fn begin(&mut self, waited: bool, now: Millis, lease: Duration) {
        if waited && now.saturating_sub(self.last) >= KEPT_OUT {
            self.lost_by = self.last;
            self.grace_until = now + lease.as_millis() as u64;
        }
        self.last = now;
    }

    /// The leases that ran out by this time are lost.
    fn lost_by(&self, now: Millis) -> Millis {
        if now < self.grace_until { self.lost_by } else { now }
    }
}

/// Taking a free lock is faster than this. A lock that is not free is tried again after this time.
const WAITED: Duration = Duration::from_micros(125);

/// The kinds of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// The transaction only reads.
    Read,
    /// The transaction writes. Its commit is on the disk after the next checkpoint or durable transaction.
    Write,
    /// The transaction writes. Its commit is on the disk when it is answered.
    Durable,
}

/// A counter's sum, and whether the sum must still be written.
#[derive(Clone, Copy, Default)]
pub(super) struct Counter {
    sum: u64,
    changed: bool,
}

/// The effects of a transaction that waiting tasks must know of.
#[derive(Default)]
pub(super) struct SqliteEffects {
    /// The topics with new ready messages.
    pub topics: HashSet<Topic>,
    /// Were records written?
    pub wrote: bool,
}

impl Session {
    /// # Errors
    /// An error if the file can't be read.
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
            lock_history: LockHistory::default(),
        };
        // Earlier writes of other processes must not count as new.
        session.look()?;
        Ok(session)
    }

    /// Translates the error of a statement, and remembers it in `failed`.
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

    /// Has another connection written since the last look? If so, this clears the cache.
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

    /// Begins a transaction. Returns whether another connection has written since the last look.
    pub fn begin(&mut self, mode: Mode) -> Result<bool> {
        self.failed = None;
        if mode == Mode::Read {
            let begun = self.execute("BEGIN");
            self.check(begun)?;
            return self.look();
        }
        let durable = mode == Mode::Durable;
        if self.synced != durable {
            // This setting can't be changed inside a transaction.
            let setting = if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            let set = self.conn.execute_batch(setting);
            self.check(set)?;
            self.synced = durable;
        }
        let asked = Instant::now();
        let begun = self.execute("BEGIN IMMEDIATE");
        self.check(begun)?;
        self.lock_history.begin(asked.elapsed() >= WAITED, now_millis(), self.lease);
        self.look()
    }

    /// The leases that ran out by this time are lost.
    pub fn lost_by(&self, now: Millis) -> Millis {
        self.lock_history.lost_by(now)
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }

    /// Writes all changes of this transaction.
    pub fn flush(&mut self) -> Result<SqliteEffects> {
        let wrote = self.rows.flush(&self.conn, now_millis());
        let wrote = self.check(wrote)? | std::mem::take(&mut self.wrote_early);
        let counted = self.flush_counters();
        self.check(counted)?;
        let topics = self.flush_outbox();
        Ok(SqliteEffects { topics: self.check(topics)?, wrote })
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
        // SQLite may have rolled back by itself already. Then this fails, and nothing needs to be done.
        let _ = self.conn.execute_batch("ROLLBACK");
    }

    fn forget(&mut self) {
        self.rows.forget();
        self.counters.clear();
        self.next_due = 0;
    }

    /// Removes records, and the names that have no records any more.
    pub fn remove(&mut self, keys: &[Key]) -> Result<()> {
        // Other operations of this transaction have changed records, so these are written first. The cache is cleared,
        // because it may contain numbers of names that are removed here.
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
        let mut job = self.conn.prepare_cached("DELETE FROM job WHERE n = (SELECT n FROM name WHERE id = ?1)")?;
        for key in keys {
            record.execute((&*key.id, &*key.kind.name()))?;
            if key.kind == Kind::Job {
                job.execute([&*key.id])?;
            }
            if key.kind == Kind::PendingReturns {
                parents::remove_all(&self.conn, &key.id)?;
            }
            name.execute([&*key.id])?;
        }
        Ok(())
    }

    /// Gives up to `pages` free pages back to the system. Returns whether there may be more.
    pub fn compact(&mut self, pages: u32) -> Result<bool> {
        let compacted = self.compact_statements(pages);
        self.check(compacted)
    }

    fn compact_statements(&self, pages: u32) -> rusqlite::Result<bool> {
        // The statement returns one row for each page.
        let mut vacuum = self.conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = vacuum.query([])?;
        let mut freed = 0;
        while rows.next()?.is_some() {
            freed += 1;
        }
        Ok(freed >= pages)
    }

    pub fn forget_counters(&mut self, names: &[String]) -> Result<()> {
        let forgotten = self
            .conn
            .prepare_cached("DELETE FROM counter WHERE name = ?1")
            .and_then(|mut delete| names.iter().try_for_each(|name| delete.execute([name]).map(drop)));
        self.counters.retain(|name, _| !names.contains(name));
        self.check(forgotten)
    }

    /// Adds to a counter. Returns the old counter and the new sum.
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

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    #[test]
    fn a_lease_that_runs_out_while_the_file_is_locked_is_not_lost() {
        let mut lock_history = LockHistory::default();
        lock_history.begin(false, 1_000, LEASE);
        assert_eq!(lock_history.lost_by(1_100), 1_100);
        // Another process had the lock for most of this time.
        lock_history.begin(true, 9_000, LEASE);
        assert_eq!(lock_history.lost_by(9_000), 1_000);
        // The lease's holder may get the lock only after several other transactions. A short wait for the lock does not
        // change which leases are lost.
        lock_history.begin(false, 9_001, LEASE);
        lock_history.begin(true, 9_003, LEASE);
        assert_eq!(lock_history.lost_by(9_010), 1_000);
        assert_eq!(lock_history.lost_by(14_000), 14_000);
    }

    #[test]
    fn repeated_locks_of_another_process_keep_no_lost_lease_alive() {
        let mut lock_history = LockHistory::default();
        for turn in 1..100 {
            lock_history.begin(true, turn * 1_000, LEASE);
        }
        assert_eq!(lock_history.lost_by(99_000), 98_000);
    }
}
