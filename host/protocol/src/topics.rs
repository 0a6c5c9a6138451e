//! The topics that calls may be sent to.
//!
//! A topic is a key in Redis and a queue in SQS, and a guest chooses it. So a call may go only to the topic of the call that
//! asks for it, to topics that workers have announced (`tasks` records), and to topics that are named in the worker's settings.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{ErrorKind, Result};
use crate::model::{Topic, check_topic};
use crate::ports::{Backend, Key};

/// The most topics that are remembered as announced. When there are more, all are forgotten and looked up again.
const MOST_KNOWN: usize = 10_000;

/// The topics that calls on one worker may be sent to.
#[derive(Debug)]
pub struct CallTopics {
    named: BTreeSet<Topic>,
    any: bool,
    /// Topics that are announced and that the queue accepts. An announcement is never withdrawn.
    known: Mutex<BTreeSet<Topic>>,
}

/// The answer whether a call may be sent to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callable {
    /// The call may be sent to the topic.
    Yes,
    /// No worker has announced the topic yet. A worker may still do so.
    Unannounced,
    /// A call can never be sent to the topic, for this reason.
    Never(String),
}

impl CallTopics {
    /// Allows any topic with a valid name. For tests, and for programs that run only their own handlers.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::announced([]) }
    }

    /// Allows announced topics and the topics in `named`. Topics of peers must be named, because peers do not announce topics.
    #[must_use]
    pub fn announced(named: impl IntoIterator<Item = Topic>) -> Self {
        Self { named: named.into_iter().collect(), any: false, known: Mutex::default() }
    }

    /// Decides whether a call may be sent to `topic`. An announced topic is looked up only once.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn judge(&self, backend: &dyn Backend, topic: &Topic) -> Result<Callable> {
        if let Err(reason) = check_topic(topic.as_str()) {
            return Ok(Callable::Never(reason));
        }
        if self.any || self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(topic) {
            return Ok(Callable::Yes);
        }
        let announced = self.named.contains(topic) || backend.store().has_many(&[Key::tasks(topic)]).await? == [true];
        if !announced {
            return Ok(Callable::Unannounced);
        }
        // If a queue is missing, or a key holds something else, this concerns only this call.
        if let Err(error) = backend.queue().check(topic, Duration::ZERO).await {
            return match error.kind {
                ErrorKind::Config | ErrorKind::NotSetUp | ErrorKind::Limit => Ok(Callable::Never(error.to_string())),
                _ => Err(error),
            };
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(topic.clone());
        Ok(Callable::Yes)
    }
}
