//! The brrr protocol: records, messages, ports and transitions. This crate has no async runtime and does no I/O.
//!
//! A *job* asks for one call, its top call. A *call* is a task with a payload. A call may ask for other calls: then it is their
//! *parent*, and they are its *children*. A *transition* is one durable change of records and queues, for example to schedule a
//! job. *Peers* are the workers and clients of other brrr implementations (Python, TypeScript) that use the same backend.
//!
//! - `model`: the basic types; `wire`: what peers read and write; `records`: the records that only this program reads;
//!   `bencode`, `codec`: encodings
//! - `options`: how a call is run; `events`: the changes that are reported about a call
//! - `ports`: the traits that backends and handlers implement
//! - `multi_step`: the transitions as several steps on small ports; `transactional`: the same transitions in one transaction
//!   (`transaction`)
//! - `identity`: checks that a call hash stands for one task with one payload
//! - `concurrent`: makes several accesses of a multi-step transition at once
//! - `registration`: how a parent adds itself to the waiting parents of a call
//! - `cycle`, `abandon`: walk up from a call to its waiting parents; the walk of `cycle` is bounded
//! - `doctor`: finds stuck work and repairs it; `gc`: removes what no live job can reach
//! - `schedules`: starts jobs by the clock
//! - `shipping`: sends components to workers, and decides which revision runs which job; `digest`: the names of components
//! - `topics`: the topics that calls may be sent to
//! - `replay`: one run of a call; `outcome_cache`: the outcomes that earlier runs of a call got; `gate`: decides when a run may
//!   start
//! - `step`: handles one message; `client`: schedules jobs, waits for them and reads results; `starting`: starts a job later, or
//!   once for each key; `tree`: the calls of a job

pub mod abandon;
pub mod bencode;
pub mod client;
pub mod codec;
mod concurrent;
pub mod cycle;
pub mod digest;
pub mod doctor;
pub mod error;
pub mod events;
pub mod gate;
pub mod gc;
pub mod identity;
mod joining;
pub mod listing;
pub mod logs;
pub mod model;
pub mod multi_step;
pub mod options;
pub mod outcome_cache;
pub mod ports;
pub mod records;
pub mod registration;
pub mod replay;
pub mod schedules;
pub mod shipping;
pub mod starting;
pub mod step;
pub mod topics;
pub mod trace;
pub mod transaction;
pub mod transactional;
pub mod tree;
pub mod wire;
pub mod workers;

pub use error::{Error, ErrorKind, Result};
