//! Any backend without its transactional transitions: only the small ports are left, and the trait's default methods
//! use them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::multi_step::MultiStepBackend;
use brrr_protocol::ports::{Backend, BackendParts, Counters, EventLog, Queue, Store};

/// A backend whose transitions are all multi-step. The tests use it to compare the two kinds of transitions.
pub struct MultiStep(pub Arc<dyn Backend>);

#[async_trait]
impl BackendParts for MultiStep {
    fn name(&self) -> String {
        format!("multi-step on {}", self.0.name())
    }

    fn store(&self) -> &dyn Store {
        self.0.store()
    }

    fn queue(&self) -> &dyn Queue {
        self.0.queue()
    }

    fn counters(&self) -> &dyn Counters {
        self.0.counters()
    }

    fn events(&self) -> Option<&dyn EventLog> {
        self.0.events()
    }

    fn is_remote(&self) -> bool {
        self.0.is_remote()
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.0.changed(version, at_most).await
    }
}

impl MultiStepBackend for MultiStep {}
