//! One worker with one guest, in this process, on the memory backend.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brrr_host::exit::Exit;
use brrr_host::wasm::{Engine, EngineOptions, Guest, Output, OutputLine, Overrides, RunLimits, WasmHandler};
use brrr_host::worker::{Options, Shutdown, Worker, now};
use brrr_protocol::client::Client;
use brrr_protocol::codec::{python, typescript};
use brrr_protocol::model::{Call, CallHash, Outcome, Root, Topic};
use brrr_protocol::ports::{Backend, NewJob, spawn_counter};
use brrr_protocol::step::Limits;
use serde_json::Value;
use tokio::task::JoinHandle;

/// A language, and how its guest was built.
pub struct Language {
    pub name: &'static str,
    component: &'static str,
    hash: fn(&str, &Value) -> String,
    payload: fn(&Value) -> Vec<u8>,
}

pub static LANGUAGES: &[Language] = &[
    Language {
        name: "rust",
        component: "rust/rust-conformance.wasm",
        hash: python::call_hash,
        payload: python::payload,
    },
    Language {
        name: "python",
        component: "python/conformance.wasm",
        hash: python::call_hash,
        payload: python::payload,
    },
    Language {
        name: "typescript",
        component: "typescript/conformance.wasm",
        hash: |task, kwargs| typescript::call_hash(task, std::slice::from_ref(kwargs)),
        payload: |kwargs| typescript::payload(std::slice::from_ref(kwargs)),
    },
];

/// Keeps what guests print.
#[derive(Default)]
struct Kept(Mutex<Vec<(String, String)>>);

impl Output for Kept {
    fn write(&self, line: OutputLine<'_>) {
        self.0.lock().unwrap().push((line.task.to_owned(), line.text.to_owned()));
    }
}

pub struct Fleet {
    pub language: &'static Language,
    backend: Arc<dyn Backend>,
    client: Client,
    printed: Arc<Kept>,
    worker: JoinHandle<brrr_protocol::Result<()>>,
    shutdown: Shutdown,
    jobs: AtomicU64,
}

impl Fleet {
    pub async fn start(language: &'static Language) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let component = root.join("build/guests").join(language.component);
        assert!(component.exists(), "{} is missing: run scripts/guests.sh {}", component.display(), language.name);
        // Shared by the tests: compiling Python takes long.
        let cache_dir = Some(root.join("build/cache"));
        let engine = Engine::new(&EngineOptions { max_running: 8, cache_dir }).unwrap();
        let guest = Guest::load(&engine, &component, &|_| {}).await.unwrap_or_else(|e| panic!("{e}"));
        let printed = Arc::new(Kept::default());
        // Long enough for Python on a busy machine, short enough to wait for a loop.
        let limits = RunLimits { wall: Duration::from_secs(10), ..RunLimits::default() };
        let handler = Arc::new(WasmHandler::new(vec![guest], limits, &Overrides::default(), printed.clone()).unwrap());

        let backend: Arc<dyn Backend> = Arc::new(brrr_backends::Memory::new());
        let shutdown = Shutdown::default();
        let limits = Limits { unknown_task_grace: Duration::from_millis(300), ..Limits::default() };
        let options = Options { max_running: 8, drain: Duration::from_secs(5), limits, observer: None };
        let worker = Worker::new(backend.clone(), handler, topic(), options, shutdown.clone());
        Self {
            language,
            client: Client::new(backend.clone()),
            backend,
            printed,
            worker: tokio::spawn(worker.run()),
            shutdown,
            jobs: AtomicU64::new(0),
        }
    }

    /// Makes a call as a job of its own and waits for its outcome.
    pub async fn call(&self, task: &str, kwargs: Value) -> Outcome {
        let call = Call {
            hash: (self.language.hash)(task, &kwargs).into(),
            task: task.into(),
            payload: (self.language.payload)(&kwargs).into(),
            topic: topic(),
            options: brrr_protocol::options::Options::default(),
        };
        let number = self.jobs.fetch_add(1, Ordering::Relaxed) + 1;
        let (root, hash) = (job(number), CallHash::clone(&call.hash));
        self.client.schedule(&NewJob::new(root.clone(), call), now()).await.unwrap();
        let waiting = self.client.wait(&root, &hash, now);
        let outcome = tokio::time::timeout(Duration::from_secs(120), waiting).await;
        outcome.unwrap_or_else(|_| panic!("{}: {task} has no outcome after 2 minutes", self.language.name)).unwrap()
    }

    /// Messages sent for the last job.
    pub async fn messages(&self) -> u64 {
        let root = job(self.jobs.load(Ordering::Relaxed));
        self.backend.cache().incr(&spawn_counter(&root), 0).await.unwrap()
    }

    /// The lines that a task printed.
    pub fn printed(&self, task: &str) -> Vec<String> {
        let lines = self.printed.0.lock().unwrap();
        lines.iter().filter(|(t, _)| t == task).map(|(_, text)| text.clone()).collect()
    }

    pub fn now(&self) -> u64 {
        now()
    }

    pub async fn stop(self) {
        self.shutdown.begin(Exit::Done);
        self.worker.await.unwrap().unwrap();
    }
}

fn topic() -> Topic {
    "conformance".into()
}

fn job(number: u64) -> Root {
    format!("job{number}").into()
}
