//! Recent events, kept in a Redis stream.

use async_trait::async_trait;
use brrr_protocol::error::Result;
use brrr_protocol::ports::{EVENTS_KEPT, EVENTS_KEPT_FOR, EventLog};
use bytes::Bytes;
use redis::{cmd, pipe};

use super::Redis;
use crate::now_millis;

/// The low bits of a position number the events of one millisecond. The other bits hold the time, which fits until the
/// year 2527.
const SEQUENCE_BITS: u32 = 20;

fn position(id: &str) -> Option<u64> {
    let (time, sequence) = id.split_once('-')?;
    Some(time.parse::<u64>().ok()? << SEQUENCE_BITS | sequence.parse::<u64>().ok()?)
}

fn id(position: u64) -> String {
    format!("{}-{}", position >> SEQUENCE_BITS, position & ((1 << SEQUENCE_BITS) - 1))
}

#[async_trait]
impl EventLog for Redis {
    async fn publish(&self, events: &[Bytes]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let key = self.0.keys.events();
        let mut pipe = pipe();
        for event in events {
            // `~`: the server removes only whole nodes of the stream, which costs next to nothing.
            pipe.cmd("XADD")
                .arg(&key)
                .arg("MAXLEN")
                .arg("~")
                .arg(EVENTS_KEPT)
                .arg("*")
                .arg("e")
                .arg(&event[..])
                .ignore();
        }
        let oldest = now_millis().saturating_sub(EVENTS_KEPT_FOR.as_millis() as u64);
        pipe.cmd("XTRIM").arg(&key).arg("MINID").arg("~").arg(oldest).ignore();
        pipe.exec_async(&mut self.0.connections.shared()).await.map_err(self.error("publish events"))
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut range = cmd("XRANGE");
        range.arg(self.0.keys.events()).arg(format!("({}", id(after))).arg("+");
        range.arg("COUNT").arg(limit.min(i64::MAX as usize));
        let found: Vec<(String, Vec<(String, Vec<u8>)>)> =
            range.query_async(&mut self.0.connections.shared()).await.map_err(self.error("read events"))?;
        let events =
            found.into_iter().filter_map(|(id, fields)| Some((position(&id)?, fields.into_iter().next()?.1.into())));
        Ok(events.collect())
    }
}
