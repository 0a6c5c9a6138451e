//! Recent events, for people who follow the work. See `schema.rs` for the table.

use brrr_protocol::error::Result;
use brrr_protocol::ports::{EVENTS_KEPT, EVENTS_KEPT_FOR};
use bytes::Bytes;
use rusqlite::Connection;

use super::session::Session;
use crate::now_millis;

impl Session {
    /// Adds events, and removes the events that are too many or too old.
    pub(super) fn publish(&mut self, events: &[Bytes]) -> Result<()> {
        let published = self.publish_statements(events);
        self.check(published)
    }

    fn publish_statements(&self, events: &[Bytes]) -> rusqlite::Result<()> {
        if events.is_empty() {
            // Without an insert, the last inserted row would be one of another table.
            return Ok(());
        }
        let now = now_millis();
        let mut insert = self.conn.prepare_cached("INSERT INTO event (at, body) VALUES (?1, ?2)")?;
        for event in events {
            insert.execute((now as i64, &event[..]))?;
        }
        let last = self.conn.last_insert_rowid();
        let oldest = now.saturating_sub(EVENTS_KEPT_FOR.as_millis() as u64);
        self.conn
            .prepare_cached("DELETE FROM event WHERE position <= ?1")?
            .execute([last.saturating_sub(EVENTS_KEPT as i64)])?;
        self.conn.prepare_cached("DELETE FROM event WHERE at < ?1")?.execute([oldest as i64])?;
        Ok(())
    }
}

pub(super) fn after(conn: &Connection, position: u64, limit: usize) -> rusqlite::Result<Vec<(u64, Bytes)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    conn.prepare_cached("SELECT position, body FROM event WHERE position > ?1 ORDER BY position LIMIT ?2")?
        .query_map((i64::try_from(position).unwrap_or(i64::MAX), limit), |row| {
            Ok((row.get::<_, i64>(0)? as u64, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
        })?
        .collect()
}
