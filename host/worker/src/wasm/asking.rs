//! Asks for the outcomes of a run's calls. Only this module has access to the run's replay.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brrr_protocol::ErrorKind;
use brrr_protocol::model::Millis;
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};

use tokio::sync::Notify;

use super::bindings::brrr::worker::types;
use super::calls::{BackendFailed, FROM_DESCRIBE, MayNotPoll, NoRoom, Suspended, outcome};

/// The replay of a run. A poll takes the replay out while it uses it.
#[derive(Clone, Default)]
pub(super) struct RunReplay(Arc<Inner>);

#[derive(Default)]
struct Inner {
    replay: Mutex<Option<Replay>>,
    /// The clock of the replay, in milliseconds since the Unix epoch.
    clock: AtomicU64,
    /// Why the run must stop, although the guest can't be told: it waits in a host function that returns no error.
    stop: Mutex<Option<wasmtime::Error>>,
    must_stop: AtomicBool,
    stopped: Notify,
}

/// The end of a sleep.
pub(super) enum Slept {
    /// The clock shows the end of the sleep.
    Awake,
    /// The run must be dropped. Its future ends, see `RunReplay::stopped`.
    Dropped,
}

impl RunReplay {
    /// The replay of a run of a call.
    pub fn new(replay: Replay) -> Self {
        let clock = AtomicU64::new(replay.clock());
        Self(Arc::new(Inner { replay: Mutex::new(Some(replay)), clock, ..Inner::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Replay>> {
        self.0.replay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the replay. `None`: this is no run of a call, or a poll panicked.
    pub fn take(&self) -> Option<Replay> {
        self.lock().take()
    }

    /// Is the replay here, and neither taken nor lent?
    pub fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    /// The clock that the guest sees, in milliseconds since the Unix epoch.
    pub fn clock(&self) -> Millis {
        self.0.clock.load(SeqCst)
    }

    /// Sleeps until the clock shows this time.
    pub fn sleep(&self, until: Millis) -> Slept {
        // The guest may be polled again before its run is dropped.
        if self.0.must_stop.load(SeqCst) {
            return Slept::Dropped;
        }
        let mut lock = self.lock();
        // This is no run of a call, so nothing could wake it later.
        let Some(replay) = &mut *lock else { return Slept::Awake };
        let why = match replay.sleep(until) {
            Ok(Polled::Ready(_)) => {
                self.0.clock.store(replay.clock(), SeqCst);
                return Slept::Awake;
            }
            Ok(Polled::Suspended) => Suspended.into(),
            Err(_) => NoRoom.into(),
        };
        self.0.must_stop.store(true, SeqCst);
        *self.0.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.0.stopped.notify_one();
        Slept::Dropped
    }

    /// Returns once the run must be dropped, with the reason.
    pub async fn stopped(&self) -> wasmtime::Error {
        loop {
            self.0.stopped.notified().await;
            if let Some(why) = self.0.stop.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return why;
            }
        }
    }

    /// Lends the replay to a poll. The replay is returned also if the poll is dropped early, because the run's time is
    /// up.
    fn lend(&self) -> Option<Lent<'_>> {
        let replay = self.take()?;
        Some(Lent { owner: self, replay: Some(replay) })
    }
}

/// A replay that a poll uses.
struct Lent<'r> {
    owner: &'r RunReplay,
    replay: Option<Replay>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // After a panic the state of the replay is unknown.
        if !std::thread::panicking() {
            if let Some(replay) = &self.replay {
                self.owner.0.clock.store(replay.clock(), SeqCst);
            }
            *self.owner.lock() = self.replay.take();
        }
    }
}

/// Asks for the outcomes of calls.
pub(super) async fn ask(
    replay: &RunReplay,
    calls: Vec<Invocation>,
    want: Want,
    until: Option<Millis>,
) -> wasmtime::Result<Vec<Option<types::Outcome>>> {
    let Some(mut lent) = replay.lend() else {
        return Err(MayNotPoll(FROM_DESCRIBE).into());
    };
    let Some(replay) = &mut lent.replay else { unreachable!("only dropping takes it") };
    let polled = replay.poll(calls, want, until).await;
    drop(lent);
    match polled {
        Ok(Polled::Ready(outcomes)) => Ok(outcomes.into_iter().map(|o| o.map(outcome)).collect()),
        Ok(Polled::Suspended) => Err(Suspended.into()),
        Err(error) if error.kind == ErrorKind::Limit => Err(NoRoom.into()),
        Err(error) => Err(BackendFailed(error).into()),
    }
}
