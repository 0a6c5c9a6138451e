//! The messages that were delivered and are not settled. A receipt is too small for the data that SQS needs to settle a
//! message.

use std::collections::HashMap;
use std::sync::Arc;

use brrr_protocol::model::Topic;
use brrr_protocol::ports::Receipt;
use tokio::time::Instant;

/// A message in work.
#[derive(Clone)]
pub(super) struct Held {
    pub topic: Topic,
    /// The URL of the message's queue.
    pub url: Arc<str>,
    /// The receipt of SQS for this delivery.
    pub handle: String,
    pub message_id: String,
    pub body: String,
    /// How often the message was delivered, by our own count.
    pub receives: u32,
    /// When the lease ends, unless it is extended. After that another worker may have the message, but SQS would still
    /// let us delete it.
    pub until: Instant,
}

/// The messages in work, by the number of their delivery.
#[derive(Default)]
pub(super) struct Table {
    held: HashMap<u64, Held>,
    last: u64,
    /// At this size of the table, messages whose leases were lost are removed.
    full: usize,
}

/// Below this size, the table is never searched for lost leases.
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

    /// A message whose lease is still valid.
    pub fn get(&self, receipt: &Receipt) -> Option<&Held> {
        self.held.get(&number(receipt)?).filter(|held| held.until > Instant::now())
    }

    /// Removes a message from the table. Returns it if its lease is still valid.
    pub fn take(&mut self, receipt: &Receipt) -> Option<Held> {
        self.held.remove(&number(receipt)?).filter(|held| held.until > Instant::now())
    }

    /// Puts a message back into the table after settling it failed.
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
