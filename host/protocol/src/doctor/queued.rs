//! Which calls have a message, and what state the topics are in.

use std::collections::{BTreeSet, HashSet};

use super::{Doctor, MAX_DEAD, TopicState};
use crate::error::{ErrorKind, Result};
use crate::model::{CallHash, Topic};
use crate::ports::Place;
use crate::wire::Message;

/// The calls that have a message, by 64 bits of their hash: a queue may hold millions. Two calls that share these bits are
/// taken for one, so that a lost one is not found; never the other way round.
#[derive(Default)]
pub(super) struct Queued {
    calls: HashSet<u64>,
    /// A topic that can't be looked through has messages: any call may be among them.
    pub may_hold_others: bool,
}

impl Queued {
    pub fn holds(&self, call: &CallHash) -> bool {
        self.calls.contains(&bits(call.as_str()))
    }

    fn add(&mut self, body: &str) {
        // What does not decode runs no call.
        if let Ok(message) = Message::decode(body.as_bytes()) {
            self.calls.insert(bits(message.call.as_str()));
        }
    }
}

/// FNV-1a. The hashes are SHA-256 mostly, so anything would do.
pub(crate) fn bits(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Doctor {
    /// The calls that have a message in one of these topics.
    pub(super) async fn queued(&self, topics: &BTreeSet<Topic>) -> Result<Queued> {
        let mut queued = Queued::default();
        for topic in topics {
            let queue = self.backend.queue();
            let seen = queue.look_through(topic, &mut |body, _| queued.add(body)).await?;
            if !seen && let Some(depth) = if_it_can_be(queue.depth(topic).await)? {
                queued.may_hold_others |= depth > 0;
            }
        }
        Ok(queued)
    }

    /// `None`: it is a topic that has no messages here.
    pub(super) async fn topic_state(&self, topic: &Topic) -> Result<Option<TopicState>> {
        let queue = self.backend.queue();
        let (mut depth, mut expired) = (0, 0);
        let mut visit = |_: &str, place| {
            depth += 1;
            expired += u64::from(place == Place::Expired);
        };
        let seen = queue.look_through(topic, &mut visit).await?;
        let dead = queue.dead_letters(topic, MAX_DEAD).await?.len() as u64;
        let depth = if seen { Some(depth) } else { if_it_can_be(queue.depth(topic).await)? };
        Ok(depth.map(|depth| TopicState { topic: topic.clone(), depth, expired: seen.then_some(expired), dead }))
    }
}

/// What was found of a topic; `None`: the backend has no queue of this name. A peer's record can name any topic.
fn if_it_can_be<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if matches!(error.kind, ErrorKind::Config | ErrorKind::NotSetUp | ErrorKind::Limit) => Ok(None),
        found => found.map(Some),
    }
}
