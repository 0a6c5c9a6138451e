//! The wasmtime engines of the process. One engine is for all guests of the plain world. The other is for guests of the
//! asynchronous world, and is created when the first of them is loaded.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::Cache;
use super::client::Clients;
use super::error::LoadError;
use super::state::State;
use super::ticker::Ticker;
use super::world::World;
use super::{http, wasi};

/// The settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many runs may be in memory at once. Further runs wait. Each run costs address space, and up to 1 MB that
    /// stays resident between runs (more for a guest with several memories).
    pub max_running: u32,
    /// The folder of compiled components. `None`: the user's cache folder.
    pub cache_dir: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        // A run that waits for calls is not in memory. So more runs than this would only compete for the cores.
        Self { max_running: 64, cache_dir: None }
    }
}

/// Compiles guests, and provides the memory for their runs.
pub struct Engine {
    options: EngineOptions,
    plain: Arc<Core>,
    concurrent: Mutex<Option<Arc<Core>>>,
    /// One permit for each slot of a pool, so that a run waits instead of failing when the pool is full. The permits
    /// are for both engines together. Each engine has as many slots as there are permits; a slot costs only addresses,
    /// not memory.
    pub(super) slots: Semaphore,
    /// The permit of one more slot, for a guest that is asked for its tasks.
    pub(super) describing: Semaphore,
    /// The HTTP clients. They are created when the first guest sends a request.
    pub(super) clients: Arc<Clients>,
}

/// A wasmtime engine with its linker, cache and ticker.
pub(super) struct Core {
    /// The engine that compiles and runs the guests of the world.
    pub wasmtime: wasmtime::Engine,
    /// The functions that the guests may import.
    pub linker: Linker<State>,
    /// The components that were compiled earlier.
    pub cache: Cache,
    /// The thread that lets the engine interrupt its guests.
    pub ticker: Ticker,
}

/// The limits of one guest. They are several times the size of the largest guest that this project builds, `CPython`
/// with its libraries. They are estimates. They cost little, because they limit address space, not memory.
const CORE_INSTANCES: u32 = 50;
const MEMORIES: u32 = 4;
const TABLES: u32 = 8;

/// `CPython` puts its functions into a table, about ten thousand of them. This limit is also an estimate with room.
const TABLE_ELEMENTS: usize = 50_000;

/// The most stack that a guest's own frames may use. `CPython` stops its own recursion at about 600 KiB.
pub(super) const WASM_STACK: usize = 1 << 20;

/// The whole stack of a run: the guest's part, and the same again for the host functions that the guest calls.
const FIBER_STACK: usize = 2 * WASM_STACK;

/// How much of a memory and a table stays mapped between runs. A following run then has no page faults where the
/// earlier run has written. `QuickJS` writes some 60 pages in a run, and its runs cost less than half with this
/// setting. For Rust, 128 KiB were enough, and larger values changed nothing. `CPython` writes to too many places (the
/// kernel reports at most 32 of them), and has its page faults with any value.
const MEMORY_KEPT: usize = 512 << 10;
const TABLE_KEPT: usize = 64 << 10;

/// The most frames that a trap names, beginning with the innermost. More would only make the message longer.
const BACKTRACE_FRAMES: usize = 8;

impl Engine {
    /// Reserves the pool, and starts the thread that interrupts guests.
    ///
    /// # Errors
    /// When the system refuses the address space or the thread, or this processor is not supported.
    pub fn new(options: &EngineOptions) -> Result<Arc<Engine>, LoadError> {
        let slots = Semaphore::new(options.max_running.max(1) as usize);
        let plain = Arc::new(Core::new(options, World::Plain)?);
        Ok(Arc::new(Engine {
            options: options.clone(),
            plain,
            concurrent: Mutex::default(),
            slots,
            describing: Semaphore::new(1),
            clients: Arc::default(),
        }))
    }

    /// The engine of this world.
    pub(super) fn core(&self, world: World) -> Result<Arc<Core>, LoadError> {
        if world == World::Plain {
            return Ok(self.plain.clone());
        }
        let mut core = self.concurrent.lock().unwrap_or_else(PoisonError::into_inner);
        if core.is_none() {
            *core = Some(Arc::new(Core::new(&self.options, world)?));
        }
        Ok(core.clone().unwrap_or_else(|| unreachable!("it was just made")))
    }
}

impl Core {
    fn new(options: &EngineOptions, world: World) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Engine { reason: format!("{error:#}") };
        let mut config = config(options.max_running.max(1).saturating_add(1));
        // This setting costs every run 1.2 µs, so it is on only for guests that need it.
        let concurrent = world == World::Concurrent;
        config.concurrency_support(concurrent).wasm_component_model_async(concurrent);
        let wasmtime = wasmtime::Engine::new(&config).map_err(failed)?;
        let mut linker = Linker::new(&wasmtime);
        wasi::add_to_linker(&mut linker).map_err(failed)?;
        http::add_to_linker(&mut linker).map_err(failed)?;
        world.add_to_linker(&mut linker).map_err(failed)?;
        let ticker = Ticker::start(wasmtime.weak()).map_err(|e| failed(e.into()))?;
        let cache = Cache::open(options.cache_dir.clone(), &wasmtime);
        Ok(Self { wasmtime, linker, cache, ticker })
    }
}

fn config(slots: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * CORE_INSTANCES)
        .total_memories(slots * MEMORIES)
        .total_tables(slots * TABLES)
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        // A slot reserves 4 GiB of addresses in any case, so that the guest's code needs no bounds checks.
        // `state::Budget` enforces the limit of a run.
        .max_memory_size(1 << 32)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(TABLE_KEPT)
        // Resets only the pages that a run has written. wasmtime uses another method if the kernel can't tell the
        // pages.
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES))
        // A replay on another machine must compute the same bits, also for NaN.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}
