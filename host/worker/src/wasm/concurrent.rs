//! The asynchronous world (`wit/async/worker.wit`). A guest awaits its calls as futures of the component model. The
//! host asks for all of them together when no part of the guest can continue.
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
use super::bindings::concurrent::Worker;
use super::bindings::concurrent::brrr::worker::{control, log, tasks};
use super::bindings::concurrent::exports::brrr::worker::handler as theirs;
use super::bindings::exports::brrr::worker::handler;
use super::calls::{invocation, may_call};
use super::outcome::Returned;
use super::output::LogLevel;
use super::state::State;
use crate::batch::{Alarm, AwaitedCalls};

/// The handler waits, but not for a call. So nothing could ever wake it.
#[derive(Debug, thiserror::Error)]
#[error("it waits for something that is not a call, and nothing can end that wait")]
pub(super) struct Stuck;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    Worker::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

/// Runs a call to its end, or until it waits.
pub(super) async fn handle(guest: &Worker, store: &mut Store<State>, request: &handler::Request) -> Returned {
    let waiting = Arc::new(AwaitedCalls::new(store.hostcall_fuel()));
    store.data_mut().waiting = Some(waiting.clone());
    let replay = store.data().replay.clone();
    let request = to_guest(request);
    let came_to_the_call = AtomicBool::new(false);
    let run = store.run_concurrent(async |accessor| {
        let mut call = pin!(guest.brrr_worker_handler().call_handle(accessor, request));
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
            Some(returned) => return Ok(returned??.map_err(from_guest)),
            None => {
                let batch = waiting.next().ok_or(Stuck)?;
                let need = batch.need;
                let (calls, asked) = batch.ask();
                let outcomes = ask(&replay, calls, need).await?;
                waiting.settle(asked, outcomes, replay.clock());
            }
        }
    }
}

/// The place where this run's calls wait.
fn waiting(state: &State) -> wasmtime::Result<Arc<AwaitedCalls<tasks::Outcome>>> {
    may_call(state)?;
    state.waiting.clone().ok_or_else(|| super::calls::MayNotPoll(super::calls::FROM_DESCRIBE).into())
}

impl<T: Send> tasks::HostWithStore<T> for HasSelf<State> {
    async fn call(accessor: &Accessor<T, Self>, call: tasks::Invocation) -> wasmtime::Result<tasks::Outcome> {
        let waiting = accessor.with(|mut store| waiting(store.get()))?;
        let slot = waiting.call(invocation(call)?)?;
        Ok(slot.filled().await)
    }

    async fn race(
        accessor: &Accessor<T, Self>,
        calls: Vec<tasks::Invocation>,
        need: u32,
    ) -> wasmtime::Result<Vec<Option<tasks::Outcome>>> {
        let waiting = accessor.with(|mut store| waiting(store.get()))?;
        let calls = calls.into_iter().map(invocation).collect::<Result<Vec<_>, _>>()?;
        let slot = waiting.race(calls, need)?;
        Ok(slot.filled().await)
    }
}

impl tasks::Host for State {}

impl control::Host for State {
    fn time_left_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.left_ms())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.printer.log(level, &message);
        Ok(())
    }
}

/// The tasks that a guest declares.
pub(super) async fn describe(guest: &Worker, store: &mut Store<State>) -> wasmtime::Result<Vec<handler::Task>> {
    let tasks = guest.brrr_worker_handler().call_describe(store).await?;
    Ok(tasks.into_iter().map(task).collect())
}

fn task(theirs::Task { name, options }: theirs::Task) -> handler::Task {
    let theirs::Options { timeout_ms, max_retries, retry_delay_ms, leaf, extra } = options;
    handler::Task { name, options: handler::Options { timeout_ms, max_retries, retry_delay_ms, leaf, extra } }
}

fn to_guest(request: &handler::Request) -> theirs::Request {
    let handler::Request { task, payload, call_hash, root_id, topic, attempt, deadline_ms } = request.clone();
    theirs::Request { task, payload, call_hash, root_id, topic, attempt, deadline_ms }
}

fn from_guest(error: theirs::HandlerError) -> handler::HandlerError {
    match error {
        theirs::HandlerError::Retryable(message) => handler::HandlerError::Retryable(message),
        theirs::HandlerError::Permanent(message) => handler::HandlerError::Permanent(message),
        theirs::HandlerError::Child(failure) => handler::HandlerError::Child(failure),
    }
}
