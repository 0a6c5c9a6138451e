//! The messages that a worker holds.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::model::JobId;
use brrr_protocol::ports::Receipt;
use brrr_protocol::wire::Message;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Identifies an entry. A receipt can't do so, because the same receipt may come again after a lease was lost.
pub type Id = u64;

/// The table of the held messages.
#[derive(Default)]
pub struct InFlight {
    next: AtomicU64,
    held: Mutex<HashMap<Id, HeldDelivery>>,
}

struct HeldDelivery {
    receipt: Receipt,
    /// The time at which the lease began, or was last renewed.
    renewed: Instant,
    /// Stops the work on the message.
    abort: Option<AbortHandle>,
    /// The running call of the message. `None`: the call does not run.
    running: Option<RunningCall>,
}

struct RunningCall {
    since: Instant,
    /// The message's body. The job is read from it only for calls that run for long.
    body: Arc<str>,
    /// Notified when the job is over.
    preempted: Arc<Notify>,
}

impl RunningCall {
    /// `None`: the body can't be decoded, so the message belongs to no job.
    fn job_id(&self) -> Option<JobId> {
        Message::decode(self.body.as_bytes()).ok().map(|message| message.job_id)
    }
}

/// A message's entry in the table. Dropping it removes the message.
pub struct Entry {
    table: Arc<InFlight>,
    id: Id,
}

impl Entry {
    /// The number of the message in the table.
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
    /// Adds a message that was just received. Its lease counts as renewed now.
    pub fn enter(self: &Arc<Self>, receipt: Receipt) -> Entry {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, HeldDelivery { receipt, renewed: Instant::now(), abort: None, running: None });
        Entry { table: self.clone(), id }
    }

    /// Records how to stop the work on a message. Does nothing if the work has ended already.
    pub fn can_be_aborted(&self, id: Id, abort: AbortHandle) {
        if let Some(held) = self.lock().get_mut(&id) {
            held.abort = Some(abort);
        }
    }

    /// Records that the call of a message begins to run. The returned `Notify` is notified when the job is over.
    pub fn runs(&self, id: Id, body: &str) -> Arc<Notify> {
        let preempted = Arc::new(Notify::new());
        if let Some(held) = self.lock().get_mut(&id) {
            held.running = Some(RunningCall { since: Instant::now(), body: body.into(), preempted: preempted.clone() });
        }
        preempted
    }

    /// How many calls run.
    pub fn running(&self) -> usize {
        self.lock().values().filter(|held| held.running.is_some()).count()
    }

    /// The jobs of the calls that have been running for this time.
    pub fn jobs_running_for(&self, time: Duration) -> HashSet<JobId> {
        let held = self.lock();
        let running = held.values().filter_map(|held| held.running.as_ref());
        running.filter(|running| running.since.elapsed() >= time).filter_map(RunningCall::job_id).collect()
    }

    /// Stops all calls that run for a job.
    pub fn preempt(&self, job_id: &JobId) {
        for running in self.lock().values().filter_map(|held| held.running.as_ref()) {
            if running.job_id().is_some_and(|of| of == *job_id) {
                // `notify_one` stores the notification, so that the call can't miss it.
                running.preempted.notify_one();
            }
        }
    }

    /// All messages that are held now.
    pub fn receipts(&self) -> Vec<(Id, Receipt)> {
        self.lock().iter().map(|(id, held)| (*id, held.receipt.clone())).collect()
    }

    /// Records that the lease of a message was renewed at `at`.
    pub fn renewed(&self, id: Id, at: Instant) {
        if let Some(held) = self.lock().get_mut(&id) {
            held.renewed = at;
        }
    }

    /// The messages whose lease was not renewed since `before`.
    pub fn older_than(&self, before: Instant) -> Vec<Id> {
        self.lock().iter().filter(|(_, held)| held.renewed < before).map(|(id, _)| *id).collect()
    }

    /// Stops the work on a message. Returns whether the work was still running.
    pub fn abort(&self, id: Id) -> bool {
        // The handle is moved out of the lock: aborting may drop the task at once, and the dropped entry takes the
        // lock.
        let handle = self.lock().get_mut(&id).and_then(|held| held.abort.take());
        handle.inspect(AbortHandle::abort).is_some()
    }

    /// Stops all work. Returns the receipts of the messages.
    pub fn abort_all(&self) -> Vec<Receipt> {
        let all = self.receipts();
        all.into_iter().filter_map(|(id, receipt)| self.abort(id).then_some(receipt)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, HeldDelivery>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
