//! A component that can be run, and its tasks.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_protocol::model::{CallHash, JobId, OWN_TASKS, check_name, hex};
use brrr_protocol::options::Options;
use brrr_protocol::records::{TaskAbout, TaskInfo};
use brrr_protocol::replay::Printed;
use brrr_protocol::shipping::About;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Store, Trap};

use super::asking::RunReplay;
use super::bindings::brrr::worker::types;
use super::engine::{Core, Engine};
use super::error::{LoadError, short};
use super::files::OpenFiles;
use super::http::Access;
use super::outcome::{self, Circumstances};
use super::output::{Output, OutputLine, Printer};
use super::state::{Budget, OutOfMemory, OutOfTime, State, at_tick, resource_table};
use super::world::{Template, World};
use super::{RunLimits, effort, proposals, shape};
use crate::permissions::Grants;
use crate::signatures::{Signer, TrustedKeys};

/// How long a guest may take to name its tasks. Most guests know this list before they start.
const DESCRIBE_TIME: Duration = Duration::from_secs(10);

/// The most bytes of a component, ten times the size of `CPython` with its libraries. A component is read and compiled
/// in the host's memory.
const LARGEST: u64 = 256 << 20;

/// How long compiling may take. The largest known component takes minutes on a slow and busy machine. After this time,
/// `--watch` continues with the next change.
const COMPILE_TIME: Duration = Duration::from_mins(10);

/// The most tasks of one component. A worker's log, gateways and the store list all of them.
const MOST_TASKS: usize = 1_000;

/// The most options of one task besides those with a type. This version knows seven.
const MOST_OPTIONS: usize = 100;

/// A component that is ready to run, and what it declares. Clones share the compiled code.
#[derive(Clone)]
pub struct Guest {
    /// The file of the component.
    pub path: PathBuf,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// The size of the component in bytes.
    pub size: u64,
    /// The SDK that the component says it was made with. Empty: none.
    pub sdk: String,
    /// The version of that SDK.
    pub sdk_version: String,
    /// Who has signed it, if it runs because of that.
    pub signer: Option<Signer>,
    /// The tasks that the component has declared (`describe`). No two have the same name.
    pub tasks: Vec<Task>,
    /// The names of what it exports.
    pub exports: Vec<String>,
    /// The names of the interfaces that it imports.
    pub imports: Vec<String>,
    /// The version of `brrr:worker` that it was built for.
    pub wit_version: String,
    /// The world of `brrr:worker` that it was built for.
    pub world: World,
    pub(super) engine: Arc<Engine>,
    pub(super) core: Arc<Core>,
    pub(super) template: Template,
    pub(super) access: Arc<Access>,
}

/// A task that a guest handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The name by which the task is called.
    pub name: String,
    /// The options that the guest asks for.
    pub options: Options,
    /// The task makes no calls, and gets the real clock and random numbers.
    pub leaf: bool,
    /// What the task does, for people.
    pub description: Option<String>,
    /// The JSON Schema of the arguments.
    pub input_schema: Option<serde_json::Value>,
    /// The JSON Schema of the result.
    pub output_schema: Option<serde_json::Value>,
    /// Options that this version does not know.
    pub extra: Vec<(String, String)>,
}

impl Task {
    /// What the task is, as the component says.
    #[must_use]
    pub fn info(&self) -> TaskInfo {
        TaskInfo {
            description: self.description.clone(),
            input_schema: self.input_schema.clone(),
            output_schema: self.output_schema.clone(),
            scope: self.options.scope.map(|scope| scope.to_string()),
        }
    }
}

/// The stages of loading a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStage {
    /// The file is read.
    Reading,
    /// The component is compiled. This takes from a tenth of a second (Rust) to half a minute (an interpreter of 20 MB).
    Compiling {
        /// The size of the component in bytes.
        size: u64,
    },
    /// The component was compiled earlier, and is taken from the cache.
    Cached,
    /// The component is asked for its tasks (`describe`).
    Describing,
}

impl Guest {
    /// Reads a component, compiles it unless it is in the cache, and asks for its tasks.
    ///
    /// # Errors
    /// When this host can't serve it: see [`LoadError`].
    pub async fn load(
        engine: &Arc<Engine>,
        path: &Path,
        progress: &(dyn Fn(LoadStage) + Sync),
    ) -> Result<Guest, LoadError> {
        progress(LoadStage::Reading);
        let bytes = Self::read(path).await?;
        Self::from_bytes(engine, path, bytes, progress).await
    }

    /// The bytes of a component in a file. What is not WebAssembly is read no further than needed to tell what it is.
    ///
    /// # Errors
    /// When the file can't be read, or is too large.
    pub async fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
        let file = path.to_owned();
        // A pipe without a writer must not delay an interrupt.
        let read = tokio::task::spawn_blocking(move || read_bounded(&file)).await;
        read.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LoadError::NotFound { path: path.to_owned() },
            _ => LoadError::Unreadable { path: path.to_owned(), source },
        })
    }

    /// The same as `load`, of a component that is in memory. `path` names it in errors.
    ///
    /// # Errors
    /// When this host can't serve it: see [`LoadError`].
    pub async fn from_bytes(
        engine: &Arc<Engine>,
        path: &Path,
        bytes: Vec<u8>,
        progress: &(dyn Fn(LoadStage) + Sync),
    ) -> Result<Guest, LoadError> {
        let size = bytes.len() as u64;
        let shape = shape::inspect(path, &bytes)?;
        let digest = hex(&Sha256::digest(&bytes));
        let core = engine.core(shape.world)?;
        let component = if let Some(component) = core.cache.load(&core.wasmtime, &digest) {
            progress(LoadStage::Cached);
            component
        } else {
            progress(LoadStage::Compiling { size });
            compile(&core, path, &digest, shape.world, bytes).await?
        };
        let unfit =
            |error: wasmtime::Error| LoadError::Unfit { path: path.to_owned(), reason: short(&format!("{error:#}")) };
        let template = Template::new(shape.world, &core.linker, &component).map_err(unfit)?;
        progress(LoadStage::Describing);
        let described = describe(engine, &core, path, &template).await?;
        let (sdk, sdk_version) = (short(&described.sdk), short(&described.sdk_version));
        Ok(Guest {
            path: path.to_owned(),
            digest,
            size,
            sdk,
            sdk_version,
            signer: None,
            tasks: check(path, described.tasks)?,
            exports: shape.exports,
            imports: shape.imports,
            wit_version: shape.wit_version,
            world: shape.world,
            engine: engine.clone(),
            core,
            template,
            access: Arc::default(),
        })
    }

    /// What is said of the component where it is kept in a store.
    #[must_use]
    pub fn about(&self) -> About {
        let task = |task: &Task| {
            let options = task.options.pairs().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            (task.name.clone(), TaskAbout { info: task.info(), options })
        };
        let sdk = format!("{} {}", self.sdk, self.sdk_version).trim().to_owned();
        About { tasks: self.tasks.iter().map(task).collect(), sdk, signatures: Vec::new() }
    }

    /// The same as `from_bytes`, if one of these keys has signed the component. It is checked before it is compiled.
    ///
    /// # Errors
    /// `Untrusted`, if none has; else as `from_bytes`.
    pub async fn from_signed(
        engine: &Arc<Engine>,
        path: &Path,
        bytes: Vec<u8>,
        (keys, signatures): (&TrustedKeys, Vec<String>),
        progress: &(dyn Fn(LoadStage) + Sync),
    ) -> Result<Guest, LoadError> {
        let keys = keys.clone();
        // A large component takes the processor for a second.
        let checked = tokio::task::spawn_blocking(move || {
            let checked = keys.check(&bytes, &signatures);
            (bytes, checked)
        });
        let untrusted = |reason| LoadError::Untrusted { path: path.to_owned(), reason };
        let (bytes, checked) = checked.await.map_err(|panic| untrusted(format!("the check failed ({panic})")))?;
        let signer = checked.map_err(untrusted)?;
        let guest = Self::from_bytes(engine, path, bytes, progress).await?;
        Ok(Self { signer, ..guest })
    }

    /// Gives the guest these permissions from now on. Before this call it has none.
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

/// Reads the whole file. If it is not WebAssembly, reads only enough to tell what it is, because a device may have no
/// end.
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

async fn compile(
    core: &Arc<Core>,
    path: &Path,
    digest: &str,
    world: World,
    bytes: Vec<u8>,
) -> Result<Component, LoadError> {
    let (core, digest, of) = (core.clone(), digest.to_owned(), path.to_owned());
    // Compiling takes seconds of CPU time, so it must not run on a thread of the runtime.
    let compiled = tokio::task::spawn_blocking(move || {
        effort::check(&bytes).map_err(|reason| LoadError::TooMuchToCompile { path: of.clone(), reason })?;
        let invalid = |error| match proposals::switched_off(&bytes, world) {
            Some(uses) => LoadError::SwitchedOff { path: of.clone(), uses },
            None => LoadError::Invalid { path: of.clone(), reason: short(&format!("{error:#}")) },
        };
        let component = Component::new(&core.wasmtime, &bytes).map_err(invalid)?;
        core.cache.store(&digest, &component);
        Ok(component)
    });
    let invalid = |reason| LoadError::Invalid { path: path.to_owned(), reason };
    match tokio::time::timeout(COMPILE_TIME, compiled).await {
        Ok(Ok(compiled)) => compiled,
        Ok(Err(panic)) => Err(invalid(format!("the compiler failed on it ({panic})"))),
        // The compiler's thread can't be stopped. It ends with the process at the latest.
        Err(_) => Err(invalid(format!("it takes more than {} minutes", COMPILE_TIME.as_secs() / 60))),
    }
}

/// Asks a guest for its tasks, with limits of its own.
async fn describe(
    engine: &Engine,
    core: &Core,
    path: &Path,
    template: &Template,
) -> Result<types::Component, LoadError> {
    let limits = RunLimits { wall: DESCRIBE_TIME, ..RunLimits::default() };
    let printer = Printer::new(Arc::new(Nobody), "describe".into(), CallHash::from(""), Printed::default());
    // This uses a slot of its own, so that it does not wait for current runs, and they don't wait for it.
    let _slot = engine.describing.acquire().await;
    let deadline = Instant::now() + limits.wall;
    let state = State {
        call: CallHash::from(""),
        job_id: JobId::from(""),
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
        own_hashes: false,
        home: None,
        waiting: None,
        access: Arc::default(),
        http: None,
        in_flight: None,
        traceparent: None,
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
        // The guest's code is not the cause here: its functions have other types than required, or it is too large for
        // the pool.
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

fn check(path: &Path, tasks: Vec<types::Task>) -> Result<Vec<Task>, LoadError> {
    if tasks.is_empty() {
        return Err(LoadError::NoTasks { path: path.to_owned() });
    }
    if tasks.len() > MOST_TASKS {
        return Err(LoadError::TooManyTasks { path: path.to_owned(), tasks: tasks.len(), most: MOST_TASKS });
    }
    let mut names = HashSet::new();
    for task in &tasks {
        let named = check_name("its name", &task.name).and_then(|()| match task.name.starts_with(OWN_TASKS) {
            true => Err(format!("its name begins with {OWN_TASKS}: such names are the host's own")),
            false => Ok(()),
        });
        named.map_err(|reason| LoadError::BadName { path: path.to_owned(), reason })?;
        if !names.insert(task.name.as_str()) {
            return Err(LoadError::TaskTwice { path: path.to_owned(), task: task.name.clone() });
        }
    }
    tasks.into_iter().map(|described| task(path, described)).collect()
}

fn task(path: &Path, described: types::Task) -> Result<Task, LoadError> {
    let types::Task { name, options: mut pairs } = described;
    let bad =
        |reason: String| LoadError::BadOption { path: path.to_owned(), task: name.clone(), reason: short(&reason) };
    let leaf = take(&mut pairs, "leaf").map(|text| match text.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("the option leaf is `true` or `false`, not {other:?}")),
    });
    let leaf = leaf.transpose().map_err(bad)?.unwrap_or(false);
    let description = take(&mut pairs, "description");
    if description.as_ref().is_some_and(|text| text.len() > MOST_DESCRIPTION) {
        return Err(bad(format!("its description has more than {MOST_DESCRIPTION} bytes")));
    }
    let schema =
        |pairs: &mut Vec<_>, key: &str| take(pairs, key).map(|text| schema(key, &text)).transpose().map_err(bad);
    let (input_schema, output_schema) = (schema(&mut pairs, "input-schema")?, schema(&mut pairs, "output-schema")?);
    check_extra(&pairs).map_err(bad)?;
    let (known, extra): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| Options::knows(key));
    let options = Options::parse(known.iter().map(|(key, value)| (key.as_str(), value.as_str()))).map_err(bad)?;
    Ok(Task { options, leaf, description, input_schema, output_schema, extra, name })
}

/// Takes an option out of the list.
fn take(pairs: &mut Vec<(String, String)>, key: &str) -> Option<String> {
    let index = pairs.iter().position(|(name, _)| name == key)?;
    Some(pairs.swap_remove(index).1)
}

/// The most bytes of a task's description, and of a schema.
const MOST_DESCRIPTION: usize = 4 << 10;
const MOST_SCHEMA: usize = 64 << 10;

fn schema(key: &str, text: &str) -> Result<serde_json::Value, String> {
    if text.len() > MOST_SCHEMA {
        return Err(format!("its {key} has more than {} KiB", MOST_SCHEMA >> 10));
    }
    match serde_json::from_str(text) {
        Ok(schema @ (serde_json::Value::Object(_) | serde_json::Value::Bool(_))) => Ok(schema),
        Ok(_) => Err(format!("its {key} is no JSON Schema: neither an object nor a boolean")),
        Err(error) => Err(format!("its {key} is not JSON: {error}")),
    }
}

/// Checks the unknown options, which are kept and shown. A label must be a valid name.
fn check_extra(extra: &[(String, String)]) -> Result<(), String> {
    if extra.len() > MOST_OPTIONS {
        return Err(format!("it has {} options; at most {MOST_OPTIONS} are allowed", extra.len()));
    }
    extra.iter().try_for_each(|(key, value)| {
        check_name("the name of an option", key)?;
        if value.is_empty() { Ok(()) } else { check_name(&format!("the option {key}"), value) }
    })
}

/// Marks an error as one of creating the instance.
#[derive(Debug, thiserror::Error)]
#[error("no instance could be made")]
struct NotStarted;

/// Discards the output of `describe`. If `describe` fails, the error has the important part.
struct Nobody;

impl Output for Nobody {
    fn write(&self, _: OutputLine<'_>) {}
}
