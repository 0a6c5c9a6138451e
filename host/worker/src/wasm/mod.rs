//! Runs handlers that are WebAssembly components.
//!
//! - `engine`, `ticker`: a wasmtime engine for all guests of a world, and the thread that lets it interrupt them
//! - `shape`, `effort`, `cache`, `guest`: load a guest from a file: check it, compile it once, ask for its tasks;
//!   `proposals`: names the parts of WebAssembly that a refused one uses
//! - `world`: the worlds that a guest may be built for
//! - `handler`: one run of a call; `state`: the data of such a run; `outcome`, `frames`: the meaning of its end
//! - `probe`: watches runs, for `brrr-host test`
//! - `calls`, `asking`: the functions of `wit/worker.wit` that a guest imports; `concurrent`: those of the asynchronous
//!   world
//! - `wasi`, `clocks`, `files`, `output`: the system as a guest sees it; `http`, `http_limits`, `client`: requests of
//!   guests
//!
//! A guest is treated as hostile. It gets no files, network and environment except those that it was given
//! ([`Grants`](crate::permissions::Grants)), and its memory, time, output and results are bounded. No state of the
//! guest remains after a run, so a run can be dropped at any point.

mod asking;
mod bindings;
mod cache;
mod calls;
mod client;
mod clocks;
mod concurrent;
mod effort;
mod engine;
mod error;
mod files;
mod frames;
mod guest;
mod handler;
mod home;
mod http;
mod http_limits;
mod outcome;
mod output;
mod probe;
mod proposals;
mod shape;
mod state;
mod ticker;
mod wasi;
mod world;

use std::time::Duration;

pub use client::tls;
pub use engine::{Engine, EngineOptions};
pub use error::LoadError;
pub use guest::{Guest, LoadStage, Task};
pub use handler::{Overrides, WasmHandler};
pub(crate) use output::Printer;
pub use output::{LogLevel, Output, OutputLine, Stream, Touch, Touched, TracingOutput};
pub use probe::Probe;
pub use world::{WIT_VERSION, World};

/// The limits of one run. A run that exceeds a limit fails, and nothing else fails.
#[derive(Clone, Debug)]
pub struct RunLimits {
    /// The most bytes of memory, over all memories and tables of the guest. A component may ask for less for a task.
    pub memory: u64,
    /// The time from start to end, including the time in which the run waits for the host. It holds for tasks without a
    /// timeout of their own.
    pub wall: Duration,
    /// The most bytes that the guest may pass to the host at once: its result, or the calls of one poll.
    pub result: u64,
    /// A guest may not choose a call hash that the host would not derive. Whoever may choose a hash can make his value stand for
    /// the value of a call that others make.
    pub own_hashes: bool,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            // Five times what a small Python handler takes. A laptop still has the memory for many such runs.
            memory: 256 << 20,
            // Longer work belongs into several calls, because the work of a run is lost if its worker dies.
            wall: Duration::from_mins(5),
            // Far above the size of values that belong into a store, and far below what would harm the worker.
            result: 16 << 20,
            own_hashes: false,
        }
    }
}
