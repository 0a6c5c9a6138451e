//! The queue without scripts: `WATCH`, read, `MULTI`. Used if scripts are forbidden, and for steps that need no script.

use std::time::Duration;

use brrr_protocol::error::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{DeadLetter, Delivery, Queue, Receipt};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult, cmd, pipe};

use super::super::Redis;
use super::packed::{HeldMessage, dead_letter, delayed, delivery, packed, ripe, unpacked};
use super::take::Taken;
use super::{millis, server_time};

/// The seconds for which the server remembers how often messages of a topic came back. The number can't be deleted
/// earlier: a peer may take the message next, and peers do not report that. Each return restarts this time.
/// (`remember_receives` in `lua/lib.lua` does the same.)
pub(super) const RECEIVES_KEPT: u32 = 86_400;

impl Redis {
    /// Does the same as `lua/receive.lua`.
    pub(super) async fn take_by_steps(&self, topic: &Topic, max: usize) -> Result<Taken> {
        let failed = || self.error("receive messages");
        // A Redis transaction does not stop at a command that fails on a key of the wrong type. So the types are
        // checked first.
        self.check(topic, Duration::ZERO).await?;
        let now = server_time(&mut self.0.connections.shared()).await.map_err(failed())?;
        self.ripen(topic, now).await.map_err(failed())?;
        self.return_expired(now).await.map_err(failed())?;
        let deliveries = self.pop(topic, max, now).await.map_err(failed())?;
        Ok(Taken { redis: self.clone(), deliveries, due: Some(Duration::from_millis(50)) })
    }

    /// Moves the delayed messages that are due into the topic.
    async fn ripen(&self, topic: &Topic, now: u64) -> RedisResult<()> {
        let (set, list) = (self.0.keys.delayed(topic.as_str()), self.0.keys.topic(topic));
        let receives_of = self.0.keys.receives(topic.as_str());
        let mut watch = self.watch(vec![set.clone()]).await?;
        loop {
            let due: Vec<Vec<u8>> = due(watch.connection(), &set, now).await?;
            if due.is_empty() {
                return watch.leave().await;
            }
            let mut pipe = pipe();
            for member in &due {
                let (receives, body) = ripe(member);
                pipe.cmd("RPUSH").arg(&list).arg(body).cmd("ZREM").arg(&set).arg(member);
                if receives > 0 {
                    pipe.cmd("HSET").arg(&receives_of).arg(body).arg(receives);
                    pipe.cmd("EXPIRE").arg(&receives_of).arg(RECEIVES_KEPT);
                }
            }
            if watch.commit(pipe).await? {
                return Ok(());
            }
        }
    }

    /// Returns the messages whose leases ended without an acknowledgement or a renewal.
    async fn return_expired(&self, now: u64) -> RedisResult<()> {
        let leases = self.0.keys.leases();
        let mut watch = self.watch(vec![leases.clone()]).await?;
        loop {
            let members: Vec<String> = due(watch.connection(), &leases, now).await?;
            if members.is_empty() {
                return watch.leave().await;
            }
            let mut pipe = pipe();
            for member in &members {
                pipe.cmd("ZREM").arg(&leases).arg(member);
                let Some((worker, number)) = member.rsplit_once('/') else { continue };
                let held = self.0.keys.held(worker);
                // The lease and the held message are written in one transaction. So if the lease is there, the message
                // is there too.
                let mut look = cmd("HGET");
                look.arg(&held).arg(number);
                let found: Option<Vec<u8>> = look.query_async(watch.connection()).await?;
                let Some((receives, topic, body)) = found.as_deref().and_then(unpacked) else { continue };
                if self.check(&topic.into(), Duration::ZERO).await.is_err() {
                    // The message stays in the hash of its worker, and does not stop the other work.
                    pipe.cmd("ZADD").arg(&leases).arg(now + 60_000).arg(member);
                    continue;
                }
                let of_topic = self.0.keys.receives(topic);
                pipe.cmd("RPUSH").arg(self.0.keys.topic(&topic.into())).arg(body);
                pipe.cmd("HSET").arg(&of_topic).arg(body).arg(receives).cmd("EXPIRE").arg(&of_topic).arg(RECEIVES_KEPT);
                pipe.cmd("HDEL").arg(&held).arg(number);
            }
            if watch.commit(pipe).await? {
                return Ok(());
            }
        }
    }

    async fn pop(&self, topic: &Topic, max: usize, now: u64) -> RedisResult<Vec<Delivery>> {
        let list = self.0.keys.topic(topic);
        let (held, leases) = (self.0.keys.held(&self.0.worker), self.0.keys.leases());
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut watch = self.watch(vec![list.clone()]).await?;
        loop {
            let mut look = cmd("LRANGE");
            look.arg(&list).arg(0).arg(max - 1);
            let bodies: Vec<Vec<u8>> = look.query_async(watch.connection()).await?;
            if bodies.is_empty() {
                watch.leave().await?;
                return Ok(Vec::new());
            }
            let count = bodies.len();
            let mut look = pipe();
            look.cmd("HMGET").arg(self.0.keys.receives(topic.as_str())).arg(&bodies);
            look.cmd("INCRBY").arg(self.0.keys.deliveries()).arg(count);
            let (receives, last): (Vec<Option<u32>>, u64) = look.query_async(watch.connection()).await?;
            let mut pipe = pipe();
            pipe.cmd("LTRIM").arg(&list).arg(count).arg(-1);
            let mut deliveries = Vec::with_capacity(count);
            for ((number, body), receives) in (last + 1 - count as u64..).zip(bodies).zip(receives) {
                let receives = receives.unwrap_or(0) + 1;
                pipe.cmd("HSET").arg(&held).arg(number).arg(packed(receives, topic.as_str(), &body));
                let member = format!("{}/{number}", self.0.worker);
                pipe.cmd("ZADD").arg(&leases).arg(now + millis(self.0.lease)).arg(member);
                deliveries.push(delivery(topic, &number.to_string(), receives, &body));
            }
            if watch.commit(pipe).await? {
                return Ok(deliveries);
            }
        }
    }

    pub(super) async fn try_nack(&self, receipt: &Receipt, delay: Duration) -> RedisResult<()> {
        let due = match delay.is_zero() {
            true => 0,
            false => server_time(&mut self.0.connections.shared()).await? + millis(delay),
        };
        let add = |pipe: &mut redis::Pipeline, receives: u32, topic: &str, body: &[u8]| {
            // A message that is given back does not count as delivered.
            let receives = receives.saturating_sub(1);
            let of_topic = self.0.keys.receives(topic);
            if due > 0 {
                pipe.cmd("HDEL").arg(of_topic).arg(body).ignore();
                pipe.cmd("ZADD").arg(self.0.keys.delayed(topic)).arg(due).arg(delayed(receives, body)).ignore();
                return;
            }
            match receives {
                0 => pipe.cmd("HDEL").arg(of_topic).arg(body).ignore(),
                _ => pipe.cmd("HSET").arg(of_topic).arg(body).arg(receives).ignore(),
            };
            pipe.cmd("RPUSH").arg(self.0.keys.topic(&topic.into())).arg(body).ignore();
        };
        self.return_message(receipt, add).await
    }

    pub(super) async fn try_move_to_dlq(&self, receipt: &Receipt, at: u64, reason: &str) -> RedisResult<()> {
        let mut connection = self.0.connections.shared();
        let id: u64 = cmd("INCR").arg(self.0.keys.last_dead_letter()).query_async(&mut connection).await?;
        let add = |pipe: &mut redis::Pipeline, _: u32, topic: &str, body: &[u8]| {
            // The id keeps two equal dead letters apart.
            let member = [format!("{id}:{at}:{}:{reason}", reason.len()).as_bytes(), body].concat();
            pipe.cmd("ZADD").arg(self.0.keys.dlq(&topic.into())).arg(id).arg(member).ignore();
            pipe.cmd("HDEL").arg(self.0.keys.receives(topic)).arg(body).ignore();
        };
        self.return_message(receipt, add).await
    }

    /// Ends a lease. `add` gets the message's receives, topic and body, and adds commands that write the message
    /// elsewhere. Does nothing if the lease was lost.
    async fn return_message(
        &self,
        receipt: &Receipt,
        add: impl Fn(&mut redis::Pipeline, u32, &str, &[u8]) + Send + Sync,
    ) -> RedisResult<()> {
        let (held, number) = (self.0.keys.held(&self.0.worker), HeldMessage::of(receipt).number);
        let mut watch = self.watch(vec![held.clone()]).await?;
        loop {
            let mut look = cmd("HGET");
            look.arg(&held).arg(number);
            let found: Option<Vec<u8>> = look.query_async(watch.connection()).await?;
            let Some((receives, topic, body)) = found.as_deref().and_then(unpacked) else {
                return watch.leave().await;
            };
            let mut pipe = pipe();
            pipe.cmd("HDEL").arg(&held).arg(number);
            pipe.cmd("ZREM").arg(self.0.keys.leases()).arg(format!("{}/{number}", self.0.worker));
            add(&mut pipe, receives, topic, body);
            if watch.commit(pipe).await? {
                return Ok(());
            }
        }
    }

    pub(super) async fn try_take_dead_letter(&self, topic: &Topic, number: u64) -> RedisResult<Option<DeadLetter>> {
        let set = self.0.keys.dlq(topic);
        let mut watch = self.watch(vec![set.clone()]).await?;
        loop {
            let mut look = cmd("ZRANGEBYSCORE");
            look.arg(&set).arg(number).arg(number);
            let found: Vec<Vec<u8>> = look.query_async(watch.connection()).await?;
            let Some(member) = found.first() else {
                watch.leave().await?;
                return Ok(None);
            };
            let mut pipe = pipe();
            pipe.cmd("ZREM").arg(&set).arg(member);
            if watch.commit(pipe).await? {
                return Ok(dead_letter(topic, member));
            }
        }
    }
}

/// Up to 100 members of a sorted set that are due.
async fn due<T: FromRedisValue>(connection: &mut MultiplexedConnection, set: &str, now: u64) -> RedisResult<Vec<T>> {
    let mut look = cmd("ZRANGEBYSCORE");
    look.arg(set).arg("-inf").arg(now).arg("LIMIT").arg(0).arg(100);
    look.query_async(connection).await
}
