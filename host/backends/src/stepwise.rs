//! Any backend without its fused transitions: what is left are the small ports, and the trait's defaults on top.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::ports::{Backend, Cache, EventLog, Queue, Store};

/// A backend that makes every transition step by step. For the tests that hold the two ways together.
pub struct Stepwise(pub Arc<dyn Backend>);

#[async_trait]
impl Backend for Stepwise {
    fn name(&self) -> String {
        format!("stepwise on {}", self.0.name())
    }

    fn store(&self) -> &dyn Store {
        self.0.store()
    }

    fn queue(&self) -> &dyn Queue {
        self.0.queue()
    }

    fn cache(&self) -> &dyn Cache {
        self.0.cache()
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
