//! Asks for the outcomes of a run's calls. Only this module has access to the run's replay.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brrr_protocol::ErrorKind;
use brrr_protocol::replay::{Invocation, Polled, Replay};

use super::bindings::brrr::worker::tasks;
use super::calls::{BackendFailed, FROM_DESCRIBE, MayNotPoll, NoRoom, Suspended, outcome};

/// The replay of a run. A poll takes the replay out while it uses it.
#[derive(Clone, Default)]
pub(super) struct RunReplay(Arc<Mutex<Option<Replay>>>);

impl RunReplay {
    /// The replay of a run of a call.
    pub fn new(replay: Replay) -> Self {
        Self(Arc::new(Mutex::new(Some(replay))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Replay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the replay. `None`: this is no run of a call, or a poll panicked.
    pub fn take(&self) -> Option<Replay> {
        self.lock().take()
    }

    /// Is the replay here, and neither taken nor lent?
    pub fn is_there(&self) -> bool {
        self.lock().is_some()
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
