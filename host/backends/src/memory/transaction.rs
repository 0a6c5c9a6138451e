//! A transaction over the state in memory. It writes at once, and remembers how to undo each write.

use std::collections::{BTreeSet, HashSet};

use brrr_protocol::error::Result;
use brrr_protocol::model::{CallHash, Topic};
use brrr_protocol::ports::{Key, Outgoing, Receipt};
use brrr_protocol::registration::Facts;
use brrr_protocol::transactional::{Snapshot, Transaction};
use brrr_protocol::wire::Return;
use bytes::Bytes;
use tokio::time::Instant;

use super::parents::Parents;
use super::{State, number};

/// A transaction under the state's mutex. If it is dropped without `commit`, its writes are undone.
pub(super) struct MemoryTx<'a> {
    state: &'a mut State,
    undo: Vec<MemoryUndo>,
    sends: Vec<Outgoing>,
    acks: Vec<u64>,
}

enum MemoryUndo {
    Record(Key, Option<Bytes>),
    Counter(String, u64),
    Parent(CallHash, Return),
    Parents(CallHash, Parents),
}

/// The effects of a commit that the waiting tasks must know of.
pub(super) struct MemoryEffects {
    pub topics: HashSet<Topic>,
    pub wrote: bool,
}

impl<'a> MemoryTx<'a> {
    pub fn new(state: &'a mut State) -> Self {
        Self { state, undo: Vec::new(), sends: Vec::new(), acks: Vec::new() }
    }

    pub fn commit(mut self) -> MemoryEffects {
        let now = Instant::now();
        let wrote = self.undo.iter().any(|undo| matches!(undo, MemoryUndo::Record(..)));
        self.undo.clear();
        for id in self.acks.drain(..) {
            self.state.queues.ack(id);
        }
        let topics = self.sends.iter().map(|message| message.topic.clone()).collect();
        for message in self.sends.drain(..) {
            self.state.queues.send(message, now);
        }
        MemoryEffects { topics, wrote }
    }
}

impl Drop for MemoryTx<'_> {
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                MemoryUndo::Record(key, old) => drop(self.state.set(&key, old)),
                MemoryUndo::Counter(name, by) => {
                    if let Some(sum) = self.state.counters.get_mut(&name) {
                        *sum -= by;
                    }
                }
                MemoryUndo::Parent(call, parent) => {
                    if let Some(parents) = self.state.parents.get_mut(&call) {
                        parents.remove(&parent);
                    }
                }
                MemoryUndo::Parents(call, parents) => drop(self.state.parents.insert(call, parents)),
            }
        }
    }
}

impl Snapshot for MemoryTx<'_> {
    fn row(&mut self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.state.records.get(key).cloned())
    }

    fn parents(&mut self, call: &CallHash) -> Result<BTreeSet<Return>> {
        Ok(self.state.parents.get(call).map(Parents::all).unwrap_or_default())
    }

    fn has(&mut self, key: &Key) -> Result<bool> {
        Ok(self.state.records.contains_key(key))
    }
}

impl Transaction for MemoryTx<'_> {
    fn set_row(&mut self, key: &Key, row: Option<Bytes>) -> Result<()> {
        let old = self.state.set(key, row);
        self.undo.push(MemoryUndo::Record(key.clone(), old));
        Ok(())
    }

    fn look_for(&mut self, call: &CallHash, me: &Return) -> Result<Facts> {
        Ok(self.state.parents.get(call).map(|parents| parents.look_for(me)).unwrap_or_default())
    }

    fn add_parent(&mut self, call: &CallHash, parent: &Return) -> Result<()> {
        self.state.parents.entry(call.clone()).or_default().add(parent);
        self.undo.push(MemoryUndo::Parent(call.clone(), parent.clone()));
        Ok(())
    }

    fn remove_parents(&mut self, call: &CallHash) -> Result<()> {
        if let Some(parents) = self.state.parents.remove(call) {
            self.undo.push(MemoryUndo::Parents(call.clone(), parents));
        }
        Ok(())
    }

    fn enqueue(&mut self, message: Outgoing) -> Result<()> {
        self.sends.push(message);
        Ok(())
    }

    fn add(&mut self, counter: &str, by: u64) -> Result<u64> {
        self.undo.push(MemoryUndo::Counter(counter.to_owned(), by));
        let sum = match self.state.counters.get_mut(counter) {
            Some(sum) => sum,
            None => self.state.counters.entry(counter.to_owned()).or_default(),
        };
        *sum += by;
        Ok(*sum)
    }

    fn ack(&mut self, receipt: &Receipt) -> Result<()> {
        self.acks.push(number(receipt)?);
        Ok(())
    }
}
