//! Tasks whose handlers are async Rust functions of this process.
//!
//! - `call`: what a handler sees of its call, and the calls that it makes
//! - `error`: how a handler fails
//! - `run`: one run of a handler
//!
//! They make the same durable calls as components do. While a handler waits for a call that has no outcome yet, its future is
//! dropped, and a later run calls the handler again from its beginning. What a handler does besides calling must therefore come
//! out the same in each run: put effects into a task that calls nobody.

mod call;
mod error;
mod run;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::replay::Replay;
use bytes::Bytes;
use serde::Serialize;

pub use call::{Call, ChildCall, first, first_n};
pub use error::{HandlerError, HandlerResult};

/// The version that replays compare. A handler is part of the program, which names no version of its own.
const DIGEST: &str = "rust";

/// What a handler's future comes to: the bytes of its value.
type Running = Pin<Box<dyn Future<Output = HandlerResult<Bytes>> + Send>>;

/// A handler without its types.
pub(crate) type Function = Arc<dyn Fn(Call) -> Running + Send + Sync>;

/// The Rust handlers of a topic.
pub(crate) struct NativeHandler {
    tasks: HashMap<String, (Arc<Task>, Function)>,
    wall: Duration,
    memory: u64,
}

impl NativeHandler {
    /// Without tasks. `wall`: how long a run may take, and `memory`: how many bytes of outcomes it may be given, unless the task
    /// says otherwise.
    pub fn new(wall: Duration, memory: u64) -> Self {
        Self { tasks: HashMap::new(), wall, memory }
    }

    /// Adds a task. Says whether its name was free.
    pub fn add(&mut self, name: &str, options: &Options, function: Function) -> bool {
        let defaults = Options { timeout: Some(self.wall), memory: Some(self.memory), ..Options::default() };
        let task = Arc::new(Task::new(DIGEST, options.over(&defaults)));
        self.tasks.insert(name.to_owned(), (task, function)).is_none()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// The longest that one run of any task may take.
    pub fn longest_run(&self) -> Duration {
        self.tasks.values().filter_map(|(task, _)| task.options.timeout).max().unwrap_or(self.wall)
    }
}

#[async_trait]
impl Handler for NativeHandler {
    fn task(&self, task: &str) -> Option<Arc<Task>> {
        Some(self.tasks.get(task)?.0.clone())
    }

    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)> {
        let Some((_, function)) = self.tasks.get(&request.task) else {
            let operation = format!("run the task {}", request.task);
            let kind = brrr_protocol::ErrorKind::Internal;
            return Err(brrr_protocol::Error::new(kind, "worker", operation, "no Rust handler has this name"));
        };
        let limits = run::RunBounds {
            wall: request.timeout.unwrap_or(self.wall),
            memory: request.memory.unwrap_or(self.memory),
        };
        run::run(function, request, replay, limits).await
    }
}

/// Takes the types off a handler. Its value is encoded as JSON.
pub(crate) fn function<F, Running, T>(handler: F) -> Function
where
    F: Fn(Call) -> Running + Send + Sync + 'static,
    Running: Future<Output = HandlerResult<T>> + Send + 'static,
    T: Serialize,
{
    Arc::new(move |call| {
        let running = handler(call);
        Box::pin(async move { call::encode(&running.await?) })
    })
}
