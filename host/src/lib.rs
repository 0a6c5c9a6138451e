//! The program `brrr-host`: its command line, and all that it does besides running workers.
//!
//! - `cli`: the command line; `config`: the file `brrr.toml`; `exit`: the exit codes
//! - `build`: builds a component from a project's folder; `sdk`: the SDKs for these builds
//! - `page`: the files of the web page
//! - `registry`: components in OCI registries
//! - `testing`: tests a component's calls in memory, for `test`
//! - `telemetry`: exports metrics and traces
//! - `units`: times and sizes as users write them; `trust`: checks the owners of files before they are used

mod build;
pub mod cli;
pub mod config;
pub mod exit;
mod page;
mod registry;
pub mod sdk;
mod telemetry;
pub mod testing;
mod trust;
mod units;
