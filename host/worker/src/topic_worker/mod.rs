//! The worker: receives messages, runs each in a task of its own, and lets running calls end when it is asked to stop.
//!
//! - `admission`: what is received, what starts, what waits
//! - `in_flight`: what this worker holds; `leases`: keeps it held; `preempt`: stops what nobody wants any more
//! - `keyed_mutex`: one message of a call in a job at a time; `shutdown`: signals; `announce`: says which tasks the worker handles;
//!   `swappable_handler`: the handler, which may be replaced; `redrive`: looks for stuck work; `backoff`: how long to wait after the
//!   backend has failed
//!
//! What becomes of a message is decided in `brrr_protocol::step`, and what the worker does about that in `disposition`.

mod admission;
mod announce;
mod backoff;
mod in_flight;
mod keyed_mutex;
mod leases;
mod preempt;
mod redrive;
mod shutdown;
mod swappable_handler;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::events::Observer;
use brrr_protocol::model::{Failure, Topic};
use brrr_protocol::outcome_cache::OutcomeCache;
use brrr_protocol::ports::{Backend, Delivery};
use brrr_protocol::step::{Limits, Site, Step, step};
use brrr_protocol::wire::Message;
use brrr_protocol::{Error, ErrorKind, Result};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use crate::disposition::Disposition;
pub use admission::Admission;
use admission::Ticket;
pub use announce::announce;
use backoff::SharedBackoff;
use in_flight::{Id, InFlight};
use keyed_mutex::KeyedMutex;
use leases::Leases;
pub use redrive::redrive;
pub use shutdown::{Shutdown, StopReason};
pub use swappable_handler::SwappableHandler;

/// How long a message may wait here for another one of the same call. Not longer: what waits takes the room of what could
/// run.
const KEY_WAIT: Duration = Duration::from_secs(1);

/// What a worker may do at once, and for how long.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Says what is received and what starts. The workers of a process share it.
    pub admission: Arc<Admission>,
    /// How long running calls may go on after the worker was asked to stop.
    pub shutdown_timeout: Duration,
    pub limits: Limits,
    /// Told of what happens to calls and jobs.
    pub observer: Option<Arc<dyn Observer>>,
}

/// A worker of one topic.
pub struct TopicWorker {
    shared: Arc<Shared>,
    topic: Topic,
    shutdown_timeout: Duration,
}

/// What the tasks of a worker share.
struct Shared {
    backend: Arc<dyn Backend>,
    handler: SwappableHandler,
    limits: Limits,
    outcomes: OutcomeCache,
    observer: Option<Arc<dyn Observer>>,
    admission: Arc<Admission>,
    in_flight: Arc<InFlight>,
    running: KeyedMutex,
    backoff: SharedBackoff,
    shutdown: Shutdown,
    /// The error that made the worker stop.
    fatal: Mutex<Option<Error>>,
}

impl TopicWorker {
    #[must_use]
    pub fn new(
        backend: Arc<dyn Backend>,
        handler: impl Into<SwappableHandler>,
        topic: Topic,
        options: WorkerOptions,
        shutdown: Shutdown,
    ) -> Self {
        let shared = Shared {
            backend,
            handler: handler.into(),
            limits: options.limits,
            outcomes: OutcomeCache::default(),
            observer: options.observer,
            admission: options.admission,
            in_flight: Arc::default(),
            running: KeyedMutex::default(),
            backoff: SharedBackoff::default(),
            shutdown,
            fatal: Mutex::new(None),
        };
        Self { shared: Arc::new(shared), topic, shutdown_timeout: options.shutdown_timeout }
    }

    /// Works until it is asked to stop and what it held is finished or given back.
    ///
    /// # Errors
    /// What made it stop by itself: a backend that a person must see to.
    pub async fn run(self) -> Result<()> {
        let queue = self.shared.backend.queue();
        let leases =
            Leases::start(self.shared.backend.clone(), self.shared.in_flight.clone(), queue.lease()).map_err(|e| {
                Error::new(ErrorKind::Internal, "worker", "start the thread that renews leases", e.to_string())
            })?;
        // Every task holds a sender, so the end of the stream is the end of them all.
        let (working, all_done) = mpsc::channel(1);
        self.receive_until_stopped(working).await;
        self.finish(all_done).await;
        drop(leases);
        let fatal = self.shared.fatal.lock().unwrap_or_else(PoisonError::into_inner).take();
        fatal.map_or(Ok(()), Err)
    }

    async fn receive_until_stopped(&self, working: mpsc::Sender<()>) {
        let queue = self.shared.backend.queue();
        let admission = &self.shared.admission;
        let stopped = self.shared.shutdown.wait();
        tokio::pin!(stopped);
        loop {
            let room = tokio::select! {
                biased;
                _ = &mut stopped => return,
                room = admission.room() => room,
            };
            // Never cut off: the messages that it was about to return would stay leased.
            let receiving = queue.receive(&self.topic, room, queue.patience());
            tokio::pin!(receiving);
            let received = tokio::select! {
                biased;
                received = &mut receiving => received,
                _ = &mut stopped => {
                    // What waits goes back at once, not when this look at the queue has ended.
                    admission.close();
                    receiving.await
                }
            };
            match received {
                Ok(deliveries) => deliveries.into_iter().for_each(|delivery| self.start(delivery, working.clone())),
                Err(error) => self.shared.receive_failed(error, &self.topic).await,
            }
            if self.shared.shutdown.begun().is_some() {
                return;
            }
        }
    }

    /// Hands the message to a task of its own.
    fn start(&self, delivery: Delivery, working: mpsc::Sender<()>) {
        let shared = self.shared.clone();
        let entry = self.shared.in_flight.enter(delivery.receipt.clone());
        let (id, ticket) = (entry.id(), self.shared.admission.hold());
        let task = tokio::spawn(async move {
            // Moved in, so that they are given up however the task ends.
            let (entry, _working) = (entry, working);
            shared.work(&delivery, entry.id(), ticket).await;
        });
        self.shared.in_flight.can_be_aborted(id, task.abort_handle());
    }

    /// Waits for what is running, within the grace; gives back what is not.
    async fn finish(&self, mut all_done: mpsc::Receiver<()>) {
        // Whatever has not started gives its message back.
        self.shared.admission.close();
        if tokio::time::timeout(self.shutdown_timeout, all_done.recv()).await.is_ok() {
            return;
        }
        let receipts = self.shared.in_flight.abort_all();
        tracing::warn!("{} calls did not end within {:?}; they are given back", receipts.len(), self.shutdown_timeout);
        // They stop at their next await; a guest is interrupted for that.
        let _ = tokio::time::timeout(Duration::from_secs(1), all_done.recv()).await;
        for receipt in receipts {
            if let Err(error) = self.shared.backend.queue().give_back(&receipt, Duration::ZERO).await {
                tracing::warn!("a message comes back only when its lease runs out: {error}");
            }
        }
    }
}

impl Shared {
    async fn work(&self, delivery: &Delivery, id: Id, ticket: Ticket) {
        let received = Instant::now();
        let guard = tokio::select! {
            biased;
            guard = tokio::time::timeout(KEY_WAIT, self.running.lock(&delivery.body)) => guard,
            _ = self.shutdown.wait() => return self.give_back(delivery, Duration::ZERO).await,
        };
        let Ok(_guard) = guard else {
            return self.give_back(delivery, KEY_WAIT).await;
        };
        if self.admission.is_closed() {
            return self.give_back(delivery, Duration::ZERO).await;
        }
        ticket.waited(received.elapsed());
        // Nothing that a panic could leave half done is used again: the run is dropped, what is shared is atomic.
        if let Ok(result) = AssertUnwindSafe(self.step(delivery, id, &ticket)).catch_unwind().await {
            self.settle(delivery, result).await;
        } else {
            // The panic hook has printed where. It counts as a delivery, as for any error that we don't understand.
            tracing::error!("a fault of this program, please report it: {} panicked", subject(delivery));
        }
    }

    async fn step(&self, delivery: &Delivery, id: Id, ticket: &Ticket) -> Result<Step> {
        let handler = self.handler.get();
        let site = Site {
            backend: &self.backend,
            handler: &*handler,
            limits: &self.limits,
            outcomes: &self.outcomes,
            gate: ticket,
            observer: self.observer.as_deref(),
            clock: &|| self.backend.now(),
        };
        let preempted = self.in_flight.runs(id, &delivery.body);
        tokio::select! {
            biased;
            result = step(&site, delivery, false) => result,
            // The run is dropped where it stands; every transition is safe to repeat. What is left to do about a call
            // whose job is over takes no guest. Boxed: seldom needed, and large.
            () = preempted.notified() => Box::pin(step(&site, delivery, ticket.has_started())).await,
        }
    }

    async fn settle(&self, delivery: &Delivery, result: Result<Step>) {
        if result.is_ok() {
            self.backoff.reset();
        }
        match result.into() {
            Disposition::Nothing => {}
            Disposition::ReportFailure(failure) => report(delivery, &failure),
            Disposition::ReportRetry { failure, attempt, after } => {
                // One that is tried again at once, thousands of times, must not fill a disk of logs.
                if after >= Duration::from_secs(1) || attempt <= 10 || attempt.is_power_of_two() {
                    tracing::warn!("{}: {failure}; attempt {attempt} in {after:.1?}", subject(delivery));
                }
            }
            Disposition::ReportReleased(state) => {
                tracing::debug!("{}: dropped, because the job is over ({})", subject(delivery), state.as_str());
            }
            Disposition::ReportSetAside(reason) => {
                let topic = &delivery.topic;
                tracing::error!(
                    "set aside a message of topic {topic}: {reason}; `brrr-host dead list --topic {topic}` lists it"
                );
            }
            Disposition::GiveBack(error) => {
                let delay = self.backoff.failed(Instant::now());
                tracing::warn!("{}: {error}; trying again in {delay:?}", subject(delivery));
                self.give_back(delivery, delay).await;
            }
            Disposition::LetLeaseRunOut(error) => {
                tracing::error!("{}: {error}; it comes back when its lease runs out", subject(delivery));
            }
            Disposition::Stop(error) => {
                self.stop(error);
                self.give_back(delivery, Duration::ZERO).await;
            }
        }
    }

    async fn receive_failed(&self, error: Error, topic: &Topic) {
        match Err(error).into() {
            Disposition::Stop(error) => self.stop(error),
            Disposition::GiveBack(error) | Disposition::LetLeaseRunOut(error) => {
                let delay = self.backoff.failed(Instant::now());
                tracing::warn!("receiving from topic {topic}: {error}; trying again in {delay:?}");
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = self.shutdown.wait() => {}
                }
            }
            // Those are of an `Ok`.
            Disposition::Nothing
            | Disposition::ReportFailure(_)
            | Disposition::ReportRetry { .. }
            | Disposition::ReportReleased(_)
            | Disposition::ReportSetAside(_) => {}
        }
    }

    fn stop(&self, error: Error) {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.shutdown.begin(StopReason::Failed);
    }

    async fn give_back(&self, delivery: &Delivery, delay: Duration) {
        if let Err(error) = self.backend.queue().give_back(&delivery.receipt, delay).await {
            // Its lease brings it back.
            tracing::debug!("could not give back {}: {error}", subject(delivery));
        }
    }
}

/// One line a failed call. The cause was reported by the call that it happened in; a parent needs only its own line.
fn report(delivery: &Delivery, failure: &Failure) {
    let hash = Message::decode(delivery.body.as_bytes()).map(|m| m.call.short().to_owned()).unwrap_or_default();
    if let [parent, _, ..] = failure.chain.as_slice() {
        tracing::warn!("failed: {hash} {parent}");
    } else {
        tracing::warn!("failed: {hash} {failure}");
    }
}

/// What a message is about, for people.
fn subject(delivery: &Delivery) -> String {
    match Message::decode(delivery.body.as_bytes()) {
        Ok(message) => format!("call {} of job {}", message.call.short(), message.root),
        Err(_) => format!("a message of topic {}", delivery.topic),
    }
}

/// The time by the clock of this machine. What jobs go by is `Store::now`.
pub use brrr_protocol::model::system_now as now;

#[cfg(test)]
mod tests;
