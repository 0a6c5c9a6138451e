//! The worker of one topic. It receives messages, and processes each in a task of its own. When it is asked to stop, it
//! lets running calls end.
//!
//! - `admission`: decides what is received, what starts and what waits
//! - `in_flight`: the messages that this worker holds; `leases`: renews their leases; `preempt`: stops calls of ended
//!   jobs
//! - `keyed_mutex`: one message of a call in a job at a time; `shutdown`: signals; `announce`: records the tasks of the
//!   worker; `heartbeat`: says that the worker runs; `swappable_handler`: the handler, which may be replaced; `repairs`: looks for stuck work; `schedules`:
//!   starts the jobs of schedules; `backoff`: the delays after the backend has failed
//!
//! `brrr_protocol::step` decides what happens to a message, and `disposition` decides what the worker does afterwards.

mod admission;
mod announce;
mod backoff;
mod heartbeat;
mod in_flight;
mod keyed_mutex;
mod leases;
mod preempt;
mod repairs;
mod schedules;
mod shutdown;
mod swappable_handler;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::events::Observer;
use brrr_protocol::gate::Gate;
use brrr_protocol::model::{Failure, Topic};
use brrr_protocol::outcome_cache::OutcomeCache;
use brrr_protocol::ports::{Backend, Delivery};
use brrr_protocol::records::RunLog;
use brrr_protocol::step::{Limits, Site, Step, step};
use brrr_protocol::wire::Message;
use brrr_protocol::{Error, ErrorKind, Result};
use futures_util::FutureExt as _;
use tokio::sync::mpsc;

use crate::disposition::Disposition;
use crate::health::Health;
use crate::metrics::{MeteredGate, Metrics};
pub use admission::Admission;
use admission::Ticket;
pub use announce::announce;
use backoff::SharedBackoff;
pub use heartbeat::{Identity, TopicState, say_that_it_runs};
use in_flight::{Id, InFlight};
use keyed_mutex::KeyedMutex;
use leases::Leases;
pub use repairs::repair_periodically;
pub use schedules::follow_schedules;
pub use shutdown::{Shutdown, StopReason};
pub use swappable_handler::SwappableHandler;

/// How long a message may wait here for another message of the same call. A waiting message takes the room of a message
/// that could run, so this is short.
const KEY_WAIT: Duration = Duration::from_secs(1);

/// The limits of a worker.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Decides what is received and what starts. All workers of a process share it.
    pub admission: Arc<Admission>,
    /// How long running calls may continue after the worker was asked to stop.
    pub shutdown_timeout: Duration,
    /// The limits of a job besides the limits of single runs.
    pub limits: Limits,
    /// Receives the events of calls and jobs.
    pub observer: Option<Arc<dyn Observer>>,
}

/// A worker of one topic.
pub struct TopicWorker {
    shared: Arc<WorkerState>,
    topic: Topic,
    shutdown_timeout: Duration,
}

/// Says how much a worker of a topic has to do.
#[derive(Clone)]
pub struct Gauge(Arc<InFlight>);

impl Gauge {
    /// How many calls run.
    #[must_use]
    pub fn running(&self) -> u32 {
        u32::try_from(self.0.running()).unwrap_or(u32::MAX)
    }
}

/// The state that the tasks of a worker share.
struct WorkerState {
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
    metrics: Option<Arc<Metrics>>,
    health: Option<Health>,
    /// The error that made the worker stop.
    fatal: Mutex<Option<Error>>,
}

impl TopicWorker {
    /// A worker that does not run yet. `shutdown` asks it to stop, and it begins `shutdown` itself when the backend
    /// needs to be repaired.
    #[must_use]
    pub fn new(
        backend: Arc<dyn Backend>,
        handler: impl Into<SwappableHandler>,
        topic: Topic,
        options: WorkerOptions,
        shutdown: Shutdown,
    ) -> Self {
        let shared = WorkerState {
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
            metrics: None,
            health: None,
            fatal: Mutex::new(None),
        };
        Self { shared: Arc::new(shared), topic, shutdown_timeout: options.shutdown_timeout }
    }

    /// Records what the worker does, and tells of each message that it settles.
    #[must_use]
    pub fn watched_by(mut self, metrics: Option<Arc<Metrics>>, health: Option<Health>) -> Self {
        // Nothing else has the state before the worker runs.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            (shared.metrics, shared.health) = (metrics, health);
        }
        self
    }

    /// Says how much this worker has to do.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge(self.shared.in_flight.clone())
    }

    /// Works until it is asked to stop, and then until every held message is finished or given back.
    ///
    /// # Errors
    /// The error that stopped the worker: the backend needs to be repaired by a person.
    pub async fn run(self) -> Result<()> {
        let queue = self.shared.backend.queue();
        let leases =
            Leases::start(self.shared.backend.clone(), self.shared.in_flight.clone(), queue.lease()).map_err(|e| {
                Error::new(ErrorKind::Internal, "worker", "start the thread that renews leases", e.to_string())
            })?;
        // Every task holds a sender, so the channel closes when the last task has ended.
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
            // The request is never cancelled. Otherwise the messages of its answer would stay leased.
            let receiving = queue.receive(&self.topic, room, queue.patience());
            tokio::pin!(receiving);
            let received = tokio::select! {
                biased;
                received = &mut receiving => received,
                _ = &mut stopped => {
                    // Waiting messages are given back at once, not only when the request has ended.
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

    /// Starts a task that processes the message.
    fn start(&self, delivery: Delivery, working: mpsc::Sender<()>) {
        let shared = self.shared.clone();
        let entry = self.shared.in_flight.enter(delivery.receipt.clone());
        let (id, ticket) = (entry.id(), self.shared.admission.hold());
        let task = tokio::spawn(async move {
            // These are moved into the task, so that they are dropped however the task ends.
            let (entry, _working) = (entry, working);
            shared.work(&delivery, entry.id(), ticket).await;
        });
        self.shared.in_flight.can_be_aborted(id, task.abort_handle());
    }

    /// Waits until running calls have ended, for at most `shutdown_timeout`. Then gives back the messages of the
    /// others.
    async fn finish(&self, mut all_done: mpsc::Receiver<()>) {
        // Messages whose calls have not started are given back.
        self.shared.admission.close();
        if tokio::time::timeout(self.shutdown_timeout, all_done.recv()).await.is_ok() {
            return;
        }
        let receipts = self.shared.in_flight.abort_all();
        tracing::warn!(
            "{} calls did not end within {:?}; their messages are given back",
            receipts.len(),
            self.shutdown_timeout
        );
        // The aborted tasks stop at their next await. A guest is interrupted for this.
        let _ = tokio::time::timeout(Duration::from_secs(1), all_done.recv()).await;
        for receipt in receipts {
            if let Err(error) = self.shared.backend.queue().nack(&receipt, Duration::ZERO).await {
                tracing::warn!("a message comes back only when its lease runs out: {error}");
            }
        }
    }
}

impl WorkerState {
    async fn work(&self, delivery: &Delivery, id: Id, ticket: Ticket) {
        let received = Instant::now();
        let guard = tokio::select! {
            biased;
            guard = tokio::time::timeout(KEY_WAIT, self.running.lock(&delivery.body)) => guard,
            _ = self.shutdown.wait() => return self.nack(delivery, Duration::ZERO).await,
        };
        let Ok(_guard) = guard else {
            return self.nack(delivery, KEY_WAIT).await;
        };
        if self.admission.is_closed() {
            return self.nack(delivery, Duration::ZERO).await;
        }
        ticket.waited(received.elapsed());
        // Unwind safety: a panic drops the run, and the shared state is atomic, so no half-changed state is used again.
        if let Ok(result) = AssertUnwindSafe(self.step(delivery, id, &ticket)).catch_unwind().await {
            self.settle(delivery, result).await;
        } else {
            // The panic hook has printed the place. The message is not given back, so the panic counts as a delivery,
            // as an unknown error does.
            tracing::error!("a fault of this program, please report it: {} panicked", subject(delivery));
        }
    }

    async fn step(&self, delivery: &Delivery, id: Id, ticket: &Ticket) -> Result<Step> {
        let handler = self.handler.get();
        let log = RunLog::default();
        let metered = self.metrics.as_ref().map(|metrics| MeteredGate { inner: ticket, metrics });
        let site = Site {
            backend: &self.backend,
            handler: &*handler,
            limits: &self.limits,
            outcomes: &self.outcomes,
            gate: metered.as_ref().map_or(ticket as &dyn Gate, |metered| metered),
            log: &log,
            observer: self.observer.as_deref(),
            clock: &|| self.backend.now(),
        };
        let preempted = self.in_flight.runs(id, &delivery.body);
        tokio::select! {
            biased;
            result = step(&site, delivery, false) => result,
            // The run is dropped in the middle, which is safe because every transition can be repeated. The step that
            // follows for a call of an ended job needs no guest. It is boxed because it is rare and its future is
            // large.
            () = preempted.notified() => Box::pin(step(&site, delivery, ticket.has_started())).await,
        }
    }

    async fn settle(&self, delivery: &Delivery, result: Result<Step>) {
        if let Ok(step) = &result {
            self.backoff.reset();
            if let (Some(health), false) = (&self.health, matches!(step, Step::Nacked(_))) {
                health.settled();
            }
        }
        match result.into() {
            Disposition::Nothing => {}
            Disposition::ReportFailure(failure) => report(delivery, &failure),
            Disposition::ReportRetry { failure, attempt, after } => {
                // A call that is retried at once, thousands of times, must not fill a disk with logs.
                if after >= Duration::from_secs(1) || attempt <= 10 || attempt.is_power_of_two() {
                    tracing::warn!("{}: {failure}; attempt {attempt} in {after:.1?}", subject(delivery));
                }
            }
            Disposition::ReportAbandoned(state) => {
                tracing::debug!("{}: dropped, because the job is over ({})", subject(delivery), state.as_str());
            }
            Disposition::ReportDeadLetter(reason) => {
                let topic = &delivery.topic;
                if let Some(metrics) = &self.metrics {
                    metrics.dead_letter(topic);
                }
                tracing::error!(
                    "a message of topic {topic} is a dead letter now: {reason}; `brrr-host dlq list --topic {topic}` lists it"
                );
            }
            Disposition::Nack(error) => {
                let delay = self.backoff.failed(Instant::now());
                tracing::warn!("{}: {error}; trying again in {delay:?}", subject(delivery));
                self.nack(delivery, delay).await;
            }
            Disposition::LetLeaseRunOut(error) => {
                tracing::error!("{}: {error}; it comes back when its lease runs out", subject(delivery));
            }
            Disposition::Stop(error) => {
                self.stop(error);
                self.nack(delivery, Duration::ZERO).await;
            }
        }
    }

    async fn receive_failed(&self, error: Error, topic: &Topic) {
        if let Some(metrics) = &self.metrics {
            metrics.failed("receive", &error);
        }
        match Err(error).into() {
            Disposition::Stop(error) => self.stop(error),
            Disposition::Nack(error) | Disposition::LetLeaseRunOut(error) => {
                let delay = self.backoff.failed(Instant::now());
                tracing::warn!("receiving from topic {topic}: {error}; trying again in {delay:?}");
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = self.shutdown.wait() => {}
                }
            }
            // These come only from an `Ok`.
            Disposition::Nothing
            | Disposition::ReportFailure(_)
            | Disposition::ReportRetry { .. }
            | Disposition::ReportAbandoned(_)
            | Disposition::ReportDeadLetter(_) => {}
        }
    }

    fn stop(&self, error: Error) {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.shutdown.begin(StopReason::Failed);
    }

    async fn nack(&self, delivery: &Delivery, delay: Duration) {
        if let Err(error) = self.backend.queue().nack(&delivery.receipt, delay).await {
            // The message is delivered again when its lease runs out.
            tracing::debug!("could not give back {}: {error}", subject(delivery));
        }
    }
}

/// Logs a failed call in one line. The call in which the failure began has logged the cause, so a parent logs only its
/// own line.
fn report(delivery: &Delivery, failure: &Failure) {
    let hash = Message::decode(delivery.body.as_bytes()).map(|m| m.call.short().to_owned()).unwrap_or_default();
    if let [parent, _, ..] = failure.chain.as_slice() {
        tracing::warn!("failed: {hash} {parent}");
    } else {
        tracing::warn!("failed: {hash} {failure}");
    }
}

/// The subject of a message, for logs.
fn subject(delivery: &Delivery) -> String {
    match Message::decode(delivery.body.as_bytes()) {
        Ok(message) => format!("call {} of job {}", message.call.short(), message.job_id),
        Err(_) => format!("a message of topic {}", delivery.topic),
    }
}

/// The time by the clock of this machine. Jobs use `Store::now` instead.
pub use brrr_protocol::model::system_now as now;

#[cfg(test)]
mod tests;
