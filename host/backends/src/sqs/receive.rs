//! Receiving: long polls, ten at a time, and now and then a look into the queue of what was redriven.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use brrr_protocol::error::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Delivery;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::held::Held;
use super::letters::{DUE, Letter, RECEIVES, early, receives};
use super::setup::BACKSTOP;
use super::{BACKEND, BATCH, Inner, LONGEST_POLL, lock};
use crate::aws::caught;

/// How often a worker looks into the queue of what was redriven. Nothing there is in a hurry: it has been delivered twenty
/// times.
const DRAIN: Duration = Duration::from_secs(30);

/// Where messages come from.
struct Source {
    url: Arc<str>,
    /// It holds what was redriven.
    is_dead: bool,
}

impl Inner {
    /// In a task of its own, so that whoever asks may give up at any time: what SQS then delivers goes back at once, and isn't
    /// locked away for a whole lease. (It is when the program ends at just that moment.)
    pub(super) async fn receive(self: &Arc<Self>, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let (inner, topic) = (self.clone(), topic.clone());
        let (mut reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let received = inner.receive_until(&topic, max, Instant::now() + wait, &mut reply).await;
            if let Err(Ok(unwanted)) = reply.send(received) {
                for delivery in unwanted {
                    if let Err(error) = inner.give_back(&delivery.receipt, Duration::ZERO).await {
                        tracing::debug!("a message that nobody took comes back only when its lease runs out: {error}");
                    }
                }
            }
        });
        // Its task has panicked, or the runtime is ending.
        answer.await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    async fn receive_until(
        self: &Arc<Self>,
        topic: &Topic,
        max: usize,
        deadline: Instant,
        reply: &mut oneshot::Sender<Result<Vec<Delivery>>>,
    ) -> Result<Vec<Delivery>> {
        let queue = Source { url: self.queue(topic).await?, is_dead: false };
        let mut deliveries = self.drain(topic, max).await;
        loop {
            // What is at hand is not kept waiting for more.
            let wait =
                if deliveries.is_empty() { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let room = max - deliveries.len();
            if room == 0 {
                return Ok(deliveries);
            }
            deliveries.extend(self.poll(topic, &queue, room.min(BATCH), wait).await?);
            if deliveries.len() == BATCH && max > BATCH {
                // There are more, as it seems.
                let rooms = (BATCH..max).step_by(BATCH).map(|from| (max - from).min(BATCH));
                let polls = rooms.map(|room| self.poll(topic, &queue, room, Duration::ZERO));
                // What the others brought is delivered, even if one has failed.
                deliveries.extend(join_all(polls).await.into_iter().flatten().flatten());
            }
            if !deliveries.is_empty() || Instant::now() >= deadline || reply.is_closed() {
                return Ok(deliveries);
            }
        }
    }

    /// What was redriven, if it is time to look.
    async fn drain(self: &Arc<Self>, topic: &Topic, max: usize) -> Vec<Delivery> {
        let now = Instant::now();
        let first = {
            let mut drains = lock(&self.drains);
            if drains.get(topic).is_some_and(|at| *at > now) {
                return Vec::new();
            }
            drains.insert(topic.clone(), now + DRAIN).is_none()
        };
        let drained = async {
            let Some(url) = self.find(&self.dead_queue_name(topic)?).await? else {
                if first {
                    tracing::warn!("topic {topic} has no queue for redriven messages; `brrr-host setup` makes it");
                }
                return Ok(Vec::new());
            };
            self.poll(topic, &Source { url, is_dead: true }, max.min(BATCH), Duration::ZERO).await
        };
        drained.await.unwrap_or_else(|error| {
            tracing::warn!("could not look for redriven messages of topic {topic}: {error}");
            Vec::new()
        })
    }

    /// One request. Messages that have come too early are put back, and not delivered.
    async fn poll(self: &Arc<Self>, topic: &Topic, from: &Source, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        // Whole seconds, rounded up: SQS knows no others.
        let wait = wait.min(LONGEST_POLL);
        let seconds = wait.as_secs() as i32 + i32::from(wait.subsec_nanos() > 0);
        let answer = self
            .receiving
            .receive_message()
            .queue_url(&*from.url)
            .max_number_of_messages(max as i32)
            .wait_time_seconds(seconds)
            .visibility_timeout(self.lease.as_secs() as i32)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_attribute_names(RECEIVES)
            .message_attribute_names(DUE)
            .send()
            .await
            .map_err(|e| caught(BACKEND, format!("receive from {}", from.url), e))?;
        // The lease began when SQS answered. A tenth of it is more than that took to arrive here.
        let until = Instant::now() + self.lease.mul_f64(0.9);
        let (mut deliveries, mut too_early) = (Vec::new(), Vec::new());
        for message in answer.messages.unwrap_or_default() {
            let left = early(&message);
            let held = held(topic, from, message, until);
            match left {
                Some(left) => too_early.push(self.put_back(held, left)),
                None => deliveries.push(self.deliver(held)),
            }
        }
        for put_back in join_all(too_early).await {
            if let Err(error) = put_back {
                tracing::debug!("a delayed message comes again when its lease runs out: {error}");
            }
        }
        Ok(deliveries)
    }

    fn deliver(&self, held: Held) -> Delivery {
        let (topic, body, receives) = (held.topic.clone(), held.body.clone(), held.receives);
        Delivery { topic, body, receives, receipt: lock(&self.held).enter(held) }
    }

    /// Sends the message again, as not delivered, and deletes this one of it.
    pub(super) async fn put_back(self: &Arc<Self>, held: Held, delay: Duration) -> Result<()> {
        let letter = Letter { body: held.body, delay, receives: held.receives.saturating_sub(1) };
        self.send(&held.topic, vec![letter]).await?;
        self.delete(&held.url, held.handle).await
    }
}

fn held(topic: &Topic, from: &Source, message: Message, until: Instant) -> Held {
    let receives = receives(&message);
    Held {
        topic: topic.clone(),
        url: from.url.clone(),
        // What was redriven has come too often, whatever its own count says.
        receives: if from.is_dead { receives.max(BACKSTOP + 1) } else { receives },
        handle: message.receipt_handle.unwrap_or_default(),
        message_id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        until,
    }
}
