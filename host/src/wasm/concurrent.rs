//! The asynchronous world (`wit/async/worker.wit`): a guest awaits its calls as futures of the component model, and the
//! host asks for all of them together when none of the guest can go on.
//!
//! A run is a future that drives the guest's tasks. That it can't go on shows from outside: polled again, although nobody
//! woke it, it comes as far as the guest's own call, and no further. (In the middle of a host function, or of a turn that
//! the guest gave to others, it would not come there.) Then everything that is waited for is one poll of the replay.
//! Outcomes come back in the order in which the calls were made; since the guest runs on one thread, and everything else
//! that it sees is replayed, so is what it does next.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use brrr_protocol::replay::Invocation;
use wasmtime::Store;
use wasmtime::component::{Accessor, HasSelf, Linker};

use super::bindings::concurrent::Worker;
use super::bindings::concurrent::brrr::worker::{control, log, tasks};
use super::bindings::concurrent::exports::brrr::worker::handler as theirs;
use super::bindings::exports::brrr::worker::handler;
use super::calls::{ask, invocation, may_call};
use super::outcome::Returned;
use super::output::{LogLevel, Printer};
use super::state::State;

/// All of the handler waits, but for no call: nothing could ever wake it.
#[derive(Debug, thiserror::Error)]
#[error("it waits for something that is no call, and nothing could wake it")]
pub(super) struct Stuck;

/// What a guest waits for takes more of the host's memory than it may hand over at once.
#[derive(Debug, thiserror::Error)]
#[error("it waits for more calls at once than fit")]
pub(super) struct TooMuch;

/// What a call takes beside its payload: a bound for the memory of calls without one.
const CALL: usize = 256;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    Worker::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

/// Runs a call to its end, or to where it waits.
pub(super) async fn handle(guest: &Worker, store: &mut Store<State>, request: &handler::Request) -> Returned {
    let waiting = Arc::new(Waiting::new(store.hostcall_fuel()));
    store.data_mut().waiting = Some(waiting.clone());
    let printer = store.data().printer.clone();
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
                    // New calls are looked at once, and wake for that: it need not be another turn of this thread's.
                    (true, true) if !again => (quiet, again) = (false, true),
                    _ => return Poll::Pending,
                }
            }
        })
        .await;
        match progress {
            Some(returned) => return Ok(returned??.map_err(from_guest)),
            None => waiting.answer(&printer).await?,
        }
    }
}

/// Wakes whoever polls, and remembers it.
#[derive(Default)]
struct Alarm {
    rung: AtomicBool,
    sleeper: Mutex<Option<Waker>>,
}

impl Alarm {
    fn set(&self, sleeper: &Waker) {
        let mut known = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|known| !known.will_wake(sleeper)) {
            *known = Some(sleeper.clone());
        }
    }

    fn silence(&self) {
        self.rung.store(false, SeqCst);
    }

    fn has_rung(&self) -> bool {
        self.rung.load(SeqCst)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        if let Some(sleeper) = &*self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) {
            sleeper.wake_by_ref();
        }
    }
}

/// What a run waits for.
pub(super) struct Waiting {
    inner: Mutex<Inner>,
    /// Bytes of calls that may wait at once.
    most: usize,
}

#[derive(Default)]
struct Inner {
    calls: Vec<(Invocation, Arc<Slot<tasks::Outcome>>)>,
    races: VecDeque<Race>,
    bytes: usize,
}

struct Race {
    calls: Vec<Invocation>,
    need: u32,
    slot: Arc<Slot<Outcomes>>,
}

type Outcomes = Vec<Option<tasks::Outcome>>;

impl Waiting {
    fn new(most: usize) -> Self {
        Self { inner: Mutex::default(), most }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for these calls.
    fn reserve(&self, calls: &[Invocation]) -> Result<MutexGuard<'_, Inner>, TooMuch> {
        let mut inner = self.lock();
        inner.bytes += calls.iter().map(|call| CALL + call.task.len() + call.payload.len()).sum::<usize>();
        if inner.bytes > self.most { Err(TooMuch) } else { Ok(inner) }
    }

    fn call(&self, call: Invocation) -> Result<Arc<Slot<tasks::Outcome>>, TooMuch> {
        let slot = Arc::new(Slot::default());
        self.reserve(std::slice::from_ref(&call))?.calls.push((call, slot.clone()));
        Ok(slot)
    }

    fn race(&self, calls: Vec<Invocation>, need: u32) -> Result<Arc<Slot<Outcomes>>, TooMuch> {
        let slot = Arc::new(Slot::default());
        self.reserve(&calls)?.races.push_back(Race { calls, need, slot: slot.clone() });
        Ok(slot)
    }

    /// Asks for all that is waited for, and lets the guest know.
    ///
    /// # Errors
    /// `Suspended` when not all of it has ended.
    async fn answer(&self, printer: &Printer) -> wasmtime::Result<()> {
        let calls = {
            let mut inner = self.lock();
            if inner.races.is_empty() {
                inner.bytes = 0;
            }
            std::mem::take(&mut inner.calls)
        };
        // What the guest has let go of has one owner left.
        let (calls, slots): (Vec<_>, Vec<_>) =
            calls.into_iter().filter(|(_, slot)| Arc::strong_count(slot) > 1).unzip();
        if !calls.is_empty() {
            for (slot, outcome) in slots.iter().zip(ask(printer, calls, None).await?) {
                // All were asked for, so all are there.
                if let Some(outcome) = outcome {
                    slot.fill(outcome);
                }
            }
            return Ok(());
        }
        loop {
            let Some(race) = self.lock().races.pop_front() else { return Err(Stuck.into()) };
            if Arc::strong_count(&race.slot) > 1 {
                race.slot.fill(ask(printer, race.calls, Some(race.need)).await?);
                return Ok(());
            }
        }
    }
}

/// Where a call of the guest finds what it waits for.
struct Slot<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new((None, None)))
    }
}

impl<T> Slot<T> {
    fn fill(&self, outcome: T) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = Some(outcome);
        if let Some(waker) = slot.1.take() {
            waker.wake();
        }
    }

    async fn filled(&self) -> T {
        poll_fn(|context| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.0.take() {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    slot.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Where calls of this run wait.
fn waiting(state: &State) -> wasmtime::Result<Arc<Waiting>> {
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
    ) -> wasmtime::Result<Outcomes> {
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

/// The tasks that a guest names.
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
