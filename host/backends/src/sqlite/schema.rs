//! The tables, and the migration of a file from an older version to this one.

use std::path::Path;

use brrr_protocol::error::{Error, ErrorKind, Result};
use rusqlite::Connection;

use super::error::{BACKEND, translate};
use super::jobs;

/// "brrr" in ASCII. Distinguishes our files from the files of other programs.
const APPLICATION_ID: i64 = 0x6272_7272;

/// `MIGRATIONS[n]` changes a file from version n to version n + 1. A migration is never edited after its release.
const MIGRATIONS: [&str; 5] = [V1, V2, V3, V4, V5];

/// The kinds of records that are listed, and of which there are few. They have an index.
pub(super) const LISTED: [&str; 11] = [
    "pending_returns",
    "unnotified",
    "tasks",
    "task_info",
    "schedules",
    "workers",
    "deployments",
    "manifest",
    "chunk",
    "upload",
    "dead_letter",
];

/// The condition of the index `listed`. A query that is to use the index repeats it.
pub(super) const IS_LISTED: &str = "kind IN ('pending_returns', 'unnotified', 'tasks', 'task_info', 'schedules', \
                                    'workers', 'deployments', 'manifest', 'chunk', 'upload', 'dead_letter')";

const V1: &str = "
    -- Records lie in the order in which their ids (calls, mostly) were first seen, not in that of the ids: calls that are
    -- made together end together, and then share pages that have to be written. With hashes as keys each record would
    -- have its page to itself.
    CREATE TABLE name (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
    -- `created` in Unix milliseconds.
    CREATE TABLE record (
        n INTEGER NOT NULL, kind TEXT NOT NULL, created INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (n, kind)
    ) WITHOUT ROWID;
    -- For listing jobs without reading every record.
    CREATE INDEX job ON record (n) WHERE kind = 'job';

    -- A message is in one of three tables. It gets a new number each time that it becomes ready, nanoseconds since 1970:
    -- so the number is the order, and names one delivery.
    CREATE TABLE ready (
        topic TEXT NOT NULL, number INTEGER NOT NULL, receives INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (topic, number)
    ) WITHOUT ROWID;
    CREATE TABLE delayed (
        due INTEGER NOT NULL, number INTEGER NOT NULL, topic TEXT NOT NULL, receives INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (due, number)
    ) WITHOUT ROWID;
    -- Small: what workers hold right now. Hence no index on `until`, which every delivery would pay for.
    CREATE TABLE leased (
        number INTEGER PRIMARY KEY, until INTEGER NOT NULL, topic TEXT NOT NULL, receives INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE TABLE dead_letter (
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL
    );
    CREATE INDEX dead_letter_topic ON dead_letter (topic);

    CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

const V2: &str = "
    -- What happened lately; `at` in Unix milliseconds. Numbers are never used again, so that a reader's position holds.
    CREATE TABLE event (position INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE INDEX event_at ON event (at);

    -- Neither are those of dead letters: somebody may have a list of them on a screen.
    ALTER TABLE dead_letter RENAME TO old_dead_letter;
    CREATE TABLE dead_letter (
        id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL,
        at INTEGER NOT NULL
    );
    INSERT INTO dead_letter SELECT * FROM old_dead_letter;
    DROP TABLE old_dead_letter;
    CREATE INDEX dead_letter_topic ON dead_letter (topic);
";

const V3: &str = "
    -- Jobs in the order in which they were accepted; `position` is that time, in microseconds since 1970. Written and removed
    -- together with the record `job`.
    DROP INDEX job;
    CREATE TABLE job (position INTEGER PRIMARY KEY, n INTEGER NOT NULL UNIQUE);
    INSERT INTO job SELECT created * 1000 + row_number() OVER (ORDER BY created, n), n FROM record WHERE kind = 'job';
";

const V4: &str = "
    -- The parents of a call that has many, each by itself. The row of the call's record `pending_returns` says so.
    CREATE TABLE parent (
        n INTEGER NOT NULL, job_id TEXT NOT NULL, parent TEXT NOT NULL, topic TEXT NOT NULL,
        PRIMARY KEY (n, job_id, parent, topic)
    ) WITHOUT ROWID;
    CREATE INDEX parent_elsewhere ON parent (n, parent, topic);
";

const V5: &str = "
    -- What lists of jobs are filtered by; `jobs.rs` has the numbers of the states. Completed jobs (1) are most of all jobs, so an
    -- index of them would cost much and save little.
    ALTER TABLE job ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job ADD COLUMN topic TEXT NOT NULL DEFAULT '';
    ALTER TABLE job ADD COLUMN task TEXT NOT NULL DEFAULT '';
    ALTER TABLE job ADD COLUMN label TEXT;
    CREATE INDEX job_state ON job (state, position) WHERE state <> 1;
    CREATE INDEX job_label ON job (label, position) WHERE label IS NOT NULL;
    -- For listing these kinds without reading every record.
    CREATE INDEX listed ON record (kind, n)
        WHERE kind IN ('pending_returns', 'unnotified', 'tasks', 'task_info', 'schedules', 'workers', 'deployments', 'manifest', \
    'chunk', 'upload', 'dead_letter');
";

/// Brings the file to this version: creates missing tables, and migrates an older file.
pub(super) fn prepare(conn: &Connection, path: &Path) -> Result<()> {
    if version(conn, path)? == MIGRATIONS.len() {
        return Ok(());
    }
    let run = |sql: &str| conn.execute_batch(sql).map_err(|e| translate(path, "prepare", e));
    run("BEGIN IMMEDIATE")?;
    let migrate = || {
        // The version is read again, because another process may have migrated the file in between.
        let before = version(conn, path)?;
        for step in MIGRATIONS.iter().skip(before) {
            run(step)?;
        }
        if before < 5 {
            fill_jobs(conn).map_err(|e| translate(path, "prepare", e))?;
        }
        run(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}; COMMIT", MIGRATIONS.len()))
    };
    migrate().inspect_err(|_| {
        // The first error says more than an error of the rollback. And closing the connection would roll back anyway.
        let _ = conn.execute_batch("ROLLBACK");
    })
}

/// Fills the columns that version 5 has added to the table `job`.
fn fill_jobs(conn: &Connection) -> rusqlite::Result<()> {
    let mut records = conn.prepare("SELECT n, value FROM job JOIN record USING (n) WHERE kind = 'job'")?;
    let mut rows = records.query([])?;
    while let Some(row) = rows.next()? {
        jobs::put(conn, row.get(0)?, row.get_ref(1)?.as_blob()?, true)?;
    }
    Ok(())
}

/// The schema's version; 0 for a new file.
fn version(conn: &Connection, path: &Path) -> Result<usize> {
    let read = |sql: &str| -> Result<i64> {
        conn.query_row(sql, [], |row| row.get(0)).map_err(|e| translate(path, "open", e))
    };
    let refuse = |kind, reason: String| Err(Error::new(kind, BACKEND, format!("open {}", path.display()), reason));
    // The tables are read before the mark. If another process is just creating our tables, it writes the mark and the
    // tables together.
    let tables = read("SELECT count(*) FROM sqlite_master")?;
    if read("PRAGMA application_id")? != APPLICATION_ID {
        if tables > 0 {
            return refuse(
                ErrorKind::Corrupt,
                "it is a SQLite database of another program; name another file".to_owned(),
            );
        }
        return Ok(0);
    }
    let found = read("PRAGMA user_version")?;
    match usize::try_from(found) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => refuse(
            ErrorKind::NewerSchema,
            format!(
                "its schema is of version {found}, and this program knows up to {}; use a newer version of the \
                 program, or name another file",
                MIGRATIONS.len()
            ),
        ),
    }
}
