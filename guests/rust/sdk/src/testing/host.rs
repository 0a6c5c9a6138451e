//! The host of a native test: runs each call at once, and notes when it ended by the clock of the test.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::clock;
use crate::executor::Outcome;
use crate::host::{Asked, Want};
use crate::log::Level;
use crate::{Error, Failure, FailureKind, Request, Task, codec, task};

#[derive(Default)]
pub(super) struct Host {
    tasks: Vec<Task>,
    /// By call hash: like the real host, one run for any number of the same call.
    outcomes: HashMap<String, Ended>,
    pub(super) polls: Vec<Poll>,
    pub(super) logged: Vec<Logged>,
    pub(super) spawned: Vec<Spawned>,
    /// When the run under way would be stopped.
    stopped_at: Option<Duration>,
}

/// What a call came to, and when, by the clock's moves.
#[derive(Clone)]
struct Ended {
    at: Duration,
    outcome: Outcome,
}

/// What a handler asked for when all of it waited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// Task and payload of each call.
    pub calls: Vec<String>,
    /// How many of their outcomes it asked for.
    pub want: Want,
    /// Its earliest timer.
    pub until: Option<SystemTime>,
}

/// A detached job that a handler started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spawned {
    /// Its id. That of the n-th job of a run is n, as 32 hexadecimal digits.
    pub job: String,
    /// The task of its call.
    pub task: String,
    /// The arguments, as they are sent.
    pub payload: Vec<u8>,
    /// Its topic, unless it is that of the call at hand.
    pub topic: Option<String>,
}

/// A message that a handler logged or printed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logged {
    /// How much it matters.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Its fields, as names and values.
    pub fields: Vec<(String, String)>,
}

thread_local! {
    pub(super) static HOST: RefCell<Host> = RefCell::default();
    pub(super) static PROMISES: RefCell<HashMap<String, Outcome>> = RefCell::default();
}

pub(crate) fn poll(calls: &[Asked], want: Want, until: Option<u64>) -> Vec<Option<Outcome>> {
    let name = |call: &Asked| format!("{} {}", call.task, String::from_utf8_lossy(&call.payload));
    // A detached job is asked for on the way, and not when all waits.
    let waits = !matches!(calls, [call] if call.options.is_detached());
    HOST.with_borrow_mut(|host| {
        let until = until.and_then(|until| UNIX_EPOCH.checked_add(Duration::from_millis(until)));
        if waits {
            host.polls.push(Poll { calls: calls.iter().map(name).collect(), want, until });
        }
    });
    let limit = until.map(|until| clock::moved().saturating_add(clock::until(until)));
    let ended: Vec<Ended> = calls.iter().map(ended).collect();
    // The order in which they end. Those that end at one time: in the order of the calls.
    let mut order: Vec<usize> = (0..ended.len()).filter(|index| ended[*index].at != NEVER).collect();
    order.sort_by_key(|index| ended[*index].at);
    let last = |count: usize| count.checked_sub(1).and_then(|last| order.get(last)).map(|last| ended[*last].at);
    let enough = match want {
        Want::All => {
            let failed = order.iter().map(|index| &ended[*index]).find(|ended| ended.outcome.is_err());
            [failed.map(|failed| failed.at), last(ended.len())].into_iter().flatten().min()
        }
        Want::Some(count) => last(count as usize),
        Want::Progress => last(1),
    };
    let Some(time) = [enough, limit].into_iter().flatten().min() else {
        let missing: Vec<_> =
            calls.iter().zip(&ended).filter(|(_, ended)| ended.at == NEVER).map(|(call, _)| name(call)).collect();
        panic!("nobody answers {} in this test: brrr::testing::resolve(name, &value)", missing.join(", "));
    };
    clock::set_moved(time.max(clock::moved()));
    let there = order.iter().filter(|index| ended[**index].at <= time).count();
    order.truncate(match want {
        Want::Some(count) => there.min(count as usize),
        Want::All | Want::Progress => there,
    });
    ended.into_iter().enumerate().map(|(index, ended)| order.contains(&index).then_some(ended.outcome)).collect()
}

const NEVER: Duration = Duration::MAX;

pub(crate) fn time_left_ms() -> u64 {
    let stopped_at = HOST.with_borrow(|host| host.stopped_at);
    let left = stopped_at.map_or(Duration::MAX, |at| at.saturating_sub(clock::passed()));
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
    let shown: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    eprintln!("{level:?}: {message}{shown}");
    let message = message.to_owned();
    HOST.with_borrow_mut(|host| host.logged.push(Logged { level, message, fields: fields.to_vec() }));
}

/// A host with these tasks, which has run nothing.
pub(super) fn begin(tasks: &[Task]) {
    clock::begin();
    HOST.set(Host { tasks: tasks.to_vec(), ..Host::default() });
}

pub(super) fn outcome_of(call: &Asked) -> Outcome {
    ended(call).outcome
}

/// Runs a call, unless it was run before.
fn ended(call: &Asked) -> Ended {
    if call.options.is_detached() {
        return spawn(call);
    }
    if call.task == "brrr.promise" {
        return promised(call);
    }
    let hash = hash(call);
    if let Some(ended) = HOST.with_borrow(|host| host.outcomes.get(&hash).cloned()) {
        return ended;
    }
    let tasks = HOST.with_borrow(|host| host.tasks.clone());
    let start = clock::moved();
    let outcome = match tasks.iter().find(|task| task.name == call.task) {
        Some(task) => attempts(&tasks, task, call, &hash),
        None => Err(Failure::new(FailureKind::UnknownTask, call.task.as_str(), "no such task in this test")),
    };
    // Its time goes on beside its caller's.
    let ended = Ended { at: clock::moved(), outcome };
    clock::set_moved(start);
    HOST.with_borrow_mut(|host| host.outcomes.insert(hash, ended.clone()));
    ended
}

/// Notes a detached job. Two that are alike are two jobs.
fn spawn(call: &Asked) -> Ended {
    let Asked { task, payload, topic, .. } = call.clone();
    let job = HOST.with_borrow_mut(|host| {
        let job = format!("{:032x}", host.spawned.len() + 1);
        host.spawned.push(Spawned { job: job.clone(), task, payload, topic });
        job
    });
    Ended { at: clock::moved(), outcome: Ok(format!("\"{job}\"").into_bytes()) }
}

fn promised(call: &Asked) -> Ended {
    let name = String::from_utf8_lossy(&call.payload);
    match PROMISES.with_borrow(|promises| promises.get(&*name).cloned()) {
        Some(outcome) => Ended { at: Duration::ZERO, outcome },
        None => {
            let outcome = Err(Failure::new(FailureKind::Rejected, call.task.as_str(), "nobody answers"));
            Ended { at: NEVER, outcome }
        }
    }
}

/// The hash of its own, or one like the real host's.
fn hash(call: &Asked) -> String {
    match &call.call_hash {
        Some(hash) => hash.clone(),
        None => codec::call_hash_of_payload(&call.task, &call.payload),
    }
}

/// Runs a call until it has a value or is not to be run again.
fn attempts(tasks: &[Task], task: &Task, call: &Asked, hash: &str) -> Outcome {
    let retries = call.options.number("max-retries").or(task.options.max_retries).unwrap_or(0);
    let timeout = call.options.number("timeout-ms").map(Duration::from_millis).or(task.options.timeout);
    let mut attempt = 1;
    loop {
        let request = Request {
            task: call.task.clone(),
            payload: call.payload.clone(),
            call_hash: hash.to_owned(),
            job_id: "test".into(),
            topic: call.topic.clone().unwrap_or_else(|| "test".into()),
            attempt,
            deadline: None,
        };
        let stopped_at = timeout.and_then(|timeout| clock::passed().checked_add(timeout));
        let callers = HOST.with_borrow_mut(|host| std::mem::replace(&mut host.stopped_at, stopped_at));
        let result = task::dispatch(tasks, request);
        HOST.with_borrow_mut(|host| host.stopped_at = callers);
        match result {
            Ok(value) => return Ok(value),
            Err(Error::Retryable(_)) if attempt <= retries => attempt += 1,
            Err(error) => return Err(failure(&call.task, attempt, error)),
        }
    }
}

fn failure(task: &str, attempts: u32, error: Error) -> Failure {
    let message = error.to_string();
    let mut chain = vec![format!("{task}: {message}")];
    let details = match error {
        Error::Child(child) => {
            chain.extend(child.chain);
            child.details
        }
        Error::Retryable(info) | Error::Permanent(info) => info.details,
    };
    Failure { attempts, chain, details, ..Failure::new(FailureKind::Error, task, message) }
}
