//! The calls that have a message, and the state of the topics.

use std::collections::{BTreeSet, HashSet};

use super::{Doctor, MAX_DEAD_LETTERS, TopicState};
use crate::error::{ErrorKind, Result};
use crate::model::{CallHash, Topic};
use crate::ports::MessageState;
use crate::wire::Message;

/// The calls that have a message. Only 64 bits of each hash are kept, because a queue may hold millions of messages. If two
/// calls have the same bits, a lost call may not be found. But a call that has a message never counts as lost.
#[derive(Default)]
pub(super) struct Queued {
    calls: HashSet<u64>,
    /// A topic whose queue can't list its messages is not empty. Any call may have a message there.
    pub may_hold_others: bool,
}

impl Queued {
    pub fn holds(&self, call: &CallHash) -> bool {
        self.calls.contains(&bits(call.as_str()))
    }

    fn add(&mut self, body: &str) {
        // A message that does not decode runs no call.
        if let Ok(message) = Message::decode(body.as_bytes()) {
            self.calls.insert(bits(message.call.as_str()));
        }
    }
}

/// FNV-1a, 64 bits. Most call hashes are SHA-256, so a simple hash is good enough.
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

    /// The state of a topic. `None`: the backend can't have messages of this topic.
    pub(super) async fn topic_state(&self, topic: &Topic) -> Result<Option<TopicState>> {
        let queue = self.backend.queue();
        let (mut depth, mut expired) = (0, 0);
        let mut visit = |_: &str, state| {
            depth += 1;
            expired += u64::from(state == MessageState::Expired);
        };
        let seen = queue.look_through(topic, &mut visit).await?;
        let dead_letters = queue.dead_letters(topic, MAX_DEAD_LETTERS).await?.len() as u64;
        let depth = if seen { Some(depth) } else { if_it_can_be(queue.depth(topic).await)? };
        Ok(depth.map(|depth| TopicState {
            topic: topic.clone(),
            depth,
            expired: seen.then_some(expired),
            dead_letters,
        }))
    }
}

/// The result of a look at a topic. `None`: the backend has no queue of this name. The record of a peer can name any topic.
fn if_it_can_be<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if matches!(error.kind, ErrorKind::Config | ErrorKind::NotSetUp | ErrorKind::Limit) => Ok(None),
        found => found.map(Some),
    }
}
