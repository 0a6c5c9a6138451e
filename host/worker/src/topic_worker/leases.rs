//! Renews the leases of the messages that a worker holds, so that they are not delivered to other workers. Also stops
//! the running calls of ended jobs (`preempt`).
//!
//! This uses a thread of its own, because a runtime that is busy with guests would renew too late.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use brrr_protocol::ports::{Backend, Receipt};
use tokio::sync::oneshot;

use super::in_flight::{Id, InFlight};
use super::preempt;

/// A lease can be missing because its message was settled a moment ago. The task gets this time to remove its entry.
const SETTLING: Duration = Duration::from_millis(100);

/// The thread. Dropping this ends it.
pub struct Leases {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Leases {
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn start(backend: Arc<dyn Backend>, in_flight: Arc<InFlight>, lease: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("brrr-leases".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = keep(&backend, &in_flight, lease) => {}
                    () = preempt::watch(&backend, &in_flight) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread panics only because of a bug, and the panic hook has printed that.
            let _ = thread.join();
        }
    }
}

async fn keep(backend: &Arc<dyn Backend>, in_flight: &Arc<InFlight>, lease: Duration) {
    loop {
        // A third of the lease: two renewals may fail before a lease runs out.
        tokio::time::sleep(lease / 3).await;
        while let Err(error) = renew(backend, in_flight, lease).await {
            tracing::warn!("could not renew the leases of running calls: {error}");
            if backend.queue().others_go_on() {
                drop_lost_leases(in_flight, lease);
            }
            tokio::time::sleep(lease / 20).await;
        }
    }
}

async fn renew(backend: &Arc<dyn Backend>, in_flight: &Arc<InFlight>, lease: Duration) -> Result<(), String> {
    let (ids, receipts): (Vec<Id>, Vec<Receipt>) = in_flight.receipts().into_iter().unzip();
    if receipts.is_empty() {
        return Ok(());
    }
    // The time is taken before the request. So the recorded lease never ends later than the lease in the backend.
    let at = Instant::now();
    let held = match tokio::time::timeout(lease / 3, backend.queue().extend(&receipts)).await {
        Ok(held) => held.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("{}: no answer within {:?}", backend.name(), lease / 3)),
    };
    let mut lost = Vec::new();
    for (id, held) in ids.into_iter().zip(held) {
        if held {
            in_flight.renewed(id, at);
        } else {
            lost.push(id);
        }
    }
    if !lost.is_empty() {
        tokio::time::sleep(SETTLING).await;
        abort(in_flight, lost);
    }
    Ok(())
}

/// Gives up the messages whose leases may have run out, because the backend has not answered for so long. Other workers
/// may have the messages by now.
fn drop_lost_leases(in_flight: &InFlight, lease: Duration) {
    if let Some(before) = Instant::now().checked_sub(lease) {
        abort(in_flight, in_flight.older_than(before));
    }
}

fn abort(in_flight: &InFlight, ids: Vec<Id>) {
    let dropped = ids.into_iter().filter(|id| in_flight.abort(*id)).count();
    if dropped > 0 {
        tracing::warn!("stopped {dropped} runs whose lease was lost; another worker has them, or will");
    }
}
