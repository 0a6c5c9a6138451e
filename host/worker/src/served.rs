//! A topic of a worker, with the handler of its tasks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::model::Topic;
use brrr_protocol::options::Scopes;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::records::{ServedComponent, TaskInfo, TaskInfos};
use brrr_protocol::replay::Replay;

use crate::deployed::RevisionStates;
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
    /// The tasks, which the worker announces.
    pub tasks: TaskInfos,
    /// The longest time of one run, over all tasks, unless its job sets another time.
    pub longest_run: Duration,
    /// What has become of the revisions that were pushed to the topic. `None`: the worker was given its code at its start.
    pub revisions: Option<Arc<RevisionStates>>,
    /// The components that the worker was given at its start, for people. They can be replaced while the worker runs.
    pub components: Arc<ComponentList>,
}

impl ServedTopic {
    /// A topic whose tasks are in components.
    #[must_use]
    pub fn of_components(topic: Topic, handler: WasmHandler) -> Self {
        let tasks = handler.infos();
        let longest_run = handler.longest_run();
        Self {
            topic,
            handler: Arc::new(handler).into(),
            tasks,
            longest_run,
            revisions: None,
            components: Arc::default(),
        }
    }

    /// Names the components, for `brrr-host workers`.
    #[must_use]
    pub fn naming(self, components: Vec<ServedComponent>) -> Self {
        self.components.set(components);
        self
    }
}

/// The components of a topic on this worker.
#[derive(Debug, Default)]
pub struct ComponentList(Mutex<Vec<ServedComponent>>);

impl ComponentList {
    /// What they are now.
    #[must_use]
    pub fn get(&self) -> Vec<ServedComponent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces them.
    pub fn set(&self, components: Vec<ServedComponent>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = components;
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
    /// All tasks.
    pub fn infos(&self) -> TaskInfos {
        let info = |name: &str| {
            let scope = self.native.task(name).and_then(|task| task.options.scope);
            TaskInfo { scope: scope.map(|scope| scope.to_string()), ..TaskInfo::default() }
        };
        let native = self.native.names().map(|name| (name.to_owned(), info(name)));
        native.chain(self.wasm.infos()).collect()
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
