//! Runs calls in guests. Implements the protocol's `Handler`.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::digest::Digest;
use brrr_protocol::options::{LONGEST, Options, Scopes};
use brrr_protocol::ports::{self, Ended, Handler, Request};
use brrr_protocol::records::{TaskInfo, TaskInfos};
use brrr_protocol::replay::Replay;
use futures_util::FutureExt as _;

use super::RunLimits;
use super::asking::RunReplay;
use super::bindings::brrr::worker::types;
use super::error::LoadError;
use super::files::OpenFiles;
use super::guest::{Guest, Task, store};
use super::home::Home;
use super::outcome::{self, Circumstances, Returned};
use super::output::{Output, Printer};
use super::probe::Probe;
use super::state::{Budget, OutOfTime, State, resource_table};
use super::wasi;

/// Runs the tasks of some components, each call in an instance of its own.
pub struct WasmHandler {
    guests: Vec<Guest>,
    tasks: HashMap<String, TaskEntry>,
    scopes: Arc<Scopes>,
    limits: RunLimits,
    output: Arc<dyn Output>,
    /// The component is called by its digest.
    home: Option<Arc<Home>>,
}

/// A task: the index of its component, and its options.
struct TaskEntry {
    guest: usize,
    name: Arc<str>,
    task: Arc<ports::Task>,
    leaf: bool,
    /// The worker's log has warned already that the task's effects are repeated.
    warned: AtomicBool,
}

/// The host's options of tasks, by the names of the tasks. They override the options of the components. `*`: all tasks,
/// for options that their own entries do not set.
pub type Overrides = BTreeMap<String, Options>;

impl WasmHandler {
    /// Joins components into one handler.
    ///
    /// # Errors
    /// When two of them have the same task.
    pub fn new(
        guests: Vec<Guest>,
        limits: RunLimits,
        overrides: &Overrides,
        output: Arc<dyn Output>,
    ) -> std::result::Result<Self, LoadError> {
        let mut tasks: HashMap<String, TaskEntry> = HashMap::new();
        let defaults = Options { timeout: Some(limits.wall), memory: Some(limits.memory), ..Options::default() };
        for (index, guest) in guests.iter().enumerate() {
            for Task { name, options, leaf, .. } in &guest.tasks {
                // A guest may ask for less memory than the host allows. Only the host may allow more.
                let declared = Options { memory: options.memory.map(|m| m.min(limits.memory)), ..options.clone() };
                let levels = [overrides.get(name), overrides.get("*"), Some(&declared), Some(&defaults)];
                let options = levels.into_iter().flatten().fold(Options::default(), |near, far| near.over(far));
                let task = Arc::new(ports::Task::new(guest.digest.clone(), options));
                let entry = TaskEntry {
                    guest: index,
                    name: name.as_str().into(),
                    task,
                    leaf: *leaf,
                    warned: AtomicBool::new(false),
                };
                if let Some(first) = tasks.insert(name.clone(), entry) {
                    return Err(LoadError::TaskClaimedByTwo {
                        task: name.clone(),
                        first: guests[first.guest].path.clone(),
                        second: guest.path.clone(),
                    });
                }
            }
        }
        let scope = |(name, entry): (&String, &TaskEntry)| Some((name.clone(), entry.task.options.scope?));
        let scopes = Arc::new(tasks.iter().filter_map(scope).collect());
        Ok(Self { guests, tasks, scopes, limits, output, home: None })
    }

    /// The handler of a component that is called by its digest: of its tasks under the names `TASK@sha256:…`.
    ///
    /// # Errors
    /// As `new`.
    pub fn at(
        guest: Guest,
        component: Digest,
        limits: RunLimits,
        overrides: &Overrides,
        output: Arc<dyn Output>,
    ) -> std::result::Result<Self, LoadError> {
        let home = Home::new(component, guest.tasks.iter().map(|task| task.name.clone()));
        let handler = Self::new(vec![guest], limits, overrides, output)?;
        let tasks = handler.tasks.into_iter().map(|(name, entry)| (home.name(&name), entry)).collect();
        let scopes = handler.scopes.iter().map(|(task, scope)| (home.name(task), *scope)).collect();
        Ok(Self { tasks, scopes: Arc::new(scopes), home: Some(Arc::new(home)), ..handler })
    }

    /// All tasks, in the order of the components and of their declarations.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.guests.iter().flat_map(|guest| &guest.tasks)
    }

    /// All tasks, as they are announced. The scope is the one that the worker goes by.
    pub fn infos(&self) -> TaskInfos {
        let scope = |task: &Task| self.scopes.get(&task.name).map(ToString::to_string);
        let info = |task: &Task| TaskInfo { scope: scope(task), ..task.info() };
        self.tasks().map(|task| (task.name.clone(), info(task))).collect()
    }

    /// Does a task make no calls? `None`: there is no such task.
    #[must_use]
    pub fn is_leaf(&self, task: &str) -> Option<bool> {
        self.tasks.get(task).map(|entry| entry.leaf)
    }

    /// The components, in the order given.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter()
    }

    /// The longest time of one run, over all tasks, unless its job sets another time.
    pub fn longest_run(&self) -> Duration {
        self.tasks.values().filter_map(|entry| entry.task.options.timeout).max().unwrap_or(self.limits.wall)
    }

    fn state(
        &self,
        entry: &TaskEntry,
        request: &Request,
        (printer, replay): (Printer, RunReplay),
        deadline: Instant,
        probe: Option<Arc<Probe>>,
    ) -> State {
        let memory = request.memory.unwrap_or(self.limits.memory);
        State {
            call: request.call.clone(),
            job_id: request.job_id.clone(),
            attempt: request.attempt,
            leaf: entry.leaf,
            printer,
            replay,
            memory: Budget::new(memory).watched_by(probe.clone()),
            deadline,
            clock: None,
            table: resource_table(memory),
            wasi: None,
            open_files: OpenFiles::default(),
            own_hashes: self.limits.own_hashes,
            home: self.home.clone(),
            waiting: None,
            access: self.guests[entry.guest].access.clone(),
            http: None,
            in_flight: None,
            traceparent: self.output.traceparent(&request.job_id, &request.call).and_then(|text| text.parse().ok()),
            probe,
        }
    }

    /// Creates an instance, runs the call in it, and drops the instance.
    async fn execute(&self, guest: &Guest, state: State, request: types::Request) -> Returned {
        let mut store = store(&guest.core, state, &self.limits);
        guest.template.instantiate(&mut store).await?.handle(&mut store, &request).await
    }

    /// Runs a call from its beginning as `run` does, while a probe watches.
    ///
    /// # Errors
    /// As `run`.
    pub async fn run_watched(
        &self,
        request: Request,
        replay: Replay,
        probe: Option<Arc<Probe>>,
    ) -> Result<(Ended, Replay)> {
        let Some(entry) = self.tasks.get(&request.task) else {
            return Err(brrr_protocol::Error::new(
                brrr_protocol::ErrorKind::Internal,
                "worker",
                format!("run the task {}", request.task),
                "no component here has it",
            ));
        };
        let guest = &self.guests[entry.guest];
        // The semaphore is never closed. If it were, the run would fail when the pool is full.
        let _slot = guest.engine.slots.acquire().await;
        let _running = guest.core.ticker.running();

        // A watched run reports its effects through `Output::touched`.
        let watched = probe.is_some();
        let wall = request.timeout.unwrap_or(self.limits.wall).min(LONGEST);
        let deadline = Instant::now() + wall;
        let memory = request.memory.unwrap_or(self.limits.memory);
        let replay = replay.with_room(memory);
        let printer = Printer::new(self.output.clone(), entry.name.clone(), request.call.clone(), replay.printed())
            .keeping_for(&replay);
        let replay = RunReplay::new(replay);
        let mut state = self.state(entry, &request, (printer.clone(), replay.clone()), deadline, probe);
        let used = state.memory.most();
        wasi::open_folders(&mut state).map_err(|error| outcome::not_begun(&error))?;
        let attempt = request.attempt;
        let returned = {
            // This future is large. Pinned here, it is not copied into each of the futures around it.
            let run = pin!(self.execute(guest, state, to_guest(request, entry, wall)));
            // A tick stops a guest that computes. This timeout stops a guest that waits in the host.
            let run = tokio::time::timeout_at(deadline.into(), run);
            let run = async {
                tokio::select! {
                    biased;
                    returned = run => returned,
                    stopped = replay.stopped() => Ok(Err(stopped)),
                }
            };
            AssertUnwindSafe(run).catch_unwind().await
        };
        let returned = match returned {
            Ok(Ok(returned)) => returned,
            // This is the result even if the backend was slow: the run's time is up in any case.
            Ok(Err(_)) => Err(OutOfTime.into()),
            Err(panic) => {
                // If the output has panicked, it would panic again.
                printer.close();
                Err(host_panic(&*panic))
            }
        };
        self.output.used_memory(&entry.name, used.load(Ordering::Relaxed));
        if !replay.is_there() {
            return Err(outcome::lost_in_backend());
        }
        let about = Circumstances {
            task: &entry.name,
            attempt,
            wall,
            memory,
            result: self.limits.result,
            stderr: if returned.is_err() { printer.tail() } else { String::new() },
        };
        let ended = outcome::ended(returned, &about)?;
        if ended != Ended::Suspended {
            printer.flush();
        } else if !watched && printer.has_effects() && !entry.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{}: it sends requests or uses files, and calls other tasks: every replay of a call does so again; put \
                 such work into a leaf task of its own",
                entry.name
            );
        }
        let Some(mut replay) = replay.take() else { unreachable!("it was just there") };
        replay.has_printed(printer.progress());
        Ok((ended, replay))
    }
}

#[async_trait]
impl Handler for WasmHandler {
    fn task(&self, task: &str) -> Option<Arc<ports::Task>> {
        Some(self.tasks.get(task)?.task.clone())
    }

    fn scopes(&self) -> Arc<Scopes> {
        self.scopes.clone()
    }

    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)> {
        self.run_watched(request, replay, None).await
    }
}

/// The request as the guest gets it. Only a leaf may know when its run must end, because this time differs from replay
/// to replay.
fn to_guest(request: Request, entry: &TaskEntry, wall: Duration) -> types::Request {
    let of_run =
        entry.leaf.then(|| (SystemTime::now() + wall).duration_since(UNIX_EPOCH)).and_then(std::result::Result::ok);
    let of_run = of_run.and_then(|end| u64::try_from(end.as_millis()).ok());
    let of_job = (request.deadline > 0).then_some(request.deadline);
    types::Request {
        task: entry.name.to_string(),
        payload: request.payload.into(),
        call_hash: request.call.as_str().to_owned(),
        job_id: request.job_id.as_str().to_owned(),
        topic: request.topic.as_str().to_owned(),
        attempt: request.attempt,
        deadline_ms: of_run.into_iter().chain(of_job).min(),
    }
}

/// A bug of this program that a run has met. Only that call fails.
fn host_panic(panic: &(dyn Any + Send)) -> wasmtime::Error {
    wasmtime::format_err!(
        "brrr-host itself panicked while running it, please report this: {}",
        crate::panics::text(panic)
    )
}
