//! Opens the file: finds it, checks that it may be written, and configures SQLite.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use brrr_protocol::error::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::{BACKEND, translate};
use super::{private, schema};

/// How often the lock of a file is tried, once a millisecond: 10 s in total. A commit of another worker takes a few
/// milliseconds, and a checkpoint on a slow disk takes a second. After a longer wait, an error is more useful.
pub(super) const BUSY_TRIES: i32 = 10_000;

/// Replaces SQLite's own handler, which sleeps up to 100 ms at a time. In that time a busy process would commit a
/// hundred times.
fn wait_for_lock(tries: i32) -> bool {
    // Transactions of other workers are shorter than a millisecond. So the first tries come sooner.
    sleep(Duration::from_micros(if tries < 8 { 125 } else { 1000 }));
    tries < BUSY_TRIES
}

/// The number of 4 KiB pages in the write-ahead log at which it is copied into the file (16 MiB). Each page is copied
/// only once, however often it changed. A larger log is hardly better, and makes opening after a crash slower.
const CHECKPOINT_PAGES: u32 = 4096;

/// The number of prepared statements that a connection keeps. There are about 30.
const STATEMENTS: usize = 64;

/// Opens the file for reading and writing. If the file or its folder is missing, it is created, unless `must_exist`
/// makes that an error.
pub(super) fn writer(path: &Path, max_pages: Option<u32>, must_exist: bool) -> Result<Connection> {
    if must_exist && !path.exists() {
        let reason = "there is no such file yet: the first `run`, `schedule` or `call` makes it; start one, or name another \
                      file with sqlite:PATH";
        return Err(Error::new(ErrorKind::NotSetUp, BACKEND, format!("open {}", path.display()), reason));
    }
    create(path)?;
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    set_auto_vacuum(&conn).map_err(|e| translate(path, "open", e))?;
    set_wal(&conn, path)?;
    schema::prepare(&conn, path)?;
    conn.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         -- After a burst the log gives its room back.
         PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;
         -- On macOS only these reach the disk itself; elsewhere they are without effect.
         PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1"
    ))
    .map_err(|e| translate(path, "open", e))?;
    if let Some(pages) = max_pages {
        let set = conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()));
        set.map_err(|e| translate(path, "open", e))?;
    }
    Ok(conn)
}

/// Opens a file that `writer` has prepared, for reading only.
pub(super) fn reader(path: &Path) -> Result<Connection> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // The writer reads the records that are read often, so this cache can be small. It should be small too: under load,
    // each thread has such a connection, and each connection's cache fills up in the course of hours.
    conn.execute_batch("PRAGMA cache_size = -2048").map_err(|e| translate(path, "open", e))?;
    Ok(conn)
}

fn connect(path: &Path, mode: OpenFlags) -> Result<Connection> {
    // NO_MUTEX: only one thread at a time uses a connection.
    let conn = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|e| translate(path, "open", e))?;
    conn.busy_handler(Some(wait_for_lock)).map_err(|e| translate(path, "open", e))?;
    // Without this, SQLite compiles a statement again whenever a bound value could favour another plan. That takes 15
    // us each time, and our statements have only one plan.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(|e| translate(path, "open", e))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

fn set_wal(conn: &Connection, path: &Path) -> Result<()> {
    // The busy handler does not cover the switch to WAL. The switch fails while another process creates the same file.
    let mut tries = 0;
    loop {
        match conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(Error::new(
                    ErrorKind::Config,
                    BACKEND,
                    format!("open {}", path.display()),
                    format!(
                        "its file system allows no shared write-ahead log (SQLite stays in mode {mode}); use a local disk"
                    ),
                ));
            }
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && wait_for_lock(tries) => tries += 1,
            // The file itself was opened for writing. So the error means that the log can't be created beside it.
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
                return Err(Error::new(
                    ErrorKind::ReadOnly,
                    BACKEND,
                    format!("open {}", path.display()),
                    format!(
                        "this user may not write in its folder {}, where SQLite keeps the log; change the permissions, \
                         or name another file",
                        folder(path).display()
                    ),
                )
                .with_source(e));
            }
            Err(e) => return Err(translate(path, "open", e)),
        }
    }
}

/// Lets a new file give free pages back to the system, see `compact`. Not used for a file that has tables: there it has
/// no effect, and would wait for a writer of another process.
fn set_auto_vacuum(conn: &Connection) -> rusqlite::Result<()> {
    let pages: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages == 0 { conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL") } else { Ok(()) }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes sure that the file exists and may be written, because the system's errors say more than SQLite's. New files
/// and folders are accessible for their owner only. SQLite creates the log and its index with the file's own mode.
fn create(path: &Path) -> Result<()> {
    let folder = folder(path);
    if !folder.exists() {
        private::folder(folder).map_err(|e| refused(path, "create the folder of", e))?;
        sync_parent(folder);
    }
    private::tighten(path);
    match private::file().truncate(false).open(path) {
        Ok(file) if file.metadata().is_ok_and(|m| m.is_file()) => Ok(()),
        Ok(_) => Err(refused(path, "open", io::ErrorKind::IsADirectory.into())),
        Err(e) => Err(refused(path, "open", e)),
    }
}

/// A new folder must survive a power cut, like the file in it. Some systems can't sync a folder. There it depends on
/// the file system.
fn sync_parent(folder: &Path) {
    if let Some(parent) = folder.canonicalize().ok().as_deref().and_then(Path::parent)
        && let Ok(parent) = std::fs::File::open(parent)
    {
        let _ = parent.sync_all();
    }
}

fn refused(path: &Path, doing: &str, error: io::Error) -> Error {
    let (kind, reason) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            ErrorKind::ReadOnly,
            "this user may not write there; change the permissions, or name another file with sqlite:PATH".to_owned(),
        ),
        io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::ReadOnly, "its file system is read-only; name another file with sqlite:PATH".to_owned())
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Full, "there is no room left on its disk; make room, or name another file".to_owned())
        }
        io::ErrorKind::IsADirectory => {
            (ErrorKind::Config, "it is a folder; name a file, as in sqlite:FOLDER/state.db".to_owned())
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            (ErrorKind::Config, "a part of the path is a file, not a folder; name another file".to_owned())
        }
        _ => (ErrorKind::Config, format!("{error}; name another file with sqlite:PATH")),
    };
    Error::new(kind, BACKEND, format!("{doing} {}", path.display()), reason).with_source(error)
}
