//! Everything in this process: no file and no server. Everything is lost when the process ends. For tests, trials, and
//! jobs that may be lost.
//!
//! One mutex guards all of it. Every transition is one transaction under the mutex. No task awaits while it holds the
//! mutex.

mod events;
mod index;
mod jobs;
mod parents;
mod queue;
mod transaction;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::{CallHash, Failure, JobId, Millis, Outcome, Topic};
use brrr_protocol::ports::{
    Backend, BackendParts, Backlog, Counters, DeadLetter, Deferral, Deferred, Delivery, EventLog, JobPage, JobQuery,
    Key, Kind, Loaded, NewJob, Outgoing, Page, Queue, Receipt, Scheduled, Store, Swap, Visit, Work,
};
use brrr_protocol::records::{JobRecord, JobState};
use brrr_protocol::transactional::{self, Snapshot, Transaction};
use bytes::Bytes;
use tokio::time::Instant;

use self::events::Events;
use self::index::Index;
use self::parents::Parents;
use self::queue::Queues;
use self::transaction::MemoryTx;
use crate::waiters::Waiters;
use crate::{DEFAULT_LEASE, MultiStep};

/// A backend in memory.
pub struct Memory {
    state: Mutex<State>,
    waiters: Waiters,
    lease: Duration,
}

#[derive(Default)]
struct State {
    /// Each access is a look-up here, so this hasher is faster than the standard library's default, and its hashes are
    /// as hard to guess.
    records: HashMap<Key, Bytes, foldhash::quality::RandomState>,
    /// The parents of calls that have many parents.
    parents: HashMap<CallHash, Parents>,
    index: Index,
    counters: HashMap<String, u64>,
    queues: Queues,
    events: Events,
}

impl State {
    /// Writes a record, or removes it (`None`). Returns the old record.
    fn set(&mut self, key: &Key, value: Option<Bytes>) -> Option<Bytes> {
        match value {
            Some(value) => {
                if key.kind == Kind::Job {
                    self.index.jobs.set(&key.id, &value);
                }
                let old = self.records.insert(key.clone(), value);
                if old.is_none() {
                    self.index.add(key);
                }
                old
            }
            None => {
                let old = self.records.remove(key);
                if key.kind == Kind::Job {
                    self.index.jobs.remove(&key.id);
                }
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
    /// An empty backend with the default lease.
    #[must_use]
    pub fn new() -> Self {
        Self::with_lease(DEFAULT_LEASE)
    }

    /// A backend with another lease than the default.
    #[must_use]
    pub fn with_lease(lease: Duration) -> Self {
        Self { state: Mutex::default(), waiters: Waiters::new(), lease }
    }

    /// A memory backend whose transitions are multi-step, for tests.
    #[must_use]
    pub fn multi_step() -> MultiStep {
        MultiStep(Arc::new(Self::new()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a transition is a bug in the transition. But the state is consistent: dropping the transaction
        // undoes its writes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `body` as one transaction. On an error, nothing is written.
    fn transact<T>(&self, body: impl FnOnce(&mut MemoryTx<'_>) -> Result<T>) -> Result<T> {
        let mut state = self.state();
        let mut tx = MemoryTx::new(&mut state);
        let result = body(&mut tx)?;
        let effects = tx.commit();
        drop(state);
        for topic in &effects.topics {
            self.waiters.topic(topic).notify();
        }
        if effects.wrote {
            self.waiters.bump();
        }
        Ok(result)
    }
}

/// The number of the message in a receipt of this backend.
fn number(receipt: &Receipt) -> Result<u64> {
    receipt.0.parse().map_err(|_| {
        let operation = format!("find the message of receipt {:?}", receipt.0);
        Error::new(ErrorKind::Internal, "memory", operation, "it is not a receipt of this backend")
    })
}

#[async_trait]
impl Store for Memory {
    /// Peers know no such store.
    fn may_have_peers(&self) -> bool {
        false
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        MemoryTx::new(&mut self.state()).get(key)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let mut state = self.state();
        let mut tx = MemoryTx::new(&mut state);
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
        // Only tests list kinds without an index. All ids come in one page.
        let ids = state.records.keys().filter(|key| key.kind == *kind).map(|key| key.id.to_string());
        Ok(Page { ids: ids.collect(), next: None })
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPage> {
        let state = self.state();
        state.index.jobs.page(query, |id| state.records.get(&Key { id: id.clone(), kind: Kind::Job }).cloned())
    }
}

#[async_trait]
impl Queue for Memory {
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()> {
        self.transact(|tx| messages.iter().cloned().try_for_each(|message| tx.enqueue(message)))
    }

    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let waiters = self.waiters.topic(topic);
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
            // Nothing tells a waiting receiver about leases that begin while it waits. So it looks again before the
            // first of them can end.
            let known = taken.next_due.unwrap_or(deadline).min(now + self.lease / 4);
            let until = known.min(deadline);
            waiters.wait(&self.waiters, until - now).await;
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

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        let topic = self.state().queues.nack(number(receipt)?, Instant::now(), delay);
        if let Some(topic) = topic {
            self.waiters.topic(&topic).notify();
        }
        Ok(())
    }

    async fn move_to_dlq(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        self.state().queues.move_to_dlq(number(&delivery.receipt)?, reason);
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

    async fn backlog(&self, topic: &Topic) -> Result<Backlog> {
        Ok(self.state().queues.backlog(topic, Instant::now()))
    }

    async fn look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        self.state().queues.look_through(topic, Instant::now(), visit);
        Ok(true)
    }
}

#[async_trait]
impl Counters for Memory {
    async fn incr(&self, key: &str, by: u64) -> Result<u64> {
        let mut state = self.state();
        let sum = state.counters.entry(key.to_owned()).or_default();
        *sum += by;
        Ok(*sum)
    }

    async fn read_many(&self, keys: &[String]) -> Result<Vec<Option<u64>>> {
        let state = self.state();
        Ok(keys.iter().map(|key| state.counters.get(key).copied()).collect())
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
        self.waiters.bump();
        Ok(())
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        Ok(self.state().events.after(after, limit))
    }
}

#[async_trait]
impl BackendParts for Memory {
    fn name(&self) -> String {
        "memory:".to_owned()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn counters(&self) -> &dyn Counters {
        self
    }

    fn events(&self) -> Option<&dyn EventLog> {
        Some(self)
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.waiters.changed(version, at_most).await
    }
}

#[async_trait]
impl Backend for Memory {
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        self.transact(|tx| transactional::schedule(tx, job, now))
    }

    async fn load(&self, work: &Work) -> Result<Loaded> {
        transactional::load(&mut MemoryTx::new(&mut self.state()), work)
    }

    async fn outcomes(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        transactional::outcomes(&mut MemoryTx::new(&mut self.state()), job_id, calls)
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred> {
        self.transact(|tx| transactional::defer(tx, deferral))
    }

    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        self.transact(|tx| transactional::complete(tx, work, &value))
    }

    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        self.transact(|tx| transactional::fail(tx, work, failure))
    }

    async fn notify_parents(&self, work: &Work, end: JobState) -> Result<()> {
        self.transact(|tx| transactional::notify_parents(tx, work, end))
    }

    async fn abandon(&self, work: &Work) -> Result<()> {
        self.transact(|tx| transactional::abandon(tx, work))
    }

    async fn end_job(&self, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        self.transact(|tx| transactional::end_job(tx, job_id, failure, now))
    }

    async fn forget_calls(&self, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        self.transact(|tx| transactional::forget_calls(tx, job_id, calls, had_value))
    }
}
