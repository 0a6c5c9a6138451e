//! Code that the tests share: an engine, a handler for fixtures, and the lines that were printed.

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use brrr_backends::memory::Memory;
use brrr_protocol::model::{CallHash, Failure, Millis, Outcome};
use brrr_protocol::ports::{Backend, Ended, Handler as _, Loaded, Request, Work};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::Replay;
use brrr_protocol::wire::Message;
use brrr_worker::wasm::{
    Engine, EngineOptions, Guest, LoadError, Output, OutputLine, Overrides, RunLimits, Stream, WasmHandler,
};
use bytes::Bytes;

use crate::fixture::Fixture;

/// One engine for all tests, because each engine reserves terabytes of addresses. Its cache stays after the tests,
/// because an unoptimised compiler needs minutes for the SDKs' guests.
pub static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
    let cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
    Engine::new(&EngineOptions { max_running: 8, cache_dir: Some(cache_dir) }).unwrap()
});

/// 2020-09-13 12:26:40 UTC.
pub const FIRST_RUN: u64 = 1_600_000_000_000;

#[derive(Default)]
pub struct Lines(Mutex<Vec<String>>);

impl Lines {
    /// The lines since the last `take`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Output for Lines {
    fn write(&self, line: OutputLine<'_>) {
        let stream = match line.stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
            Stream::Log(_) => "log",
        };
        self.0.lock().unwrap().push(format!("{stream} {}", line.text));
    }
}

pub struct Rig {
    pub handler: WasmHandler,
    pub lines: Arc<Lines>,
    pub backend: Arc<dyn Backend>,
}

/// A call of the task `task`, in the state that an earlier run left.
pub struct Run<'a> {
    pub task: &'a str,
    pub payload: &'a [u8],
    pub call: &'a str,
    pub before: Option<RunRecord>,
    pub outcomes: Vec<Option<Outcome>>,
}

impl Rig {
    pub async fn new(fixture: &Fixture<'_>, limits: RunLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let guest = load(&fixture.write(folder.path())).await.unwrap();
        Self::of(vec![guest], limits)
    }

    pub fn of(guests: Vec<Guest>, limits: RunLimits) -> Self {
        let lines = Arc::new(Lines::default());
        let handler = WasmHandler::new(guests, limits, &Overrides::default(), lines.clone()).unwrap();
        Self { handler, lines, backend: Arc::new(Memory::new()) }
    }

    /// With another output.
    pub fn with_output(guests: Vec<Guest>, output: Arc<dyn Output>) -> Self {
        let handler = WasmHandler::new(guests, RunLimits::default(), &Overrides::default(), output).unwrap();
        Self { handler, lines: Arc::default(), backend: Arc::new(Memory::new()) }
    }

    pub async fn run(&self, task: &str, payload: &[u8]) -> Ended {
        self.run_after(Run { task, payload, call: "call", before: None, outcomes: Vec::new() }).await.unwrap().0
    }

    pub async fn value(&self, task: &str, payload: &[u8]) -> Bytes {
        match self.run(task, payload).await {
            Ended::Completed(value) => value,
            other => panic!("{other:?}"),
        }
    }

    pub async fn failure(&self, task: &str, payload: &[u8]) -> Failure {
        match self.run(task, payload).await {
            Ended::Failed { failure, .. } => failure,
            other => panic!("{other:?}"),
        }
    }

    /// Runs the call to its end. Each time that it sleeps, it runs again when the time has come, which takes no real time. Also
    /// returns the number of runs.
    pub async fn value_with_sleeps(&self, task: &str, payload: &[u8], call: &str) -> (Bytes, usize) {
        let (mut before, mut now) = (None, FIRST_RUN);
        for runs in 1.. {
            let run = Run { task, payload, call, before, outcomes: Vec::new() };
            match self.run_at(now, run).await.unwrap() {
                (Ended::Completed(value), _) => return (value, runs),
                (Ended::Suspended, replay) => {
                    let wait = replay.wait().expect("it waits");
                    assert!(wait.until > now && wait.calls.is_empty(), "{wait:?}");
                    (before, now) = (Some(replay.record(wait, String::new())), wait.until);
                }
                (other, _) => panic!("{other:?}"),
            }
        }
        unreachable!()
    }

    pub async fn run_after(&self, run: Run<'_>) -> brrr_protocol::Result<(Ended, Replay)> {
        self.run_at(FIRST_RUN, run).await
    }

    /// As `run_after`, by a worker whose clock shows `now`.
    pub async fn run_at(&self, now: Millis, run: Run<'_>) -> brrr_protocol::Result<(Ended, Replay)> {
        let call = CallHash::from(run.call);
        let message = Message { job_id: "job".into(), call: call.clone() };
        let work = Work { message, topic: "topic".into(), receipt: None, ends_job: false, now: 1, log: None };
        let loaded = Loaded { run: run.before, sample: run.outcomes, ..Loaded::default() };
        let replay = Replay::new(self.backend.clone(), &work, &loaded, now);
        let options = self.handler.task(run.task).map(|task| task.options.clone()).unwrap_or_default();
        let request = Request {
            task: run.task.to_owned(),
            payload: Bytes::copy_from_slice(run.payload),
            call,
            job_id: "job".into(),
            topic: "topic".into(),
            attempt: 1,
            deadline: 0,
            timeout: options.timeout,
            memory: options.memory,
        };
        self.handler.run(request, replay).await
    }
}

pub async fn load(path: &Path) -> Result<Guest, LoadError> {
    Guest::load(&ENGINE, path, &|_| {}).await
}
