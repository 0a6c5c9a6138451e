//! The real binary, driven as a user drives it: in a temporary folder, by its arguments, signals, output and exit code.
//!
//! Needs the Rust guest: `scripts/guests/rust.sh`.

mod aws;
mod backends;
mod calls;
mod components;
mod config;
mod control;
mod dead;
mod events;
mod gateway;
mod harness;
mod help;
mod jobs;
mod languages;
mod processes;
mod redis;
#[path = "../servers/mod.rs"]
mod servers;
mod signals;
mod usage;
mod workers;
