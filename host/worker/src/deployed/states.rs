//! Which revisions this worker has loaded. Its record says so, so that a push can wait for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use brrr_protocol::records::RevisionState;
use tokio::sync::Notify;

/// The states of the revisions of a topic on this worker.
#[derive(Default)]
pub struct RevisionStates {
    states: Mutex<BTreeMap<u64, RevisionState>>,
    changed: Notify,
}

impl RevisionStates {
    /// All of them, by the numbers of the revisions.
    #[must_use]
    pub fn get(&self) -> BTreeMap<u64, RevisionState> {
        self.lock().clone()
    }

    /// Sets the state of a revision.
    pub fn set(&self, number: u64, state: RevisionState) {
        self.lock().insert(number, state);
        self.changed.notify_one();
    }

    /// Forgets the revisions that are not wanted any more.
    pub fn retain(&self, is_wanted: impl Fn(u64) -> bool) {
        let mut states = self.lock();
        let before = states.len();
        states.retain(|number, _| is_wanted(*number));
        if states.len() != before {
            self.changed.notify_one();
        }
    }

    /// Returns when a state has changed since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, RevisionState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
