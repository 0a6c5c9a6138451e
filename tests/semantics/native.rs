//! Handlers in Rust closures, without a guest: a task is an async function of its payload and a `Replay`.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::model::{CallHash, Failure, FailureKind, Outcome};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};

/// The reasons why a body returns before its end.
pub enum Leave {
    Suspended,
    Failed { failure: Failure, retryable: bool },
    Broken(brrr_protocol::Error),
}

type Body =
    Box<dyn for<'a> Fn(&'a Request, &'a mut Replay) -> Pin<Box<dyn Future<Output = Ended2> + Send + 'a>> + Send + Sync>;
type Ended2 = std::result::Result<String, Leave>;

/// Named tasks, and the number of runs of each.
#[derive(Default)]
pub struct Native {
    tasks: HashMap<&'static str, (Options, Body)>,
    runs: Mutex<HashMap<String, u64>>,
    /// The version of all components.
    pub version: AtomicU64,
    /// The tasks as they were when they were first requested, by name and version.
    known: Mutex<HashMap<(String, u64), Arc<Task>>>,
}

impl Native {
    pub fn task<F>(self, name: &'static str, body: F) -> Self
    where
        F: for<'a> Fn(&'a Request, &'a mut Replay) -> Pin<Box<dyn Future<Output = Ended2> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        self.task_with(name, Options::default(), body)
    }

    pub fn task_with<F>(mut self, name: &'static str, options: Options, body: F) -> Self
    where
        F: for<'a> Fn(&'a Request, &'a mut Replay) -> Pin<Box<dyn Future<Output = Ended2> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        self.tasks.insert(name, (options, Box::new(body)));
        self
    }

    pub fn runs(&self, task: &str) -> u64 {
        self.runs.lock().unwrap().get(task).copied().unwrap_or(0)
    }
}

#[async_trait]
impl Handler for Native {
    fn task(&self, task: &str) -> Option<Arc<Task>> {
        let (options, _) = self.tasks.get(task)?;
        let version = self.version.load(Ordering::Relaxed);
        let mut known = self.known.lock().unwrap();
        let task = known.entry((task.to_owned(), version));
        Some(task.or_insert_with(|| Arc::new(Task::new(version.to_string(), options.clone()))).clone())
    }

    async fn run(&self, request: Request, mut replay: Replay) -> Result<(Ended, Replay)> {
        *self.runs.lock().unwrap().entry(request.task.clone()).or_default() += 1;
        let ended = match self.tasks[request.task.as_str()].1(&request, &mut replay).await {
            Ok(text) => Ended::Completed(text.into()),
            Err(Leave::Suspended) => Ended::Suspended,
            Err(Leave::Failed { failure, retryable }) => Ended::Failed { failure, retryable },
            Err(Leave::Broken(error)) => return Err(error),
        };
        Ok((ended, replay))
    }
}

pub fn payload(request: &Request) -> &str {
    std::str::from_utf8(&request.payload).unwrap()
}

pub fn number(request: &Request) -> u64 {
    payload(request).parse().unwrap()
}

/// A failure that is not retried.
pub fn fail<T>(task: &str, message: &str) -> std::result::Result<T, Leave> {
    Err(Leave::Failed { failure: Failure::new(FailureKind::Error, task, message), retryable: false })
}

/// A failure that may be retried.
pub fn stumble<T>(task: &str, message: &str) -> std::result::Result<T, Leave> {
    Err(Leave::Failed { failure: Failure::new(FailureKind::Error, task, message), retryable: true })
}

/// Asks for calls, given as (task, payload). Returns the outcomes that are there, with their positions.
pub async fn ask(
    replay: &mut Replay,
    calls: &[(&str, String)],
    need: Option<u32>,
) -> std::result::Result<Vec<(usize, Outcome)>, Leave> {
    ask_with(replay, calls, need, &Options::default()).await
}

/// Like `ask`, with options for each of the calls.
pub async fn ask_with(
    replay: &mut Replay,
    calls: &[(&str, String)],
    need: Option<u32>,
    options: &Options,
) -> std::result::Result<Vec<(usize, Outcome)>, Leave> {
    let calls = calls.iter().map(|(task, payload)| Invocation {
        task: (*task).to_owned(),
        payload: payload.clone().into(),
        topic: None,
        hash: Some(hash(task, payload)),
        peer_hash: None,
        options: options.clone(),
        detached: false,
    });
    match replay.poll(calls.collect(), need.map_or(Want::All, Want::Some), None).await {
        Ok(Polled::Ready(outcomes)) => {
            Ok(outcomes.into_iter().enumerate().filter_map(|(index, o)| Some((index, o?))).collect())
        }
        Ok(Polled::Suspended) => Err(Leave::Suspended),
        Err(error) => Err(Leave::Broken(error)),
    }
}

/// The run prints this many bytes. Returns how many of them an earlier run has already shown.
pub fn print(replay: &mut Replay, bytes: usize) -> usize {
    let mut printed = replay.printed();
    let shown = printed.already_printed(bytes);
    replay.has_printed(printed);
    shown
}

/// Returns all values, or stops the run with the first failure.
pub async fn gather(
    task: &str,
    replay: &mut Replay,
    calls: &[(&str, String)],
) -> std::result::Result<Vec<String>, Leave> {
    let outcomes = ask(replay, calls, None).await?;
    let values = outcomes.into_iter().map(|(_, outcome)| match outcome {
        Ok(value) => Ok(String::from_utf8(value.to_vec()).unwrap()),
        Err(failure) => Err(Leave::Failed { failure: Failure::of_parent(task, &failure), retryable: false }),
    });
    values.collect()
}

/// A hash that a person can read.
pub fn hash(task: &str, payload: &str) -> CallHash {
    format!("{task}({payload})").into()
}
