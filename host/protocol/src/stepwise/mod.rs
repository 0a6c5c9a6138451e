//! Every transition built step by step from the small ports: what any store and queue can do.
//!
//! The store may be a network away: what does not depend on each other goes in one request, or at once.
//!
//! The order of the steps is what makes a crash between any two of them heal by redelivery alone. The rules R1, R2 and
//! R4 are named where they are kept; `host/ARCHITECTURE.md` states them.

mod child;
mod defer;
mod describe;
mod forget;
mod jobs;
mod join;
mod load;
mod settle;
mod wake;

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Root, Topic, check_topic};
use crate::ports::{Cache, Outgoing, Queue, Store, Work, spawn_counter};
use crate::wire::{Message, Return};

pub use self::child::run_with_options;
pub(crate) use self::child::{ChildEnd, is_first_of_job, must_send, read_pending, registered, with_me};
pub(crate) use self::defer::over_what_no_run_wrote;
pub use self::defer::{defer, find_cycle};
pub use self::forget::forget_calls;
pub(crate) use self::forget::may_forget;
pub use self::jobs::{end_job, schedule};
pub(crate) use self::join::leave;
pub use self::load::{load, outcome, outcomes};
pub use self::settle::{complete, discharge, fail, release};

/// The small ports that the transitions are made of.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    store: &'a dyn Store,
    queue: &'a dyn Queue,
    cache: &'a dyn Cache,
}

impl<'a> Ports<'a> {
    #[must_use]
    pub fn of(store: &'a dyn Store, queue: &'a dyn Queue, cache: &'a dyn Cache) -> Self {
        Self { store, queue, cache }
    }

    /// Counts and sends one message.
    async fn send(&self, topic: &Topic, message: &Message) -> Result<()> {
        self.cache.incr(&spawn_counter(&message.root), 1).await?;
        match self.queue.send_many(&[Outgoing::now(topic, message)]).await {
            Err(error) if error.kind == ErrorKind::Limit && check_topic(topic.as_str()).is_err() => {
                not_told(&error);
                Ok(())
            }
            sent => sent,
        }
    }

    /// Counts and sends wake-ups.
    async fn wake(&self, entries: &[&Return]) -> Result<()> {
        let mut counts: BTreeMap<&Root, u64> = BTreeMap::new();
        for entry in entries {
            *counts.entry(&entry.root).or_default() += 1;
        }
        for (root, count) in counts {
            self.cache.incr(&spawn_counter(root), count).await?;
        }
        let messages: Vec<Outgoing> = entries.iter().map(|r| Outgoing::now(&r.topic, &r.message())).collect();
        if messages.is_empty() {
            return Ok(());
        }
        match self.queue.send_many(&messages).await {
            // All others were sent. Peers choose the topics of their parents, and must not keep a call of ours from ending.
            Err(error) if error.kind == ErrorKind::Limit => {
                not_told(&error);
                Ok(())
            }
            sent => sent,
        }
    }

    async fn ack(&self, work: &Work) -> Result<()> {
        match &work.receipt {
            Some(receipt) => self.queue.ack(receipt).await,
            None => Ok(()),
        }
    }
}

/// Says that a message could not be sent, because its topic can take none. The message would go to a parent that a peer
/// registered.
fn not_told(error: &Error) {
    tracing::warn!("a parent is not notified: {error}");
}
