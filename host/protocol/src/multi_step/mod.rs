//! All transitions, made of several steps on the small ports. They need only what any store and queue can do.
//!
//! The store may be behind a network. So accesses that do not depend on each other go in one request, or are made at once.
//!
//! The order of the steps makes sure that a crash between any two of them is healed by redelivery alone. Comments name the
//! rules R1, R2 and R4 where the code keeps them. `host/ARCHITECTURE.md` states the rules.

mod backend;
mod child;
mod defer;
mod describe;
mod forget;
mod jobs;
mod join;
mod keep_log;
mod load;
mod notify;
mod settle;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{JobId, Millis, Topic, check_topic};
use crate::ports::{Counters, Outgoing, Queue, Store, Work, message_counter};
use crate::wire::{Message, Return};

pub use self::backend::MultiStepBackend;
pub use self::child::run_with_options;
pub(crate) use self::child::{is_first_of_job, must_send, read_pending, registered, with_me};
pub(crate) use self::defer::over_options_only_record;
pub use self::defer::{defer, find_cycle};
pub use self::forget::forget_calls;
pub(crate) use self::forget::may_forget;
pub use self::jobs::{end_job, schedule};
pub(crate) use self::join::leave;
pub use self::keep_log::keep_log;
pub use self::load::{load, outcome, outcomes};
pub use self::settle::{abandon, complete, fail, notify_parents};

/// The small ports that the transitions use.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    store: &'a dyn Store,
    queue: &'a dyn Queue,
    counters: &'a dyn Counters,
    /// The current time, in milliseconds since the Unix epoch.
    now: Millis,
}

impl<'a> Ports<'a> {
    /// The ports of one backend.
    #[must_use]
    pub fn of(store: &'a dyn Store, queue: &'a dyn Queue, counters: &'a dyn Counters) -> Self {
        Self { store, queue, counters, now: 0 }
    }

    /// The same ports, at this time.
    fn at(&self, now: Millis) -> Self {
        Self { now, ..*self }
    }

    /// Counts and sends one message.
    async fn send(&self, topic: &Topic, message: &Message) -> Result<()> {
        self.counters.incr(&message_counter(&message.job_id), 1).await?;
        match self.queue.send_many(&[Outgoing::now(topic, message)]).await {
            Err(error) if error.kind == ErrorKind::Limit && check_topic(topic.as_str()).is_err() => {
                log_unnotified(&error);
                Ok(())
            }
            sent => sent,
        }
    }

    /// Counts and sends the messages that notify parents.
    async fn notify(&self, entries: &[&Return]) -> Result<()> {
        self.notify_after(Duration::ZERO, entries).await
    }

    /// Counts and sends the messages that notify parents after a while.
    async fn notify_after(&self, delay: Duration, entries: &[&Return]) -> Result<()> {
        let mut counts: BTreeMap<&JobId, u64> = BTreeMap::new();
        for entry in entries {
            *counts.entry(&entry.job_id).or_default() += 1;
        }
        for (job_id, count) in counts {
            self.counters.incr(&message_counter(job_id), count).await?;
        }
        let message = |r: &&Return| Outgoing { delay, ..Outgoing::now(&r.topic, &r.message()) };
        let messages: Vec<Outgoing> = entries.iter().map(message).collect();
        if messages.is_empty() {
            return Ok(());
        }
        match self.queue.send_many(&messages).await {
            // The messages to all other topics were sent. A peer chooses the topic of its parent, and must not prevent a call
            // of ours from ending.
            Err(error) if error.kind == ErrorKind::Limit => {
                log_unnotified(&error);
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

/// Logs that a message could not be sent, because its topic can take none. The message would have gone to a parent that a peer
/// registered.
fn log_unnotified(error: &Error) {
    tracing::warn!("a parent is not notified: {error}");
}
