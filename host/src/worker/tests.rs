//! The loop around a handler that misbehaves, on the memory backend.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, Root};
use brrr_protocol::ports::{Ended, Receipt, Request};
use brrr_protocol::replay::Replay;

use super::*;

/// Panics in its first run; after that it ends when it is told to.
struct Fragile {
    runs: AtomicUsize,
    panics: bool,
    done: Semaphore,
}

impl Fragile {
    fn new(panics: bool, done: usize) -> Self {
        Self { runs: AtomicUsize::new(0), panics, done: Semaphore::new(done) }
    }
}

#[async_trait]
impl Handler for Fragile {
    fn component(&self, _: &str) -> Option<String> {
        Some("digest".to_owned())
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
    fn start(handler: Fragile, max_running: u32, drain: Duration) -> Self {
        let backend = brrr_backends::open("memory:?lease=200ms").expect("a backend");
        let (handler, shutdown) = (Arc::new(handler), Shutdown::default());
        let options = Options { max_running, drain, limits: Limits::default() };
        let worker = Worker::new(backend.clone(), handler.clone(), "t".into(), options, shutdown.clone());
        Self { backend, handler, shutdown, worker: tokio::spawn(worker.run()) }
    }

    async fn schedule(&self, name: &str) -> (Root, CallHash) {
        let (root, hash) = (Root::from(name), CallHash::from(name));
        let call = Call { hash: hash.clone(), task: "task".into(), payload: "".into(), topic: "t".into() };
        Client::new(self.backend.clone()).schedule(root.clone(), call, now()).await.expect("scheduled");
        (root, hash)
    }

    async fn free(&self) -> usize {
        self.backend.queue().receive(&"t".into(), 100, Duration::ZERO).await.expect("a queue").len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_delivery() {
    let it = Setup::start(Fragile::new(true, 10), 4, Duration::from_secs(1));
    let (root, hash) = it.schedule("a").await;
    let outcome = Client::new(it.backend.clone()).wait(&root, &hash).await.expect("an outcome");
    assert_eq!(outcome, Ok("1".into()));
    assert_eq!(it.handler.runs.load(Ordering::SeqCst), 2);
    it.shutdown.begin(Exit::Terminated);
    it.worker.await.expect("no panic").expect("no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_held_than_can_soon_be_run() {
    let mut it = Setup::start(Fragile::new(false, 0), 2, Duration::ZERO);
    for i in 0..20 {
        it.schedule(&format!("call {i}")).await;
    }
    // Longer than a lease: what is held stays held.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(it.handler.runs.load(Ordering::SeqCst), 2);
    assert_eq!(it.free().await, 20 - 3, "two that run and one more");
    it.shutdown.begin(Exit::Terminated);
    (&mut it.worker).await.expect("no panic").expect("no error");
    assert_eq!(it.free().await, 3, "given back at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_lease_is_lost_is_dropped() {
    let backend = brrr_backends::open("memory:").expect("a backend");
    let in_flight: Arc<InFlight> = Arc::default();
    // A receipt that the queue does not know is one whose message somebody else has by now.
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
