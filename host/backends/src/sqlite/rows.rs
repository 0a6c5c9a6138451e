//! A cache of the records. A record is read once and written once, however often a transaction reads and changes it.

use std::collections::HashMap;
use std::sync::Arc;

use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::ports::{Key, Kind, Page};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result};

use super::jobs;
use super::schema::{IS_LISTED, LISTED};

/// Records up to this size are read together with the other records of their call. Most records have a few hundred
/// bytes, and a page has 4 KiB. Larger records are read when they are needed.
const INLINE: usize = 2048;

/// The most records of one call that are read together. A call normally has up to 5 records (`call`, `value` or
/// `pending_returns`, `run`, `latest_job`). A call that many jobs share has more, and then its records are read one by one.
const AT_ONCE: usize = 8;

/// Records larger than this leave the cache after their transaction. A `run` record with its full sample (68 KB) stays,
/// because it is read at the end of every child.
const KEEP: usize = 128 << 10;

/// The most bytes in the cache, enough for a few ten thousand calls. Beyond that the cache is cleared, and records are
/// read again.
const BUDGET: usize = 16 << 20;

/// The estimated cost of a call in addition to its records' bytes: keys, table slots.
const OVERHEAD: usize = 200;

/// Records in the state that the database has, or will have after `flush`.
#[derive(Default)]
pub(super) struct Rows {
    ids: HashMap<Arc<str>, Id>,
    changed: Vec<Key>,
    size: usize,
}

#[derive(Default)]
struct Id {
    /// The id's number in the database. `None`: the id has no number, or the number was not read yet.
    n: Option<i64>,
    /// Are all records of this id in the cache?
    complete: bool,
    records: Vec<(Kind, Record)>,
}

#[derive(Clone)]
pub(super) struct Record {
    content: Content,
    /// Does the database have this record? `None`: not checked yet.
    stored: Option<bool>,
    changed: bool,
}

#[derive(Clone)]
enum Content {
    /// Not read yet.
    Unknown,
    Absent,
    Bytes(Bytes),
    /// The record exists and has this many bytes, but the bytes were not read.
    Unread(usize),
}

/// The result of a read that skips large records.
pub(super) enum Seen {
    Record(Option<Bytes>),
    TooLarge,
}

impl Rows {
    pub fn get(&mut self, conn: &Connection, key: &Key) -> Result<Option<Bytes>> {
        match self.look(conn, key)? {
            Content::Absent | Content::Unknown => Ok(None),
            Content::Bytes(bytes) => Ok(Some(bytes)),
            Content::Unread(size) => {
                let bytes = read(conn, key)?;
                if let Some(bytes) = bytes.as_ref().filter(|_| size <= KEEP) {
                    self.size += size;
                    self.record(key).content = Content::Bytes(bytes.clone());
                }
                Ok(bytes)
            }
        }
    }

    /// A record's bytes. Skips a large record, because reading it would delay the other operations.
    pub fn get_small(&mut self, conn: &Connection, key: &Key) -> Result<Seen> {
        match self.look(conn, key)? {
            Content::Unread(size) if size > KEEP => Ok(Seen::TooLarge),
            _ => self.get(conn, key).map(Seen::Record),
        }
    }

    pub fn has(&mut self, conn: &Connection, key: &Key) -> Result<bool> {
        Ok(!matches!(self.look(conn, key)?, Content::Absent))
    }

    fn look(&mut self, conn: &Connection, key: &Key) -> Result<Content> {
        if !self.ids.contains_key(&key.id) {
            let id = fetch(conn, &key.id)?;
            self.size += OVERHEAD + id.records.iter().map(|(_, r)| r.size()).sum::<usize>();
            self.ids.insert(key.id.clone(), id);
        }
        let id = self.ids.entry(key.id.clone()).or_default();
        let known = id.records.iter().position(|(kind, _)| *kind == key.kind);
        match known.map(|index| &id.records[index].1.content) {
            // The record was never read: its new content was undone.
            Some(Content::Unknown) | None => {}
            Some(content) => return Ok(content.clone()),
        }
        let size = if id.complete { None } else { size(conn, key)? };
        let content = size.map_or(Content::Absent, Content::Unread);
        let stored = Some(size.is_some());
        let record = Record { content: content.clone(), stored, changed: false };
        match known {
            // `flush` still lists this key as changed. It skips the key because the record is unchanged.
            Some(index) => id.records[index].1 = record,
            None => id.records.push((key.kind.clone(), record)),
        }
        Ok(content)
    }

    /// Writes a record, or removes it (`None`). Returns the old state, with which `restore` can undo this.
    pub fn set(&mut self, key: &Key, value: Option<Bytes>) -> Record {
        self.size += value.as_ref().map_or(0, Bytes::len);
        let record = self.record(key);
        let before = record.clone();
        record.content = value.map_or(Content::Absent, Content::Bytes);
        record.changed = true;
        if !before.changed {
            self.changed.push(key.clone());
        }
        before
    }

    pub fn restore(&mut self, key: &Key, before: Record) {
        *self.record(key) = before;
    }

    fn record(&mut self, key: &Key) -> &mut Record {
        if !self.ids.contains_key(&key.id) {
            self.size += OVERHEAD;
        }
        let records = &mut self.ids.entry(key.id.clone()).or_default().records;
        let index = records.iter().position(|(kind, _)| *kind == key.kind).unwrap_or_else(|| {
            let unknown = Record { content: Content::Unknown, stored: None, changed: false };
            records.push((key.kind.clone(), unknown));
            records.len() - 1
        });
        &mut records[index].1
    }

    /// Writes the changed records. Returns whether anything was written.
    pub fn flush(&mut self, conn: &Connection, now: Millis) -> Result<bool> {
        if self.changed.is_empty() {
            return Ok(false);
        }
        let mut put = conn.prepare_cached(
            "INSERT INTO record (n, kind, created, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET value = excluded.value",
        )?;
        let mut delete = conn.prepare_cached("DELETE FROM record WHERE n = ?1 AND kind = ?2")?;
        let mut wrote = false;
        for key in std::mem::take(&mut self.changed) {
            let record = self.record(&key);
            if !std::mem::take(&mut record.changed) {
                continue;
            }
            let content = record.content.clone();
            if matches!(content, Content::Absent) && record.stored == Some(false) {
                continue;
            }
            let is_known = record.stored == Some(true);
            record.stored = Some(!matches!(content, Content::Absent));
            wrote = true;
            let n = self.number(conn, &key.id)?;
            let Content::Bytes(bytes) = content else {
                delete.execute((n, &*key.kind.name()))?;
                if key.kind == Kind::Job {
                    jobs::remove(conn, n)?;
                }
                continue;
            };
            if key.kind == Kind::Job {
                jobs::put(conn, n, &bytes, is_known)?;
            }
            put.execute((n, &*key.kind.name(), now as i64, &bytes[..]))?;
            if bytes.len() > KEEP {
                self.record(&key).content = Content::Unread(bytes.len());
            }
        }
        Ok(wrote)
    }

    /// The number of an id. An id without a number gets one now.
    pub fn number(&mut self, conn: &Connection, id: &Arc<str>) -> Result<i64> {
        let known = self.ids.entry(id.clone()).or_default();
        if let Some(n) = known.n {
            return Ok(n);
        }
        let found = if known.complete { None } else { number(conn, id)? };
        let n = match found {
            Some(n) => n,
            None => conn.prepare_cached("INSERT INTO name (id) VALUES (?1)")?.insert([&**id])?,
        };
        known.n = Some(n);
        Ok(n)
    }

    /// Clears the cache. Used if another process changed the database, or if a write failed.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Clears the cache if it is too large. May only be called between transactions.
    pub fn trim(&mut self) {
        if self.size > BUDGET {
            self.forget();
        }
    }
}

impl Record {
    fn size(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

fn fetch(conn: &Connection, id: &str) -> Result<Id> {
    // For an id without records, the query returns one row of nulls.
    let mut statement = conn.prepare_cached(
        "SELECT n, kind, length(value), CASE WHEN length(value) <= ?2 THEN value END
         FROM name LEFT JOIN record USING (n) WHERE id = ?1 LIMIT ?3",
    )?;
    let mut rows = statement.query((id, INLINE as i64, AT_ONCE as i64))?;
    let mut found = Id { n: None, complete: true, records: Vec::with_capacity(AT_ONCE / 2) };
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        found.n = Some(row.get(0)?);
        let Some(name) = row.get_ref(1)?.as_str_or_null()? else { break };
        let size = row.get::<_, i64>(2)? as usize;
        let bytes = row.get_ref(3)?.as_blob_or_null()?;
        // An unknown kind comes from a later version. This version never asks for it.
        if let Some(kind) = kind(name) {
            let content = bytes.map_or(Content::Unread(size), |bytes| Content::Bytes(Bytes::copy_from_slice(bytes)));
            found.records.push((kind, Record { content, stored: Some(true), changed: false }));
        }
    }
    found.complete = seen < AT_ONCE;
    Ok(found)
}

fn number(conn: &Connection, id: &str) -> Result<Option<i64>> {
    conn.prepare_cached("SELECT n FROM name WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
}

/// The size of the record in bytes. `None`: the record does not exist.
fn size(conn: &Connection, key: &Key) -> Result<Option<usize>> {
    conn.prepare_cached("SELECT length(value) FROM name JOIN record USING (n) WHERE id = ?1 AND kind = ?2")?
        .query_row((&*key.id, &*key.kind.name()), |row| row.get::<_, i64>(0).map(|size| size as usize))
        .optional()
}

/// Reads a record's bytes from the database, without the cache.
pub(super) fn read(conn: &Connection, key: &Key) -> Result<Option<Bytes>> {
    conn.prepare_cached("SELECT value FROM name JOIN record USING (n) WHERE id = ?1 AND kind = ?2")?
        .query_row((&*key.id, &*key.kind.name()), |row| Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?)))
        .optional()
}

/// When a record was first written, in Unix milliseconds.
pub(super) fn written(conn: &Connection, key: &Key) -> rusqlite::Result<Option<u64>> {
    conn.prepare_cached("SELECT created FROM record WHERE n = (SELECT n FROM name WHERE id = ?1) AND kind = ?2")?
        .query_row((&*key.id, &*key.kind.name()), |row| row.get::<_, i64>(0))
        .optional()
        .map(|at| at.map(|at| at as u64))
}

/// See `Store::list`. The cursor is the number of the last id.
pub(super) fn list(conn: &Connection, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
    let sql = match kind {
        Kind::Job => {
            "SELECT n, id FROM job JOIN name USING (n) WHERE n > ?2 AND 'job' = ?1 ORDER BY n LIMIT ?3".to_owned()
        }
        _ if LISTED.contains(&&*kind.name()) => format!(
            "SELECT n, id FROM record INDEXED BY listed JOIN name USING (n) WHERE kind = ?1 AND n > ?2 AND {IS_LISTED}
             ORDER BY n LIMIT ?3"
        ),
        // Only tests list the other kinds.
        _ => "SELECT n, id FROM name WHERE n > ?2 AND EXISTS (SELECT 1 FROM record WHERE n = name.n AND kind = ?1)
              ORDER BY n LIMIT ?3"
            .to_owned(),
    };
    let after: i64 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MIN);
    let found: Vec<(i64, String)> = conn
        .prepare_cached(&sql)?
        .query_map((&*kind.name(), after, limit_of(limit)), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    let next = if found.len() < limit { None } else { found.last().map(|(n, _)| n.to_string()) };
    Ok(Page { ids: found.into_iter().map(|(_, id)| id).collect(), next })
}

/// The value of a counter.
pub(super) fn counter(conn: &Connection, name: &str) -> Result<Option<u64>> {
    conn.prepare_cached("SELECT value FROM counter WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, i64>(0).map(|sum| sum as u64))
        .optional()
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The inverse of `Kind::name`.
fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "call" => Kind::Call,
        "value" => Kind::Value,
        "pending_returns" => Kind::PendingReturns,
        "unnotified" => Kind::Unnotified,
        "job" => Kind::Job,
        "latest_job" => Kind::LatestJob,
        "dead_letter" => Kind::DeadLetter,
        "tasks" => Kind::Tasks,
        "task_info" => Kind::TaskInfo,
        "schedules" => Kind::Schedules,
        "workers" => Kind::Workers,
        "deployments" => Kind::Deployments,
        "manifest" => Kind::Manifest,
        "chunk" => Kind::Chunk,
        "upload" => Kind::Upload,
        _ => match name.split_once('/')? {
            ("run", job_id) => Kind::Run(JobId::from(job_id)),
            ("failure", job_id) => Kind::Failure(JobId::from(job_id)),
            ("log", job_id) => Kind::Log(JobId::from(job_id)),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record that is written without a read, and then undone, must not hide the record in the database.
    #[test]
    fn a_rolled_back_write_hides_no_record() {
        let conn = Connection::open_in_memory().unwrap();
        super::super::schema::prepare(&conn, std::path::Path::new(":memory:")).unwrap();
        let (there, absent) = (Key::new("c", Kind::Call), Key::new("c", Kind::Value));
        let mut rows = Rows::default();
        rows.set(&there, Some(Bytes::from_static(b"old")));
        rows.flush(&conn, 1).unwrap();

        let mut rows = Rows::default();
        for key in [&there, &absent] {
            let before = rows.set(key, Some(Bytes::from_static(b"new")));
            rows.restore(key, before);
        }
        for _ in 0..2 {
            assert_eq!(rows.get(&conn, &there).unwrap(), Some(Bytes::from_static(b"old")));
            assert!(rows.has(&conn, &there).unwrap() && !rows.has(&conn, &absent).unwrap());
            // There is nothing to write.
            assert!(!rows.flush(&conn, 2).unwrap());
        }
    }
}
