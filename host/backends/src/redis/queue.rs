//! Topics, leases and dead letters.

use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{DeadLetter, Delivery, Outgoing, Place, Queue, Receipt, Visit};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{FromRedisValue, RedisResult, Value, cmd, pipe};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Redis, scripts};
use crate::now_millis;

/// Leases that begin and messages that are delayed while a receiver waits are told to nobody; so it looks this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A message that this process has in work.
pub(super) struct Held<'a> {
    pub number: &'a str,
    /// Topic and body, if it was delivered before: then something is remembered of it.
    pub again: Option<(&'a str, &'a str)>,
}

impl<'a> Held<'a> {
    /// `number`, or `number/length of the topic/topic body`.
    fn receipt(number: &str, topic: &Topic, receives: u32, body: &str) -> Receipt {
        match receives {
            0 | 1 => Receipt(number.to_owned()),
            _ => Receipt(format!("{number}/{}/{topic}{body}", topic.as_str().len())),
        }
    }

    pub fn of(receipt: &'a Receipt) -> Self {
        let Some((number, again)) = receipt.0.split_once('/') else { return Self { number: &receipt.0, again: None } };
        let again = again.split_once('/').and_then(|(length, rest)| rest.split_at_checked(length.parse().ok()?));
        Self { number, again }
    }
}

/// What a look at a topic found. Messages that nobody accepts are given back: whoever asked has gone away.
struct Taken {
    redis: Redis,
    deliveries: Vec<Delivery>,
    /// When something more is due that is known of now.
    due: Option<Duration>,
}

impl Taken {
    fn accept(mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (redis, deliveries) = (self.redis.clone(), std::mem::take(&mut self.deliveries));
        // Without a runtime their leases bring them back.
        if let (false, Ok(runtime)) = (deliveries.is_empty(), Handle::try_current()) {
            runtime.spawn(async move {
                for delivery in deliveries {
                    let _ = redis.give_back(&delivery.receipt, Duration::ZERO).await;
                }
            });
        }
    }
}

/// `receives:length:topic` and body: a message in work, as it is kept. Bodies are bytes here: whatever somebody has put into a
/// topic is delivered, and set aside.
fn packed(receives: u32, topic: &str, body: &[u8]) -> Vec<u8> {
    [format!("{receives}:{}:{topic}", topic.len()).as_bytes(), body].concat()
}

fn unpacked(held: &[u8]) -> Option<(u32, &str, &[u8])> {
    let (receives, rest) = number(held)?;
    let (length, rest) = number(rest)?;
    let (topic, body) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((u32::try_from(receives).ok()?, std::str::from_utf8(topic).ok()?, body))
}

/// A number and a colon, and what is behind them.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    Some((std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?, &bytes[colon + 1..]))
}

/// `unique:receives:body`: a message that is delayed, as it is kept. Two alike must not become one.
pub(super) fn delayed(receives: u32, body: &[u8]) -> Vec<u8> {
    [format!("{:016x}:{receives}:", fastrand::u64(..)).as_bytes(), body].concat()
}

/// The receives and the body of such a message. What has not this form is a message that nobody can read; who works on it
/// sets it aside.
fn ripe(member: &[u8]) -> (u64, &[u8]) {
    let unique = member.iter().position(|byte| *byte == b':').map(|colon| &member[colon + 1..]);
    unique.and_then(number).unwrap_or((0, member))
}

/// The server's clock, which all share.
async fn server_time(connection: &mut impl ConnectionLike) -> RedisResult<u64> {
    let (seconds, micros): (u64, u64) = cmd("TIME").query_async(connection).await?;
    Ok(seconds * 1000 + micros / 1000)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Redis {
    /// Takes what is there. In a task of its own: cut off in the middle, nobody would know what was taken.
    async fn take(&self, topic: &Topic, max: usize) -> Result<Taken> {
        let (answer, answered) = oneshot::channel();
        let (redis, topic) = (self.clone(), topic.clone());
        tokio::spawn(async move {
            let taken = if redis.may_script() {
                redis.take_by_script(&topic, max).await
            } else {
                redis.take_by_steps(&topic, max).await
            };
            // If nobody waits any more, what was taken is dropped, see there.
            let _ = answer.send(taken);
        });
        answered.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "redis", "receive messages", "the task that receives has ended"))
        })
    }

    async fn take_by_script(&self, topic: &Topic, max: usize) -> Result<Taken> {
        let call = scripts::RECEIVE.call(&self.0.keys).arg(topic.as_str()).arg(max);
        let call = call.arg(&self.0.worker).arg(millis(self.0.lease));
        let answer = call.run(&mut self.0.connections.shared()).await.map_err(self.error("receive messages"))?;
        let (due, deliveries) = taken(topic, answer)?;
        Ok(Taken { redis: self.clone(), deliveries, due })
    }

    /// Waits until something may be in the topic, and leaves it there: a move from an end of the list to the same end.
    async fn wait_for_message(&self, topic: &Topic, at_most: Duration) {
        if let Err(error) = self.block(&self.0.keys.topic(topic), at_most).await {
            // The next look says what is wrong, if it still is.
            tracing::debug!("waiting for a message of topic {topic}: {error}");
            tokio::time::sleep(at_most.min(Duration::from_millis(50))).await;
        }
    }
}

impl Redis {
    async fn block(&self, list: &str, at_most: Duration) -> RedisResult<()> {
        let mut alone = self.0.connections.alone().await?;
        let mut block = cmd("BLMOVE");
        // 0 would be for ever.
        block.arg(list).arg(list).arg("RIGHT").arg("RIGHT").arg(at_most.as_secs_f64().max(0.001));
        block.query_async::<Value>(&mut *alone).await?;
        alone.clean(true);
        Ok(())
    }
}

/// What `lua/receive.lua` answers.
fn taken(topic: &Topic, answer: Value) -> Result<(Option<Duration>, Vec<Delivery>)> {
    let (due, messages): (i64, Vec<(String, u32, Vec<u8>)>) = match &answer {
        Value::Array(items) => {
            let read = |n: usize| items.get(n).cloned().map(redis::from_redis_value::<i64>);
            let messages = items.get(1..).unwrap_or_default().chunks_exact(3);
            let messages = messages.map(|m| redis::from_redis_value(Value::Array(m.to_vec())));
            match (read(0), messages.collect::<std::result::Result<_, _>>()) {
                (Some(Ok(due)), Ok(messages)) => (due, messages),
                _ => return Err(Redis::unexpected("receive messages", &answer)),
            }
        }
        _ => return Err(Redis::unexpected("receive messages", &answer)),
    };
    let deliveries = messages.into_iter().map(|(number, receives, body)| delivery(topic, &number, receives, &body));
    Ok((u64::try_from(due).ok().map(Duration::from_millis), deliveries.collect()))
}

/// What is not text is no message of anybody's; like this it can be shown.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

fn delivery(topic: &Topic, number: &str, receives: u32, body: &[u8]) -> Delivery {
    let body = text(body);
    Delivery { topic: topic.clone(), receipt: Held::receipt(number, topic, receives, &body), body, receives }
}

/// The same without a script.
impl Redis {
    async fn take_by_steps(&self, topic: &Topic, max: usize) -> Result<Taken> {
        let failed = || self.error("receive messages");
        let now = server_time(&mut self.0.connections.shared()).await.map_err(failed())?;
        self.ripen(topic, now).await.map_err(failed())?;
        self.return_expired(now).await.map_err(failed())?;
        let deliveries = self.pop(topic, max, now).await.map_err(failed())?;
        Ok(Taken { redis: self.clone(), deliveries, due: Some(Duration::from_millis(50)) })
    }

    /// Moves what was delayed until now into the topic.
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
                }
            }
            if watch.commit(pipe).await? {
                return Ok(());
            }
        }
    }

    /// Returns what was leased and neither acknowledged nor renewed.
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
                // The lease goes with what is held, in one transaction; so it is there if the lease is.
                let mut look = cmd("HGET");
                look.arg(&held).arg(number);
                let found: Option<Vec<u8>> = look.query_async(watch.connection()).await?;
                let Some((receives, topic, body)) = found.as_deref().and_then(unpacked) else { continue };
                pipe.cmd("RPUSH").arg(self.0.keys.topic(&topic.into())).arg(body);
                pipe.cmd("HSET").arg(self.0.keys.receives(topic)).arg(body).arg(receives);
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
}

/// Some of what is due in a sorted set.
async fn due<T: FromRedisValue>(connection: &mut MultiplexedConnection, set: &str, now: u64) -> RedisResult<Vec<T>> {
    let mut look = cmd("ZRANGEBYSCORE");
    look.arg(set).arg("-inf").arg(now).arg("LIMIT").arg(0).arg(100);
    look.query_async(connection).await
}

impl Redis {
    /// Ends a lease; `add` says what becomes of the message instead, of its receives, topic and body. Nothing, if the lease
    /// was lost.
    async fn release(
        &self,
        receipt: &Receipt,
        add: impl Fn(&mut redis::Pipeline, u32, &str, &[u8]) + Send + Sync,
    ) -> RedisResult<()> {
        let (held, number) = (self.0.keys.held(&self.0.worker), Held::of(receipt).number);
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

    async fn try_take_dead_letter(&self, topic: &Topic, number: u64) -> RedisResult<Option<DeadLetter>> {
        let set = self.0.keys.dead(topic);
        let mut watch = self.watch(vec![set.clone()]).await?;
        loop {
            let mut look = cmd("ZRANGEBYSCORE");
            look.arg(&set).arg(number).arg(number);
            let found: Vec<Vec<u8>> = look.query_async(watch.connection()).await?;
            let Some(letter) = found.first() else {
                watch.leave().await?;
                return Ok(None);
            };
            let mut pipe = pipe();
            pipe.cmd("ZREM").arg(&set).arg(letter);
            if watch.commit(pipe).await? {
                return Ok(dead_letter(topic, letter));
            }
        }
    }

    /// Renews leases over the heartbeat's own connection.
    async fn renew(&self, members: &[String]) -> RedisResult<Vec<Option<f64>>> {
        let mut connection = self.0.connections.heartbeat().await?;
        let until = server_time(&mut connection).await? + millis(self.0.lease);
        let leases = self.0.keys.leases();
        let mut pipe = pipe();
        pipe.atomic().cmd("ZADD").arg(&leases).arg("XX");
        for member in members {
            pipe.arg(until).arg(member);
        }
        pipe.ignore().cmd("ZMSCORE").arg(&leases).arg(members);
        let (scores,) = pipe.query_async::<(Vec<Option<f64>>,)>(&mut connection).await?;
        Ok(scores)
    }
}

#[async_trait]
impl Queue for Redis {
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let failed = || self.error("send messages");
        let mut connection = self.0.connections.shared();
        let delays = messages.iter().any(|message| !message.delay.is_zero());
        let now = if delays { server_time(&mut connection).await.map_err(failed())? } else { 0 };
        let mut pipe = pipe();
        for Outgoing { topic, body, delay } in messages {
            if delay.is_zero() {
                pipe.cmd("RPUSH").arg(self.0.keys.topic(topic)).arg(body).ignore();
            } else {
                let set = self.0.keys.delayed(topic.as_str());
                pipe.cmd("ZADD")
                    .arg(set)
                    .arg(now.saturating_add(millis(*delay)))
                    .arg(delayed(0, body.as_bytes()))
                    .ignore();
            }
        }
        pipe.exec_async(&mut connection).await.map_err(failed())
    }

    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let deadline = Instant::now() + wait;
        loop {
            let taken = self.take(topic, max).await?;
            let left = deadline.saturating_duration_since(Instant::now());
            if !taken.deliveries.is_empty() || left.is_zero() || max == 0 {
                return Ok(taken.accept());
            }
            let due = taken.due.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN).min(self.0.lease / 4);
            self.wait_for_message(topic, due.min(left)).await;
        }
    }

    async fn ack(&self, receipt: &Receipt) -> Result<()> {
        let Held { number, again } = Held::of(receipt);
        let mut pipe = pipe();
        pipe.atomic().cmd("HDEL").arg(self.0.keys.held(&self.0.worker)).arg(number).ignore();
        pipe.cmd("ZREM").arg(self.0.keys.leases()).arg(format!("{}/{number}", self.0.worker)).ignore();
        if let Some((topic, body)) = again {
            pipe.cmd("HDEL").arg(self.0.keys.receives(topic)).arg(body).ignore();
        }
        pipe.exec_async(&mut self.0.connections.shared()).await.map_err(self.error("acknowledge a message"))
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let member = |receipt| format!("{}/{}", self.0.worker, Held::of(receipt).number);
        let members: Vec<String> = receipts.iter().map(member).collect();
        let scores = self.renew(&members).await.map_err(|error| {
            self.0.connections.drop_heartbeat();
            self.error("renew leases")(error)
        })?;
        Ok(scores.iter().map(Option::is_some).collect())
    }

    fn lease(&self) -> Duration {
        self.0.lease
    }

    async fn give_back(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        let failed = || self.error("give back a message");
        let due = match delay.is_zero() {
            true => 0,
            false => server_time(&mut self.0.connections.shared()).await.map_err(failed())? + millis(delay),
        };
        let add = |pipe: &mut redis::Pipeline, receives: u32, topic: &str, body: &[u8]| {
            // It does not count as a delivery.
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
        self.release(receipt, add).await.map_err(failed())
    }

    async fn set_aside(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let failed = || self.error("set a message aside");
        let mut connection = self.0.connections.shared();
        let id: u64 = cmd("INCR").arg(self.0.keys.letters()).query_async(&mut connection).await.map_err(failed())?;
        let at = now_millis();
        let add = |pipe: &mut redis::Pipeline, _: u32, topic: &str, body: &[u8]| {
            // The id makes two alike differ.
            let letter = [format!("{id}:{at}:{}:{reason}", reason.len()).as_bytes(), body].concat();
            pipe.cmd("ZADD").arg(self.0.keys.dead(&topic.into())).arg(id).arg(letter).ignore();
            pipe.cmd("HDEL").arg(self.0.keys.receives(topic)).arg(body).ignore();
        };
        self.release(&delivery.receipt, add).await.map_err(failed())
    }

    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>> {
        let Some(last) = limit.min(i64::MAX as usize).checked_sub(1) else { return Ok(Vec::new()) };
        let mut range = cmd("ZRANGE");
        range.arg(self.0.keys.dead(topic)).arg(0).arg(last);
        let found: Vec<Vec<u8>> =
            range.query_async(&mut self.0.connections.shared()).await.map_err(self.error("list dead letters"))?;
        Ok(found.iter().filter_map(|letter| dead_letter(topic, letter)).collect())
    }

    async fn take_dead_letter(&self, topic: &Topic, id: &str) -> Result<Option<DeadLetter>> {
        // Ids are whole numbers, and a score holds them exactly up to 2^53.
        let Some(number) = id.parse::<u64>().ok().filter(|n| *n < 1 << 53) else { return Ok(None) };
        self.try_take_dead_letter(topic, number).await.map_err(self.error("take a dead letter"))
    }

    async fn check(&self, topic: &Topic, _longest_run: Duration) -> Result<()> {
        let ours = ["brrr:", "brrr_count/"].into_iter().find(|prefix| topic.as_str().starts_with(prefix));
        ours.map_or(Ok(()), |prefix| {
            let reason = format!("keys that begin with {prefix:?} are brrr-host's own; take another name");
            Err(Error::new(ErrorKind::Config, "redis", format!("work on topic {topic}"), reason))
        })
    }

    async fn depth(&self, topic: &Topic) -> Result<u64> {
        let failed = || self.error("count messages");
        let mut connection = self.0.connections.shared();
        let mut look = pipe();
        look.cmd("LLEN").arg(self.0.keys.topic(topic)).cmd("ZCARD").arg(self.0.keys.delayed(topic.as_str()));
        let (ready, delayed): (u64, u64) = look.query_async(&mut connection).await.map_err(failed())?;
        let held = self.held(&mut connection).await.map_err(failed())?;
        Ok(ready + delayed + held.iter().filter(|(of, ..)| of == topic.as_str()).count() as u64)
    }

    async fn look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        self.try_look_through(topic, visit).await.map_err(self.error("look through a topic"))?;
        Ok(true)
    }
}

/// How many messages one look at a topic's list reads.
const PAGE: isize = 1000;

impl Redis {
    /// What is ready. From the end: what is taken meanwhile moves the rest towards the beginning, where it is yet to be read.
    async fn look_through_ready(
        &self,
        topic: &Topic,
        connection: &mut impl ConnectionLike,
        visit: &mut Visit<'_>,
    ) -> RedisResult<()> {
        let list = self.0.keys.topic(topic);
        let mut end: isize = cmd("LLEN").arg(&list).query_async(connection).await?;
        while end > 0 {
            let start = (end - PAGE).max(0);
            let mut page = cmd("LRANGE");
            page.arg(&list).arg(start).arg(end - 1);
            let bodies: Vec<Vec<u8>> = page.query_async(connection).await?;
            bodies.iter().for_each(|body| visit(&text(body), Place::Ready));
            end = start;
        }
        Ok(())
    }

    /// Topic and body of what this and other workers hold, and whether the lease has run out.
    async fn held(&self, connection: &mut impl ConnectionLike) -> RedisResult<Vec<(String, String, bool)>> {
        let now = server_time(connection).await?;
        let mut look = cmd("ZRANGE");
        look.arg(self.0.keys.leases()).arg(0).arg(-1).arg("WITHSCORES");
        let leases: Vec<(String, f64)> = look.query_async(connection).await?;
        let mut found = Vec::with_capacity(leases.len());
        for chunk in leases.chunks(PAGE as usize) {
            let mut look = pipe();
            for (member, _) in chunk {
                let (worker, number) = member.rsplit_once('/').unwrap_or((member, ""));
                look.cmd("HGET").arg(self.0.keys.held(worker)).arg(number);
            }
            let held: Vec<Option<Vec<u8>>> = look.query_async(connection).await?;
            for ((_, until), held) in chunk.iter().zip(held) {
                if let Some((_, topic, body)) = held.as_deref().and_then(unpacked) {
                    found.push((topic.to_owned(), text(body), *until <= now as f64));
                }
            }
        }
        Ok(found)
    }

    async fn try_look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> RedisResult<()> {
        let mut connection = self.0.connections.shared();
        self.look_through_ready(topic, &mut connection, visit).await?;
        let mut look = cmd("ZRANGE");
        look.arg(self.0.keys.delayed(topic.as_str())).arg(0).arg(-1);
        let delayed: Vec<Vec<u8>> = look.query_async(&mut connection).await?;
        delayed.iter().for_each(|member| visit(&text(ripe(member).1), Place::Delayed));
        for (of, body, expired) in self.held(&mut connection).await? {
            if of == topic.as_str() {
                visit(&body, if expired { Place::Expired } else { Place::InWork });
            }
        }
        Ok(())
    }
}

/// `id:at:length:reason` and body.
fn dead_letter(topic: &Topic, letter: &[u8]) -> Option<DeadLetter> {
    let (id, rest) = number(letter)?;
    let (at, rest) = number(rest)?;
    let (length, rest) = number(rest)?;
    let (reason, body) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(DeadLetter { id: id.to_string(), topic: topic.clone(), body: text(body), reason: text(reason), at })
}
