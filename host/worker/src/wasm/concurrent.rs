//! The world `worker-async`. A guest awaits its polls as futures of the component model. The host asks for the calls of
//! all of them together when no part of the guest can continue.
//!
//! A run is a future that drives the guest's tasks. The host detects from outside that the run can't continue: it polls
//! the run again without a wake-up. Then the run gets as far as the guest's own call, and no further. (If a host
//! function were running, or the guest had yielded, the run would not get there.) Then all waiting calls become one
//! poll of the replay. Outcomes are returned in the order in which the calls were made. The guest runs on one thread,
//! and all its other input is replayed. So its next steps are the same in every replay.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use wasmtime::Store;
use wasmtime::component::{Accessor, HasSelf, Linker};

use super::asking::ask;
use super::bindings::brrr::worker::types;
use super::bindings::concurrent::WorkerAsync;
use super::bindings::concurrent::brrr::worker::tasks_async;
use super::calls::{invocation, may_call};
use super::outcome::Returned;
use super::state::State;
use crate::batch::{Alarm, AwaitedPolls};

/// The handler waits, but not for a call. So nothing could ever wake it.
#[derive(Debug, thiserror::Error)]
#[error("it waits for something that is not a call, and nothing can end that wait")]
pub(super) struct Stuck;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    WorkerAsync::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

/// Runs a call to its end, or until it waits.
pub(super) async fn handle(guest: &WorkerAsync, store: &mut Store<State>, request: &types::Request) -> Returned {
    let waiting = Arc::new(AwaitedPolls::new(store.hostcall_fuel()));
    store.data_mut().waiting = Some(waiting.clone());
    let replay = store.data().replay.clone();
    let request = request.clone();
    let came_to_the_call = AtomicBool::new(false);
    let run = store.run_concurrent(async |accessor| {
        let mut call = pin!(guest.brrr_worker_handler_async().call_handle(accessor, request));
        poll_fn(|context| {
            came_to_the_call.store(true, SeqCst);
            call.as_mut().poll(context)
        })
        .await
    });
    let mut run = pin!(run);
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    loop {
        let progress = poll_fn(|context| {
            alarm.set(context.waker());
            let mut context = Context::from_waker(&waker);
            let (mut quiet, mut again) = (false, false);
            loop {
                alarm.silence();
                came_to_the_call.store(false, SeqCst);
                if let Poll::Ready(returned) = run.as_mut().poll(&mut context) {
                    return Poll::Ready(Some(returned));
                }
                match (came_to_the_call.load(SeqCst), alarm.has_rung()) {
                    (true, false) if quiet => return Poll::Ready(None),
                    (_, false) if !quiet => quiet = true,
                    // A new call wakes the run, so that the call is noticed at once. Then the run is polled once more
                    // here, without another turn of the thread's scheduler.
                    (true, true) if !again => (quiet, again) = (false, true),
                    _ => return Poll::Pending,
                }
            }
        })
        .await;
        match progress {
            Some(returned) => return returned?,
            None => {
                let batch = waiting.next().ok_or(Stuck)?;
                let outcomes = ask(&replay, batch.calls, batch.want, batch.until).await?;
                waiting.settle(outcomes, replay.clock());
            }
        }
    }
}

/// The place where this run's polls wait.
fn waiting(state: &State) -> wasmtime::Result<Arc<AwaitedPolls<types::Outcome>>> {
    may_call(state)?;
    state.waiting.clone().ok_or_else(|| super::calls::MayNotPoll(super::calls::FROM_DESCRIBE).into())
}

impl<T: Send> tasks_async::HostWithStore<T> for HasSelf<State> {
    async fn poll(
        accessor: &Accessor<T, Self>,
        calls: Vec<types::Invocation>,
        want: types::Want,
        until: Option<u64>,
    ) -> wasmtime::Result<Vec<Option<types::Outcome>>> {
        let (waiting, own_hashes, home) = accessor.with(|mut store| {
            let state = store.get();
            waiting(state).map(|waiting| (waiting, state.own_hashes, state.home.clone()))
        })?;
        let calls = calls
            .into_iter()
            .map(|call| invocation(call, own_hashes, home.as_deref()))
            .collect::<Result<Vec<_>, _>>()?;
        let slot = waiting.poll(calls, want.into(), until)?;
        Ok(slot.filled().await)
    }
}

impl tasks_async::Host for State {}
