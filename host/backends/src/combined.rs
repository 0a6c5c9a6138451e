//! Any store, queue and counters as one backend: every transition goes step by step.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::ports::{Backend, Cache, EventLog, Queue, Store};

/// How long who waits for a record waits before the second look: a local store answers a short call in about that time.
const FIRST_LOOK: Duration = Duration::from_millis(2);

/// The most between two looks: four a second and waiter cost next to nothing, and nobody notices a quarter of a second
/// after having waited for longer.
const LAST_LOOK: Duration = Duration::from_millis(250);

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

    /// No store tells of changes here, so this is a pause that grows from look to look. `version` counts them.
    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        if version > 0 {
            tokio::time::sleep(pause(version).min(at_most)).await;
        }
        version.saturating_add(1)
    }
}

/// Before look `n + 1`. Half as long again each time: what has taken a second is seen within half a second more at most.
fn pause(n: u64) -> Duration {
    let growth = 1.5_f64.powi(i32::try_from(n.min(64)).unwrap_or(64) - 1);
    FIRST_LOOK.mul_f64(growth).min(LAST_LOOK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare() {
        assert_eq!(pause(1), FIRST_LOOK);
        assert_eq!(pause(2), Duration::from_millis(3));
        assert_eq!(pause(u64::MAX), LAST_LOOK);
        assert!((1..100).all(|n| pause(n) <= pause(n + 1)));
    }
}
