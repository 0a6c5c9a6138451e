//! The gate before a run: when a call has been loaded and could be run, the gate says whether its run may start.

use std::time::Duration;

use async_trait::async_trait;

use crate::ports::Task;

/// Lets runs start. A worker has one that counts them; see `Always` for where nothing is bounded.
#[async_trait]
pub trait Gate: Send + Sync {
    /// May a run of this task start? Waits for that, but only for a moment: the caller holds the lease of a message that
    /// another worker could work on. Dropping the future gives up the place in the line.
    async fn enter(&self, name: &str, task: &Task) -> Entry;
}

/// The answer of a gate.
pub enum Entry {
    /// The run starts now, and counts as running until this is dropped.
    Granted(Box<dyn Send>),
    /// There is no room now. The message is to be given back to its queue, to be delivered again after this time.
    NotNow(Duration),
}

/// A gate that is always open.
#[derive(Clone, Copy, Debug)]
pub struct Always;

#[async_trait]
impl Gate for Always {
    async fn enter(&self, _: &str, _: &Task) -> Entry {
        Entry::Granted(Box::new(()))
    }
}
