//! The brrr protocol: records, messages, ports and transitions. No runtime, no I/O.
//!
//! - `model`: the nouns; `wire`: what peers read and write; `records`: what only we do; `bencode`, `codec`: encodings
//! - `ports`: the traits that backends and handlers implement
//! - `stepwise`, `fused`: the transitions from small ports, and in one transaction
//! - `replay`: one run of a call; `step`: one message; `client`: schedule, await and read

pub mod bencode;
pub mod client;
pub mod codec;
pub mod cycle;
pub mod error;
pub mod fused;
pub mod model;
pub mod ports;
pub mod records;
pub mod replay;
pub mod step;
pub mod stepwise;
pub mod wire;

pub use error::{Error, ErrorKind, Result};
