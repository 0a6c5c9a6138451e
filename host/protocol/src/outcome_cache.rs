//! Outcomes that earlier runs of a call got, so that the next replay need not read them again.
//!
//! A handler that makes N calls one after the other is run N times, and each run asks for all calls that the earlier runs asked
//! for. Without this cache a worker would read N²/2 outcomes.
//!
//! An entry belongs to one *attempt* of one call in one job. It is used only by a run whose `run` record has the same `attempt`
//! and `first` as the run that left the entry. So nothing that `forget`, `gc`, a retry or another job changes meanwhile can
//! reach a run through the cache. And if a peer overwrites a value, the replay still sees the value that the earlier run saw.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{CallHash, JobId, Millis, Outcome, size_of_outcome};
use crate::records::RunRecord;
use crate::wire::Message;

/// The number of bytes that a worker keeps. It is enough for a thousand calls in flight that have thirty results of 1 KiB each.
const DEFAULT_BYTES: usize = 32 << 20;

/// The bytes that an outcome takes beside its own bytes and the hash of its call: its place in a map, and two allocations.
const OVERHEAD: usize = 160;

/// The outcomes that one run knows.
#[derive(Debug, Default)]
pub struct KnownOutcomes {
    outcomes: HashMap<CallHash, Outcome>,
    bytes: usize,
}

impl KnownOutcomes {
    /// The outcome of a call. `None`: the run does not know it.
    #[must_use]
    pub fn get(&self, call: &CallHash) -> Option<&Outcome> {
        self.outcomes.get(call)
    }

    /// True if the run knows the outcome of this call.
    #[must_use]
    pub fn contains(&self, call: &CallHash) -> bool {
        self.outcomes.contains_key(call)
    }

    /// Adds an outcome. The first outcome of a call stays, because a replay must not get another one.
    pub fn insert(&mut self, call: CallHash, outcome: Outcome) {
        let bytes = size_of_outcome(&outcome);
        self.outcomes.entry(call).or_insert_with(|| {
            self.bytes += bytes;
            outcome
        });
    }

    /// The number of bytes of all outcomes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn cost(&self) -> usize {
        let hash = self.outcomes.keys().next().map_or(0, |call| call.as_str().len());
        self.bytes + self.outcomes.len() * (OVERHEAD + hash)
    }
}

impl IntoIterator for KnownOutcomes {
    type Item = (CallHash, Outcome);
    type IntoIter = std::collections::hash_map::IntoIter<CallHash, Outcome>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.into_iter()
    }
}

/// The outcomes that waiting calls have got, for their next runs. The cache is limited in bytes. If it is full, the outcomes of
/// the calls that have waited longest are removed first.
#[derive(Debug)]
pub struct OutcomeCache {
    inner: Mutex<Inner>,
    /// The most bytes that the cache keeps.
    most: usize,
}

impl Default for OutcomeCache {
    fn default() -> Self {
        Self::with_bytes(DEFAULT_BYTES)
    }
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Owner, (u64, KnownOutcomes)>,
    /// The owners, in the order in which their entries were put.
    order: BTreeMap<u64, Owner>,
    next: u64,
    bytes: usize,
}

/// One attempt of one call in one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owner {
    job_id: JobId,
    call: CallHash,
    attempt: u32,
    first: Millis,
}

impl Owner {
    fn new(message: &Message, run: &RunRecord) -> Self {
        let Message { job_id, call } = message;
        Self { job_id: job_id.clone(), call: call.clone(), attempt: run.attempt, first: run.first }
    }
}

impl OutcomeCache {
    /// A cache that keeps at most `most` bytes. With 0 it keeps nothing.
    #[must_use]
    pub fn with_bytes(most: usize) -> Self {
        Self { inner: Mutex::default(), most }
    }

    /// Removes and returns the outcomes of the run that left the record `run`. The result is empty if the cache does not
    /// have them. The cache does not keep them while the call runs.
    #[must_use]
    pub fn take(&self, message: &Message, run: &RunRecord) -> KnownOutcomes {
        self.lock().remove(&Owner::new(message, run)).unwrap_or_default()
    }

    /// Keeps the outcomes that a run knew. `run`: the record that the run left.
    pub fn put(&self, message: &Message, run: &RunRecord, known: KnownOutcomes) {
        let (owner, cost) = (Owner::new(message, run), known.cost());
        let mut inner = self.lock();
        inner.remove(&owner);
        if cost > self.most || known.outcomes.is_empty() {
            return;
        }
        while inner.bytes + cost > self.most
            && let Some((_, oldest)) = inner.order.first_key_value()
        {
            let oldest = oldest.clone();
            inner.remove(&oldest);
        }
        let turn = inner.next;
        inner.next += 1;
        inner.bytes += cost;
        inner.order.insert(turn, owner.clone());
        inner.entries.insert(owner, (turn, known));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove(&mut self, owner: &Owner) -> Option<KnownOutcomes> {
        let (turn, known) = self.entries.remove(owner)?;
        self.order.remove(&turn);
        self.bytes -= known.cost();
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(call: &str) -> Message {
        Message { job_id: "job".into(), call: call.into() }
    }

    fn known(bytes: usize) -> KnownOutcomes {
        let mut known = KnownOutcomes::default();
        known.insert("c".into(), Ok(Bytes::from(vec![0; bytes])));
        known
    }

    fn run(attempt: u32, first: Millis) -> RunRecord {
        RunRecord { attempt, first, ..RunRecord::default() }
    }

    #[test]
    fn only_the_same_attempt_gets_the_outcomes_of_an_earlier_run() {
        let cache = OutcomeCache::default();
        cache.put(&message("p"), &run(1, 5), known(10));
        for (call, other) in [("q", run(1, 5)), ("p", run(2, 5)), ("p", run(1, 6))] {
            assert!(!cache.take(&message(call), &other).contains(&"c".into()));
        }
        assert!(cache.take(&message("p"), &run(1, 5)).contains(&"c".into()));
        assert!(!cache.take(&message("p"), &run(1, 5)).contains(&"c".into()), "taken out");
        assert_eq!(cache.lock().bytes, 0);
    }

    #[test]
    fn it_is_bounded_and_removes_the_oldest_first() {
        let cache = OutcomeCache::with_bytes(10_000);
        for call in ["a", "b", "c"] {
            cache.put(&message(call), &run(1, 1), known(4_000));
        }
        assert!(cache.lock().bytes <= 10_000);
        let there = ["a", "b", "c"].map(|call| cache.take(&message(call), &run(1, 1)).contains(&"c".into()));
        assert_eq!(there, [false, true, true]);
        cache.put(&message("large"), &run(1, 1), known(20_000));
        assert!(!cache.take(&message("large"), &run(1, 1)).contains(&"c".into()));
        assert!(cache.lock().entries.is_empty() && cache.lock().order.is_empty());
    }

    #[test]
    fn the_first_outcome_of_a_call_stays() {
        let mut known = known(3);
        known.insert("c".into(), Ok(Bytes::from_static(b"another")));
        assert_eq!(known.get(&"c".into()), Some(&Ok(Bytes::from_static(&[0; 3]))));
        assert_eq!(known.bytes(), 3);
    }
}
