//! The runs of one call. An outcome becomes visible to the runs when the explorer says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use brrr_backends::Memory;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId, Millis, Outcome};
use brrr_protocol::multi_step::MultiStepBackend;
use brrr_protocol::options::Options;
use brrr_protocol::ports::{BackendParts, Counters, Ended, Handler as _, Loaded, Queue, Request, Store, Task, Work};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::{Replay, Wait, Want};
use brrr_protocol::wire::Message;
use brrr_protocol::{Error, Result};
use brrr_worker::wasm::{LogLevel, Output, OutputLine, Probe, Stream, Touch, Touched, WasmHandler};

use super::trace::{Poll, Trace};

/// A warning that begins with this is a finding of the SDK about the handler: see guests/CONFORMANCE.md.
const SDK: &str = "brrr: ";

/// The lines that guests print and the resources that they use, kept until they are read.
#[derive(Debug, Default)]
pub struct Lines {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    lines: Vec<String>,
    findings: Vec<String>,
    touched: Vec<Touch>,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut self.lock())
    }
}

impl Output for Lines {
    fn write(&self, line: OutputLine<'_>) {
        let finding = Some(line.text).filter(|_| line.stream == Stream::Log(LogLevel::Warn));
        match finding.and_then(|text| text.strip_prefix(SDK)) {
            Some(finding) => self.lock().findings.push(finding.to_owned()),
            None => self.lock().lines.push(line.text.to_owned()),
        }
    }

    fn touched(&self, touched: Touched<'_>) {
        self.lock().touched.push(touched.what);
    }
}

/// Runs calls, one at a time.
pub struct Runner {
    handler: WasmHandler,
    lines: Arc<Lines>,
    /// The time limit of one run, unless its task sets a shorter time.
    timeout: Duration,
}

/// The result of one run.
#[derive(Debug)]
pub struct Ran {
    pub end: RunEnd,
    pub trace: Trace,
    /// The lines that this run printed and no earlier run had printed.
    pub lines: Vec<String>,
    /// What the SDK has found to be wrong with the handler.
    pub findings: Vec<String>,
    pub touched: Vec<Touch>,
    pub took: Duration,
    pub memory: usize,
    pub asked_time_left: bool,
    /// The record that the next run gets.
    record: RunRecord,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    Ended(Outcome),
    /// The run failed, and the call is to be retried.
    TryAgain(Failure),
    Waits(Wait),
}

impl Ran {
    /// Did the run use up its time?
    pub fn is_out_of_time(&self) -> bool {
        let (RunEnd::TryAgain(failure) | RunEnd::Ended(Err(failure))) = &self.end else { return false };
        failure.kind == FailureKind::Timeout
    }
}

impl Runner {
    pub fn new(handler: WasmHandler, lines: Arc<Lines>, timeout: Duration) -> Self {
        Self { handler, lines, timeout }
    }

    pub fn handler(&self) -> &WasmHandler {
        &self.handler
    }

    pub fn task(&self, name: &str) -> Option<Arc<Task>> {
        self.handler.task(name)
    }

    pub fn is_leaf(&self, name: &str) -> bool {
        self.handler.tasks().any(|task| task.name == name && task.leaf)
    }

    /// Runs a call once more from its beginning. `Life::go_on` then applies the result.
    ///
    /// # Errors
    /// When the cause is not the call itself.
    pub async fn run(&self, life: &Life, time_left: Option<Duration>) -> Result<Ran> {
        let options = self.task(&life.call.task).map(|task| task.options.clone()).unwrap_or_default();
        // As in a job: the call's own options override the task's options.
        let options = life.call.options.over(&options);
        let attempt = life.record.as_ref().map_or(1, |run| run.attempt.max(1));
        let request = Request {
            task: life.call.task.clone(),
            payload: life.call.payload.clone(),
            call: life.call.hash.clone(),
            job_id: life.job_id.clone(),
            topic: life.call.topic.clone(),
            attempt,
            deadline: 0,
            timeout: Some(options.timeout.unwrap_or(self.timeout).min(self.timeout)),
            memory: options.memory,
        };
        let message = Message { job_id: life.job_id.clone(), call: life.call.hash.clone() };
        let work =
            Work { message, topic: life.call.topic.clone(), receipt: None, ends_job: false, now: life.now, log: None };
        // A new attempt has a new clock.
        let began = life.now + u64::from(attempt - 1) * 1000;
        let replay = Replay::new(life.known.clone(), &work, &life.loaded(), began).with_scopes(self.handler.scopes());
        let probe = Arc::new(Probe::with_time_left(time_left));
        self.lines.take();
        let start = Instant::now();
        let (ended, replay) = self.handler.run_watched(request, replay, Some(probe.clone())).await?;
        let took = start.elapsed();
        let Seen { lines, findings, touched } = self.lines.take();
        let (end, record) = settle(life, ended, &replay, attempt, &options)?;
        let poll = |(calls, want, is_peek): (&[CallHash], Want, bool)| Poll { calls: calls.to_vec(), want, is_peek };
        Ok(Ran {
            end,
            trace: replay.polls().map(poll).collect(),
            lines,
            findings,
            touched,
            took,
            memory: probe.peak_memory(),
            asked_time_left: probe.asked_time_left(),
            record,
        })
    }
}

/// Does what a worker would do after the run.
fn settle(life: &Life, ended: Ended, replay: &Replay, attempt: u32, options: &Options) -> Result<(RunEnd, RunRecord)> {
    let task = &life.call.task;
    match ended {
        Ended::Completed(value) => Ok((RunEnd::Ended(Ok(value)), RunRecord::default())),
        Ended::Failed { mut failure, retryable } => {
            failure.attempts = attempt;
            if retryable && attempt <= options.max_retries.unwrap_or(0) {
                let record = replay.next_attempt(String::new(), 0, failure.to_string());
                return Ok((RunEnd::TryAgain(failure), record));
            }
            Ok((RunEnd::Ended(Err(failure)), RunRecord::default()))
        }
        Ended::Suspended => match replay.wait() {
            Some(wait) if wait.calls.iter().any(|call| call.hash == life.call.hash) => {
                let failure = Failure::new(FailureKind::Cycle, task, "it waits for itself");
                Ok((RunEnd::Ended(Err(failure)), RunRecord::default()))
            }
            Some(wait) => {
                let record = replay.record(wait, String::new());
                Ok((RunEnd::Waits(wait.clone()), record))
            }
            None => Err(Error::new(
                brrr_protocol::ErrorKind::Internal,
                "test",
                format!("defer a run of {task}"),
                "the handler says that it is suspended, but it has not polled",
            )),
        },
    }
}

/// The state of a call between its runs.
pub struct Life {
    pub call: Call,
    job_id: JobId,
    /// The time of the next run. Only sleeping moves it.
    now: Millis,
    record: Option<RunRecord>,
    known: Arc<Known>,
}

impl Life {
    pub fn new(call: Call, job_id: JobId, clock: Millis) -> Self {
        Self { call, job_id, now: clock, record: None, known: Arc::default() }
    }

    /// Makes the outcome of a call visible, from the next run on.
    pub fn arrive(&self, call: &CallHash, outcome: Outcome) {
        self.known.lock().insert(call.clone(), outcome);
    }

    pub fn knows(&self, call: &CallHash) -> bool {
        self.known.lock().contains_key(call)
    }

    /// Continues the call after this run.
    pub fn go_on(&mut self, ran: &Ran) {
        self.record = Some(ran.record.clone());
    }

    /// Lets the call sleep until this time, which takes no real time.
    pub fn sleep(&mut self, until: Millis) {
        self.now = self.now.max(until);
    }

    /// What a worker loads before a run.
    fn loaded(&self) -> Loaded {
        let known = self.known.lock();
        let outcomes = |calls: &[CallHash]| calls.iter().map(|call| known.get(call).cloned()).collect();
        let Some(run) = &self.record else { return Loaded::default() };
        Loaded { sample: outcomes(&run.sample), run: Some(run.clone()), ..Loaded::default() }
    }
}

/// The outcomes that a call may see so far. This takes the place of a backend.
#[derive(Default)]
struct Known {
    outcomes: Mutex<HashMap<CallHash, Outcome>>,
    /// The rest of a backend. A replay does not use it.
    empty: Memory,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallHash, Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BackendParts for Known {
    fn name(&self) -> String {
        "test".to_owned()
    }

    fn store(&self) -> &dyn Store {
        self.empty.store()
    }

    fn queue(&self) -> &dyn Queue {
        self.empty.queue()
    }

    fn counters(&self) -> &dyn Counters {
        self.empty.counters()
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.empty.changed(version, at_most).await
    }
}

#[async_trait]
impl MultiStepBackend for Known {
    async fn outcomes_from_parts(&self, _: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        let known = self.lock();
        Ok(calls.iter().map(|call| known.get(call).cloned()).collect())
    }
}
