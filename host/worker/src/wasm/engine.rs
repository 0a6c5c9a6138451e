//! The wasmtime engines of the process: one for all guests of the plain world, and one for those of the asynchronous world,
//! made when the first of those is loaded.

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

/// What an engine is built for.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How many runs may be in memory at once; further ones wait. Each costs address space, and up to 1 MB that stays
    /// resident between runs (a guest of several memories: more).
    pub max_running: u32,
    /// Where compiled components are kept. `None`: the user's cache folder.
    pub cache_dir: Option<PathBuf>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        // A run that waits for others is not in memory, so more than this would only take turns on the cores.
        Self { max_running: 64, cache_dir: None }
    }
}

/// Compiles guests, and has the room in which they run.
pub struct Engine {
    options: EngineOptions,
    plain: Arc<Core>,
    concurrent: Mutex<Option<Arc<Core>>>,
    /// One permit a slot of a pool: a full pool makes a run wait instead of fail. Over both engines, each of which has as
    /// many slots: they are addresses, not memory.
    pub(super) slots: Semaphore,
    /// Of one more slot, for a guest that is asked for its tasks.
    pub(super) describing: Semaphore,
    /// Made when the first guest sends a request.
    pub(super) clients: Arc<Clients>,
}

/// A wasmtime engine, and what belongs to it.
pub(super) struct Core {
    pub wasmtime: wasmtime::Engine,
    pub linker: Linker<State>,
    pub cache: Cache,
    pub ticker: Ticker,
}

/// What one guest may consist of: room for the largest that we build, `CPython` with its libraries, several times over
/// (an estimate, and cheap: these bound address space, not memory).
const CORE_INSTANCES: u32 = 50;
const MEMORIES: u32 = 4;
const TABLES: u32 = 8;

/// `CPython` puts its functions into a table, of the order of ten thousand; again with room (an estimate).
const TABLE_ELEMENTS: usize = 50_000;

/// What a guest may use of a stack for its own frames; `CPython` stops its own recursion at about 600 KiB.
pub(super) const WASM_STACK: usize = 1 << 20;

/// The whole stack of a run: the guest's part, and as much again for the host functions that it calls.
const FIBER_STACK: usize = 2 * WASM_STACK;

/// What stays mapped of a memory and a table between runs, so that the next run takes no page fault where this one wrote.
/// `QuickJS` writes some 60 pages in a run, and with so much kept costs less than half; 128 KiB did for Rust, and more than
/// this changed nothing. `CPython` writes too many places (the kernel is asked for 32 of them at most) and takes its
/// faults in any case.
const MEMORY_KEPT: usize = 512 << 10;
const TABLE_KEPT: usize = 64 << 10;

/// A trap names its innermost frames; the rest would only make the message longer.
const BACKTRACE_FRAMES: usize = 8;

impl Engine {
    /// Reserves the pool and starts the thread that interrupts guests.
    ///
    /// # Errors
    /// When the system refuses the address space, the thread, or this processor is not supported.
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

    /// What guests of this world run in.
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
        // Costs every run 1.2 µs, so only those pay that need it.
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
        // A slot reserves 4 GiB of addresses anyway, which spares the guest its bounds checks. The limit of a run is
        // kept by `state::Budget`.
        .max_memory_size(1 << 32)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(TABLE_KEPT)
        // Resets only the pages that a run has written; falls back by itself where the kernel can't tell.
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES))
        // A replay on another machine must compute the same bits.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}
