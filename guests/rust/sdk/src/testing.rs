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
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::executor::Outcome;
use crate::host::Invocation;
use crate::log::Level;
use crate::{Call, Error, Failure, Request, Task, http, task};

/// What answers requests in a test.
type Server = Rc<dyn Fn(&http::Request) -> http::Response>;

#[derive(Default)]
struct Host {
    tasks: Vec<Task>,
    /// By call hash: like the real host, one run for any number of the same call.
    outcomes: HashMap<String, Outcome>,
    batches: Vec<usize>,
    logged: Vec<(Level, String)>,
    /// When the run under way would be stopped.
    stopped_at: Option<Instant>,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
    static SERVER: RefCell<Option<Server>> = RefCell::default();
}

/// From now on, the requests of handlers in this thread get these answers; nothing is sent.
///
/// ```
/// use brrr::http::Response;
///
/// #[brrr::handler(leaf)]
/// async fn length(url: String) -> brrr::Result<usize> {
///     Ok(brrr::http::get(url).send().await?.body.len())
/// }
/// brrr::worker!(length);
///
/// # fn main() {
/// brrr::testing::serve(|request| Response::new(200, request.url.as_bytes()));
/// assert_eq!(brrr::testing::run(TASKS, length("http://a/".into())), Ok(9));
/// # }
/// ```
pub fn serve(server: impl Fn(&http::Request) -> http::Response + 'static) {
    SERVER.set(Some(Rc::new(server)));
}

pub(crate) fn answer(request: &http::Request) -> Result<http::Response, http::Error> {
    let server = SERVER.with_borrow(Clone::clone);
    let server = server.ok_or_else(|| {
        http::Error::new(http::Kind::Failed, "nothing answers in this test: brrr::testing::serve(|request| …)")
    })?;
    Ok(server(request))
}

/// Runs a call, and all that it calls, at once, with these tasks: each once, and again after a retryable error as often
/// as the options of its call or task say, without a pause.
///
/// A timeout stops nothing here, but [`App::time_left`](crate::App::time_left) tells it. A race is won by the calls
/// that come first in it. Log messages go to standard error; a panic goes through.
///
/// # Errors
/// The call's failure, as a parent would see it.
pub fn run<T: DeserializeOwned>(tasks: &[Task], mut call: Call<T>) -> Result<T, Failure> {
    #[cfg(any(feature = "log", feature = "tracing"))]
    crate::bridge::connect();
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

pub(crate) fn time_left_ms() -> u64 {
    let stopped_at = HOST.with_borrow(|host| host.stopped_at);
    let left = stopped_at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// What the last [`run`] of this thread logged and printed, in order.
pub fn logged() -> Vec<(Level, String)> {
    HOST.with_borrow(|host| host.logged.clone())
}

pub(crate) fn log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
    HOST.with_borrow_mut(|host| host.logged.push((level, message.to_owned())));
}

fn outcome_of(call: Invocation) -> Outcome {
    let hash = call.call_hash.clone().unwrap_or_else(|| format!("{}/{:?}", call.task, call.payload));
    if let Some(outcome) = HOST.with_borrow(|host| host.outcomes.get(&hash).cloned()) {
        return outcome;
    }
    let tasks = HOST.with_borrow(|host| host.tasks.clone());
    let outcome = match tasks.iter().find(|task| task.name == call.task) {
        Some(task) => attempts(&tasks, task, &call, &hash),
        None => Err(failure(&call.task, "unknown-task", 0, Error::permanent("no such task in this test"))),
    };
    HOST.with_borrow_mut(|host| host.outcomes.insert(hash, outcome.clone()));
    outcome
}

/// Runs a call until it has a value or is not to be run again.
fn attempts(tasks: &[Task], task: &Task, call: &Invocation, hash: &str) -> Outcome {
    let retries = call.options.number("max-retries").or(task.options.max_retries).unwrap_or(0);
    let timeout = call.options.number("timeout-ms").or(task.options.timeout_ms).map(Duration::from_millis);
    let mut attempt = 1;
    loop {
        let request = Request {
            task: call.task.clone(),
            payload: call.payload.clone(),
            call_hash: hash.to_owned(),
            root_id: "test".into(),
            topic: call.topic.clone().unwrap_or_else(|| "test".into()),
            attempt,
            deadline_ms: None,
        };
        let stopped_at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let callers = HOST.with_borrow_mut(|host| std::mem::replace(&mut host.stopped_at, stopped_at));
        let result = task::dispatch(tasks, request);
        HOST.with_borrow_mut(|host| host.stopped_at = callers);
        match result {
            Ok(value) => return Ok(value),
            Err(Error::Retryable(_)) if attempt <= retries => attempt += 1,
            Err(error) => return Err(failure(&call.task, "error", attempt, error)),
        }
    }
}

fn failure(task: &str, kind: &str, attempts: u32, error: Error) -> Failure {
    let message = error.to_string();
    let mut chain = vec![format!("{task}: {message}")];
    if let Error::Child(child) = error {
        chain.extend(child.chain);
    }
    Failure { kind: kind.into(), task: task.into(), message, attempts, chain }
}
