//! Any store, queue and counters as one backend: every transition goes step by step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::ports::{Backend, Cache, EventLog, Queue, Store};

use crate::poll;

/// Parts that know nothing of each other, as one backend.
pub struct Combined {
    /// For messages; without secrets: `sqs: + dynamodb:brrr`.
    pub name: String,
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    pub cache: Arc<dyn Cache>,
    /// `None`: none of the parts keeps events.
    pub events: Option<Arc<dyn EventLog>>,
}

#[async_trait]
impl Backend for Combined {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn store(&self) -> &dyn Store {
        &*self.store
    }

    fn queue(&self) -> &dyn Queue {
        &*self.queue
    }

    fn cache(&self) -> &dyn Cache {
        &*self.cache
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
