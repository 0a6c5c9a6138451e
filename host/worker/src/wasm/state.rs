//! The state of one run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use brrr_protocol::model::{CallHash, JobId};
use hyper::header::HeaderValue;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::asking::RunReplay;
use super::bindings::brrr::worker::types;
use super::clocks::Clock;
use super::files::OpenFiles;
use super::home::Home;
use super::http::{Access, Http, OpenRequests};
use super::http_limits;
use super::output::Printer;
use super::probe::Probe;
use super::wasi;
use crate::batch::AwaitedPolls;

/// The data of one run's store. It is created for every run, so the parts that only some guests use are created at
/// their first use.
pub(super) struct State {
    /// The hash of the call.
    pub call: CallHash,
    /// The job that the call belongs to.
    pub job_id: JobId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The task makes no calls, so its run is never replayed. It gets the real clock and random numbers.
    pub leaf: bool,
    /// Shows the output of the run.
    pub printer: Printer,
    /// The replay that is asked for the outcomes of the run's calls.
    pub replay: RunReplay,
    /// The rest of the run's memory.
    pub memory: Budget,
    /// The time at which the run is stopped.
    pub deadline: Instant,
    /// The clock that the guest sees. `None`: the guest has not used it.
    pub clock: Option<Clock>,
    /// The host's resources that the guest holds.
    pub table: ResourceTable,
    /// The state of the run for WASI. `None`: nothing has used it yet.
    pub wasi: Option<Box<WasiCtx>>,
    /// The file descriptors that are counted for the run.
    pub open_files: OpenFiles,
    /// The guest may not choose a call hash that the host would not derive.
    pub own_hashes: bool,
    /// The component is called by its digest.
    pub home: Option<Arc<Home>>,
    /// The polls that a guest of the asynchronous world waits for.
    pub waiting: Option<Arc<AwaitedPolls<types::Outcome>>>,
    /// The permissions of the component, and the HTTP clients.
    pub access: Arc<Access>,
    /// The state of the run for `wasi:http`. `None`: nothing has used it yet.
    pub http: Option<Box<Http>>,
    /// The number of requests that the run waits for. `None`: nothing has asked for it yet.
    pub in_flight: Option<OpenRequests>,
    /// What its requests carry, so that the servers that they reach can continue the trace of the job.
    pub traceparent: Option<HeaderValue>,
    /// The probe, if the run is watched.
    pub probe: Option<Arc<Probe>>,
}

impl State {
    /// The requests that this run waits for.
    pub fn in_flight(&mut self) -> OpenRequests {
        self.in_flight.get_or_insert_default().clone()
    }

    /// Milliseconds until the run is stopped, as the guest sees it.
    pub fn left_ms(&self) -> u64 {
        let simulated = self.probe.as_ref().and_then(|probe| probe.asks_time_left());
        let left = simulated.unwrap_or_else(|| self.deadline.saturating_duration_since(Instant::now()));
        u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if self.wasi.is_none() {
            self.wasi = Some(Box::new(wasi::context_without_folders(self)));
        }
        let Some(ctx) = &mut self.wasi else { unreachable!("it was just made") };
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// The most resources of the host (streams, timers, requests) that a run may hold at once, however much memory it has.
/// An interpreter with a thousand sleeping tasks needs less.
const RESOURCES: usize = 10_000;

/// The most bytes of one resource: a request with a long path and full headers (`http_limits`). A body of two pieces
/// counts as two resources.
const RESOURCE: u64 = (http_limits::REQUEST + 1024) as u64;

/// How many resources of the host a run with this memory may hold at once. They are in the host's memory, so they take
/// at most as many bytes as the guest's own memory.
pub(super) fn resources(memory: u64) -> usize {
    usize::try_from(memory / RESOURCE).unwrap_or(usize::MAX).min(RESOURCES)
}

/// The table of a run's resources.
pub(super) fn resource_table(memory: u64) -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(resources(memory));
    table
}

/// The run has used up its time.
#[derive(Debug, thiserror::Error)]
#[error("out of time")]
pub(super) struct OutOfTime;

/// The run asked for more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("out of memory")]
pub(super) struct OutOfMemory {
    /// The most bytes that the run may have.
    pub limit: usize,
}

/// Called at every tick of the epoch: stops the run, or lets other tasks of the thread continue.
pub(super) fn at_tick(store: &mut StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    if Instant::now() >= store.data().deadline {
        return Err(OutOfTime.into());
    }
    Ok(UpdateDeadline::Yield(1))
}

/// The rest of a run's memory, over all memories and tables of the guest. With a limit on each of them, a guest with
/// many memories could use many times as much.
pub(super) struct Budget {
    /// The most bytes that the run may have.
    pub limit: usize,
    left: usize,
    probe: Option<Arc<Probe>>,
    /// The most bytes that were taken at once. It outlives the budget.
    most: Arc<AtomicU64>,
}

/// The bytes of an element of a table.
const ELEMENT: usize = size_of::<usize>();

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(bytes: u64) -> Self {
        let limit = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self { limit, left: limit, probe: None, most: Arc::default() }
    }

    /// The most bytes that were taken at once, also after the run has ended.
    pub fn most(&self) -> Arc<AtomicU64> {
        self.most.clone()
    }

    /// Reports the used memory to the probe, if there is one.
    pub fn watched_by(self, probe: Option<Arc<Probe>>) -> Self {
        Self { probe, ..self }
    }

    /// Takes memory, or traps. A trap is used because most languages abort after a refused growth, without saying why.
    pub fn take(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                self.most.fetch_max((self.limit - left) as u64, Ordering::Relaxed);
                if let Some(probe) = &self.probe {
                    probe.holds(self.limit - left);
                }
                Ok(true)
            }
            None => Err(OutOfMemory { limit: self.limit }.into()),
        }
    }
}

impl Budget {
    /// Gives memory back that was taken.
    pub fn free(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes).min(self.limit);
    }
}

impl ResourceLimiter for Budget {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.take(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.take(desired.saturating_sub(current).saturating_mul(ELEMENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_budget() {
        let mut budget = Budget::new(100);
        assert!(budget.memory_growing(0, 60, None).unwrap());
        assert!(budget.memory_growing(0, 40, Some(1000)).unwrap());
        let error = budget.memory_growing(40, 41, None).unwrap_err();
        assert_eq!(error.downcast::<OutOfMemory>().unwrap().limit, 100);
    }
}
