//! Connections for reading, used for rare and for large reads. A reader sees every commit that was answered before the
//! read began. It runs on a thread that may block. So a large read, or a file that another program has locked, delays
//! nobody else.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::CallHash;
use brrr_protocol::ports::Key;
use brrr_protocol::transactional::Snapshot;
use brrr_protocol::wire::Return;
use bytes::Bytes;
use rusqlite::Connection;

use super::error::{BACKEND, translate};
use super::rows::Rows;
use super::{open, parents};

/// The most idle connections; more are closed. There are seldom more readers at once than threads.
const IDLE: usize = 8;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default() }
    }

    pub async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(|readers| readers.lend(|conn| body(conn).map_err(|e| translate(&readers.path, "read", e)))).await
    }

    /// Runs `body` on one consistent state of all records.
    pub async fn snapshot<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&mut View<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let read = |readers: &Self| {
            readers.lend(|conn| {
                let run = |sql| {
                    let done = conn.prepare_cached(sql).and_then(|mut s| s.execute([]));
                    done.map_err(|e| translate(&readers.path, "read", e))
                };
                run("BEGIN")?;
                let result = body(&mut View { conn, readers, rows: Rows::default() });
                run("COMMIT")?;
                result
            })
        };
        self.blocking(read).await
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        body: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let readers = self.clone();
        tokio::task::spawn_blocking(move || body(&readers)).await.unwrap_or_else(|error| {
            let operation = format!("read {}", self.path.display());
            Err(Error::new(ErrorKind::Internal, BACKEND, operation, error.to_string()))
        })
    }

    fn lend<T>(&self, body: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => open::reader(&self.path)?,
        };
        let result = body(&conn);
        // A connection that is still inside a transaction (only an error can cause that) would show an old state
        // forever. So it is closed.
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
    fn row(&mut self, key: &Key) -> Result<Option<Bytes>> {
        self.rows.get(self.conn, key).map_err(|e| translate(&self.readers.path, "read", e))
    }

    fn parents(&mut self, call: &CallHash) -> Result<BTreeSet<Return>> {
        parents::all(self.conn, call).map_err(|e| translate(&self.readers.path, "read", e))
    }

    fn has(&mut self, key: &Key) -> Result<bool> {
        self.rows.has(self.conn, key).map_err(|e| translate(&self.readers.path, "read", e))
    }
}
