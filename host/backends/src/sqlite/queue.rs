//! The SQL statements of the queues. See `schema.rs` for the tables.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brrr_protocol::error::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backlog, DeadLetter, Delivery, MessageState, Receipt, Visit};
use rusqlite::{Connection, OptionalExtension, Row};

use super::session::Session;
use crate::now_millis;

/// A message that is to be queued.
pub(super) struct QueuedRow {
    pub topic: Topic,
    pub body: String,
    /// The number of deliveries so far.
    pub receives: u32,
    pub delay: Duration,
}

/// The messages that a transaction sends and acknowledges when it commits.
#[derive(Default)]
pub(super) struct Outbox {
    pub messages: Vec<QueuedRow>,
    pub acks: Vec<i64>,
}

/// Messages taken for a receiver.
#[derive(Default)]
pub(super) struct TakenRows {
    pub deliveries: Vec<Delivery>,
    /// Are more messages ready?
    pub more: bool,
}

impl QueuedRow {
    /// Reads a row that begins with topic, body and receives.
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            topic: row.get_ref(0)?.as_str()?.into(),
            body: row.get(1)?,
            receives: row.get(2)?,
            delay: Duration::ZERO,
        })
    }
}

impl Session {
    /// Writes the messages and acknowledgements of the outbox. Returns the topics that have new ready messages.
    pub(super) fn flush_outbox(&mut self) -> rusqlite::Result<HashSet<Topic>> {
        let mut ready = HashSet::new();
        let Outbox { messages, acks } = std::mem::take(&mut self.outbox);
        if !acks.is_empty() {
            let mut ack = self.conn.prepare_cached("DELETE FROM leased WHERE number = ?1")?;
            for number in acks {
                ack.execute([number])?;
            }
        }
        if messages.is_empty() {
            return Ok(ready);
        }
        // Nanoseconds, read while no other process can write. So the number is greater than all earlier numbers of all
        // processes. (If the clock is set back, only the order of messages suffers.)
        let mut number = self.last_message.max(now_nanos());
        let mut insert = self.conn.prepare_cached("INSERT INTO ready VALUES (?1, ?2, ?3, ?4)")?;
        for message in messages {
            number += 1;
            if message.delay.is_zero() {
                insert.execute((message.topic.as_str(), number, message.receives, &message.body))?;
                ready.insert(message.topic);
            } else {
                let due = now_millis() + message.delay.as_millis() as u64;
                self.conn.prepare_cached("INSERT INTO delayed VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
                    due as i64,
                    number,
                    message.topic.as_str(),
                    message.receives,
                    &message.body,
                ))?;
                self.next_due = self.next_due.min(due);
            }
        }
        self.last_message = number;
        Ok(ready)
    }

    /// Makes messages ready again: delayed messages that are due, and messages whose leases ended without an
    /// acknowledgement or an extension.
    pub(super) fn ripen(&mut self) -> Result<()> {
        let ripened = self.ripen_statements();
        self.check(ripened)
    }

    fn ripen_statements(&mut self) -> rusqlite::Result<()> {
        let now = now_millis();
        for (sql, until) in [
            ("DELETE FROM delayed WHERE due <= ?1 RETURNING topic, body, receives, number", now),
            ("DELETE FROM leased WHERE until <= ?1 RETURNING topic, body, receives, number", self.lost_by(now)),
        ] {
            let mut statement = self.conn.prepare_cached(sql)?;
            let mut found = statement
                .query_map([until as i64], |row| Ok((row.get::<_, i64>(3)?, QueuedRow::of(row)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            found.sort_unstable_by_key(|(number, _)| *number);
            self.outbox.messages.extend(found.into_iter().map(|(_, message)| message));
        }
        self.next_due = next_due(&self.conn)?;
        Ok(())
    }

    /// Leases up to `max` messages.
    pub(super) fn take(&mut self, topic: &Topic, max: usize) -> Result<TakenRows> {
        let taken = self.take_statements(topic, max);
        self.check(taken)
    }

    fn take_statements(&mut self, topic: &Topic, max: usize) -> rusqlite::Result<TakenRows> {
        let mut select = self
            .conn
            .prepare_cached("SELECT number, receives, body FROM ready WHERE topic = ?1 ORDER BY number LIMIT ?2")?;
        let mut lease = self.conn.prepare_cached("INSERT INTO leased VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let until = now_millis() + self.lease.as_millis() as u64;
        let mut taken = TakenRows::default();
        let mut last: i64 = 0;
        // Selects one message more than `max`, to know whether more are ready.
        let mut rows = select.query((topic.as_str(), max.saturating_add(1) as i64))?;
        while let Some(row) = rows.next()? {
            if taken.deliveries.len() == max {
                taken.more = true;
                break;
            }
            last = row.get(0)?;
            let receives = row.get::<_, u32>(1)? + 1;
            let body: String = row.get(2)?;
            lease.execute((last, until as i64, topic.as_str(), receives, &body))?;
            let receipt = Receipt(last.to_string());
            taken.deliveries.push(Delivery { topic: topic.clone(), body, receipt, receives });
        }
        drop(rows);
        if !taken.deliveries.is_empty() {
            self.next_due = self.next_due.min(until);
            let mut delete = self.conn.prepare_cached("DELETE FROM ready WHERE topic = ?1 AND number <= ?2")?;
            delete.execute((topic.as_str(), last))?;
        }
        Ok(taken)
    }

    pub(super) fn extend(&mut self, number: i64) -> Result<bool> {
        let until = now_millis() + self.lease.as_millis() as u64;
        let extended = self
            .conn
            .prepare_cached("UPDATE leased SET until = ?2 WHERE number = ?1")
            .and_then(|mut s| s.execute((number, until as i64)));
        Ok(self.check(extended)? > 0)
    }

    /// Ends a lease. `None`: the lease was lost already.
    fn end_lease(&mut self, number: i64) -> Result<Option<QueuedRow>> {
        let ended = self
            .conn
            .prepare_cached("DELETE FROM leased WHERE number = ?1 RETURNING topic, body, receives")
            .and_then(|mut s| s.query_row([number], QueuedRow::of).optional());
        self.check(ended)
    }

    pub(super) fn nack(&mut self, number: i64, delay: Duration) -> Result<()> {
        if let Some(message) = self.end_lease(number)? {
            self.outbox.messages.push(QueuedRow { receives: message.receives.saturating_sub(1), delay, ..message });
        }
        Ok(())
    }

    pub(super) fn move_to_dlq(&mut self, number: i64, reason: &str) -> Result<()> {
        let Some(message) = self.end_lease(number)? else { return Ok(()) };
        let inserted = self
            .conn
            .prepare_cached("INSERT INTO dead_letter (topic, body, reason, at) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut s| s.execute((message.topic.as_str(), &message.body, reason, now_millis() as i64)));
        self.check(inserted).map(drop)
    }
}

impl Session {
    pub(super) fn take_dead_letter(&mut self, topic: &Topic, id: i64) -> Result<Option<DeadLetter>> {
        let taken = self
            .conn
            .prepare_cached("DELETE FROM dead_letter WHERE topic = ?1 AND id = ?2 RETURNING id, body, reason, at")
            .and_then(|mut s| s.query_row((topic.as_str(), id), |row| dead_letter(topic, row)).optional());
        self.check(taken)
    }
}

fn dead_letter(topic: &Topic, row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: row.get::<_, i64>(0)?.to_string(),
        topic: topic.clone(),
        body: row.get(1)?,
        reason: row.get(2)?,
        at: row.get::<_, i64>(3)? as u64,
    })
}

fn now_nanos() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

/// The time when the next delay or lease ends; far in the future if there is none.
fn next_due(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "SELECT min(ifnull((SELECT min(due) FROM delayed), ?1), ifnull((SELECT min(until) FROM leased), ?1))",
    )?
    .query_row([i64::MAX], |row| row.get::<_, i64>(0))
    .map(|due| due as u64)
}

/// Does the topic have a ready message?
pub(super) fn is_ready(conn: &Connection, topic: &Topic) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM ready WHERE topic = ?1")?.exists([topic.as_str()])
}

pub(super) fn depth(conn: &Connection, topic: &Topic) -> rusqlite::Result<u64> {
    conn.prepare_cached(
        "SELECT (SELECT count(*) FROM ready WHERE topic = ?1) + (SELECT count(*) FROM delayed WHERE topic = ?1)
              + (SELECT count(*) FROM leased WHERE topic = ?1)",
    )?
    .query_row([topic.as_str()], |row| row.get::<_, i64>(0))
    .map(|depth| depth as u64)
}

/// The number of a ready message is the time in nanoseconds at which it became ready.
pub(super) fn backlog(conn: &Connection, topic: &Topic) -> rusqlite::Result<Backlog> {
    let mut select = conn.prepare_cached(
        "SELECT (SELECT count(*) FROM ready WHERE topic = ?1), (SELECT count(*) FROM delayed WHERE topic = ?1),
                (SELECT min(number) FROM ready WHERE topic = ?1)",
    )?;
    select.query_row([topic.as_str()], |row| {
        let (ready, delayed) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64);
        let oldest = row.get::<_, Option<i64>>(2)?.map(|nanos| nanos as u64 / 1_000_000);
        Ok(Backlog { ready, delayed, oldest, head: None })
    })
}

pub(super) fn look_through(conn: &Connection, topic: &Topic, visit: &mut Visit<'_>) -> rusqlite::Result<()> {
    // One statement sees one state of the tables. So a message that a worker moves at this time is seen in exactly one
    // table.
    let mut select = conn.prepare_cached(
        "SELECT body, NULL, 0 FROM ready WHERE topic = ?1
         UNION ALL SELECT body, NULL, 1 FROM delayed WHERE topic = ?1
         UNION ALL SELECT body, until <= ?2, 2 FROM leased WHERE topic = ?1",
    )?;
    let mut rows = select.query((topic.as_str(), now_millis() as i64))?;
    while let Some(row) = rows.next()? {
        let state = match (row.get::<_, i64>(2)?, row.get::<_, Option<bool>>(1)?) {
            (0, _) => MessageState::Ready,
            (1, _) => MessageState::Delayed,
            (_, Some(true)) => MessageState::Expired,
            _ => MessageState::Leased,
        };
        visit(row.get_ref(0)?.as_str()?, state);
    }
    Ok(())
}

pub(super) fn dead_letters(conn: &Connection, topic: &Topic, limit: usize) -> rusqlite::Result<Vec<DeadLetter>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached("SELECT id, body, reason, at FROM dead_letter WHERE topic = ?1 ORDER BY id LIMIT ?2")?
        .query_map((topic.as_str(), limit), |row| dead_letter(topic, row))?
        .collect()
}
