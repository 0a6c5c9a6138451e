//! The `pending_returns` record of a call with many parents, in its usual form.
//!
//! Beyond a certain number of parents, the scripts keep the parents in a sorted set. So the cost of adding a parent
//! does not grow with their number: see `lua/lib.lua`. No peer reads these records. `Store` returns them in the same
//! form as every other backend.

use std::collections::BTreeSet;

use brrr_protocol::error::Result;
use brrr_protocol::ports::{Key, Kind};
use brrr_protocol::wire::{PendingReturns, Return};
use bytes::Bytes;
use redis::pipe;

use super::Redis;

/// The first byte of a record whose parents are in a sorted set. After it comes `scheduled_at`, if it is known.
const LONG: u8 = b'*';

fn is_long(key: &Key, record: &[u8]) -> bool {
    key.kind == Kind::PendingReturns && record.first() == Some(&LONG)
}

/// `r`, job_id, parent, topic, with a zero byte between them.
fn parent(member: &[u8]) -> Option<Return> {
    let mut names = std::str::from_utf8(member.get(1..)?).ok()?.split('\0');
    let (job_id, parent, topic) = (names.next()?, names.next()?, names.next()?);
    Some(Return { job_id: job_id.into(), parent: parent.into(), topic: topic.into() })
}

impl Redis {
    /// Converts a record that was read to its usual form. A record that can't be converted is returned unchanged, and
    /// will not decode.
    pub(super) async fn in_usual_form(&self, key: &Key, found: Option<Bytes>) -> Result<Option<Bytes>> {
        if !found.as_ref().is_some_and(|record| is_long(key, record)) {
            return Ok(found);
        }
        // One transaction reads both keys, so they are consistent.
        let mut look = pipe();
        look.atomic().cmd("HGET").arg(self.0.keys.record(key)).arg(&*key.kind.name());
        look.cmd("ZRANGEBYLEX").arg(self.0.keys.parents(&key.id)).arg("[r").arg("(s");
        let found = look.query_async::<(Option<Vec<u8>>, Vec<Vec<u8>>)>(&mut self.0.connections.shared()).await;
        let (found, members) = found.map_err(self.error("read the parents of a call"))?;
        let Some(record) = found.map(Bytes::from) else { return Ok(None) };
        let returns: Option<BTreeSet<Return>> = members.iter().map(|member| parent(member)).collect();
        match returns.filter(|returns| is_long(key, &record) && !returns.is_empty()) {
            Some(returns) => {
                let scheduled_at = std::str::from_utf8(&record[1..]).ok().and_then(|at| at.parse().ok());
                Ok(Some(PendingReturns { returns, scheduled_at }.encode()))
            }
            None => Ok(Some(record)),
        }
    }
}
