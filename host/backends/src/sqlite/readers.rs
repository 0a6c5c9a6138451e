//! Reading connections, for what a worker does not ask at every step or what is large. A reader sees every commit that was
//! answered before it began, waits for nobody, and runs on the thread of who asks.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use brrr_protocol::error::Result;
use brrr_protocol::fused::Snapshot;
use brrr_protocol::ports::Key;
use bytes::Bytes;
use rusqlite::Connection;

use super::error::translate;
use super::open;
use super::rows::Rows;

/// More idle connections than this are closed; there are seldom more readers at once than threads.
const IDLE: usize = 8;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    /// Runs `body` on a connection.
    pub fn with<T>(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.lend(|conn| body(conn).map_err(|e| translate(&self.path, "read", e)))
    }

    /// Runs `body` on one consistent state of all records.
    pub fn snapshot<T>(&self, body: impl FnOnce(&mut View<'_>) -> Result<T>) -> Result<T> {
        self.lend(|conn| {
            let run = |sql| {
                conn.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(|e| translate(&self.path, "read", e))
            };
            run("BEGIN")?;
            let result = body(&mut View { conn, readers: self, rows: Rows::default() });
            run("COMMIT")?;
            result
        })
    }

    fn lend<T>(&self, body: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => open::reader(&self.path)?,
        };
        let result = body(&conn);
        // One that is left inside a transaction (which only an error can do) would show an old state for ever.
        if conn.is_autocommit() && self.idle().len() < IDLE {
            self.idle().push(conn);
        }
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One consistent state of all records.
pub(super) struct View<'a> {
    conn: &'a Connection,
    readers: &'a Readers,
    rows: Rows,
}

impl Snapshot for View<'_> {
    fn get(&mut self, key: &Key) -> Result<Option<Bytes>> {
        self.rows.get(self.conn, key).map_err(|e| translate(&self.readers.path, "read", e))
    }

    fn has(&mut self, key: &Key) -> Result<bool> {
        self.rows.has(self.conn, key).map_err(|e| translate(&self.readers.path, "read", e))
    }
}
