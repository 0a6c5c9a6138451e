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

pub(crate) mod clock;
mod host;

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::host::Want;
use crate::{Call, Failure, FailureKind, Task, codec, http};
use host::{HOST, PROMISES};
pub use host::{Logged, Poll, Spawned};
pub(crate) use host::{log, poll, time_left_ms};

/// What answers requests in a test.
type Server = Rc<dyn Fn(&http::Request) -> http::Response>;

thread_local! {
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

/// From now on, the promise of this name has this value, in the runs of this thread: see [`App::promise`](crate::App::promise).
///
/// # Panics
/// When the value can't be written as JSON.
pub fn resolve(name: &str, value: &(impl Serialize + ?Sized)) {
    let value = codec::to_vec(value).unwrap_or_else(|error| panic!("the value of the promise {name:?}: {error}"));
    PROMISES.with_borrow_mut(|promises| promises.insert(name.to_owned(), Ok(value)));
}

/// From now on, the promise of this name is rejected, in the runs of this thread.
pub fn reject(name: &str, message: &str) {
    let failure = Failure::new(FailureKind::Rejected, "brrr.promise", message);
    PROMISES.with_borrow_mut(|promises| promises.insert(name.to_owned(), Err(failure)));
}

/// Runs a call, and all that it calls, at once, with these tasks: each once, and again after a retryable error as often
/// as the options of its call or task say, without a pause.
///
/// Sleeps take no time: they move the clock of the test. So what a timeout or a race comes to depends on how long each task
/// sleeps; calls that end at one time end in their order. A timeout of a task stops nothing here, but
/// [`App::time_left`](crate::App::time_left) tells it. Log messages go to standard error; a panic goes through.
///
/// # Errors
/// The call's failure, as a parent would see it.
///
/// # Panics
/// When a handler waits for a promise that was neither resolved nor rejected, and for nothing else.
pub fn run<T: DeserializeOwned>(tasks: &[Task], mut call: Call<T>) -> Result<T, Failure> {
    #[cfg(any(feature = "log", feature = "tracing"))]
    crate::bridge::connect();
    host::begin(tasks);
    let invocation = call.invocation()?;
    call.decode(host::outcome_of(&invocation))
}

/// What the handlers of the last [`run`] of this thread waited for, in order.
pub fn polls() -> Vec<Poll> {
    HOST.with_borrow(|host| host.polls.clone())
}

/// How many calls they waited for each time. A sleep alone is left out.
pub fn batches() -> Vec<usize> {
    polls().iter().map(|poll| poll.calls.len()).filter(|calls| *calls > 0).collect()
}

/// The detached jobs that the handlers of the last [`run`] of this thread started, in order. They are not run.
pub fn spawned() -> Vec<Spawned> {
    HOST.with_borrow(|host| host.spawned.clone())
}

/// What the last [`run`] of this thread logged and printed, in order.
pub fn logged() -> Vec<Logged> {
    HOST.with_borrow(|host| host.logged.clone())
}
