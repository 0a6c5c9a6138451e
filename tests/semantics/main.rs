//! What the scheduler promises, on every backend, fused and stepwise, with handlers in Rust closures.

mod failures;
mod fan_out;
mod native;
mod poison;
mod replays;
mod world;
