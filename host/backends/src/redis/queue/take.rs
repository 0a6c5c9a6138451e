//! Takes messages out of a topic.

use std::time::Duration;

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Delivery, Queue};
use redis::{RedisResult, Value, cmd};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::super::{Redis, scripts};
use super::millis;
use super::packed::delivery;

/// The messages that a look at a topic took. If the receiver no longer waits, nobody accepts them, and they are given
/// back when this is dropped.
pub(super) struct Taken {
    pub redis: Redis,
    pub deliveries: Vec<Delivery>,
    /// The time until the next known message is due.
    pub due: Option<Duration>,
}

impl Taken {
    pub fn accept(mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (redis, deliveries) = (self.redis.clone(), std::mem::take(&mut self.deliveries));
        // Without a runtime they can't be given back here; they return when their leases end.
        if let (false, Ok(runtime)) = (deliveries.is_empty(), Handle::try_current()) {
            runtime.spawn(async move {
                for delivery in deliveries {
                    let _ = redis.nack(&delivery.receipt, Duration::ZERO).await;
                }
            });
        }
    }
}

impl Redis {
    /// Takes the ready messages. This runs in a task of its own: if it were cut off in the middle, nobody would know
    /// which messages were taken.
    pub(super) async fn take(&self, topic: &Topic, max: usize) -> Result<Taken> {
        let (answer, answered) = oneshot::channel();
        let (redis, topic) = (self.clone(), topic.clone());
        tokio::spawn(async move {
            let taken = if redis.may_script() {
                redis.take_by_script(&topic, max).await
            } else {
                redis.take_by_steps(&topic, max).await
            };
            // If the receiver no longer waits, `Taken` is dropped, which gives the messages back.
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

    /// Waits until a message comes. Then it moves the message to a list that every receiver of the topic reads first.
    /// So a message wakes one waiting receiver, not all of them. If that receiver dies, another one takes the message
    /// when it looks again.
    pub(super) async fn wait_for_message(&self, topic: &Topic, at_most: Duration) {
        if let Err(error) = self.block(topic, at_most).await {
            // This error is only logged: the next look reports it if it is still there.
            tracing::debug!("waiting for a message of topic {topic}: {error}");
            tokio::time::sleep(at_most.min(Duration::from_millis(50))).await;
        }
    }

    async fn block(&self, topic: &Topic, at_most: Duration) -> RedisResult<()> {
        let list = self.0.keys.topic(topic);
        // The multi-step way does not read the list of arrived messages. There the message is moved to the same end of
        // the same list, which wakes all waiting receivers.
        let (to, from, end) = match self.may_script() {
            true => (self.0.keys.arrived(topic), "LEFT", "RIGHT"),
            false => (list.clone(), "RIGHT", "RIGHT"),
        };
        let mut alone = self.0.connections.alone().await?;
        let mut block = cmd("BLMOVE");
        // 0 would mean no timeout.
        block.arg(list).arg(to).arg(from).arg(end).arg(at_most.as_secs_f64().max(0.001));
        block.query_async::<Value>(&mut *alone).await?;
        alone.clean(true);
        Ok(())
    }
}

/// Parses the answer of `lua/receive.lua`.
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
