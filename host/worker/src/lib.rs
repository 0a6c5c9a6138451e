//! A worker for your own process: runs handlers that are WebAssembly components or Rust functions as durable calls.
//!
//! [`Worker::builder`] makes a worker, [`Client`] starts jobs.
//!
//! - `builder`, `worker`: a worker of some topics; `served`: a topic with its handler; `client`: starts jobs and reads results
//! - `native`: handlers that are Rust functions; `batch`: calls that are asked for together; `seed`: replayed random numbers
//! - `topic_worker`: receives the messages of one topic; `disposition`: what it does about the outcome of each
//! - `wasm`: runs components; `permissions`: what a component may touch
//! - `gateway`: starts calls and reads results over HTTP; `json` and `view`: what it reads and shows
//! - `events`: what happens to calls and jobs, as JSON; `text`: text of guests, made safe for logs and terminals

mod batch;
pub mod builder;
pub mod client;
pub mod disposition;
pub mod events;
pub mod gateway;
pub mod json;
pub mod native;
pub mod permissions;
mod seed;
pub mod served;
pub mod text;
pub mod topic_worker;
pub mod view;
pub mod wasm;
pub mod worker;

pub use brrr_protocol::options::{Backoff, Options};
pub use builder::{WorkerBuilder, WorkerError};
pub use client::{Client, ClientError, Job, JobOptions};
pub use native::{Call, ChildCall, HandlerError, HandlerResult, first, first_n};
pub use served::ServedTopic;
pub use topic_worker::{Shutdown, StopReason};
pub use worker::Worker;
