//! The brrr protocol: records, messages, ports and transitions. No runtime, no I/O.
//!
//! - `model`: the nouns; `wire`: what peers read and write; `records`: what only we do; `bencode`, `codec`: encodings
//! - `options`: how a call is run; `events`: what is told about it
//! - `ports`: the traits that backends and handlers implement
//! - `stepwise`, `fused`: the transitions from small ports, and in one transaction (`transaction`)
//! - `identity`: a call hash stands for one task with one payload
//! - `concurrent`: several accesses of a stepwise transition at once
//! - `registration`: a parent that adds itself to those that wait for a call
//! - `cycle`, `release`: what walks up from a call to those that wait for it; the first with a bound
//! - `doctor`: finds stuck work and sets it going again; `gc`: removes what no live job can reach
//! - `topics`: where calls may be sent to
//! - `replay`: one run of a call; `outcome_cache`: what its runs before were told; `gate`: when it may start
//! - `step`: one message; `client`: schedule, await and read; `tree`: the calls of a job

pub mod bencode;
pub mod client;
pub mod codec;
mod concurrent;
pub mod cycle;
pub mod doctor;
pub mod error;
pub mod events;
pub mod fused;
pub mod gate;
pub mod gc;
pub mod identity;
mod joining;
pub mod listing;
pub mod model;
pub mod options;
pub mod outcome_cache;
pub mod ports;
pub mod records;
pub mod registration;
pub mod release;
pub mod replay;
pub mod step;
pub mod stepwise;
pub mod topics;
pub mod transaction;
pub mod tree;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
