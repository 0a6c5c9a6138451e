//! A transaction over the state in memory: writes at once, remembers how to take it back.

use std::collections::HashSet;

use brrr_protocol::error::Result;
use brrr_protocol::fused::{Snapshot, Transaction};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Key, Outgoing, Receipt};
use bytes::Bytes;
use tokio::time::Instant;

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

    pub fn read(&self, key: &Key) -> Option<Bytes> {
        self.state.records.get(key).cloned()
    }

    pub fn write(&mut self, key: &Key, value: Option<Bytes>) {
        let old = self.state.set(key, value);
        self.undo.push(Undo::Record(key.clone(), old));
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
            }
        }
    }
}

impl Snapshot for Tx<'_> {
    fn get(&mut self, key: &Key) -> Result<Option<Bytes>> {
        Ok(self.read(key))
    }

    fn has(&mut self, key: &Key) -> Result<bool> {
        Ok(self.state.records.contains_key(key))
    }
}

impl Transaction for Tx<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        self.write(key, Some(Bytes::copy_from_slice(value)));
        Ok(())
    }

    fn delete(&mut self, key: &Key) -> Result<()> {
        self.write(key, None);
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
