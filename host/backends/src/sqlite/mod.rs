//! Queue, store and counters in one SQLite file, shared by any number of processes of one machine.
//!
//! - `open`, `schema`: the file; `error`: its errors in our words
//! - `writer`, `thread`: the one thread of a process that writes, many operations a transaction; `session`: its
//!   connection; `transaction`: one operation; `rows`, `queue`: the statements
//! - `readers`: connections that read what is large or long
//! - `ports`: the traits on top
//!
//! # What is durable when
//! The file is in WAL mode, so a process that is killed, at whatever moment, loses nothing that was answered.
//! A **power cut** is another matter:
//! - `schedule` is answered when its commit is on the disk (`synchronous = FULL`: the log is synced at the commit, and
//!   all commits before it with it). An accepted job survives.
//! - Everything else (`synchronous = NORMAL`) is on the disk after the next checkpoint or the next `schedule`. A power cut
//!   may roll the file back to an earlier commit: the transitions since then have not happened, whole ones, the last
//!   ones first. As a transition moves records and messages together, the work is done again and nothing is stuck; what
//!   it did outside (a mail sent) happens twice, as at-least-once has it. A value that a client has already been given
//!   may be computed again.
//!
//! A checkpoint copies the log into the file when it has grown to 16 MiB, and when the last process closes it: it syncs the
//! log, writes the pages, syncs the file. It runs in the writing thread, after the commit that was one too many; writers
//! in other processes and all readers go on meanwhile.
//!
//! Leases and delays go by the wall clock, the only one that processes and their successors share. A clock that is set
//! back makes leases and delays that much longer; messages that are ready are not affected.

mod error;
mod events;
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
use crate::wake::Wakeups;

/// Where the file is unless somebody says otherwise: beside the code that is being tried out.
pub const DEFAULT_PATH: &str = ".brrr/state.db";

/// A backend in a SQLite file.
pub struct Sqlite {
    name: String,
    lease: Duration,
    readers: Arc<Readers>,
    /// Dropped after the readers: the last connection to close copies the log into the file, which a reader can't.
    writer: Writer,
    wakeups: Arc<Wakeups>,
}

/// How to open a file.
#[derive(Clone, Debug)]
pub struct Options {
    lease: Duration,
    max_pages: Option<u32>,
    must_exist: bool,
}

impl Options {
    /// After how long a message is delivered again unless it is acknowledged or its lease extended. The processes that
    /// share a file may differ: each goes by its own for what it receives.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The most pages of 4 KiB that the file may have; more is `Full`, as on a full disk.
    #[must_use]
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Creates nothing: a file that is missing is an error, `NotSetUp`.
    #[must_use]
    pub fn must_exist(mut self, must_exist: bool) -> Self {
        self.must_exist = must_exist;
        self
    }

    /// Opens the file; creates it, and its folder, where they are missing, for their owner alone.
    ///
    /// # Errors
    /// `ReadOnly`, `Full`, `Config` (a path that can't be), `Corrupt` (not a file of ours), `NewerSchema`, `Unavailable`
    /// (locked by another process for 10 s).
    pub fn open(self, path: impl AsRef<Path>) -> Result<Sqlite> {
        let path = path.as_ref();
        let session = Session::new(open::writer(path, self.max_pages, self.must_exist)?, path.to_owned(), self.lease)?;
        let (writer, wakeups) = Writer::start(session)?;
        Ok(Sqlite {
            name: format!("sqlite:{}", path.display()),
            lease: self.lease,
            writer,
            readers: Arc::new(Readers::new(path.to_owned())),
            wakeups,
        })
    }
}

impl Sqlite {
    /// The defaults, to be changed before opening.
    #[must_use]
    pub fn options() -> Options {
        Options { lease: DEFAULT_LEASE, max_pages: None, must_exist: false }
    }

    /// Opens a file with the defaults.
    ///
    /// # Errors
    /// See `Options::open`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }
}
