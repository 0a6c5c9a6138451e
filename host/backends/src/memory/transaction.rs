//! A transaction over the state in memory: writes at once, remembers how to take it back.

use std::collections::{BTreeSet, HashSet};

use brrr_protocol::error::Result;
use brrr_protocol::fused::{Snapshot, Transaction};
use brrr_protocol::model::{CallHash, Topic};
use brrr_protocol::ports::{Key, Outgoing, Receipt};
use brrr_protocol::registration::Facts;
use brrr_protocol::wire::Return;
use bytes::Bytes;
use tokio::time::Instant;

use super::parents::Parents;
use super::{State, number};

/// A transaction under the state's mutex. Dropped without `commit`, it leaves nothing.
pub(super) struct Tx<'a> {
    state: &'a mut State,
    undo: Vec<Undo>,
    sends: Vec<Outgoing>,
    acks: Vec<u64>,
}

enum Undo {
    Record(Key, Option<Bytes>),
    Counter(String, u64),
    Parent(CallHash, Return),
    Parents(CallHash, Parents),
}

/// What others need to be told of.
pub(super) struct Effects {
    pub topics: HashSet<Topic>,
    pub wrote: bool,
}

impl<'a> Tx<'a> {
    pub fn new(state: &'a mut State) -> Self {
        Self { state, undo: Vec::new(), sends: Vec::new(), acks: Vec::new() }
    }

    pub fn commit(mut self) -> Effects {
        let now = Instant::now();
        let wrote = self.undo.iter().any(|undo| matches!(undo, Undo::Record(..)));
        self.undo.clear();
        for id in self.acks.drain(..) {
            self.state.queues.ack(id);
        }
        let topics = self.sends.iter().map(|message| message.topic.clone()).collect();
        for message in self.sends.drain(..) {
            self.state.queues.send(message, now);
        }
        Effects { topics, wrote }
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Record(key, old) => drop(self.state.set(&key, old)),
                Undo::Counter(name, by) => {
                    if let Some(sum) = self.state.counters.get_mut(&name) {
                        *sum -= by;
                    }
                }
                Undo::Parent(call, parent) => {
                    if let Some(parents) = self.state.parents.get_mut(&call) {
                        parents.remove(&parent);
                    }
                }
                Undo::Parents(call, parents) => drop(self.state.parents.insert(call, parents)),
            }
        }
    }
}

impl Snapshot for Tx<'_> {
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

impl Transaction for Tx<'_> {
    fn set_row(&mut self, key: &Key, row: Option<Bytes>) -> Result<()> {
        let old = self.state.set(key, row);
        self.undo.push(Undo::Record(key.clone(), old));
        Ok(())
    }

    fn look_for(&mut self, call: &CallHash, me: &Return) -> Result<Facts> {
        Ok(self.state.parents.get(call).map(|parents| parents.look_for(me)).unwrap_or_default())
    }

    fn add_parent(&mut self, call: &CallHash, parent: &Return) -> Result<()> {
        self.state.parents.entry(call.clone()).or_default().add(parent);
        self.undo.push(Undo::Parent(call.clone(), parent.clone()));
        Ok(())
    }

    fn remove_parents(&mut self, call: &CallHash) -> Result<()> {
        if let Some(parents) = self.state.parents.remove(call) {
            self.undo.push(Undo::Parents(call.clone(), parents));
        }
        Ok(())
    }

    fn enqueue(&mut self, message: Outgoing) -> Result<()> {
        self.sends.push(message);
        Ok(())
    }

    fn add(&mut self, counter: &str, by: u64) -> Result<u64> {
        self.undo.push(Undo::Counter(counter.to_owned(), by));
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
