//! Workers with one language's guest, in this process, on a memory backend of their own.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use brrr_host::exit::Exit;
use brrr_host::wasm::{Engine, EngineOptions, Guest, Output, OutputLine, Overrides, RunLimits, Stream, WasmHandler};
use brrr_host::worker::{Options, Shutdown, Worker, now};
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, Outcome, Root, Topic};
use brrr_protocol::options::Options as RunOptions;
use brrr_protocol::ports::{Backend, Handler, NewJob, spawn_counter};
use brrr_protocol::step::Limits;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::languages::{LANGUAGES, Language, root};

/// Runs that are in memory at once, over all tests.
const MAX_RUNNING: u32 = 16;

/// Longer than any step here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
    // Shared with other runs of the tests: compiling Python takes long.
    let cache_dir = Some(root().join("build/cache"));
    Engine::new(&EngineOptions { max_running: MAX_RUNNING, cache_dir }).unwrap()
});

/// A component that is loaded, and what it prints.
pub struct Program {
    pub handler: Arc<WasmHandler>,
    printed: Arc<Kept>,
}

/// Keeps what guests print: the call, the stream, the line.
#[derive(Default)]
struct Kept(Mutex<Vec<(CallHash, Stream, String)>>);

impl Output for Kept {
    fn write(&self, line: OutputLine<'_>) {
        self.0.lock().unwrap().push((line.call.clone(), line.stream, line.text.to_owned()));
    }
}

/// Loads a component; it is compiled unless an earlier test or run did so.
pub async fn load(component: &Path) -> Guest {
    assert!(component.exists(), "{} is missing: run scripts/guests.sh", component.display());
    Guest::load(&ENGINE, component, &|_| {}).await.unwrap_or_else(|error| panic!("{error}"))
}

impl Program {
    pub async fn load(component: &Path) -> Self {
        Self::of(vec![load(component).await])
    }

    pub fn of(guests: Vec<Guest>) -> Self {
        let printed = Arc::new(Kept::default());
        // Long enough for Python on a busy machine, short enough to wait for a loop.
        let limits = RunLimits { wall: Duration::from_secs(30), ..RunLimits::default() };
        // What the largest guest needs, and no more: so much has to be filled before it is stopped.
        let grows = RunOptions { memory: Some(96 << 20), ..RunOptions::default() };
        let overrides = Overrides::from([("grows".to_owned(), grows)]);
        let handler = Arc::new(WasmHandler::new(guests, limits, &overrides, printed.clone()).unwrap());
        Self { handler, printed }
    }
}

pub struct Fleet {
    pub language: &'static Language,
    pub backend: Arc<dyn Backend>,
    pub client: Client,
    pub program: &'static Program,
    workers: Mutex<Vec<JoinHandle<brrr_protocol::Result<()>>>>,
    shutdown: Shutdown,
    jobs: AtomicU64,
}

/// Runs a case on a fleet of a language.
pub async fn with(language: &str, case: impl AsyncFn(&Fleet)) {
    let language = LANGUAGES.iter().find(|known| known.name == language).expect("a row in languages.rs");
    if language.is_left_out() {
        eprintln!("left out by BRRR_LANGUAGE");
        return;
    }
    let fleet = Fleet::start(language).await;
    case(&fleet).await;
    fleet.stop().await;
}

impl Fleet {
    /// A new fleet: one worker, on the topic of the tests, with the language's conformance guest.
    pub async fn start(language: &'static Language) -> Self {
        let component = language.component(language.conformance);
        let program = language.program.get_or_init(async || Program::load(&component).await).await;
        let fleet = Self::of(language, program);
        fleet.serve(topic(), program.handler.clone());
        fleet
    }

    /// A fleet without workers.
    pub fn of(language: &'static Language, program: &'static Program) -> Self {
        let backend: Arc<dyn Backend> = Arc::new(brrr_backends::Memory::new());
        Self {
            language,
            client: Client::new(backend.clone()),
            backend,
            program,
            workers: Mutex::default(),
            shutdown: Shutdown::default(),
            jobs: AtomicU64::new(0),
        }
    }

    /// Adds a worker on a topic.
    pub fn serve(&self, topic: impl Into<Topic>, handler: Arc<dyn Handler>) {
        let limits = Limits { unknown_task_grace: Duration::from_millis(300), ..Limits::default() };
        let options = Options { max_running: 8, drain: Duration::from_secs(5), limits, observer: None };
        let worker = Worker::new(self.backend.clone(), handler, topic.into(), options, self.shutdown.clone());
        self.workers.lock().unwrap().push(tokio::spawn(worker.run()));
    }

    pub async fn stop(self) {
        self.shutdown.begin(Exit::Done);
        let workers = self.workers.into_inner().unwrap();
        for worker in workers {
            worker.await.unwrap().unwrap();
        }
    }

    /// Makes a call as a job of its own and waits for its outcome.
    pub async fn call(&self, task: &str, kwargs: Value) -> Outcome {
        let (root, hash) = self.schedule(task, kwargs).await;
        self.wait(&root, &hash).await
    }

    /// The value of a call that must have one, as JSON.
    pub async fn value(&self, task: &str, kwargs: Value) -> Value {
        json(self.call(task, kwargs).await)
    }

    /// A call with a payload that is not the codec's.
    pub async fn call_raw(&self, task: &str, payload: &[u8]) -> Outcome {
        let (root, hash) = self.begin(task, payload.to_vec(), CallHash::derive(task, payload)).await;
        self.wait(&root, &hash).await
    }

    pub async fn schedule(&self, task: &str, kwargs: Value) -> (Root, CallHash) {
        self.begin(task, (self.language.codec.payload)(&kwargs), self.hash(task, &kwargs)).await
    }

    /// The hash that the language's SDK gives a call.
    pub fn hash(&self, task: &str, kwargs: &Value) -> CallHash {
        (self.language.codec.hash)(task, kwargs).into()
    }

    async fn begin(&self, task: &str, payload: Vec<u8>, hash: CallHash) -> (Root, CallHash) {
        let call = Call {
            hash: hash.clone(),
            task: task.into(),
            payload: payload.into(),
            topic: topic(),
            options: RunOptions::default(),
        };
        (self.submit(call).await, hash)
    }

    /// Makes a call with options of its own as a job, and waits for its outcome.
    pub async fn outcome_of(&self, call: Call) -> Outcome {
        let hash = call.hash.clone();
        let root = self.submit(call).await;
        self.wait(&root, &hash).await
    }

    async fn submit(&self, call: Call) -> Root {
        let root = job(self.jobs.fetch_add(1, Ordering::Relaxed) + 1);
        self.client.schedule(&NewJob::new(root.clone(), call), now()).await.unwrap();
        root
    }

    pub async fn wait(&self, root: &Root, hash: &CallHash) -> Outcome {
        let outcome = tokio::time::timeout(PATIENCE, self.client.wait(root, hash, now)).await;
        outcome.unwrap_or_else(|_| panic!("{root} has no outcome after {PATIENCE:?}")).unwrap()
    }

    /// Messages sent for the last job.
    pub async fn messages(&self) -> u64 {
        let root = job(self.jobs.load(Ordering::Relaxed));
        self.backend.cache().incr(&spawn_counter(&root), 0).await.unwrap()
    }

    /// The lines that a call printed.
    pub fn printed(&self, call: &CallHash) -> Vec<(Stream, String)> {
        let lines = self.program.printed.0.lock().unwrap();
        lines.iter().filter(|(by, ..)| by == call).map(|(_, stream, text)| (*stream, text.clone())).collect()
    }
}

/// Waits until it is so.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("not so after {PATIENCE:?}: {what}"));
}

pub fn json(outcome: Outcome) -> Value {
    let value = outcome.unwrap_or_else(|failure| panic!("failed: {failure}\n{}", failure.chain.join("\n")));
    serde_json::from_slice(&value).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&value)))
}

pub fn topic() -> Topic {
    "conformance".into()
}

fn job(number: u64) -> Root {
    format!("job{number}").into()
}
