//! Tasks whose handlers are async Rust functions of this process.
//!
//! - `call`: what a handler knows about its call, and the calls that it makes
//! - `error`: the errors of a handler
//! - `run`: one run of a handler
//!
//! These handlers make the same durable calls as components. When a handler waits for a call without an outcome, its
//! future is dropped. A later run calls the handler again from its beginning. So everything that a handler does besides
//! calling must have the same result in each run. Effects belong into a task that makes no calls.

mod call;
mod digest;
mod error;
mod run;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::options::{Options, Scopes};
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::replay::Replay;
use bytes::Bytes;
use serde::Serialize;

use crate::wasm::{Output, Printer};

pub use call::{Call, ChildCall, first, first_n};
pub(crate) use digest::of_program;
pub use error::{ErrorInfo, HandlerError, HandlerResult};

/// The future of a handler. It returns the bytes of the handler's value.
type RunningHandler = Pin<Box<dyn Future<Output = HandlerResult<Bytes>> + Send>>;

/// A handler without its type parameters.
pub(crate) type Function = Arc<dyn Fn(Call) -> RunningHandler + Send + Sync>;

/// The Rust handlers of a topic.
pub(crate) struct NativeHandler {
    digest: Arc<str>,
    tasks: HashMap<String, (Arc<Task>, Function)>,
    scopes: Arc<Scopes>,
    wall: Duration,
    memory: u64,
    output: Arc<dyn Output>,
}

impl NativeHandler {
    /// A handler without tasks. `wall` is the longest time of a run, and `memory` the most bytes of outcomes that a run
    /// may get, unless the task sets other limits. `output` gets what the handlers log.
    pub fn new(digest: Arc<str>, wall: Duration, memory: u64, output: Arc<dyn Output>) -> Self {
        Self { digest, tasks: HashMap::new(), scopes: Arc::default(), wall, memory, output }
    }

    /// Adds a task. Returns whether its name was free.
    pub fn add(&mut self, name: &str, options: &Options, function: Function) -> bool {
        let defaults = Options { timeout: Some(self.wall), memory: Some(self.memory), ..Options::default() };
        if let Some(scope) = options.scope {
            Arc::make_mut(&mut self.scopes).insert(name.to_owned(), scope);
        }
        let task = Arc::new(Task::new(&*self.digest, options.over(&defaults)));
        self.tasks.insert(name.to_owned(), (task, function)).is_none()
    }

    /// The names of the tasks, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tasks.keys().map(String::as_str)
    }

    /// The longest time of one run, over all tasks.
    pub fn longest_run(&self) -> Duration {
        self.tasks.values().filter_map(|(task, _)| task.options.timeout).max().unwrap_or(self.wall)
    }
}

#[async_trait]
impl Handler for NativeHandler {
    fn task(&self, task: &str) -> Option<Arc<Task>> {
        Some(self.tasks.get(task)?.0.clone())
    }

    fn scopes(&self) -> Arc<Scopes> {
        self.scopes.clone()
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
        let (task, call) = (request.task.as_str().into(), request.call.clone());
        let printer = Printer::new(self.output.clone(), task, call, replay.printed()).keeping_for(&replay);
        run::run(function, request, replay, limits, printer).await
    }
}

/// Removes the type parameters of a handler. Its value is encoded as JSON.
pub(crate) fn function<F, RunningHandler, T>(handler: F) -> Function
where
    F: Fn(Call) -> RunningHandler + Send + Sync + 'static,
    RunningHandler: Future<Output = HandlerResult<T>> + Send + 'static,
    T: Serialize,
{
    Arc::new(move |call| {
        let running = handler(call);
        Box::pin(async move { call::encode(&running.await?) })
    })
}
