//! Records and counters.

use async_trait::async_trait;
use brrr_protocol::error::Result;
use brrr_protocol::model::Millis;
use brrr_protocol::ports::{Counters, JobPage, JobQuery, Key, Kind, Page, Store, Swap};
use brrr_protocol::wire::FOREIGN;
use bytes::Bytes;
use redis::{Pipeline, RedisResult, Value, cmd, pipe};

use super::error::{self, OF_OTHERS};
use super::jobs::JobSearch;
use super::keys::Keys;
use super::{Redis, scripts};

/// About how many keys one step of a scan reads, and the most ids of one page.
pub(super) const SCAN: usize = 1000;

/// A value that may be missing.
pub(super) fn bytes(value: Value) -> Result<Option<Bytes>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        other => Err(Redis::unexpected("read a record", &other)),
    }
}

/// The record to return if the key holds foreign data: see `wire::FOREIGN`. A value is not decoded, so there `None` is
/// returned.
fn record(keys: &Keys, key: &Key, found: Value) -> Result<Option<Bytes>> {
    match found {
        Value::ServerError(error) if error.code() == "WRONGTYPE" => Ok((key.kind != Kind::Value).then(|| {
            let words = format!("the key {} holds no records: {OF_OTHERS}", keys.record(key));
            [&[FOREIGN], words.as_bytes()].concat().into()
        })),
        Value::ServerError(error) => Err(error::of(&error.into(), "read records", "")),
        found => bytes(found),
    }
}

#[async_trait]
impl Store for Redis {
    fn now(&self) -> Millis {
        self.server_now()
    }

    /// Peers know no namespaces.
    fn may_have_peers(&self) -> bool {
        self.0.keys.prefix().is_empty()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.get_many(std::slice::from_ref(key)).await?.pop().flatten())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = pipe();
        for key in keys {
            pipe.cmd("HGET").arg(self.0.keys.record(key)).arg(&*key.kind.name());
        }
        let found = pipe.ignore_errors().query_async::<Vec<Value>>(&mut self.0.connections.shared()).await;
        let found = found.map_err(self.error("read records"))?;
        let mut records = Vec::with_capacity(keys.len());
        for (key, found) in keys.iter().zip(found) {
            records.push(self.in_usual_form(key, record(&self.0.keys, key, found)?).await?);
        }
        Ok(records)
    }

    async fn get_some(&self, keys: &[Key], bytes: usize) -> Result<Vec<Option<Bytes>>> {
        if keys.len() < 2 {
            return self.get_many(keys).await;
        }
        let mut pipe = pipe();
        for key in keys {
            pipe.cmd("HSTRLEN").arg(self.0.keys.record(key)).arg(&*key.kind.name());
        }
        let lengths = pipe.ignore_errors().query_async::<Vec<Value>>(&mut self.0.connections.shared()).await;
        let (mut sum, mut count) = (0_usize, 0);
        for length in lengths.map_err(self.error("look for records"))? {
            count += 1;
            // An answer that is no length is an error. The key is read like any other, and reading reports what is
            // wrong.
            if let Value::Int(length) = length {
                sum = sum.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
            }
            if sum >= bytes {
                break;
            }
        }
        self.get_many(&keys[..count]).await
    }

    async fn has_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = pipe();
        for key in keys {
            pipe.cmd("HEXISTS").arg(self.0.keys.record(key)).arg(&*key.kind.name());
        }
        let found = pipe.ignore_errors().query_async::<Vec<Value>>(&mut self.0.connections.shared()).await;
        let found = found.map_err(self.error("look for records"))?;
        let is_there = |(key, found): (&Key, Value)| match found {
            Value::Int(n) => Ok(n == 1),
            found => record(&self.0.keys, key, found).map(|found| found.is_some()),
        };
        keys.iter().zip(found).map(is_there).collect()
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        if key.kind == Kind::Job {
            return self.put_job(key, &value).await.map_err(self.error("write a record"));
        }
        let mut connection = self.0.connections.shared();
        let mut put = cmd("HSET");
        put.arg(self.0.keys.record(key)).arg(&*key.kind.name()).arg(&value[..]);
        let put = if key.kind == Kind::PendingReturns || key.kind.is_listed() {
            let mut pipe = pipe();
            pipe.add_command(put);
            self.drop_parents(&mut pipe, key);
            self.keep_id(&mut pipe, key, true);
            match self.check_set(key, &mut connection).await {
                Ok(()) => pipe.exec_async(&mut connection).await,
                failed => failed,
            }
        } else {
            put.exec_async(&mut connection).await
        };
        match put {
            Ok(()) => Ok(()),
            Err(error) => Err(self.write_failed(error, "write a record", key).await),
        }
    }

    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap> {
        // If a job is added or removed, the order of jobs changes too. The script does not do that.
        match self.may_script() && key.kind != Kind::Job {
            true => self.swap_by_script(key, expected, new.as_ref()).await,
            false => self.try_swap(key, expected, new).await,
        }
    }

    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool> {
        let put = match self.may_script() {
            true => self.put_if_by_script(key, &value, absent).await,
            false => self.try_put_if(key, &value, absent).await,
        };
        match put {
            // The key holds foreign data, so something is already there. A later read reports what it is, see `record`. (For a
            // kind that has a set of ids, it may be the key of the set.)
            Err(error)
                if error.to_string().contains("MALFORMED ")
                    || error::is_wrong_type(&error) && !key.kind.is_listed() =>
            {
                Ok(false)
            }
            Err(error) => Err(self.write_failed(error, "write a record", key).await),
            Ok(put) => Ok(put),
        }
    }

    async fn remove_many(&self, keys: &[Key]) -> Result<()> {
        for some in keys.chunks(SCAN) {
            let mut remove = pipe();
            let jobs: Vec<Key> = some.iter().filter(|key| key.kind == Kind::Job).cloned().collect();
            for (key, record) in jobs.iter().zip(self.get_many(&jobs).await?) {
                // A record and its entries in the index are removed together.
                self.unindex(remove.atomic(), key, record.as_deref());
            }
            for key in some {
                remove.cmd("HDEL").arg(self.0.keys.record(key)).arg(&*key.kind.name()).ignore();
                self.drop_parents(&mut remove, key);
                self.keep_id(&mut remove, key, false);
            }
            let removed = remove.exec_async(&mut self.0.connections.shared()).await;
            removed.map_err(self.error("remove records"))?;
        }
        Ok(())
    }

    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
        if let Some(ids) = self.0.keys.ids(kind) {
            return self.page_of_ids(kind, &ids, cursor, limit).await;
        }
        let prefix = self.0.keys.records(kind);
        let mut connection = self.0.connections.shared();
        let mut scan = cmd("SCAN");
        scan.arg(cursor.unwrap_or("0")).arg("MATCH").arg(format!("{}*", escaped(&prefix)));
        scan.arg("COUNT").arg(limit.clamp(10, SCAN));
        let found = scan.query_async::<(String, Vec<String>)>(&mut connection).await;
        let (next, keys) = found.map_err(self.error("list records"))?;
        let found = keys.iter().zip(self.which_have(&keys, kind).await?).filter(|(_, is_there)| *is_there);
        let ids = found.map(|(key, _)| key[prefix.len()..].to_owned()).collect();
        Ok(Page { ids, next: (next != "0").then_some(next) })
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPage> {
        let search = JobSearch::of(&self.0.keys, query)?;
        match self.may_script() {
            true => self.jobs_by_script(&search).await,
            false => self.jobs_by_commands(&search).await,
        }
    }
}

impl Redis {
    /// When a call's record is replaced or removed, this also removes the set of its parents, in the same transaction.
    fn drop_parents(&self, pipe: &mut Pipeline, key: &Key) {
        if key.kind == Kind::PendingReturns {
            pipe.atomic().cmd("UNLINK").arg(self.0.keys.parents(&key.id)).ignore();
        }
    }

    async fn swap_by_script(&self, key: &Key, expected: Option<&Bytes>, new: Option<&Bytes>) -> Result<Swap> {
        let operation = "compare and swap a record";
        let call = if key.kind == Kind::PendingReturns { &*key.id } else { "" };
        let script = scripts::SWAP.call(&self.0.keys).arg(self.0.keys.record(key)).arg(&*key.kind.name()).arg(call);
        let option = |script: scripts::Call<'static>, bytes: Option<&Bytes>| {
            script.arg(u8::from(bytes.is_some())).arg(bytes.map(|bytes| &bytes[..]).unwrap_or_default())
        };
        let (id, ids) = self.id_in_set(key);
        let script = option(option(script, expected), new).arg(id).arg(ids);
        let answer = script.run(&mut self.0.connections.shared()).await.map_err(self.error(operation))?;
        match answer {
            Value::Array(items) if items.first() == Some(&Value::Int(1)) => Ok(Swap::Done),
            Value::Array(items) => bytes(items.into_iter().nth(1).unwrap_or(Value::Nil)).map(Swap::Mismatch),
            other => Err(Self::unexpected(operation, &other)),
        }
    }

    async fn put_if_by_script(&self, key: &Key, value: &[u8], absent: &Key) -> RedisResult<bool> {
        let script = scripts::PUT_IF.call(&self.0.keys).arg(self.0.keys.record(key)).arg(&*key.kind.name());
        let (id, ids) = self.id_in_set(key);
        let script = script.arg(self.0.keys.record(absent)).arg(&*absent.kind.name()).arg(value).arg(id).arg(ids);
        redis::from_redis_value(script.run(&mut self.0.connections.shared()).await?).map_err(Into::into)
    }

    async fn try_swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap> {
        let (record, kind) = (self.0.keys.record(key), key.kind.name());
        let failed = || self.record_error("compare and swap a record", key);
        let parents = (key.kind == Kind::PendingReturns).then(|| self.0.keys.parents(&key.id));
        // A write that adds to the order of jobs must notice a job that is accepted at the same time.
        let order = (key.kind == Kind::Job && expected.is_none() && new.is_some()).then(|| self.0.keys.jobs());
        let watched = [record.clone()].into_iter().chain(parents).chain(order).collect();
        let mut watch = self.watch(watched).await.map_err(failed())?;
        if let Err(error) = self.check_set(key, watch.connection()).await {
            return Err(self.write_failed(error, "compare and swap a record", key).await);
        }
        loop {
            let mut look = cmd("HGET");
            look.arg(&record).arg(&*kind);
            let found: Option<Vec<u8>> = look.query_async(watch.connection()).await.map_err(failed())?;
            let found = self.in_usual_form(key, found.map(Bytes::from)).await?;
            if found.as_ref() != expected {
                watch.leave().await.map_err(failed())?;
                return Ok(Swap::Mismatch(found));
            }
            let mut write = pipe();
            if key.kind == Kind::Job {
                self.index(&mut watch, &mut write, key, found.as_deref(), new.as_deref()).await.map_err(failed())?;
            }
            match &new {
                Some(new) => write.cmd("HSET").arg(&record).arg(&*kind).arg(&new[..]),
                None => write.cmd("HDEL").arg(&record).arg(&*kind),
            };
            self.drop_parents(&mut write, key);
            self.keep_id(&mut write, key, new.is_some());
            if watch.commit(write).await.map_err(failed())? {
                return Ok(Swap::Done);
            }
        }
    }

    /// Writes the record of a job, and gives the job a position if it has none.
    async fn put_job(&self, key: &Key, value: &[u8]) -> RedisResult<()> {
        let record = self.0.keys.record(key);
        let mut watch = self.watch(vec![record.clone(), self.0.keys.jobs()]).await?;
        loop {
            let found: Option<Vec<u8>> =
                cmd("HGET").arg(&record).arg(&*key.kind.name()).query_async(watch.connection()).await?;
            let mut write = pipe();
            self.index(&mut watch, &mut write, key, found.as_deref(), Some(value)).await?;
            write.cmd("HSET").arg(&record).arg(&*key.kind.name()).arg(value);
            if watch.commit(write).await? {
                return Ok(());
            }
        }
    }

    async fn try_put_if(&self, key: &Key, value: &[u8], absent: &Key) -> RedisResult<bool> {
        let (record, kind) = (self.0.keys.record(key), key.kind.name());
        let other = self.0.keys.record(absent);
        let mut watch = self.watch(vec![record.clone(), other.clone()]).await?;
        self.check_set(key, watch.connection()).await?;
        loop {
            let mut look = pipe();
            look.cmd("HEXISTS").arg(&record).arg(&*kind).cmd("HEXISTS").arg(&other).arg(&*absent.kind.name());
            let there: (bool, bool) = look.query_async(watch.connection()).await?;
            if there.0 || there.1 {
                watch.leave().await?;
                return Ok(false);
            }
            let mut write = pipe();
            write.cmd("HSET").arg(&record).arg(&*kind).arg(value);
            self.keep_id(&mut write, key, true);
            if watch.commit(write).await? {
                return Ok(true);
            }
        }
    }
}

/// Escapes a text for use in a pattern.
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| "*?[]^-\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

#[async_trait]
impl Counters for Redis {
    async fn incr(&self, key: &str, by: u64) -> Result<u64> {
        let mut incr = cmd("INCRBY");
        incr.arg(self.0.keys.counter(key)).arg(by);
        match incr.query_async(&mut self.0.connections.shared()).await {
            // A key that holds no counter is replaced: losing a counter does no harm, and no call fails because of it.
            Err(error) if error::is_no_number(&error) => {
                let mut set = cmd("SET");
                set.arg(self.0.keys.counter(key)).arg(by);
                set.exec_async(&mut self.0.connections.shared()).await.map_err(self.error("count"))?;
                Ok(by)
            }
            counted => counted.map_err(self.error("count")),
        }
    }

    async fn read_many(&self, keys: &[String]) -> Result<Vec<Option<u64>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut get = cmd("MGET");
        get.arg(keys.iter().map(|key| self.0.keys.counter(key)).collect::<Vec<_>>());
        let found: Vec<Option<String>> =
            get.query_async(&mut self.0.connections.shared()).await.map_err(self.error("read counters"))?;
        Ok(found.into_iter().map(|sum| sum?.parse().ok()).collect())
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut del = cmd("DEL");
        del.arg(keys.iter().map(|key| self.0.keys.counter(key)).collect::<Vec<_>>());
        del.exec_async(&mut self.0.connections.shared()).await.map_err(self.error("forget counters"))
    }
}
