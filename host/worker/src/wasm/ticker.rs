//! The thread that moves the engine's epoch. At each tick a running guest checks whether it must stop or yield.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

/// How long a guest may compute before other tasks of its thread can continue. Yielding costs about a microsecond.
const TICK: Duration = Duration::from_millis(2);

/// After this many ticks without a run (0.4 s) the thread sleeps until the next run. It does not sleep earlier, because
/// waking it is a system call, and a sequence of short runs should not pay for that each time.
const IDLE_TICKS: u32 = 200;

struct TickerState {
    running: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
}

/// Moves the epoch while guests run. Costs nothing while no guest runs.
pub(super) struct Ticker {
    shared: Arc<TickerState>,
    thread: Thread,
}

/// Keeps the epoch moving until it is dropped.
pub(super) struct RunningGuest<'a>(&'a Ticker);

impl Ticker {
    /// Starts the thread that moves the epoch of this engine.
    pub fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(TickerState {
            running: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let theirs = shared.clone();
        let handle = thread::Builder::new().name("wasm-epoch".into()).spawn(move || tick(&engine, &theirs))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Records that a guest runs, until the returned value is dropped.
    pub fn running(&self) -> RunningGuest<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.parked.load(SeqCst) {
            self.thread.unpark();
        }
        RunningGuest(self)
    }
}

impl Drop for RunningGuest<'_> {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.thread.unpark();
    }
}

fn tick(engine: &EngineWeak, shared: &TickerState) {
    let mut idle = 0;
    while !shared.stop.load(SeqCst) {
        idle = if shared.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
        if idle > IDLE_TICKS {
            shared.parked.store(true, SeqCst);
            // `running` is read after `parked` was set. A new run reads `parked` after it was added to `running`. So at
            // least one of the two notices the other.
            if shared.running.load(SeqCst) == 0 && !shared.stop.load(SeqCst) {
                thread::park();
            }
            shared.parked.store(false, SeqCst);
            idle = 0;
        }
        thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for some seconds until the condition is true.
    fn soon(condition: impl Fn() -> bool) -> bool {
        (0..500).any(|_| {
            condition() || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        })
    }

    #[test]
    fn it_sleeps_while_nothing_runs_and_wakes_for_a_run() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(engine.weak()).unwrap();
        assert!(soon(|| ticker.shared.parked.load(SeqCst)));
        let running = ticker.running();
        assert!(soon(|| !ticker.shared.parked.load(SeqCst)));
        drop(running);
        assert!(soon(|| ticker.shared.parked.load(SeqCst)));
    }
}
