//! The host: runs task handlers that are compiled to WebAssembly components as a durable call graph.
//!
//! - `cli`: what the user types; `exit`: how the program ends
//! - `worker`: receives messages; `disposition`: what it does about their outcome
//! - `wasm`: runs the guests; `gateway`: HTTP; `view`: documents that it shares with the command line

pub mod cli;
pub mod disposition;
pub mod exit;
pub mod gateway;
mod view;
pub mod wasm;
pub mod worker;
