//! Runs handlers that are WebAssembly components.
//!
//! - `engine`, `ticker`: a wasmtime engine for all guests of a world, and the thread that lets it interrupt them
//! - `shape`, `cache`, `guest`: from a file to a guest: look at it, compile it once, ask what tasks it has
//! - `world`: the worlds that a guest may be built for
//! - `handler`: one run of a call; `state`: what such a run owns; `outcome`, `frames`: what its end means
//! - `probe`: looks on, for `brrr-host test`
//! - `calls`, `asking`: what a guest asks of us (`wit/worker.wit`), `concurrent`: in the asynchronous world; `wasi`, `clocks`,
//!   `output`: what it asks of the system; `http`, `http_limits`, `client`: what it asks of others
//!
//! A guest is hostile until proven otherwise: it gets no files, network and environment but those that it was given
//! ([`Grants`](crate::permissions::Grants)), and its memory, time, output and results are bounded. Nothing of it outlives a run, so a run can be dropped at any point.

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
mod http;
mod http_limits;
mod outcome;
mod output;
mod probe;
mod shape;
mod state;
mod ticker;
mod wasi;
mod world;

use std::time::Duration;

pub use engine::{Engine, EngineOptions};
pub use error::LoadError;
pub use guest::{Guest, LoadStage, Task};
pub use handler::{Overrides, WasmHandler};
pub use output::{LogLevel, Output, OutputLine, Stream, Touch, Touched, TracingOutput};
pub use probe::Probe;
pub use world::World;

/// What one run may use. A run that uses more fails, and nothing else does.
#[derive(Clone, Debug)]
pub struct RunLimits {
    /// Bytes of memory, over all memories and tables of the guest. A component may ask for less of it for a task.
    pub memory: u64,
    /// Time from start to end, waiting for the host included, of tasks that say nothing of their own.
    pub wall: Duration,
    /// Bytes that the guest may hand to the host at once: its result, or the calls of one poll.
    pub result: u64,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            // Five times what a small Python handler takes, and many of them still fit a laptop.
            memory: 256 << 20,
            // Longer work belongs in several calls: what a run has done is lost with its worker.
            wall: Duration::from_mins(5),
            // Far above what belongs in a queue's store, far below what would hurt the worker.
            result: 16 << 20,
        }
    }
}
