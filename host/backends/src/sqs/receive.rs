//! Receives messages with long polls, ten at a time. Sometimes it also looks into the queue of redriven messages.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use brrr_protocol::error::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Delivery, Receipt};
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::envelope::{DUE, Envelope, RECEIVES, early, receives};
use super::held::Held;
use super::setup::BACKSTOP;
use super::{BACKEND, BATCH, LONGEST_POLL, SqsInner, lock};
use crate::aws::caught;

/// How often a worker looks into the queue of redriven messages. These messages are not urgent: they have been
/// delivered twenty times.
const DRAIN: Duration = Duration::from_secs(30);

/// How long unclaimed messages are kept for the next caller. A caller that receives in a loop calls again within this
/// time.
const SPARE: Duration = Duration::from_millis(500);

/// A queue from which messages come.
struct Source {
    url: Arc<str>,
    /// Is it the queue of redriven messages?
    is_redriven: bool,
}

/// Received messages for a caller. The caller may stop waiting at any moment until it opens the parcel.
struct Parcel {
    inner: Arc<SqsInner>,
    topic: Topic,
    deliveries: Vec<Delivery>,
}

impl Parcel {
    fn open(mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let unwanted = std::mem::take(&mut self.deliveries);
        if let (false, Ok(runtime)) = (unwanted.is_empty(), Handle::try_current()) {
            let (inner, topic) = (self.inner.clone(), self.topic.clone());
            runtime.spawn(async move { inner.keep_spare(&topic, unwanted).await });
        }
    }
}

impl SqsInner {
    /// Receives in a task of its own, so that the caller may give up at any time. Otherwise the messages that SQS
    /// delivers at that moment would stay locked for a whole lease. (They do if the program ends at exactly that
    /// moment.)
    pub(super) async fn receive(self: &Arc<Self>, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let spare = self.take_spare(topic, max);
        if !spare.is_empty() {
            return Ok(spare);
        }
        let (inner, topic) = (self.clone(), topic.clone());
        let (mut reply, answer) = oneshot::channel();
        tokio::spawn(async move {
            let received = inner.receive_until(&topic, max, Instant::now() + wait, &mut reply).await;
            let parcel = received.map(|deliveries| Parcel { inner, topic, deliveries });
            // If the caller no longer waits, the parcel is dropped here, which keeps its messages for the next caller.
            drop(reply.send(parcel));
        });
        match answer.await {
            Ok(parcel) => parcel.map(Parcel::open),
            // The task has panicked, or the runtime is ending.
            Err(_) => Ok(Vec::new()),
        }
    }

    /// Takes messages that were received for a caller that no longer waited.
    fn take_spare(&self, topic: &Topic, max: usize) -> Vec<Delivery> {
        let mut spares = lock(&self.spares);
        let Some(spare) = spares.get_mut(topic) else { return Vec::new() };
        let taken = spare.drain(..max.min(spare.len())).collect();
        if spare.is_empty() {
            spares.remove(topic);
        }
        taken
    }

    /// Keeps messages for the next caller. If no caller takes them in time, they are given back.
    async fn keep_spare(self: &Arc<Self>, topic: &Topic, unwanted: Vec<Delivery>) {
        let receipts: Vec<Receipt> = unwanted.iter().map(|delivery| delivery.receipt.clone()).collect();
        lock(&self.spares).entry(topic.clone()).or_default().extend(unwanted);
        tokio::time::sleep(SPARE.min(self.lease / 4)).await;
        let left: Vec<Delivery> = {
            let mut spares = lock(&self.spares);
            spares.get_mut(topic).map_or_else(Vec::new, |spare| {
                spare.extract_if(.., |delivery| receipts.contains(&delivery.receipt)).collect()
            })
        };
        for delivery in left {
            if let Err(error) = self.nack(&delivery.receipt, Duration::ZERO).await {
                tracing::debug!("a message that nobody took comes back only when its lease runs out: {error}");
            }
        }
    }

    async fn receive_until(
        self: &Arc<Self>,
        topic: &Topic,
        max: usize,
        deadline: Instant,
        reply: &mut oneshot::Sender<Result<Parcel>>,
    ) -> Result<Vec<Delivery>> {
        let queue = Source { url: self.queue(topic).await?, is_redriven: false };
        let mut deliveries = self.drain(topic, max).await;
        loop {
            // Received messages do not wait for more messages.
            let wait =
                if deliveries.is_empty() { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let room = max - deliveries.len();
            if room == 0 {
                return Ok(deliveries);
            }
            deliveries.extend(self.poll(topic, &queue, room.min(BATCH), wait).await?);
            if deliveries.len() == BATCH && max > BATCH {
                // A full batch suggests that there are more messages.
                let rooms = (BATCH..max).step_by(BATCH).map(|from| (max - from).min(BATCH));
                let polls = rooms.map(|room| self.poll(topic, &queue, room, Duration::ZERO));
                // If one poll failed, the messages of the other polls are still delivered.
                deliveries.extend(join_all(polls).await.into_iter().flatten().flatten());
            }
            if !deliveries.is_empty() || Instant::now() >= deadline || reply.is_closed() {
                return Ok(deliveries);
            }
        }
    }

    /// The redriven messages, if it is time to look for them.
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
            let Some(url) = self.find(&self.redrive_queue_name(topic)?).await? else {
                if first {
                    tracing::warn!("topic {topic} has no queue for redriven messages; `brrr-host setup` makes it");
                }
                return Ok(Vec::new());
            };
            self.poll(topic, &Source { url, is_redriven: true }, max.min(BATCH), Duration::ZERO).await
        };
        drained.await.unwrap_or_else(|error| {
            tracing::warn!("could not look for redriven messages of topic {topic}: {error}");
            Vec::new()
        })
    }

    /// One request. Messages that come too early are put back and not delivered.
    async fn poll(self: &Arc<Self>, topic: &Topic, from: &Source, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        // SQS takes whole seconds; rounded up.
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
        // The lease began when SQS answered. The answer took less than a tenth of the lease to arrive.
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

    /// Sends a copy of the message that does not count this delivery, and deletes the original.
    pub(super) async fn put_back(self: &Arc<Self>, held: Held, delay: Duration) -> Result<()> {
        let envelope = Envelope { body: held.body, delay, receives: held.receives.saturating_sub(1) };
        self.send(&held.topic, vec![envelope]).await?;
        self.delete(&held.url, held.handle).await
    }
}

fn held(topic: &Topic, from: &Source, message: Message, until: Instant) -> Held {
    let receives = receives(&message);
    Held {
        topic: topic.clone(),
        url: from.url.clone(),
        // A redriven message counts as delivered too often, whatever its own count says.
        receives: if from.is_redriven { receives.max(BACKSTOP + 1) } else { receives },
        handle: message.receipt_handle.unwrap_or_default(),
        message_id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        until,
    }
}
