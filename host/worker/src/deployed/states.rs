//! Which revisions this worker has loaded. Its record says so, so that a push can wait for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use brrr_protocol::records::RevisionState;
use tokio::sync::Notify;

use crate::text::shortened;

/// The most bytes of the reason for which a revision is not loaded.
const LONGEST_REASON: usize = 500;

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
        // A reason may quote what those who pushed have written. All reasons of all workers are one record.
        let state = match state {
            RevisionState::Failed(reason) => RevisionState::Failed(shortened(&reason, LONGEST_REASON)),
            other => other,
        };
        self.lock().insert(number, state);
        self.changed.notify_one();
    }

    /// Forgets what became of the revisions that could not be loaded, so that they are tried again.
    pub fn forget_failures(&self) {
        self.lock().retain(|_, state| !matches!(state, RevisionState::Failed(_)));
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
