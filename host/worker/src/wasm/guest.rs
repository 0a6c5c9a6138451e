//! A component that was found fit to run, and the tasks it has.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_protocol::model::{CallHash, JobId, check_name, hex};
use brrr_protocol::options::{LONGEST, Options};
use brrr_protocol::replay::Printed;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Store, Trap};

use super::asking::RunReplay;
use super::bindings::exports::brrr::worker::handler;
use super::engine::{Core, Engine};
use super::error::{LoadError, short};
use super::files::OpenFiles;
use super::http::Access;
use super::outcome::{self, Circumstances};
use super::output::{Output, OutputLine, Printer};
use super::state::{Budget, OutOfMemory, OutOfTime, State, at_tick, resource_table};
use super::world::{Template, World};
use super::{RunLimits, effort, shape};
use crate::permissions::Grants;

/// How long a guest may take to name its tasks: a list that is mostly known before it starts.
const DESCRIBE_TIME: Duration = Duration::from_secs(10);

/// Bytes of a component, ten times those of `CPython` with its libraries: it is read and compiled in the host's memory.
const LARGEST: u64 = 256 << 20;

/// How long compiling may take: the largest that we know, minutes on a slow and busy machine. After that, `--watch` looks at
/// the next change.
const COMPILE_TIME: Duration = Duration::from_mins(10);

/// Tasks of one component: a worker's log, gateways and the store list them all.
const MOST_TASKS: usize = 1_000;

/// Options of one task besides those with a type; there are seven that this version knows.
const MOST_OPTIONS: usize = 100;

/// A component that is ready to run, and what it said of itself.
pub struct Guest {
    pub path: PathBuf,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Bytes of the component.
    pub size: u64,
    pub tasks: Vec<Task>,
    /// The names of the interfaces that it imports.
    pub imports: Vec<String>,
    /// The version of `brrr:worker` that it was built for, and the world of that version.
    pub wit_version: String,
    pub world: World,
    pub(super) engine: Arc<Engine>,
    pub(super) core: Arc<Core>,
    pub(super) template: Template,
    pub(super) access: Arc<Access>,
}

/// A task that a guest handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub name: String,
    /// How it wants to be run.
    pub options: Options,
    /// Calls nobody, and gets the real clock and random numbers.
    pub leaf: bool,
    /// Options that this version does not know.
    pub extra: Vec<(String, String)>,
}

/// What loading a guest is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStage {
    Reading,
    /// This may take from a tenth of a second (Rust) to half a minute (an interpreter of 20 MB).
    Compiling {
        size: u64,
    },
    /// Compiled earlier; taken from the cache.
    Cached,
    Describing,
}

impl Guest {
    /// Reads a component, compiles it unless that was done before, and asks for its tasks.
    ///
    /// # Errors
    /// When it can't be served by this host: see [`LoadError`].
    pub async fn load(
        engine: &Arc<Engine>,
        path: &Path,
        progress: &(dyn Fn(LoadStage) + Sync),
    ) -> Result<Guest, LoadError> {
        progress(LoadStage::Reading);
        let bytes = read(path).await?;
        let size = bytes.len() as u64;
        let shape = shape::inspect(path, &bytes)?;
        let digest = hex(&Sha256::digest(&bytes));
        let core = engine.core(shape.world)?;
        let component = if let Some(component) = core.cache.load(&core.wasmtime, &digest) {
            progress(LoadStage::Cached);
            component
        } else {
            progress(LoadStage::Compiling { size });
            compile(&core, path, &digest, bytes).await?
        };
        let unfit =
            |error: wasmtime::Error| LoadError::Unfit { path: path.to_owned(), reason: short(&format!("{error:#}")) };
        let template = Template::new(shape.world, &core.linker, &component).map_err(unfit)?;
        progress(LoadStage::Describing);
        let tasks = describe(engine, &core, path, &template).await?;
        Ok(Guest {
            path: path.to_owned(),
            digest,
            size,
            tasks: check(path, tasks)?,
            imports: shape.imports,
            wit_version: shape.wit_version,
            world: shape.world,
            engine: engine.clone(),
            core,
            template,
            access: Arc::default(),
        })
    }

    /// With leave to touch what it is granted, from now on; before this, it may touch nothing.
    #[must_use]
    pub fn allowing(mut self, grants: Grants) -> Self {
        self.access = Arc::new(Access::new(grants, self.engine.clients.clone()));
        self
    }
}

/// A store for one run, with its limits in force.
pub(super) fn store(core: &Core, state: State, limits: &RunLimits) -> Store<State> {
    let mut store = Store::new(&core.wasmtime, state);
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| at_tick(&mut store));
    store.set_hostcall_fuel(usize::try_from(limits.result).unwrap_or(usize::MAX));
    store
}

async fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let file = path.to_owned();
    // A pipe to which nobody writes must not hold up an interrupt.
    let read = tokio::task::spawn_blocking(move || read_bounded(&file)).await;
    read.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => LoadError::NotFound { path: path.to_owned() },
        _ => LoadError::Unreadable { path: path.to_owned(), source },
    })
}

/// All of a file, or, if it is no WebAssembly, enough to tell what it is: a device may have no end.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20));
    let mut file = fs::File::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.by_ref().take(shape::HEAD).read_to_end(&mut bytes)?;
    if shape::is_wasm(&bytes) {
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    Ok(bytes)
}

async fn compile(core: &Arc<Core>, path: &Path, digest: &str, bytes: Vec<u8>) -> Result<Component, LoadError> {
    let (core, digest, of) = (core.clone(), digest.to_owned(), path.to_owned());
    // Seconds of pure computing: not on a thread that serves others.
    let compiled = tokio::task::spawn_blocking(move || {
        effort::check(&bytes).map_err(|reason| LoadError::TooMuchToCompile { path: of.clone(), reason })?;
        let invalid = |error| LoadError::Invalid { path: of.clone(), reason: short(&format!("{error:#}")) };
        let component = Component::new(&core.wasmtime, &bytes).map_err(invalid)?;
        core.cache.store(&digest, &component);
        Ok(component)
    });
    let invalid = |reason| LoadError::Invalid { path: path.to_owned(), reason };
    match tokio::time::timeout(COMPILE_TIME, compiled).await {
        Ok(Ok(compiled)) => compiled,
        Ok(Err(panic)) => Err(invalid(format!("the compiler failed on it ({panic})"))),
        // Its thread can't be stopped; it ends with the process at the latest.
        Err(_) => Err(invalid(format!("it takes more than {} minutes", COMPILE_TIME.as_secs() / 60))),
    }
}

/// Asks a guest for its tasks, within bounds of its own.
async fn describe(
    engine: &Engine,
    core: &Core,
    path: &Path,
    template: &Template,
) -> Result<Vec<handler::Task>, LoadError> {
    let limits = RunLimits { wall: DESCRIBE_TIME, ..RunLimits::default() };
    let printer = Printer::new(Arc::new(Nobody), "describe".into(), CallHash::from(""), Printed::default());
    // A slot of its own: runs of what is served meanwhile neither wait for it nor make it wait.
    let _slot = engine.describing.acquire().await;
    let deadline = Instant::now() + limits.wall;
    let state = State {
        call: CallHash::from(""),
        job_id: JobId::from(""),
        first_run: 0,
        attempt: 1,
        leaf: false,
        printer: printer.clone(),
        replay: RunReplay::default(),
        memory: Budget::new(limits.memory),
        deadline,
        clock: None,
        table: resource_table(limits.memory),
        wasi: None,
        open_files: OpenFiles::default(),
        waiting: None,
        access: Arc::default(),
        http: None,
        in_flight: None,
        probe: None,
    };
    let _running = core.ticker.running();
    let asked = async {
        let mut store = store(core, state, &limits);
        let guest = template.instantiate(&mut store).await.map_err(|e| e.context(NotStarted))?;
        guest.describe(&mut store).await
    };
    let asked = tokio::time::timeout_at(deadline.into(), asked).await.unwrap_or_else(|_| Err(OutOfTime.into()));
    asked.map_err(|error| {
        let path = path.to_owned();
        if error.is::<OutOfTime>() {
            return LoadError::DescribeTimeout { path, limit: DESCRIBE_TIME };
        }
        // Not the guest's doing: its functions have other types than they should, or it is too large for the pool.
        if error.is::<NotStarted>() && !error.is::<Trap>() && !error.is::<OutOfMemory>() {
            return LoadError::Unfit { path, reason: short(&error.root_cause().to_string()) };
        }
        printer.flush();
        let about = Circumstances {
            task: "describe",
            attempt: 1,
            wall: limits.wall,
            memory: limits.memory,
            result: limits.result,
            stderr: printer.tail(),
        };
        LoadError::DescribeFailed { path, reason: outcome::explain(&error, &about).1 }
    })
}

fn check(path: &Path, tasks: Vec<handler::Task>) -> Result<Vec<Task>, LoadError> {
    if tasks.is_empty() {
        return Err(LoadError::NoTasks { path: path.to_owned() });
    }
    if tasks.len() > MOST_TASKS {
        return Err(LoadError::TooManyTasks { path: path.to_owned(), tasks: tasks.len(), most: MOST_TASKS });
    }
    let mut names = HashSet::new();
    for task in &tasks {
        check_name("its name", &task.name).map_err(|reason| LoadError::BadName { path: path.to_owned(), reason })?;
        if !names.insert(task.name.as_str()) {
            return Err(LoadError::TaskTwice { path: path.to_owned(), task: task.name.clone() });
        }
    }
    tasks.into_iter().map(|told| task(path, told)).collect()
}

fn task(path: &Path, told: handler::Task) -> Result<Task, LoadError> {
    let handler::Options { timeout_ms, max_retries, retry_delay_ms, leaf, extra } = told.options;
    let bad = |reason: String| {
        let (path, task) = (path.to_owned(), told.name.clone());
        LoadError::BadOption { path, task, reason: short(&reason) }
    };
    check_extra(&extra).map_err(bad)?;
    let (known, extra): (Vec<_>, Vec<_>) = extra.into_iter().partition(|(key, _)| Options::knows(key));
    let options = Options::parse(known.iter().map(|(key, value)| (key.as_str(), value.as_str()))).map_err(bad)?;
    let typed = Options {
        timeout: timeout_ms.map(|ms| Duration::from_millis(ms).min(LONGEST)),
        max_retries,
        retry_delay: retry_delay_ms.map(|ms| Duration::from_millis(ms).min(LONGEST)),
        ..Options::default()
    };
    Ok(Task { name: told.name, options: typed.over(&options), leaf, extra })
}

/// Options that are not known are kept and shown, and a label is a name.
fn check_extra(extra: &[(String, String)]) -> Result<(), String> {
    if extra.len() > MOST_OPTIONS {
        return Err(format!("it has {} options; at most {MOST_OPTIONS} are allowed", extra.len()));
    }
    extra.iter().try_for_each(|(key, value)| {
        check_name("the name of an option", key)?;
        if value.is_empty() { Ok(()) } else { check_name(&format!("the option {key}"), value) }
    })
}

/// Marks an error as one of making the instance.
#[derive(Debug, thiserror::Error)]
#[error("no instance could be made")]
struct NotStarted;

/// Where the output of `describe` goes: what matters of it is in the error, if there is one.
struct Nobody;

impl Output for Nobody {
    fn write(&self, _: OutputLine<'_>) {}
}
