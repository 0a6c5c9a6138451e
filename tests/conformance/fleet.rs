//! Workers with the guest of one language, in this process, each fleet with its own memory backend.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, JobId, Outcome, Topic};
use brrr_protocol::options::Options as RunOptions;
use brrr_protocol::ports::{Backend, Handler, NewJob, message_counter};
use brrr_protocol::step::Limits;
use brrr_worker::topic_worker::StopReason;
use brrr_worker::topic_worker::{Admission, Shutdown, TopicWorker, WorkerOptions, now};
use brrr_worker::wasm::{
    Engine, EngineOptions, Guest, Output, OutputLine, Overrides, RunLimits, Stream, Touch, Touched, WasmHandler,
};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::languages::{ASYNCHRONOUS, LANGUAGES, Language, root};

/// How many runs may be in memory at once, over all tests.
const MAX_RUNNING: u32 = 16;

/// Longer than any step takes here on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
    // This cache is shared with other runs of the tests, because compiling Python takes long.
    let cache_dir = Some(root().join("build/cache"));
    Engine::new(&EngineOptions { max_running: MAX_RUNNING, cache_dir }).unwrap()
});

/// A loaded component, and what it prints.
pub struct Program {
    pub handler: Arc<WasmHandler>,
    printed: Arc<Kept>,
}

/// Keeps what guests print (call, stream, line), and what they access outside.
#[derive(Default)]
struct Kept(Mutex<Vec<(CallHash, Stream, String)>>, Mutex<Vec<(CallHash, Touch)>>);

impl Output for Kept {
    fn write(&self, line: OutputLine<'_>) {
        self.0.lock().unwrap().push((line.call.clone(), line.stream, line.text.to_owned()));
    }

    fn touched(&self, touched: Touched<'_>) {
        self.1.lock().unwrap().push((touched.call.clone(), touched.what));
    }
}

/// Loads a component. It is compiled unless an earlier test or run did this.
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
        // Long enough for Python on a busy machine. Short enough for a test that waits for the end of a loop.
        let limits = RunLimits { wall: Duration::from_secs(30), ..RunLimits::default() };
        // What the largest guest needs, and no more, because the guest must fill this memory before it is stopped.
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
    let language = LANGUAGES.iter().chain(&*ASYNCHRONOUS).find(|known| known.name == language);
    let language = language.expect("a row in languages.rs");
    if language.is_left_out() {
        eprintln!("left out by BRRR_LANGUAGE");
        return;
    }
    let fleet = Fleet::start(language).await;
    case(&fleet).await;
    fleet.stop().await;
}

impl Fleet {
    /// A new fleet: one worker on the topic of the tests, with the language's conformance guest.
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
        let options = WorkerOptions {
            admission: Admission::new(8, false),
            shutdown_timeout: Duration::from_secs(5),
            limits,
            observer: None,
        };
        let worker = TopicWorker::new(self.backend.clone(), handler, topic.into(), options, self.shutdown.clone());
        self.workers.lock().unwrap().push(tokio::spawn(worker.run()));
    }

    pub async fn stop(self) {
        self.shutdown.begin(StopReason::Requested);
        let workers = self.workers.into_inner().unwrap();
        for worker in workers {
            worker.await.unwrap().unwrap();
        }
    }

    /// Makes a call in a new job and waits for its outcome.
    pub async fn call(&self, task: &str, kwargs: Value) -> Outcome {
        let (job_id, hash) = self.schedule(task, kwargs).await;
        self.wait(&job_id, &hash).await
    }

    /// The value of a call as JSON. The call must succeed.
    pub async fn value(&self, task: &str, kwargs: Value) -> Value {
        json(self.call(task, kwargs).await)
    }

    /// A call with a payload that the codec did not make.
    pub async fn call_raw(&self, task: &str, payload: &[u8]) -> Outcome {
        let (job_id, hash) =
            self.begin(task, payload.to_vec(), CallHash::derive(task, payload), RunOptions::default()).await;
        self.wait(&job_id, &hash).await
    }

    pub async fn schedule(&self, task: &str, kwargs: Value) -> (JobId, CallHash) {
        let payload = (self.language.codec.payload)(&kwargs);
        self.begin(task, payload, self.hash(task, &kwargs), RunOptions::default()).await
    }

    /// As `call`, but the job's calls run with these options.
    pub async fn call_with(&self, task: &str, kwargs: Value, options: RunOptions) -> Outcome {
        let payload = (self.language.codec.payload)(&kwargs);
        let (job_id, hash) = self.begin(task, payload, self.hash(task, &kwargs), options).await;
        self.wait(&job_id, &hash).await
    }

    /// The hash that the language's SDK gives a call.
    pub fn hash(&self, task: &str, kwargs: &Value) -> CallHash {
        (self.language.codec.hash)(task, kwargs).into()
    }

    /// As `schedule`, but no other job shares the outcome of the call.
    pub async fn schedule_alone(&self, task: &str, kwargs: Value) -> (JobId, CallHash) {
        let payload = (self.language.codec.payload)(&kwargs);
        let hash = format!("alone{}", self.jobs.load(Ordering::Relaxed)).into();
        self.begin(task, payload, hash, RunOptions::default()).await
    }

    async fn begin(&self, task: &str, payload: Vec<u8>, hash: CallHash, options: RunOptions) -> (JobId, CallHash) {
        let call = Call {
            hash: hash.clone(),
            task: task.into(),
            payload: payload.into(),
            topic: topic(),
            options: RunOptions::default(),
        };
        let job_id = job(self.jobs.fetch_add(1, Ordering::Relaxed) + 1);
        let job = NewJob { options, ..NewJob::new(job_id.clone(), call) };
        self.client.schedule(&job, now()).await.unwrap();
        (job_id, hash)
    }

    pub async fn wait(&self, job_id: &JobId, hash: &CallHash) -> Outcome {
        let outcome = tokio::time::timeout(PATIENCE, self.client.wait(job_id, hash, now)).await;
        outcome.unwrap_or_else(|_| panic!("{job_id} has no outcome after {PATIENCE:?}")).unwrap()
    }

    /// How many messages were sent for the last job.
    pub async fn messages(&self) -> u64 {
        let job_id = job(self.jobs.load(Ordering::Relaxed));
        self.backend.counters().incr(&message_counter(&job_id), 0).await.unwrap()
    }

    /// What a call accessed outside of the guest, over all its runs.
    pub fn touched(&self, call: &CallHash) -> Vec<Touch> {
        let touched = self.program.printed.1.lock().unwrap();
        touched.iter().filter(|(by, _)| by == call).map(|(_, what)| *what).collect()
    }

    /// The lines that a call printed.
    pub fn printed(&self, call: &CallHash) -> Vec<(Stream, String)> {
        let lines = self.program.printed.0.lock().unwrap();
        lines.iter().filter(|(by, ..)| by == call).map(|(_, stream, text)| (*stream, text.clone())).collect()
    }
}

/// Waits until the condition is true.
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

fn job(number: u64) -> JobId {
    format!("job{number}").into()
}
