//! The messages that a worker holds.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::model::Root;
use brrr_protocol::ports::Receipt;
use brrr_protocol::wire::Message;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Tells entries apart: a receipt may come again when a lease was lost.
pub type Id = u64;

/// The table of what is held.
#[derive(Default)]
pub struct InFlight {
    next: AtomicU64,
    held: Mutex<HashMap<Id, Held>>,
}

struct Held {
    receipt: Receipt,
    /// When its lease began, or was last renewed.
    renewed: Instant,
    /// Stops what is done about it.
    abort: Option<AbortHandle>,
    /// What runs for it, if it runs.
    running: Option<Running>,
}

struct Running {
    since: Instant,
    /// The message's body. Its job is read only of what runs for long.
    body: Arc<str>,
    /// Tells it that its job is over.
    preempted: Arc<Notify>,
}

impl Running {
    /// `None`: it is no message that anybody understands, and so of no job.
    fn root(&self) -> Option<Root> {
        Message::decode(self.body.as_bytes()).ok().map(|message| message.root)
    }
}

/// A message's place in the table; dropping it takes the message out.
pub struct Entry {
    table: Arc<InFlight>,
    id: Id,
}

impl Entry {
    pub fn id(&self) -> Id {
        self.id
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.lock().remove(&self.id);
    }
}

impl InFlight {
    pub fn enter(self: &Arc<Self>, receipt: Receipt) -> Entry {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Held { receipt, renewed: Instant::now(), abort: None, running: None });
        Entry { table: self.clone(), id }
    }

    /// Says how to stop the work on a message; nothing if that is over already.
    pub fn can_be_aborted(&self, id: Id, abort: AbortHandle) {
        if let Some(held) = self.lock().get_mut(&id) {
            held.abort = Some(abort);
        }
    }

    /// The call of a message begins to run. What is returned is notified when its job is over.
    pub fn runs(&self, id: Id, body: &str) -> Arc<Notify> {
        let preempted = Arc::new(Notify::new());
        if let Some(held) = self.lock().get_mut(&id) {
            held.running = Some(Running { since: Instant::now(), body: body.into(), preempted: preempted.clone() });
        }
        preempted
    }

    /// The jobs of what has been running for so long.
    pub fn roots_running_for(&self, time: Duration) -> HashSet<Root> {
        let held = self.lock();
        let running = held.values().filter_map(|held| held.running.as_ref());
        running.filter(|running| running.since.elapsed() >= time).filter_map(Running::root).collect()
    }

    /// Stops everything that runs for a job.
    pub fn preempt(&self, root: &Root) {
        for running in self.lock().values().filter_map(|held| held.running.as_ref()) {
            if running.root().is_some_and(|of| of == *root) {
                // Kept until it is looked at, so that it is not missed.
                running.preempted.notify_one();
            }
        }
    }

    /// Everything that is held now.
    pub fn receipts(&self) -> Vec<(Id, Receipt)> {
        self.lock().iter().map(|(id, held)| (*id, held.receipt.clone())).collect()
    }

    /// The lease of a message was renewed at `at`.
    pub fn renewed(&self, id: Id, at: Instant) {
        if let Some(held) = self.lock().get_mut(&id) {
            held.renewed = at;
        }
    }

    /// Those whose lease was not renewed since `before`.
    pub fn older_than(&self, before: Instant) -> Vec<Id> {
        self.lock().iter().filter(|(_, held)| held.renewed < before).map(|(id, _)| *id).collect()
    }

    /// Stops the work on a message, if it is still going on. Says whether it was.
    pub fn abort(&self, id: Id) -> bool {
        // The handle outlives the lock: aborting may drop the task, and with it the entry, at once.
        let handle = self.lock().get_mut(&id).and_then(|held| held.abort.take());
        handle.inspect(AbortHandle::abort).is_some()
    }

    /// Stops everything; returns what was held.
    pub fn abort_all(&self) -> Vec<Receipt> {
        let all = self.receipts();
        all.into_iter().filter_map(|(id, receipt)| self.abort(id).then_some(receipt)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
