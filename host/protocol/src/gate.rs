//! Decides when a run may start, after its call was loaded and is ready to run.

use std::time::Duration;

use async_trait::async_trait;

use crate::ports::Task;

/// Decides when runs may start. A worker's gate limits how many run at once. `Always` has no limit.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Asks whether a run of this task may start. Waits for a place, but only for a moment, because the caller holds the lease
    /// of a message that another worker could work on. A caller that drops the future loses its place in the line.
    async fn enter(&self, name: &str, task: &Task) -> Entry;
}

/// The answer of a gate.
pub enum Entry {
    /// The run may start now. It counts as running until this value is dropped.
    Granted(Box<dyn Send>),
    /// There is no slot now. The caller must give the message back to the queue, with this delay.
    NotNow(Duration),
}

/// A gate that lets every run start at once.
#[derive(Clone, Copy, Debug)]
pub struct Always;

#[async_trait]
impl Gate for Always {
    async fn enter(&self, _: &str, _: &Task) -> Entry {
        Entry::Granted(Box::new(()))
    }
}
