//! The guarantees of the scheduler, on every backend, transactional and multi-step, with handlers in Rust closures.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod conflicts;
mod cycles;
mod damage;
mod detached;
mod events;
mod failures;
mod fan_out;
mod gc;
mod jobs;
mod limits;
mod native;
mod poison;
mod progress;
mod promises;
mod replays;
mod retries;
mod schedules;
mod starting;
mod time;
mod topics;
mod workers;
mod world;

use backend_tests as support;
