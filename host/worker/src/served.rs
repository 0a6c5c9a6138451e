//! A topic of a worker, with the handler of its tasks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::options::Scopes;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::replay::Replay;

use crate::native::NativeHandler;
use crate::topic_worker::SwappableHandler;
use crate::wasm::WasmHandler;

/// A topic that a worker serves.
#[derive(Clone)]
pub struct ServedTopic {
    /// The topic that the messages come from.
    pub topic: Topic,
    /// The handler of all tasks of the topic. It can be replaced while the worker runs.
    pub handler: SwappableHandler,
    /// The names of the tasks, which the worker announces.
    pub tasks: Vec<String>,
    /// The longest time of one run, over all tasks, unless its job sets another time.
    pub longest_run: Duration,
}

impl ServedTopic {
    /// A topic whose tasks are in components.
    #[must_use]
    pub fn of_components(topic: Topic, handler: WasmHandler) -> Self {
        let tasks = handler.tasks().map(|task| task.name.clone()).collect();
        let longest_run = handler.longest_run();
        Self { topic, handler: Arc::new(handler).into(), tasks, longest_run }
    }
}

/// The Rust handlers and the components of one topic. No task is in both.
pub(crate) struct HandlerSet {
    /// The tasks that are Rust functions.
    pub native: NativeHandler,
    /// The tasks of the components.
    pub wasm: WasmHandler,
}

impl HandlerSet {
    /// The names of all tasks: first those of the Rust handlers, sorted, then those of the components.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.native.names().map(str::to_owned).collect();
        names.sort();
        names.extend(self.wasm.tasks().map(|task| task.name.clone()));
        names
    }

    /// The longest time of one run, over all tasks.
    pub fn longest_run(&self) -> Duration {
        self.native.longest_run().max(self.wasm.longest_run())
    }
}

#[async_trait]
impl Handler for HandlerSet {
    fn task(&self, task: &str) -> Option<Arc<Task>> {
        self.native.task(task).or_else(|| self.wasm.task(task))
    }

    fn scopes(&self) -> Arc<Scopes> {
        let (mut all, native) = (self.wasm.scopes(), self.native.scopes());
        if !native.is_empty() {
            Arc::make_mut(&mut all).extend(native.iter().map(|(task, scope)| (task.clone(), *scope)));
        }
        all
    }

    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)> {
        if self.native.task(&request.task).is_some() {
            self.native.run(request, replay).await
        } else {
            self.wasm.run(request, replay).await
        }
    }
}
