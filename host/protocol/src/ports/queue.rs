//! `Queue`: topics with messages.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::model::{Millis, Topic};
use crate::wire::Message;

/// Identifies a delivered message to its queue. Only the queue knows what the text means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A delivered message. The queue delivers it again unless it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic that the message was received from.
    pub topic: Topic,
    /// The text of the message. `Message::decode` reads it.
    pub body: String,
    /// Identifies this delivery when the worker extends its lease, acknowledges it or gives it back.
    pub receipt: Receipt,
    /// How often the message was delivered, this delivery included. A delivery that ended with a nack does not count.
    pub receives: u32,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic to send the message to.
    pub topic: Topic,
    /// The text of the message, from `Message::encode`.
    pub body: String,
    /// The message is not delivered before this time has passed.
    pub delay: Duration,
}

impl Outgoing {
    /// A message without delay.
    #[must_use]
    pub fn now(topic: &Topic, message: &Message) -> Self {
        Self { topic: topic.clone(), body: message.encode(), delay: Duration::ZERO }
    }
}

/// A dead letter: a message that was moved to the dead-letter queue, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Identifies the dead letter within its topic. Each backend makes its ids in its own way.
    pub id: String,
    /// The topic that the message was on.
    pub topic: Topic,
    /// The text of the message. It may be cut or empty if the backend could not keep or read all of it.
    pub body: String,
    /// Why the message became a dead letter, in words.
    pub reason: String,
    /// When the message became a dead letter, in milliseconds since the Unix epoch.
    pub at: Millis,
}

/// The state of a message in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// The next `receive` may deliver it.
    Ready,
    /// Its delay, from sending or from a nack, has not passed yet.
    Delayed,
    /// Leased to a worker.
    Leased,
    /// The lease has run out, and no worker has called `receive` since. The next `receive` makes the message ready.
    Expired,
}

/// How many messages of a topic wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The messages that the next `receive` may deliver.
    pub ready: u64,
    /// The messages whose delay has not passed yet.
    pub delayed: u64,
    /// Since when the oldest ready message is ready, in milliseconds since the Unix epoch. `None`: no message is ready, or the
    /// queue can't tell.
    pub oldest: Option<Millis>,
    /// The text of the oldest ready message, if the queue can't tell since when it is ready. A caller that sees the same text
    /// again knows that the message has waited since then.
    pub head: Option<String>,
}

/// A callback that gets the body and the state of each message of a topic.
pub type Visit<'a> = dyn FnMut(&str, MessageState) + Send + 'a;

/// Topics with at-least-once delivery, in about the order of sending.
///
/// A delivered message is *leased*: the queue delivers it again when its lease runs out. The worker extends the leases of the
/// messages that it works on. The receipt stays the same.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages. An error of kind `Limit` says that a topic can't take messages (because of its name, or because another
    /// program has put something else in its place). The messages of all other topics were sent even so.
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()>;

    /// Returns up to `max` messages. Waits up to `wait` for the first message, and returns an empty list if none arrives. Also
    /// makes ready the messages whose delay or lease has run out, even with a `max` of 0.
    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>>;

    /// How long a worker lets `receive` wait. A longer wait costs less where each request costs money, but an idle worker takes
    /// that long to stop.
    fn patience(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// Acknowledges a delivered message: removes it from the queue. If the lease was lost and another worker has the message
    /// now, the message stays with that worker.
    async fn ack(&self, receipt: &Receipt) -> Result<()>;

    /// Renews leases. Returns for each receipt whether its lease was still held.
    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>>;

    /// How long a lease lasts. A worker should extend a lease after about half of that time.
    fn lease(&self) -> Duration;

    /// May other workers have taken a message whose lease ran out while this worker could not reach the queue? False where the
    /// cause shuts out all workers, for example a file that another program has locked.
    fn others_go_on(&self) -> bool {
        true
    }

    /// Gives a message back to its queue (nack). The queue delivers it again after `delay`. The delivery does not count.
    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<()>;

    /// Moves a message to the dead-letter queue.
    async fn move_to_dlq(&self, delivery: &Delivery, reason: &str) -> Result<()>;

    /// The dead letters of a topic, oldest first, at most `limit`.
    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>>;

    /// Removes a dead letter and returns it. `None`: the topic has no dead letter of this id.
    async fn take_dead_letter(&self, topic: &Topic, id: &str) -> Result<Option<DeadLetter>>;

    /// The number of messages of a topic, both waiting and leased. For people and tests.
    async fn depth(&self, topic: &Topic) -> Result<u64>;

    /// How many messages of a topic wait, and for how long. The cost must not grow much with their number, because workers ask for
    /// it every few seconds. For metrics and health only; no transition may depend on it. A queue that can't tell ready messages
    /// from delayed and leased ones counts all of them as ready.
    async fn backlog(&self, topic: &Topic) -> Result<Backlog> {
        Ok(Backlog { ready: self.depth(topic).await?, ..Backlog::default() })
    }

    /// Calls `visit` with the body and the state of every message of a topic. Returns false if this queue can't list its
    /// messages. A message that changes its state meanwhile may be missed or visited twice. For people and repairs only; no
    /// transition may depend on it.
    async fn look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        let _ = (topic, visit);
        Ok(false)
    }

    /// Checks whether a worker can listen on this topic, if its calls run for `longest_run` at most. A worker asks this at its
    /// start, so that it does not first learn it from a message.
    async fn check(&self, topic: &Topic, longest_run: Duration) -> Result<()> {
        let _ = (topic, longest_run);
        Ok(())
    }

    /// Creates the queues that these topics need on the server, if they are not there. Returns a line of text for each thing
    /// that was created or found.
    async fn create(&self, topics: &[Topic]) -> Result<Vec<String>> {
        let _ = topics;
        Ok(Vec::new())
    }
}
