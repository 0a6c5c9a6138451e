//! A worker for your own process. It runs handlers as durable calls. A handler is a WebAssembly component or a Rust
//! function.
//!
//! [`Worker::builder`] makes a worker, and [`Client`] starts jobs.
//!
//! - `builder`, `worker`: a worker of some topics; `served`: a topic with its handler; `client`: starts jobs and reads
//!   results
//! - `new_call`: payload, hash and id of a new call; `panics`: what a panic said
//! - `native`: handlers that are Rust functions; `batch`: calls that are asked for together; `seed`: replayed random
//!   numbers
//! - `topic_worker`: receives the messages of one topic; `disposition`: the action after the outcome of a message
//! - `deployed`: serves code that was pushed; `rollout`: a push waits until workers have loaded it; `verify`: replays calls with
//!   new code
//! - `wasm`: runs components; `permissions`: what a component may access
//! - `gateway`: starts jobs and follows them over HTTP; `json`: reads JSON without a loss
//! - `view`: the documents that the gateway and the command line show; `job_list`: lists jobs; `dead_letters`: dead letters and
//!   their calls
//! - `schedule_view`: schedules as JSON
//! - `signatures`: whose components a worker runs
//! - `health`: says whether the process is alive and ready; `metrics`: what is counted and measured; `sampling`: looks at the
//!   queues for both
//! - `events`: changes of calls and jobs, as JSON; `text`: makes guests' text safe for logs and terminals

mod batch;
pub mod builder;
pub mod client;
pub mod dead_letters;
pub mod deployed;
pub mod disposition;
pub mod events;
pub mod gateway;
pub mod health;
pub mod job_list;
pub mod json;
pub mod metrics;
pub mod native;
pub mod new_call;
mod panics;
pub mod permissions;
pub mod rollout;
mod sampling;
pub mod schedule_view;
mod seed;
pub mod served;
pub mod signatures;
pub mod text;
pub mod topic_worker;
pub mod verify;
pub mod view;
pub mod wasm;
pub mod worker;

pub use brrr_protocol::options::{Backoff, Options, Scope};
pub use builder::{WorkerBuilder, WorkerError};
pub use client::{Client, ClientError, Job, JobOptions, StartTime};
pub use health::Health;
pub use metrics::Metrics;
pub use native::{Call, ChildCall, ErrorInfo, HandlerError, HandlerResult, first, first_n};
pub use served::ServedTopic;
pub use topic_worker::{Shutdown, StopReason};
pub use wasm::LogLevel;
pub use worker::Worker;
