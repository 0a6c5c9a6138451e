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
//! # Batches
//! The handler goes on until all of it waits for calls; those are then asked for together. `join!`, `try_join!`,
//! [`join_all`], and any other way to poll several futures at once, make one batch of calls; calls awaited one by one
//! run one after the other.
//!
//! | module | what it holds |
//! |---|---|
//! | [`call`] | [`Call`], its topic, hash, payload, options; [`App`]: the call being run, calls by name, time left |
//! | [`error`] | [`Error`] and [`Failure`]: retry or give up, catch or pass on |
//! | [`join`] | [`join!`], [`try_join!`], [`join_all`], [`first`] |
//! | [`options`] | [`Options`] of a task: time, retries, share of a worker |
//! | [`http`] | requests to the hosts that the worker allows; [`env()`]: variables, and [`fs`]: files that it lets a component see |
//! | [`log`] | messages on the worker's output; `bridge`: those of the crates `log` and `tracing` |
//! | [`system`] | clock, sleep and random numbers, replayed |
//! | [`testing`] | handlers run natively, in a unit test |
//! | `executor`, `io` | batches: from waiting futures to one `poll` of the host, and what else is waited for |
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
pub mod system;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

#[cfg(all(feature = "allocator", target_family = "wasm"))]
mod allocator;

pub use brrr_macros::{handler, remote};
pub use call::{App, Call, Request};
pub use environment::{NotAllowed, env};
pub use error::{Error, Failure, Result};
pub use join::{first, first_n, join_all, try_join_all};
pub use options::{Backoff, Options};
pub use task::{Handler, Task};

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use serde;

    pub use crate::codec::arguments;
    #[cfg(target_family = "wasm")]
    pub use crate::host::{bindings, describe, handle};
    pub use crate::join::{Join, Succeed};
    pub use crate::task::{Future, HandlerResult, finish, finish_raw, start};
}
