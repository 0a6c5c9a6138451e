//! Topics, leases and dead letters.

mod look;
mod packed;
mod steps;
mod take;

use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backlog, DeadLetter, Delivery, Outgoing, Queue, Receipt, Visit};
use redis::aio::ConnectionLike;
use redis::{RedisResult, Value, cmd, pipe};
use tokio::time::Instant;

use self::packed::dead_letter;
pub(super) use self::packed::{HeldMessage, delayed};
use super::{Redis, error, scripts};
use crate::now_millis;

/// How often a waiting receiver looks at the topic. Nothing tells a receiver about leases that begin and messages that
/// are delayed while it waits.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The server's clock, which all processes share.
async fn server_time(connection: &mut impl ConnectionLike) -> RedisResult<u64> {
    let (seconds, micros): (u64, u64) = cmd("TIME").query_async(connection).await?;
    Ok(seconds * 1000 + micros / 1000)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Can this topic's key be a list of messages? Peers choose their topics freely, but a topic can't be one of our keys,
/// in any namespace. (`lua/lib.lua` has the same rule.)
fn may_be_a_topic(topic: &Topic) -> bool {
    !topic.as_str().contains("brrr:") && !topic.as_str().contains("brrr_count/")
}

impl Redis {
    /// Runs `lua/return.lua`.
    async fn return_by_script(&self, receipt: &Receipt, how: [&str; 3]) -> RedisResult<()> {
        let call = scripts::RETURN.call(&self.0.keys).arg(&self.0.worker).arg(HeldMessage::of(receipt).number);
        call.args(how).run(&mut self.0.connections.shared()).await.map(drop)
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
        let (fit, unfit): (Vec<_>, Vec<_>) = messages.iter().partition(|message| may_be_a_topic(&message.topic));
        let mut pipe = pipe();
        for Outgoing { topic, body, delay } in &fit {
            if delay.is_zero() {
                pipe.cmd("RPUSH").arg(self.0.keys.topic(topic)).arg(body);
            } else {
                let set = self.0.keys.delayed(topic.as_str());
                pipe.cmd("ZADD").arg(set).arg(now.saturating_add(millis(*delay))).arg(delayed(0, body.as_bytes()));
            }
        }
        let sent: Vec<Value> = pipe.ignore_errors().query_async(&mut connection).await.map_err(failed())?;
        // A message whose key has the wrong type must not stop the other messages.
        let mut wrong = unfit.first().map(|message| self.0.keys.topic(&message.topic));
        for (message, sent) in fit.iter().zip(sent) {
            match sent {
                Value::ServerError(error) if error.code() == "WRONGTYPE" => {
                    wrong = Some(self.0.keys.topic(&message.topic))
                }
                Value::ServerError(error) => return Err(failed()(error.into())),
                _ => {}
            }
        }
        wrong.map_or(Ok(()), |key| Err(error::of_wrong_key(&key, "send messages")))
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
        let HeldMessage { number, again } = HeldMessage::of(receipt);
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
        let member = |receipt| format!("{}/{}", self.0.worker, HeldMessage::of(receipt).number);
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

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        let returned = if self.may_script() {
            let unique = format!("{:016x}", fastrand::u64(..));
            self.return_by_script(receipt, ["nack", &millis(delay).to_string(), &unique]).await
        } else {
            self.try_nack(receipt, delay).await
        };
        returned.map_err(self.error("nack a message"))
    }

    async fn move_to_dlq(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let (receipt, at) = (&delivery.receipt, now_millis());
        let returned = if self.may_script() {
            self.return_by_script(receipt, ["dlq", &at.to_string(), reason]).await
        } else {
            self.try_move_to_dlq(receipt, at, reason).await
        };
        returned.map_err(self.error("move a message to the dead-letter queue"))
    }

    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>> {
        let Some(last) = limit.min(i64::MAX as usize).checked_sub(1) else { return Ok(Vec::new()) };
        let mut range = cmd("ZRANGE");
        range.arg(self.0.keys.dlq(topic)).arg(0).arg(last);
        let found: Vec<Vec<u8>> =
            range.query_async(&mut self.0.connections.shared()).await.map_err(self.error("list dead letters"))?;
        Ok(found.iter().filter_map(|member| dead_letter(topic, member)).collect())
    }

    async fn take_dead_letter(&self, topic: &Topic, id: &str) -> Result<Option<DeadLetter>> {
        // Ids are whole numbers. A score of Redis is exact up to 2^53.
        let Some(number) = id.parse::<u64>().ok().filter(|n| *n < 1 << 53) else { return Ok(None) };
        self.try_take_dead_letter(topic, number).await.map_err(self.error("take a dead letter"))
    }

    async fn check(&self, topic: &Topic, _longest_run: Duration) -> Result<()> {
        let doing = format!("work on topic {topic}");
        if !may_be_a_topic(topic) {
            let reason = "keys with `brrr:` or `brrr_count/` are brrr-host's own; take another name";
            return Err(Error::new(ErrorKind::Config, "redis", doing, reason));
        }
        let (keys, name) = (&self.0.keys, topic.as_str());
        let of_topic = [(keys.topic(topic), "list"), (keys.delayed(name), "zset"), (keys.receives(name), "hash")];
        let mut look = pipe();
        for (key, _) in &of_topic {
            look.cmd("TYPE").arg(key);
        }
        let found: Vec<String> =
            look.query_async(&mut self.0.connections.shared()).await.map_err(self.error(doing.as_str()))?;
        match of_topic.iter().zip(found).find(|((_, wanted), found)| found != wanted && found != "none") {
            Some(((key, _), _)) => Err(error::of_wrong_key(key, &doing)),
            None => Ok(()),
        }
    }

    async fn depth(&self, topic: &Topic) -> Result<u64> {
        let failed = || self.error("count messages");
        let mut connection = self.0.connections.shared();
        let mut look = pipe();
        look.cmd("LLEN").arg(self.0.keys.topic(topic)).cmd("ZCARD").arg(self.0.keys.delayed(topic.as_str()));
        look.cmd("LLEN").arg(self.0.keys.arrived(topic));
        let found: Vec<Value> = look.ignore_errors().query_async(&mut connection).await.map_err(failed())?;
        // A key of another type holds no messages.
        let count = |n: usize| if let Some(Value::Int(n)) = found.get(n) { u64::try_from(*n).unwrap_or(0) } else { 0 };
        let (ready, delayed, arrived) = (count(0), count(1), count(2));
        let held = self.held(&mut connection).await.map_err(failed())?;
        Ok(ready + delayed + arrived + held.iter().filter(|(of, ..)| of == topic.as_str()).count() as u64)
    }

    async fn backlog(&self, topic: &Topic) -> Result<Backlog> {
        let (list, arrived) = (self.0.keys.topic(topic), self.0.keys.arrived(topic));
        let mut look = pipe();
        look.cmd("LLEN").arg(&list).cmd("LLEN").arg(&arrived);
        look.cmd("ZCARD").arg(self.0.keys.delayed(topic.as_str())).cmd("LINDEX").arg(&list).arg(0);
        let found = look.ignore_errors().query_async(&mut self.0.connections.shared()).await;
        let found: Vec<Value> = found.map_err(self.error("count messages"))?;
        // A key of another type holds no messages.
        let count = |n: usize| if let Some(Value::Int(n)) = found.get(n) { u64::try_from(*n).unwrap_or(0) } else { 0 };
        // The messages are the peers', so they say nothing of their age.
        let head = match found.get(3) {
            Some(Value::BulkString(body)) => Some(String::from_utf8_lossy(body).into_owned()),
            _ => None,
        };
        Ok(Backlog { ready: count(0) + count(1), delayed: count(2), oldest: None, head })
    }

    async fn look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        self.try_look_through(topic, visit).await.map_err(self.error("look through a topic"))?;
        Ok(true)
    }
}
