//! The queues in memory: messages that are ready, delayed or in work, and dead letters.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backlog, DeadLetter, Delivery, MessageState, Outgoing, Receipt, Visit};
use tokio::time::Instant;

use crate::now_millis;

#[derive(Default)]
pub(super) struct Queues {
    topics: HashMap<Topic, TopicQueue>,
    /// The messages in work, by the number of the delivery. Each delivery has a number of its own. So a receipt of an
    /// ended lease finds nothing.
    in_work: HashMap<u64, Leased>,
    /// No lease ends before this time. Until then, the leases need not be looked through.
    earliest: Option<Instant>,
    dead_letters: Vec<DeadLetter>,
    last: u64,
}

#[derive(Default)]
struct TopicQueue {
    ready: VecDeque<QueuedMessage>,
    /// By the time when they become ready, then in the order of sending.
    delayed: BTreeMap<(Instant, u64), QueuedMessage>,
}

struct QueuedMessage {
    body: String,
    /// The number of deliveries so far.
    receives: u32,
    /// When it became ready, or was delayed.
    since: Instant,
}

struct Leased {
    topic: Topic,
    message: QueuedMessage,
    until: Instant,
}

/// The messages that a receiver got.
pub(super) struct TakenMessages {
    pub deliveries: Vec<Delivery>,
    /// Are more messages ready?
    pub more: bool,
    /// The time when the next known message becomes ready.
    pub next_due: Option<Instant>,
}

impl Queues {
    pub fn send(&mut self, message: Outgoing, now: Instant) {
        let waiting = QueuedMessage { body: message.body, receives: 0, since: now };
        self.enqueue(message.topic, waiting, now, message.delay);
    }

    fn enqueue(&mut self, topic: Topic, mut message: QueuedMessage, now: Instant, delay: Duration) {
        message.since = now;
        self.last += 1;
        let last = self.last;
        let queue = self.topics.entry(topic).or_default();
        if delay.is_zero() {
            queue.ready.push_back(message);
        } else {
            queue.delayed.insert((now + delay, last), message);
        }
    }

    pub fn take(&mut self, topic: &Topic, max: usize, now: Instant, until: Instant) -> TakenMessages {
        self.expire(now);
        let mut deliveries = Vec::new();
        let mut more = false;
        let mut next_due = self.earliest;
        if let Some(queue) = self.topics.get_mut(topic) {
            while let Some(entry) = queue.delayed.first_entry().filter(|e| e.key().0 <= now) {
                let since = entry.key().0;
                queue.ready.push_back(QueuedMessage { since, ..entry.remove() });
            }
            while deliveries.len() < max
                && let Some(mut message) = queue.ready.pop_front()
            {
                self.last += 1;
                message.receives += 1;
                deliveries.push(Delivery {
                    topic: topic.clone(),
                    body: message.body.clone(),
                    receipt: Receipt(self.last.to_string()),
                    receives: message.receives,
                });
                self.in_work.insert(self.last, Leased { topic: topic.clone(), message, until });
            }
            more = !queue.ready.is_empty();
            let delayed = queue.delayed.first_key_value().map(|((due, _), _)| *due);
            next_due = [next_due, delayed].into_iter().flatten().min();
        }
        if !deliveries.is_empty() {
            self.earliest = Some(self.earliest.map_or(until, |e| e.min(until)));
        }
        TakenMessages { deliveries, more, next_due }
    }

    /// Returns the messages whose leases ended without an acknowledgement or an extension.
    fn expire(&mut self, now: Instant) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        let mut ended: Vec<u64> = self.in_work.iter().filter(|(_, l)| l.until <= now).map(|(id, _)| *id).collect();
        ended.sort_unstable();
        for id in ended {
            if let Some(leased) = self.in_work.remove(&id) {
                self.enqueue(leased.topic, leased.message, now, Duration::ZERO);
            }
        }
        self.earliest = self.in_work.values().map(|l| l.until).min();
    }

    pub fn ack(&mut self, id: u64) {
        self.in_work.remove(&id);
    }

    pub fn extend(&mut self, id: u64, until: Instant) -> bool {
        self.in_work.get_mut(&id).map(|leased| leased.until = until).is_some()
    }

    /// Gives a message back. Returns the topic of the message.
    pub fn nack(&mut self, id: u64, now: Instant, delay: Duration) -> Option<Topic> {
        let mut leased = self.in_work.remove(&id)?;
        leased.message.receives -= 1;
        self.enqueue(leased.topic.clone(), leased.message, now, delay);
        Some(leased.topic)
    }

    pub fn move_to_dlq(&mut self, id: u64, reason: &str) {
        if let Some(leased) = self.in_work.remove(&id) {
            self.dead_letters.push(DeadLetter {
                id: id.to_string(),
                topic: leased.topic,
                body: leased.message.body,
                reason: reason.to_owned(),
                at: now_millis(),
            });
        }
    }

    pub fn dead_letters(&self, topic: &Topic, limit: usize) -> Vec<DeadLetter> {
        self.dead_letters.iter().filter(|dead_letter| dead_letter.topic == *topic).take(limit).cloned().collect()
    }

    pub fn take_dead_letter(&mut self, topic: &Topic, id: &str) -> Option<DeadLetter> {
        let index =
            self.dead_letters.iter().position(|dead_letter| dead_letter.topic == *topic && dead_letter.id == id)?;
        Some(self.dead_letters.remove(index))
    }

    pub fn depth(&self, topic: &Topic) -> u64 {
        let waiting = self.topics.get(topic).map_or(0, |q| q.ready.len() + q.delayed.len());
        let in_work = self.in_work.values().filter(|l| l.topic == *topic).count();
        (waiting + in_work) as u64
    }

    pub fn backlog(&self, topic: &Topic, now: Instant) -> Backlog {
        let Some(queue) = self.topics.get(topic) else { return Backlog::default() };
        let age = |message: &QueuedMessage| now.saturating_duration_since(message.since).as_millis();
        let oldest = queue.ready.front().map(|first| now_millis().saturating_sub(age(first) as u64));
        Backlog { ready: queue.ready.len() as u64, delayed: queue.delayed.len() as u64, oldest, head: None }
    }

    pub fn look_through(&self, topic: &Topic, now: Instant, visit: &mut Visit<'_>) {
        let queue = self.topics.get(topic).into_iter();
        let waiting = queue.flat_map(|queue| {
            let ready = queue.ready.iter().map(|message| (message, MessageState::Ready));
            ready.chain(queue.delayed.values().map(|message| (message, MessageState::Delayed)))
        });
        let leased = self.in_work.values().filter(|leased| leased.topic == *topic).map(|leased| {
            let state = if leased.until <= now { MessageState::Expired } else { MessageState::Leased };
            (&leased.message, state)
        });
        waiting.chain(leased).for_each(|(message, state)| visit(&message.body, state));
    }
}
