//! The program `brrr-host`: its command line, and what it does beyond running workers.
//!
//! - `cli`: what the user types; `config`: what `brrr.toml` says; `exit`: how the program ends
//! - `build`: from a project's folder to its component; `sdk`: the SDKs that it builds with
//! - `testing`: tries a component's calls in memory, for `test`
//! - `units`: times and sizes as people write them; `trust`: whose files are followed

pub mod build;
pub mod cli;
pub mod config;
pub mod exit;
pub mod sdk;
pub mod testing;
mod trust;
mod units;
