//! Trees and fan-outs with a worker in this process.

use std::path::Path;
use std::sync::Arc;

use brrr_protocol::client::Client;
use brrr_protocol::codec::python;
use brrr_protocol::model::{Call, JobId};
use brrr_protocol::ports::{Backend, Ended, Handler, Loaded, NewJob, Request, Work};
use brrr_protocol::replay::Replay;
use brrr_protocol::step::Limits;
use brrr_protocol::wire::Message;
use brrr_worker::topic_worker::{Admission, Shutdown, TopicWorker, WorkerOptions, now};
use brrr_worker::wasm::{Engine, EngineOptions, Guest, Output, OutputLine, Overrides, RunLimits, WasmHandler};
use serde_json::{Value, json};

use crate::measure::{Cost, cost, median, report};

/// Runs of each figure. The median is printed.
const RUNS: usize = 5;

/// How many handlers run at once.
pub const RUNNING: u32 = 16;

/// The topic of all calls.
pub const TOPIC: &str = "bench";

/// Discards the output of guests.
pub struct Quiet;

impl Output for Quiet {
    fn write(&self, _: OutputLine<'_>) {}
}

async fn handler(guest: &Path) -> WasmHandler {
    let options = EngineOptions { max_running: RUNNING, ..EngineOptions::default() };
    let engine = Engine::new(&options).expect("an engine");
    let guest = Guest::load(&engine, guest, &|_| {}).await.expect("the Rust guest");
    WasmHandler::new(vec![guest], RunLimits::default(), &Overrides::default(), Arc::new(Quiet)).expect("one component")
}

fn call(task: &str, kwargs: &Value) -> Call {
    Call {
        hash: python::call_hash(task, kwargs).into(),
        task: task.into(),
        payload: python::payload(kwargs).into(),
        topic: TOPIC.into(),
        options: brrr_protocol::options::Options::default(),
    }
}

/// The floor: a new instance of a guest that makes no calls, without any backend.
pub async fn floor(guest: &Path) {
    const CALLS: u64 = 20_000;
    let handler = handler(guest).await;
    let backend: Arc<dyn Backend> = Arc::new(brrr_backends::Memory::new());
    let call = call("noop", &json!({}));
    let message = Message { job_id: "r".into(), call: call.hash.clone() };
    let work = Work { message, topic: call.topic.clone(), receipt: None, ends_job: false, now: 1, log: None };
    let request = Request {
        task: call.task,
        payload: call.payload,
        call: call.hash,
        job_id: "r".into(),
        topic: call.topic,
        attempt: 1,
        deadline: 0,
        timeout: None,
        memory: None,
    };
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        costs.push(
            cost(async {
                for _ in 0..CALLS {
                    let replay = Replay::new(backend.clone(), &work, &Loaded::default(), now());
                    let (ended, _) = handler.run(request.clone(), replay).await.expect("a run");
                    assert!(matches!(ended, Ended::Completed(_)), "{ended:?}");
                }
            })
            .await,
        );
    }
    report("floor: instantiate + call, one thread", CALLS, median(costs));
}

/// A job to be measured.
pub struct Job {
    pub what: &'static str,
    pub task: &'static str,
    /// The arguments without a salt.
    arguments: fn() -> Value,
    /// The number of all calls of the job.
    pub calls: u64,
}

pub const FIB: Job = Job { what: "salted fib(16)", task: "fib", arguments: || json!({"n": 16}), calls: 3_193 };
pub const FAN: Job = Job { what: "fan-out of 1,000", task: "fan_out", arguments: || json!({"n": 1_000}), calls: 1_001 };
const SMALL_FAN: Job = Job { what: "fan-out of 100", task: "fan_out", arguments: || json!({"n": 100}), calls: 101 };
const SEQUENCE: Job =
    Job { what: "100 children one after the other", task: "sequential", arguments: || json!({"n": 100}), calls: 101 };

/// Measures trees, fan-outs and a sequence on one backend. Each job goes through a worker and a client.
pub async fn trees(guest: &Path, name: &str) {
    measure(guest, name, &[FIB, SMALL_FAN, FAN, SEQUENCE], RUNS, async || open(name)).await;
}

/// Measures each of `jobs` `runs` times. Each run has a backend without values of earlier runs.
pub async fn measure<B: Opened>(guest: &Path, name: &str, jobs: &[Job], runs: usize, open: impl AsyncFn() -> B) {
    let handler: Arc<dyn Handler> = Arc::new(handler(guest).await);
    for Job { what, task, arguments, calls } in jobs {
        let (calls, mut costs) = (*calls, Vec::<Cost>::new());
        for run in 0..runs {
            let opened = open().await;
            let (backend, mut arguments) = (opened.backend(), arguments());
            let (worker, shutdown) = start(&backend, &handler, RUNNING);
            if *task == "fib" {
                arguments["salt"] = json!(format!("s{run}"));
            }
            let client = Client::new(backend.clone());
            let (job_id, call) = (JobId::from("r"), call(task, &arguments));
            costs.push(
                cost(async {
                    client.schedule(&NewJob::new(job_id.clone(), call.clone()), now()).await.expect("accepted");
                    client.wait(&job_id, &call.hash, now).await.expect("an outcome").expect("a value");
                })
                .await,
            );
            shutdown.begin(brrr_worker::topic_worker::StopReason::Requested);
            worker.await.expect("no panic").expect("a clean end");
        }
        report(&format!("{name}: {what}"), calls, median(costs));
    }
}

/// A backend, and what must live as long as the backend.
pub trait Opened {
    fn backend(&self) -> Arc<dyn Backend>;
}

impl Opened for Arc<dyn Backend> {
    fn backend(&self) -> Arc<dyn Backend> {
        self.clone()
    }
}

impl Opened for (Arc<dyn Backend>, tempfile::TempDir) {
    fn backend(&self) -> Arc<dyn Backend> {
        self.0.clone()
    }
}

pub fn open(name: &str) -> (Arc<dyn Backend>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let backend: Arc<dyn Backend> = match name {
        "memory" => Arc::new(brrr_backends::Memory::new()),
        _ => Arc::new(brrr_backends::Sqlite::open(folder.path().join("state.db")).expect("a new database")),
    };
    (backend, folder)
}

pub fn start(
    backend: &Arc<dyn Backend>,
    handler: &Arc<dyn Handler>,
    running: u32,
) -> (tokio::task::JoinHandle<brrr_protocol::Result<()>>, Shutdown) {
    let shutdown = Shutdown::default();
    let (limits, shutdown_timeout) = (Limits::default(), std::time::Duration::from_secs(5));
    let admission = Admission::new(running, backend.is_remote());
    let options = WorkerOptions { admission, shutdown_timeout, limits, observer: None };
    let worker = TopicWorker::new(backend.clone(), handler.clone(), TOPIC.into(), options, shutdown.clone());
    (tokio::spawn(worker.run()), shutdown)
}
