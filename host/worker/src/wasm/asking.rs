//! What a run asks for, and the one place that has its replay.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brrr_protocol::ErrorKind;
use brrr_protocol::replay::{Invocation, Polled, Replay};

use super::bindings::brrr::worker::tasks;
use super::calls::{BackendFailed, FROM_DESCRIBE, MayNotPoll, NoRoom, Suspended, outcome};

/// The replay of a run. Whoever polls has it to itself meanwhile.
#[derive(Clone, Default)]
pub(super) struct RunReplay(Arc<Mutex<Option<Replay>>>);

impl RunReplay {
    pub fn new(replay: Replay) -> Self {
        Self(Arc::new(Mutex::new(Some(replay))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Replay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replay. `None`: this is no run of a call, or a poll panicked.
    pub fn take(&self) -> Option<Replay> {
        self.lock().take()
    }

    pub fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    /// Lends the replay to a poll. It comes back also from a poll that is dropped half-way, because the run's time is up.
    fn lend(&self) -> Option<Lent<'_>> {
        let replay = self.take()?;
        Some(Lent { owner: self, replay: Some(replay) })
    }
}

/// A replay while a poll has it.
struct Lent<'r> {
    owner: &'r RunReplay,
    replay: Option<Replay>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Nobody knows in what state a panic has left it.
        if !std::thread::panicking() {
            *self.owner.lock() = self.replay.take();
        }
    }
}

/// Asks for the outcomes of calls.
pub(super) async fn ask(
    replay: &RunReplay,
    calls: Vec<Invocation>,
    need: Option<u32>,
) -> wasmtime::Result<Vec<Option<tasks::Outcome>>> {
    let Some(mut lent) = replay.lend() else {
        return Err(MayNotPoll(FROM_DESCRIBE).into());
    };
    let Some(replay) = &mut lent.replay else { unreachable!("only dropping takes it") };
    let polled = replay.poll(calls, need).await;
    drop(lent);
    match polled {
        Ok(Polled::Ready(outcomes)) => Ok(outcomes.into_iter().map(|o| o.map(outcome)).collect()),
        Ok(Polled::Suspended) => Err(Suspended.into()),
        Err(error) if error.kind == ErrorKind::Limit => Err(NoRoom.into()),
        Err(error) => Err(BackendFailed(error).into()),
    }
}
