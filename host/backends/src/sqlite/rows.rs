//! What is known of the records: read once, written once, however often a transaction looks and changes its mind.

use std::collections::HashMap;
use std::sync::Arc;

use brrr_protocol::model::{Millis, Root};
use brrr_protocol::ports::{Key, Kind};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result};

/// Up to this size a record's bytes come with the first look at its call: most records are a few hundred bytes, and a
/// page is 4 KiB. Larger ones are read when somebody wants them.
const INLINE: usize = 2048;

/// A call normally has up to 5 records (`call`, `value` or `pending_returns`, `run`, `latest`); one that many jobs share
/// has more, and then they are looked up one by one.
const AT_ONCE: usize = 8;

/// A larger record is not kept when its transaction is over. A `run` record with its full sample (68 KB) is: it is read
/// at the end of every child.
const KEEP: usize = 128 << 10;

/// All that is kept, by its bytes, before it is thrown away and read again: a few ten thousand calls.
const BUDGET: usize = 16 << 20;

/// What a call costs beside its records' bytes: keys, table slots.
const OVERHEAD: usize = 200;

/// Records, as the database has them or is about to.
#[derive(Default)]
pub(super) struct Rows {
    ids: HashMap<Arc<str>, Id>,
    changed: Vec<Key>,
    size: usize,
}

#[derive(Default)]
struct Id {
    /// Its number in the database; `None`: it has none, or nobody has looked.
    n: Option<i64>,
    /// Everything that the database has of this id is here.
    complete: bool,
    records: Vec<(Kind, Record)>,
}

/// One record.
#[derive(Clone)]
pub(super) struct Record {
    content: Content,
    /// Whether the database has one; `None`: not looked.
    stored: Option<bool>,
    changed: bool,
}

#[derive(Clone)]
enum Content {
    Absent,
    Bytes(Bytes),
    /// There, with so many bytes, but they were not read.
    Unread(usize),
}

/// What a look at a record gives where large ones are not to be read.
pub(super) enum Seen {
    Record(Option<Bytes>),
    TooLarge,
}

impl Rows {
    /// A record's bytes.
    pub fn get(&mut self, conn: &Connection, key: &Key) -> Result<Option<Bytes>> {
        match self.look(conn, key)? {
            Content::Absent => Ok(None),
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

    /// A record's bytes, unless there are so many that reading them would hold others up.
    pub fn get_small(&mut self, conn: &Connection, key: &Key) -> Result<Seen> {
        match self.look(conn, key)? {
            Content::Unread(size) if size > KEEP => Ok(Seen::TooLarge),
            _ => self.get(conn, key).map(Seen::Record),
        }
    }

    /// Is there such a record?
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
        if let Some((_, record)) = id.records.iter().find(|(kind, _)| *kind == key.kind) {
            return Ok(record.content.clone());
        }
        let size = if id.complete { None } else { size(conn, key)? };
        let content = size.map_or(Content::Absent, Content::Unread);
        let stored = Some(size.is_some());
        id.records.push((key.kind.clone(), Record { content: content.clone(), stored, changed: false }));
        Ok(content)
    }

    /// Puts (`None`: removes) a record; returns what to `restore` if it is not to be.
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
        let place = records.iter().position(|(kind, _)| *kind == key.kind).unwrap_or_else(|| {
            let unknown = Record { content: Content::Absent, stored: None, changed: false };
            records.push((key.kind.clone(), unknown));
            records.len() - 1
        });
        &mut records[place].1
    }

    /// Writes what has changed. Returns whether anything has.
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
            record.stored = Some(!matches!(content, Content::Absent));
            wrote = true;
            let n = self.number(conn, &key.id)?;
            let Content::Bytes(bytes) = content else {
                delete.execute((n, &*key.kind.name()))?;
                continue;
            };
            put.execute((n, &*key.kind.name(), now as i64, &bytes[..]))?;
            if bytes.len() > KEEP {
                self.record(&key).content = Content::Unread(bytes.len());
            }
        }
        Ok(wrote)
    }

    /// The number of an id, given to it now if it has none.
    fn number(&mut self, conn: &Connection, id: &Arc<str>) -> Result<i64> {
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

    /// Forgets everything: the database has changed under us, or did not take what we wrote.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets everything if it has become too much. Only between transactions.
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
    // An id without a record has one row, of nulls.
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
        // A kind of a later version is none that anybody here asks for.
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

/// How many bytes the record has; `None`: there is none.
fn size(conn: &Connection, key: &Key) -> Result<Option<usize>> {
    conn.prepare_cached("SELECT length(value) FROM name JOIN record USING (n) WHERE id = ?1 AND kind = ?2")?
        .query_row((&*key.id, &*key.kind.name()), |row| row.get::<_, i64>(0).map(|size| size as usize))
        .optional()
}

/// Reads one record's bytes past everything that is known.
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

/// Up to `limit` ids that have a record of this kind, ascending, from behind `after`.
pub(super) fn list(conn: &Connection, kind: &Kind, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
    // The planner takes the index of jobs only where it can see that jobs are meant. The plus keeps it from going through
    // all names instead, in their order.
    let sql = match kind {
        Kind::Job => {
            "SELECT id FROM record JOIN name USING (n) WHERE kind = 'job' AND kind = ?1 AND +id > ?2
             ORDER BY +id LIMIT ?3"
        }
        _ => {
            "SELECT id FROM name WHERE id > ?2 AND EXISTS (SELECT 1 FROM record WHERE n = name.n AND kind = ?1)
             ORDER BY id LIMIT ?3"
        }
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // No id is behind the empty one, and nothing is kept under it that anybody lists.
    conn.prepare_cached(sql)?.query_map((&*kind.name(), after.unwrap_or(""), limit), |row| row.get(0))?.collect()
}

/// The inverse of `Kind::name`.
fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "call" => Kind::Call,
        "value" => Kind::Value,
        "pending_returns" => Kind::PendingReturns,
        "unnotified" => Kind::Unnotified,
        "job" => Kind::Job,
        "latest" => Kind::Latest,
        "tasks" => Kind::Tasks,
        _ => match name.split_once('/')? {
            ("run", root) => Kind::Run(Root::from(root)),
            ("failure", root) => Kind::Failure(Root::from(root)),
            _ => return None,
        },
    })
}
