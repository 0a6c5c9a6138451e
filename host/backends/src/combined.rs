//! Joins any store, queue and counters into one backend. Every transition is multi-step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::multi_step::MultiStepBackend;
use brrr_protocol::ports::{BackendParts, Counters, EventLog, Queue, Store};

use crate::poll;

/// A backend of parts that know nothing of each other.
pub struct Combined {
    /// The name in messages, without secrets. Example: `sqs: + dynamodb:brrr`.
    pub name: String,
    /// Keeps the records.
    pub store: Arc<dyn Store>,
    /// Keeps the messages.
    pub queue: Arc<dyn Queue>,
    /// Keeps the counters, for example of the messages that were sent for each job.
    pub counters: Arc<dyn Counters>,
    /// `None` if none of the parts keeps events.
    pub events: Option<Arc<dyn EventLog>>,
}

#[async_trait]
impl BackendParts for Combined {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn queue(&self) -> &dyn Queue {
        &*self.queue
    }

    fn counters(&self) -> &dyn Counters {
        &*self.counters
    }

    fn events(&self) -> Option<&dyn EventLog> {
        self.events.as_deref()
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        poll::changed(version, at_most).await
    }
}

impl MultiStepBackend for Combined {}
