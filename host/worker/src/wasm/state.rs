//! What one run owns.

use std::sync::Arc;
use std::time::Instant;

use brrr_protocol::model::{CallHash, JobId, Millis};
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::asking::RunReplay;
use super::bindings::brrr::worker::tasks;
use super::clocks::Clock;
use super::files::OpenFiles;
use super::http::{Access, Http, OpenRequests};
use super::http_limits;
use super::output::Printer;
use super::probe::Probe;
use super::wasi;
use crate::batch::AwaitedCalls;

/// The data of one run's store. Made for every run, so what only some guests use is made when they do.
pub(super) struct State {
    pub call: CallHash,
    pub job_id: JobId,
    /// The time that the call sees at its beginning.
    pub first_run: Millis,
    pub attempt: u32,
    /// Calls nobody, and so never runs again from the start: gets the real clock and random numbers.
    pub leaf: bool,
    pub printer: Printer,
    pub replay: RunReplay,
    pub memory: Budget,
    pub deadline: Instant,
    pub clock: Option<Clock>,
    pub table: ResourceTable,
    pub wasi: Option<Box<WasiCtx>>,
    pub open_files: OpenFiles,
    /// What a guest of the asynchronous world waits for.
    pub waiting: Option<Arc<AwaitedCalls<tasks::Outcome>>>,
    pub access: Arc<Access>,
    pub http: Option<Box<Http>>,
    pub in_flight: Option<OpenRequests>,
    /// Who looks on, where somebody does.
    pub probe: Option<Arc<Probe>>,
}

impl State {
    /// The requests that this run waits for.
    pub fn in_flight(&mut self) -> OpenRequests {
        self.in_flight.get_or_insert_default().clone()
    }

    /// Milliseconds until the run is stopped, as the guest hears of it.
    pub fn left_ms(&self) -> u64 {
        let told = self.probe.as_ref().and_then(|probe| probe.asks_time_left());
        let left = told.unwrap_or_else(|| self.deadline.saturating_duration_since(Instant::now()));
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

/// How many of the host's things (streams, timers, requests) a run may hold at once, however much memory it has; a
/// thousand sleeping tasks of an interpreter still fit.
const RESOURCES: usize = 10_000;

/// Bytes that one of them takes at the most: a request with a long path and full headers (`http_limits`), or a body of two
/// pieces, which is two of them.
const RESOURCE: u64 = (http_limits::REQUEST + 1024) as u64;

/// How many of the host's things a run with so many bytes of memory may hold at once. They lie in the host's memory, and so
/// take at the most as much again as the guest may have.
pub(super) fn resources(memory: u64) -> usize {
    usize::try_from(memory / RESOURCE).unwrap_or(usize::MAX).min(RESOURCES)
}

/// Where a run's things are kept.
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
    pub limit: usize,
}

/// At every tick of the epoch: stop, or let others of this thread have a turn.
pub(super) fn at_tick(store: &mut StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    if Instant::now() >= store.data().deadline {
        return Err(OutOfTime.into());
    }
    Ok(UpdateDeadline::Yield(1))
}

/// What is left of a run's memory, over all memories and tables of the guest: a limit on each would let a guest with
/// many have many times as much.
pub(super) struct Budget {
    pub limit: usize,
    left: usize,
    probe: Option<Arc<Probe>>,
}

/// What an element of a table takes.
const ELEMENT: usize = size_of::<usize>();

impl Budget {
    pub fn new(bytes: u64) -> Self {
        let limit = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self { limit, left: limit, probe: None }
    }

    pub fn watched_by(self, probe: Option<Arc<Probe>>) -> Self {
        Self { probe, ..self }
    }

    /// Refuses by a trap: most languages answer a refused growth by aborting, without a word about why.
    pub fn take(&mut self, bytes: usize) -> wasmtime::Result<bool> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
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
    /// What was taken and is free again.
    pub fn give_back(&mut self, bytes: usize) {
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
