//! Durable task handlers for `brrr-host`, as ordinary async functions.
//!
//! ```
//! use brrr::{Result, try_join};
//!
//! #[brrr::handler]
//! async fn fib(n: u64) -> Result<u64> {
//!     if n < 2 {
//!         return Ok(n);
//!     }
//!     let (a, b) = try_join!(fib(n - 1), fib(n - 2))?;
//!     Ok(a + b)
//! }
//!
//! brrr::worker!(fib);
//! # fn main() { assert_eq!(brrr::testing::run(TASKS, fib(10)).unwrap(), 55); }
//! ```
//!
//! A handler's parameters are its arguments by name, as JSON. Calling a handler makes a [`Call`]; awaiting it queues the
//! call, for whichever worker serves it, and gives the value that it came to.
//!
//! # A handler runs more than once
//! When a value is not there yet, the host drops the handler's instance and starts it again, from its first line, once
//! the value has come. So whatever a handler does besides calling must come out the same in each of those runs: don't
//! branch on anything but the arguments and the values of calls, and leave effects to calls of their own. Clock and
//! random numbers are safe: the host replays them.
//!
//! # Waiting
//! The handler goes on until all of it waits; then it asks the host for all its calls together. So `join!`, `try_join!`,
//! [`join_all`], and any other way to poll several futures at once, make calls that run at the same time; calls awaited one by
//! one run one after the other. What waits for one call goes on without what waits for another.
//!
//! [`sleep`] and [`timeout`] are durable, and so is [`App::promise`], a value that somebody outside gives.
//!
//! | module | what it holds |
//! |---|---|
//! | [`call`] | [`Call`], its topic, hash, payload, options; [`App`]: the call being run, calls by name, time left |
//! | [`error`] | [`Error`] and [`Failure`]: retry or give up, catch or pass on |
//! | [`mod@join`] | [`join!`], [`try_join!`], [`join_all`], [`first`] |
//! | [`time`] | [`sleep`], [`timeout`] |
//! | [`options`] | [`Options`] of a task: time, retries, share of a worker, [`Scope`] of its values |
//! | [`http`] | requests to the hosts that the worker allows; [`env()`]: variables, and [`fs`]: files that it lets a component see |
//! | [`log`] | messages on the worker's output; `bridge`: those of the crates `log` and `tracing` |
//! | [`system`] | clock, sleep and random numbers, replayed |
//! | [`testing`] | handlers run natively, in a unit test |
//! | `executor`, `waiting`, `io` | from waiting futures to one `poll` of the host, and what else is waited for |
//! | `concurrent` | the executor of the asynchronous world |
//! | `task`, `host` | what [`worker!`] exports |
//! | `codec` | JSON, and what it can't hold |

#[cfg(any(feature = "log", feature = "tracing"))]
mod bridge;
mod codec;
mod environment;
#[cfg_attr(all(feature = "async-world", target_family = "wasm"), path = "concurrent.rs")]
mod executor;
mod host;
#[cfg(target_family = "wasm")]
mod io;
mod task;

pub mod call;
pub mod error;
pub mod fs;
pub mod http;
pub mod join;
pub mod log;
pub mod options;
#[cfg(feature = "schema")]
mod schema;
pub mod system;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod time;
#[cfg(not(all(feature = "async-world", target_family = "wasm")))]
mod waiting;

#[cfg(all(feature = "allocator", target_family = "wasm"))]
mod allocator;

pub use brrr_macros::{handler, remote};
pub use call::{App, Call, Request};
pub use environment::{NotAllowed, env};
pub use error::{Error, ErrorInfo, Failure, FailureKind, Result};
pub use join::{first, first_n, join_all, try_join_all};
pub use options::{Backoff, Options, Scope};
pub use task::{Handler, Task};
pub use time::{Elapsed, sleep, sleep_until, timeout};

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use serde;

    pub use crate::codec::arguments;
    #[cfg(target_family = "wasm")]
    pub use crate::host::{bindings, describe, exported, handle};
    pub use crate::join::{Join, TryJoin};
    #[cfg(feature = "schema")]
    pub use crate::schema::{output_schema, schema};
    pub use crate::task::{Future, HandlerResult, finish, finish_raw, start};
    #[cfg(feature = "schema")]
    pub use schemars;
}
