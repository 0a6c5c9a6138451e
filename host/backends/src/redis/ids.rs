//! The ids of the records of each kind of which there are few (`Kind::LISTED`), in a sorted set.
//!
//! A set is written in one step with the record: in the script, or in the `MULTI` that writes the record. So every record is in its
//! set. An id without a record is there only if somebody has deleted the record by other means. No list shows it.

use brrr_protocol::error::{Error, Result};
use brrr_protocol::ports::{Key, Kind, Page};
use redis::aio::ConnectionLike;
use redis::{Pipeline, RedisError, RedisResult, Value, cmd, pipe};

use super::store::SCAN;
use super::{Redis, error};

impl Redis {
    /// Adds the command that belongs to a record which is put or removed, in one transaction with it.
    pub(super) fn keep_id(&self, write: &mut Pipeline, key: &Key, is_put: bool) {
        let Some(ids) = self.0.keys.ids(&key.kind) else { return };
        let write = write.atomic();
        match is_put {
            true => write.cmd("ZADD").arg(ids).arg(0).arg(&*key.id).ignore(),
            false => write.cmd("ZREM").arg(ids).arg(&*key.id).ignore(),
        };
    }

    /// Fails if another program has put something else at the key of the set. A transaction would write the record all the same, and
    /// not its id. (The scripts write the id first.)
    pub(super) async fn check_set(&self, key: &Key, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        match self.0.keys.ids(&key.kind) {
            Some(ids) => cmd("ZCARD").arg(ids).exec_async(connection).await,
            None => Ok(()),
        }
    }

    /// The arguments of a script that writes a record: its id and the set of the ids. Empty: the kind has no such set.
    pub(super) fn id_in_set<'k>(&self, key: &'k Key) -> (&'k str, String) {
        self.0.keys.ids(&key.kind).map_or_else(Default::default, |ids| (&*key.id, ids))
    }

    /// See `Store::list`. The cursor is the last id of the page before, because the ids are in the order of their bytes.
    pub(super) async fn page_of_ids(&self, kind: &Kind, ids: &str, cursor: Option<&str>, limit: usize) -> Result<Page> {
        let mut connection = self.0.connections.shared();
        let limit = limit.clamp(1, SCAN);
        let after = cursor.map_or_else(|| "-".to_owned(), |last| format!("({last}"));
        let mut range = cmd("ZRANGEBYLEX");
        range.arg(ids).arg(after).arg("+").arg("LIMIT").arg(0).arg(limit);
        let found =
            range.query_async::<Vec<String>>(&mut connection).await.map_err(|e| match error::is_wrong_type(&e) {
                true => error::of_wrong_key(ids, "list records"),
                false => self.error("list records")(e),
            })?;
        let next = found.last().filter(|_| found.len() == limit).cloned();
        let keys = found.iter().map(|id| self.0.keys.record(&Key::new(id, kind.clone()))).collect::<Vec<_>>();
        let there = self.which_have(&keys, kind).await?;
        Ok(Page {
            ids: found.into_iter().zip(there).filter_map(|(id, is_there)| is_there.then_some(id)).collect(),
            next,
        })
    }

    /// Returns for each of these keys of the server whether it has a record of this kind. A key with foreign data counts, so that
    /// a reader reports what is wrong. (Not for values: see `record` in `store.rs`.)
    pub(super) async fn which_have(&self, keys: &[String], kind: &Kind) -> Result<Vec<bool>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut look = pipe();
        for key in keys {
            look.cmd("HEXISTS").arg(key).arg(&*kind.name());
        }
        let there = look.ignore_errors().query_async::<Vec<Value>>(&mut self.0.connections.shared()).await;
        let is_there = |found: Value| match found {
            Value::ServerError(_) => *kind != Kind::Value,
            found => found == Value::Int(1),
        };
        Ok(there.map_err(self.error("list records"))?.into_iter().map(is_there).collect())
    }

    /// Translates the error of a write of a record. A key that holds foreign data is named.
    pub(super) async fn write_failed(&self, failed: RedisError, operation: &str, key: &Key) -> Error {
        if let Some(ids) = self.0.keys.ids(&key.kind)
            && error::is_wrong_type(&failed)
        {
            let held = cmd("TYPE").arg(&ids).query_async::<String>(&mut self.0.connections.shared()).await;
            if held.is_ok_and(|held| held != "zset" && held != "none") {
                return error::of_wrong_key(&ids, operation);
            }
        }
        self.record_error(operation, key)(failed)
    }
}
