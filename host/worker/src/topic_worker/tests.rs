//! Tests of the worker's loop with a handler that misbehaves, on the memory backend.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, NewJob, Receipt, Request, Task};
use brrr_protocol::replay::Replay;

use super::*;
use tokio::sync::Semaphore;

/// A handler that panics in its first run, and afterwards ends when the test says so.
struct Fragile {
    runs: AtomicUsize,
    panics: bool,
    done: Semaphore,
    task: Arc<Task>,
}

impl Fragile {
    fn new(panics: bool, done: usize) -> Self {
        let task = Arc::new(Task::new("digest", Options::default()));
        Self { runs: AtomicUsize::new(0), panics, done: Semaphore::new(done), task }
    }
}

#[async_trait]
impl Handler for Fragile {
    fn task(&self, _: &str) -> Option<Arc<Task>> {
        Some(self.task.clone())
    }

    async fn run(&self, _: Request, replay: Replay) -> Result<(Ended, Replay)> {
        let first = self.runs.fetch_add(1, Ordering::SeqCst) == 0;
        assert!(!(first && self.panics), "as a fault of this program would");
        let _done = self.done.acquire().await;
        Ok((Ended::Completed("1".into()), replay))
    }
}

struct Setup {
    backend: Arc<dyn Backend>,
    handler: Arc<Fragile>,
    shutdown: Shutdown,
    worker: tokio::task::JoinHandle<Result<()>>,
}

impl Setup {
    async fn start(handler: Fragile, max_running: u32, shutdown_timeout: Duration) -> Self {
        let backend = brrr_backends::open("memory:?lease=200ms").await.expect("a backend");
        let (handler, shutdown) = (Arc::new(handler), Shutdown::default());
        let admission = Admission::new(max_running, false);
        let options = super::WorkerOptions { admission, shutdown_timeout, limits: Limits::default(), observer: None };
        let worker = TopicWorker::new(backend.clone(), handler.clone(), "t".into(), options, shutdown.clone());
        Self { backend, handler, shutdown, worker: tokio::spawn(worker.run()) }
    }

    async fn schedule(&self, name: &str) -> (JobId, CallHash) {
        let (job_id, hash) = (JobId::from(name), CallHash::from(name));
        let options = Options::default();
        let call = Call { hash: hash.clone(), task: "task".into(), payload: "".into(), topic: "t".into(), options };
        let job = NewJob::new(job_id.clone(), call);
        Client::new(self.backend.clone()).schedule(&job, now()).await.expect("scheduled");
        (job_id, hash)
    }

    async fn free(&self) -> usize {
        self.backend.queue().receive(&"t".into(), 100, Duration::ZERO).await.expect("a queue").len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_delivery() {
    let it = Setup::start(Fragile::new(true, 10), 4, Duration::from_secs(1)).await;
    let (job_id, hash) = it.schedule("a").await;
    let outcome = Client::new(it.backend.clone()).wait(&job_id, &hash, now).await.expect("an outcome");
    assert_eq!(outcome, Ok("1".into()));
    assert_eq!(it.handler.runs.load(Ordering::SeqCst), 2);
    it.shutdown.begin(StopReason::Requested);
    it.worker.await.expect("no panic").expect("no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_messages_are_held_than_can_run_soon() {
    let mut it = Setup::start(Fragile::new(false, 0), 2, Duration::ZERO).await;
    for i in 0..20 {
        it.schedule(&format!("call {i}")).await;
    }
    // This is longer than a lease, and the message must stay held.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(it.handler.runs.load(Ordering::SeqCst), 2);
    assert_eq!(it.free().await, 20 - 2, "only those that run");
    it.shutdown.begin(StopReason::Requested);
    (&mut it.worker).await.expect("no panic").expect("no error");
    assert_eq!(it.free().await, 2, "nacked at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_job_is_over_is_stopped_and_leaves_nothing() {
    let mut it = Setup::start(Fragile::new(false, 0), 2, Duration::from_secs(1)).await;
    let (job_id, hash) = it.schedule("a").await;
    let client = Client::new(it.backend.clone());
    while it.handler.runs.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    client.cancel(&job_id, now()).await.expect("cancelled");
    let failure = client.wait(&job_id, &hash, now).await.expect("an outcome").expect_err("no value");
    assert_eq!(failure.kind, brrr_protocol::model::FailureKind::Cancelled);
    while it.backend.queue().depth(&"t".into()).await.expect("a queue") > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    it.shutdown.begin(StopReason::Requested);
    (&mut it.worker).await.expect("no panic").expect("no error");
    assert_eq!(it.handler.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lease_is_lost_is_dropped() {
    let backend = brrr_backends::open("memory:").await.expect("a backend");
    let in_flight: Arc<InFlight> = Arc::default();
    // A receipt that the queue does not know: another worker has its message by now.
    let entry = in_flight.enter(Receipt("lost".to_owned()));
    let id = entry.id();
    let run = tokio::spawn(async move {
        let _entry = entry;
        std::future::pending::<()>().await;
    });
    in_flight.can_be_aborted(id, run.abort_handle());
    let _leases = Leases::start(backend, in_flight.clone(), Duration::from_millis(90)).expect("a thread");
    let ended = tokio::time::timeout(Duration::from_secs(10), run).await.expect("soon");
    assert!(ended.expect_err("dropped").is_cancelled());
    assert!(in_flight.receipts().is_empty());
}
