//! Which topics calls may be sent to.
//!
//! A topic is a key in Redis and a queue in SQS, and a guest chooses it. So a call goes only to the topic of the call that makes
//! it, to topics whose workers have announced themselves (`tasks` records), and to those that the worker was told of.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::{ErrorKind, Result};
use crate::model::{Topic, check_topic};
use crate::ports::{Backend, Key};

/// Topics that are remembered as announced; beyond that they are looked up again.
const MOST_KNOWN: usize = 10_000;

/// The topics that the calls of one worker may be sent to.
#[derive(Debug)]
pub struct CallTopics {
    named: BTreeSet<Topic>,
    any: bool,
    /// Announced, and found fit. An announcement is never taken back.
    known: Mutex<BTreeSet<Topic>>,
}

/// May a call be sent to a topic?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callable {
    Yes,
    /// No worker has announced the topic. One may yet.
    Unannounced,
    /// It can't be; why.
    Never(String),
}

impl CallTopics {
    /// Any topic that has a fit name: for tests, and for programs that run only handlers of their own.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::announced([]) }
    }

    /// Announced topics, and `named` ones: those of peers, who announce nothing.
    #[must_use]
    pub fn announced(named: impl IntoIterator<Item = Topic>) -> Self {
        Self { named: named.into_iter().collect(), any: false, known: Mutex::default() }
    }

    /// May a call be sent to `topic`? An announced topic is looked up once.
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
        // A queue that is missing, or a key that holds something else, concerns this call alone.
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
