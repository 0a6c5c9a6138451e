//! Handlers run natively: no host, no queue, no WebAssembly.
//!
//! ```
//! #[brrr::handler]
//! fn double(n: u64) -> u64 {
//!     2 * n
//! }
//! brrr::worker!(double);
//!
//! # fn main() {
//! assert_eq!(brrr::testing::run(TASKS, double(21)), Ok(42));
//! # }
//! ```

use std::cell::RefCell;
use std::collections::HashMap;

use crate::executor::Outcome;
use crate::host::Invocation;
use crate::log::Level;
use crate::{Call, Error, Failure, Request, Task, task};

#[derive(Default)]
struct Host {
    tasks: Vec<Task>,
    /// By call hash: like the real host, one run for any number of the same call.
    outcomes: HashMap<String, Outcome>,
    batches: Vec<usize>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Runs a call, and all that it calls, each once and at once, with these tasks.
///
/// A race is won by the calls that come first in it. Log messages go to standard error; a panic goes through.
///
/// # Errors
/// The call's failure, as a parent would see it.
pub fn run<T>(tasks: &[Task], mut call: Call<T>) -> Result<T, Failure> {
    HOST.set(Host { tasks: tasks.to_vec(), ..Host::default() });
    let invocation = call.invocation()?;
    call.decode(outcome_of(invocation))
}

/// How many calls each batch of the last [`run`] of this thread had, in the order in which they were asked for.
pub fn batches() -> Vec<usize> {
    HOST.with_borrow(|host| host.batches.clone())
}

pub(crate) fn poll(calls: Vec<Invocation>, need: Option<u32>) -> Vec<Option<Outcome>> {
    HOST.with_borrow_mut(|host| host.batches.push(calls.len()));
    let need = need.map_or(calls.len(), |need| need as usize);
    calls.into_iter().enumerate().map(|(index, call)| (index < need).then(|| outcome_of(call))).collect()
}

pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

fn outcome_of(call: Invocation) -> Outcome {
    let hash = call.call_hash.unwrap_or_else(|| format!("{}/{:?}", call.task, call.payload));
    if let Some(outcome) = HOST.with_borrow(|host| host.outcomes.get(&hash).cloned()) {
        return outcome;
    }
    let name = call.task.clone();
    let request = Request {
        task: call.task,
        payload: call.payload,
        call_hash: hash.clone(),
        root_id: "test".into(),
        topic: call.topic.unwrap_or_else(|| "test".into()),
        attempt: 1,
        deadline_ms: None,
    };
    let tasks = HOST.with_borrow(|host| host.tasks.clone());
    let outcome = if tasks.iter().any(|task| task.name == name) {
        task::dispatch(&tasks, request).map_err(|error| failure(&name, "error", error))
    } else {
        Err(failure(&name, "unknown-task", Error::permanent("no such task in this test")))
    };
    HOST.with_borrow_mut(|host| host.outcomes.insert(hash, outcome.clone()));
    outcome
}

fn failure(task: &str, kind: &str, error: Error) -> Failure {
    let message = error.to_string();
    let mut chain = vec![format!("{task}: {message}")];
    if let Error::Child(child) = error {
        chain.extend(child.chain);
    }
    Failure { kind: kind.into(), task: task.into(), message, attempts: 1, chain }
}
