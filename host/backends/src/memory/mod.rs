//! Everything in this process: no file, no server, and gone with the process. For tests, trials, and jobs that may be
//! lost.
//!
//! One mutex guards all of it; every transition is one transaction under it. Nobody awaits while holding it.

mod events;
mod index;
mod parents;
mod queue;
mod transaction;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::fused::{self, Snapshot, Transaction};
use brrr_protocol::model::{CallHash, Failure, Millis, Outcome, Root, Topic};
use brrr_protocol::ports::{
    Accepted, Backend, Cache, DeadLetter, Deferral, Deferred, Delivery, EventLog, Key, Kind, Loaded, NewJob, Outgoing,
    Page, Queue, Receipt, Scheduled, Store, Swap, Visit, Work,
};
use brrr_protocol::records::{JobRecord, JobState};
use bytes::Bytes;
use tokio::time::Instant;

use self::events::Events;
use self::index::Index;
use self::parents::Parents;
use self::queue::Queues;
use self::transaction::Tx;
use crate::wake::Wakeups;
use crate::{DEFAULT_LEASE, Stepwise};

/// A backend in memory.
pub struct Memory {
    state: Mutex<State>,
    wakeups: Wakeups,
    lease: Duration,
}

#[derive(Default)]
struct State {
    /// Hashed by something faster than the standard library's choice, and as hard to guess: each access is a look-up here.
    records: HashMap<Key, Bytes, foldhash::quality::RandomState>,
    /// Of calls that have many.
    parents: HashMap<CallHash, Parents>,
    index: Index,
    counters: HashMap<String, u64>,
    queues: Queues,
    events: Events,
}

impl State {
    /// Puts (`None`: removes) a record; returns what was there.
    fn set(&mut self, key: &Key, value: Option<Bytes>) -> Option<Bytes> {
        match value {
            Some(value) => {
                let old = self.records.insert(key.clone(), value);
                if old.is_none() {
                    self.index.add(key);
                }
                old
            }
            None => {
                let old = self.records.remove(key);
                if old.is_some() {
                    self.index.remove(key);
                }
                old
            }
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    #[must_use]
    pub fn new() -> Self {
        Self::with_lease(DEFAULT_LEASE)
    }

    /// With another lease than the default.
    #[must_use]
    pub fn with_lease(lease: Duration) -> Self {
        Self { state: Mutex::default(), wakeups: Wakeups::new(), lease }
    }

    /// A memory whose transitions are made step by step, for tests.
    #[must_use]
    pub fn stepwise() -> Stepwise {
        Stepwise(Arc::new(Self::new()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a transition is a bug there, but what it left is whole: the guard below undoes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `body` as one transaction: all of it, or, on an error, nothing.
    fn transact<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        let mut tx = Tx::new(&mut state);
        let result = body(&mut tx)?;
        let effects = tx.commit();
        drop(state);
        for topic in &effects.topics {
            self.wakeups.topic(topic).notify();
        }
        if effects.wrote {
            self.wakeups.bump();
        }
        Ok(result)
    }
}

/// The message number in a receipt of ours.
fn number(receipt: &Receipt) -> Result<u64> {
    receipt.0.parse().map_err(|_| {
        let operation = format!("find the message of receipt {:?}", receipt.0);
        Error::new(ErrorKind::Internal, "memory", operation, "it is not a receipt of this backend")
    })
}

#[async_trait]
impl Store for Memory {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        Tx::new(&mut self.state()).get(key)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let mut state = self.state();
        let mut tx = Tx::new(&mut state);
        keys.iter().map(|key| tx.get(key)).collect()
    }

    async fn has_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        let state = self.state();
        Ok(keys.iter().map(|key| state.records.contains_key(key)).collect())
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.transact(|tx| tx.write(key, Some(value)))
    }

    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap> {
        self.transact(|tx| {
            let found = tx.get(key)?;
            if found.as_ref() != expected {
                return Ok(Swap::Mismatch(found));
            }
            tx.write(key, new)?;
            Ok(Swap::Done)
        })
    }

    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool> {
        self.transact(|tx| {
            let free = !tx.has(key)? && !tx.has(absent)?;
            if free {
                tx.write(key, Some(value))?;
            }
            Ok(free)
        })
    }

    async fn remove_many(&self, keys: &[Key]) -> Result<()> {
        self.transact(|tx| keys.iter().try_for_each(|key| tx.delete(key)))
    }

    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
        let state = self.state();
        if let Some(page) = state.index.list(kind, cursor, limit) {
            return Ok(page);
        }
        // A kind that only tests list: all of it at once.
        let ids = state.records.keys().filter(|key| key.kind == *kind).map(|key| key.id.to_string());
        Ok(Page { ids: ids.collect(), next: None })
    }

    async fn newest_jobs(&self, before: Option<u64>, limit: usize) -> Result<Option<Vec<Accepted>>> {
        Ok(Some(self.state().index.newest(before, limit)))
    }
}

#[async_trait]
impl Queue for Memory {
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()> {
        self.transact(|tx| messages.iter().cloned().try_for_each(|message| tx.enqueue(message)))
    }

    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let waiters = self.wakeups.topic(topic);
        let deadline = Instant::now() + wait;
        loop {
            let now = Instant::now();
            let taken = self.state().queues.take(topic, max, now, now + self.lease);
            if taken.more {
                waiters.notify();
            }
            if !taken.deliveries.is_empty() || now >= deadline || max == 0 {
                return Ok(taken.deliveries);
            }
            // Nobody tells a waiter of leases that begin while it waits; so it looks before the first can end.
            let known = taken.next_due.unwrap_or(deadline).min(now + self.lease / 4);
            let until = known.min(deadline);
            waiters.wait(&self.wakeups, until - now).await;
        }
    }

    async fn ack(&self, receipt: &Receipt) -> Result<()> {
        self.state().queues.ack(number(receipt)?);
        Ok(())
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let until = Instant::now() + self.lease;
        let mut state = self.state();
        receipts.iter().map(|receipt| Ok(state.queues.extend(number(receipt)?, until))).collect()
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn give_back(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        let topic = self.state().queues.give_back(number(receipt)?, Instant::now(), delay);
        if let Some(topic) = topic {
            self.wakeups.topic(&topic).notify();
        }
        Ok(())
    }

    async fn set_aside(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        self.state().queues.set_aside(number(&delivery.receipt)?, reason);
        Ok(())
    }

    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>> {
        Ok(self.state().queues.dead_letters(topic, limit))
    }

    async fn take_dead_letter(&self, topic: &Topic, id: &str) -> Result<Option<DeadLetter>> {
        Ok(self.state().queues.take_dead_letter(topic, id))
    }

    async fn depth(&self, topic: &Topic) -> Result<u64> {
        Ok(self.state().queues.depth(topic))
    }

    async fn look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        self.state().queues.look_through(topic, Instant::now(), visit);
        Ok(true)
    }
}

#[async_trait]
impl Cache for Memory {
    async fn incr(&self, key: &str, by: u64) -> Result<u64> {
        let mut state = self.state();
        let sum = state.counters.entry(key.to_owned()).or_default();
        *sum += by;
        Ok(*sum)
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        let mut state = self.state();
        for key in keys {
            state.counters.remove(key);
        }
        Ok(())
    }
}

#[async_trait]
impl EventLog for Memory {
    async fn publish(&self, events: &[Bytes]) -> Result<()> {
        self.state().events.publish(events, Instant::now());
        self.wakeups.bump();
        Ok(())
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        Ok(self.state().events.after(after, limit))
    }
}

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> String {
        "memory:".to_owned()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn cache(&self) -> &dyn Cache {
        self
    }

    fn events(&self) -> Option<&dyn EventLog> {
        Some(self)
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.wakeups.changed(version, at_most).await
    }

    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        self.transact(|tx| fused::schedule(tx, job, now))
    }

    async fn load(&self, work: &Work) -> Result<Loaded> {
        fused::load(&mut Tx::new(&mut self.state()), work)
    }

    async fn outcomes(&self, root: &Root, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        fused::outcomes(&mut Tx::new(&mut self.state()), root, calls)
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred> {
        self.transact(|tx| fused::defer(tx, deferral))
    }

    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        self.transact(|tx| fused::complete(tx, work, &value))
    }

    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        self.transact(|tx| fused::fail(tx, work, failure))
    }

    async fn discharge(&self, work: &Work, end: JobState) -> Result<()> {
        self.transact(|tx| fused::discharge(tx, work, end))
    }

    async fn release(&self, work: &Work) -> Result<()> {
        self.transact(|tx| fused::release(tx, work))
    }

    async fn end_job(&self, root: &Root, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        self.transact(|tx| fused::end_job(tx, root, failure, now))
    }

    async fn forget_calls(&self, root: &Root, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        self.transact(|tx| fused::forget_calls(tx, root, calls, had_value))
    }
}
