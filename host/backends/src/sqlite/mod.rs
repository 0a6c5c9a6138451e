//! Queue, store and counters in one SQLite file, shared by any number of processes of one machine.
//!
//! - `open`, `schema`: the file; `error`: translates SQLite's errors
//! - `writer`, `thread`: the one thread of a process that writes, many operations in one transaction; `session`: the
//!   thread's connection; `transaction`: one operation; `rows`, `jobs`, `queue`: the SQL statements
//! - `readers`: connections for reads that are large or slow
//! - `ports`: implements the traits
//!
//! # Durability
//!
//! The file is in WAL mode. So a process that is killed, at any moment, loses nothing that was answered.
//!
//! A **power cut** can lose data:
//!
//! - `schedule` is answered when its commit is on the disk (`synchronous = FULL`: the commit syncs the log, and with it
//!   all earlier commits). An accepted job survives.
//! - Everything else (`synchronous = NORMAL`) is on the disk after the next checkpoint or the next `schedule`. A power
//!   cut may roll the file back to an earlier commit. Then the transitions after that commit are undone, each as a
//!   whole, and the latest ones first. A transition moves records and messages together, so the work is done again and
//!   nothing is stuck. Effects outside (for example a mail) happen twice, as at-least-once delivery permits. A value
//!   that a client already has may be computed again.
//!
//! A checkpoint copies the log into the file when the log has grown to 16 MiB, and when the last process closes the
//! file. It syncs the log, writes the pages and syncs the file. It runs in the writing thread, after the commit that
//! exceeded the limit. Writers in other processes and all readers continue during a checkpoint.
//!
//! Leases and delays use the wall clock, because no other clock is shared by all processes, including later ones. If
//! the clock is set back, leases and delays become longer by that time. Ready messages are not affected.

mod error;
mod events;
mod jobs;
mod open;
mod parents;
mod ports;
mod private;
mod queue;
mod readers;
mod rows;
mod schema;
mod session;
mod thread;
mod transaction;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::error::Result;

use self::readers::Readers;
use self::session::Session;
use self::writer::Writer;
use crate::DEFAULT_LEASE;
use crate::waiters::Waiters;

/// The default path of the file: beside the code that the user tries out.
pub const DEFAULT_PATH: &str = ".brrr/state.db";

/// A backend in a SQLite file.
pub struct Sqlite {
    name: String,
    lease: Duration,
    readers: Arc<Readers>,
    /// Dropped after the readers. The last connection that closes copies the log into the file, and a reader can't do
    /// that.
    writer: Writer,
    waiters: Arc<Waiters>,
}

/// Options for opening a file.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    lease: Duration,
    max_pages: Option<u32>,
    must_exist: bool,
}

impl SqliteOptions {
    /// After this time a message is delivered again, unless it is acknowledged or its lease is extended. The processes
    /// that share a file may have different leases. Each process uses its own for the messages that it receives.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The most pages of 4 KiB that the file may have. Beyond that, a write fails with `Full`, as on a full disk.
    #[must_use]
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Creates nothing: a missing file is an error, `NotSetUp`.
    #[must_use]
    pub fn must_exist(mut self, must_exist: bool) -> Self {
        self.must_exist = must_exist;
        self
    }

    /// Opens the file. If the file or its folder is missing, it is created, with access for its owner only.
    ///
    /// # Errors
    /// `ReadOnly`, `Full`, `Config` (an invalid path), `Corrupt` (not a file of this program), `NewerSchema`,
    /// `Unavailable` (locked by another process for 10 s).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Sqlite> {
        let path = path.as_ref();
        let session = Session::new(open::writer(path, self.max_pages, self.must_exist)?, path.to_owned(), self.lease)?;
        let (writer, waiters) = Writer::start(session)?;
        Ok(Sqlite {
            name: format!("sqlite:{}", path.display()),
            lease: self.lease,
            writer,
            readers: Arc::new(Readers::new(path.to_owned())),
            waiters,
        })
    }
}

impl Sqlite {
    /// The default options. They can be changed before opening.
    #[must_use]
    pub fn options() -> SqliteOptions {
        SqliteOptions { lease: DEFAULT_LEASE, max_pages: None, must_exist: false }
    }

    /// Opens a file with the default options.
    ///
    /// # Errors
    /// See `SqliteOptions::open`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }
}
