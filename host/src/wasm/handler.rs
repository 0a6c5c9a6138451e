//! Runs calls in guests: the protocol's `Handler`.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::ports::{Ended, Handler, Request};
use brrr_protocol::replay::Replay;
use futures_util::FutureExt as _;

use super::RunLimits;
use super::bindings::exports::brrr::worker::handler;
use super::error::LoadError;
use super::guest::{Guest, Task, store};
use super::outcome::{self, Circumstances, Returned};
use super::output::{Output, Printer};
use super::state::{Budget, OutOfTime, State, resource_table};

/// Runs the tasks of some components, each call in an instance of its own.
pub struct WasmHandler {
    guests: Vec<Guest>,
    tasks: HashMap<String, Place>,
    limits: RunLimits,
    output: Arc<dyn Output>,
}

/// Where a task is.
struct Place {
    guest: usize,
    name: Arc<str>,
    /// For one run: the lesser of the task's and the host's.
    wall: Duration,
    leaf: bool,
}

impl WasmHandler {
    /// Joins components into one handler.
    ///
    /// # Errors
    /// When two of them claim the same task.
    pub fn new(guests: Vec<Guest>, limits: RunLimits, output: Arc<dyn Output>) -> std::result::Result<Self, LoadError> {
        let mut tasks: HashMap<String, Place> = HashMap::new();
        for (index, guest) in guests.iter().enumerate() {
            for Task { name, options } in &guest.tasks {
                let wall = options.timeout.map_or(limits.wall, |timeout| timeout.min(limits.wall));
                let place = Place { guest: index, name: name.as_str().into(), wall, leaf: options.leaf };
                if let Some(first) = tasks.insert(name.clone(), place) {
                    return Err(LoadError::TaskClaimedByTwo {
                        task: name.clone(),
                        first: guests[first.guest].path.clone(),
                        second: guest.path.clone(),
                    });
                }
            }
        }
        Ok(Self { guests, tasks, limits, output })
    }

    /// All tasks, in the order of the components and of what they said.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.guests.iter().flat_map(|guest| &guest.tasks)
    }

    /// The components, in the order given.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter()
    }

    fn state(&self, place: &Place, request: &Request, printer: Printer, deadline: Instant) -> State {
        State {
            call: request.call.clone(),
            root: request.root.clone(),
            first_run: request.first_run,
            leaf: place.leaf,
            printer,
            memory: Budget::new(self.limits.memory),
            deadline,
            clock: None,
            table: resource_table(),
            wasi: None,
        }
    }

    /// Makes an instance, runs the call in it, and drops it.
    async fn execute(&self, guest: &Guest, state: State, request: handler::Request) -> Returned {
        let mut store = store(&guest.engine, state, &self.limits);
        let worker = guest.template.instantiate_async(&mut store).await?;
        worker.brrr_worker_handler().call_handle(&mut store, &request).await
    }
}

#[async_trait]
impl Handler for WasmHandler {
    fn component(&self, task: &str) -> Option<String> {
        let place = self.tasks.get(task)?;
        Some(self.guests[place.guest].digest.clone())
    }

    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)> {
        let Some(place) = self.tasks.get(&request.task) else {
            return Err(brrr_protocol::Error::new(
                brrr_protocol::ErrorKind::Internal,
                "worker",
                format!("run the task {}", request.task),
                "no component here has it",
            ));
        };
        let guest = &self.guests[place.guest];
        // The semaphore is never closed; if it were, a full pool would be the run's error.
        let _slot = guest.engine.slots.acquire().await;
        let _running = guest.engine.ticker.running();

        let deadline = Instant::now() + place.wall;
        let printer = Printer::new(self.output.clone(), place.name.clone(), request.call.clone(), Some(replay));
        let state = self.state(place, &request, printer.clone(), deadline);
        let attempt = request.attempt;
        let run = self.execute(guest, state, to_guest(request, place));
        // A guest that computes is stopped at a tick; this stops one that waits in the host.
        let run = tokio::time::timeout_at(deadline.into(), run);
        let (returned, lost) = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(returned)) => (returned, "the handler ended while the backend was read"),
            Ok(Err(_)) => (Err(OutOfTime.into()), "no answer came within the time limit of the run"),
            Err(panic) => {
                // If it was the output that panicked, it would do so again.
                printer.close();
                (Err(host_panic(&*panic)), "the backend's code panicked")
            }
        };
        let Some(replay) = printer.take_replay() else {
            return Err(outcome::lost_in_backend(lost));
        };
        printer.return_replay(replay);
        let about = Circumstances {
            task: &place.name,
            attempt,
            wall: place.wall,
            result: self.limits.result,
            stderr: if returned.is_err() { printer.tail() } else { String::new() },
        };
        let ended = outcome::ended(returned, &about)?;
        if ended != Ended::Suspended {
            printer.flush();
        }
        let Some(replay) = printer.take_replay() else { unreachable!("it was just returned") };
        Ok((ended, replay))
    }
}

/// What the guest is told. Only a leaf has a deadline: one that moved from replay to replay would be no replay.
fn to_guest(request: Request, place: &Place) -> handler::Request {
    let end = place
        .leaf
        .then(|| (SystemTime::now() + place.wall).duration_since(UNIX_EPOCH))
        .and_then(std::result::Result::ok);
    handler::Request {
        task: request.task,
        payload: request.payload.into(),
        call_hash: request.call.as_str().to_owned(),
        root_id: request.root.as_str().to_owned(),
        topic: request.topic.as_str().to_owned(),
        attempt: request.attempt,
        deadline_ms: end.and_then(|end| u64::try_from(end.as_millis()).ok()),
    }
}

/// A fault of ours that a run has met. It costs that call, and nothing else.
fn host_panic(panic: &(dyn Any + Send)) -> wasmtime::Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    wasmtime::format_err!("brrr-host itself panicked while running it, please report this: {}", text.unwrap_or("?"))
}
