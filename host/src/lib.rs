//! The host: runs task handlers that are compiled to WebAssembly components as a durable call graph.
//!
//! - `build`: from a project's folder to its component; `sdk`: the SDKs that it builds with
//! - `cli`: what the user types; `config`: what `brrr.toml` says; `exit`: how the program ends
//! - `worker`: receives messages; `disposition`: what it does about their outcome
//! - `events`: what happens, as JSON
//! - `permissions`: what a handler may touch
//! - `testing`: tries a component's calls in memory, for `test`
//! - `wasm`: runs the guests; `gateway`: HTTP; `json` and `view`: what it reads and shows as the command line does
//! - `units`: times and sizes as people write them; `text`: what guests chose, fit for logs and terminals; `trust`: whose
//!   files are followed

pub mod build;
pub mod cli;
pub mod config;
pub mod disposition;
pub mod events;
pub mod exit;
pub mod gateway;
mod json;
pub mod permissions;
pub mod sdk;
pub mod testing;
mod text;
mod trust;
mod units;
mod view;
pub mod wasm;
pub mod worker;
