//! What was delivered and not settled: SQS wants more to settle a message than a receipt holds.

use std::collections::HashMap;
use std::sync::Arc;

use brrr_protocol::model::Topic;
use brrr_protocol::ports::Receipt;
use tokio::time::Instant;

/// A message in work.
#[derive(Clone)]
pub(super) struct Held {
    pub topic: Topic,
    /// The address of the queue that it came from.
    pub url: Arc<str>,
    /// SQS's receipt for this delivery.
    pub handle: String,
    pub message_id: String,
    pub body: String,
    /// How often it was delivered, by our count.
    pub receives: u32,
    /// When its lease ends, if not extended. Others may have it after that, and SQS would let us delete it all the same.
    pub until: Instant,
}

/// Messages by the number of their delivery.
#[derive(Default)]
pub(super) struct Table {
    held: HashMap<u64, Held>,
    last: u64,
    /// With so many, those whose lease was lost are forgotten.
    full: usize,
}

/// So few cost no look.
const FEW: usize = 1_000;

impl Table {
    pub fn enter(&mut self, held: Held) -> Receipt {
        if self.held.len() >= self.full.max(FEW) {
            let now = Instant::now();
            self.held.retain(|_, held| held.until > now);
            self.full = self.held.len() * 2;
        }
        self.last += 1;
        self.held.insert(self.last, held);
        Receipt(self.last.to_string())
    }

    /// A message that is still held.
    pub fn get(&self, receipt: &Receipt) -> Option<&Held> {
        self.held.get(&number(receipt)?).filter(|held| held.until > Instant::now())
    }

    /// Takes out a message that is still held.
    pub fn take(&mut self, receipt: &Receipt) -> Option<Held> {
        self.held.remove(&number(receipt)?).filter(|held| held.until > Instant::now())
    }

    /// Settling it failed, so it is held on.
    pub fn put_back(&mut self, receipt: &Receipt, held: Held) {
        if let Some(number) = number(receipt) {
            self.held.insert(number, held);
        }
    }

    pub fn extended(&mut self, receipt: &Receipt, until: Instant) {
        if let Some(held) = number(receipt).and_then(|number| self.held.get_mut(&number)) {
            held.until = until;
        }
    }
}

fn number(receipt: &Receipt) -> Option<u64> {
    receipt.0.parse().ok()
}
