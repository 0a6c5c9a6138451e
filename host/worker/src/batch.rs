//! Collects the calls that a run awaits one by one, and the times that it waits for. The host asks for them together when
//! no part of the run can continue.
//!
//! Each awaited call has a slot. The code that polls the run notices that all of the run waits. It then asks the run's
//! replay for every call that has a slot, and fills the slots.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};

use brrr_protocol::model::Millis;
use brrr_protocol::replay::Invocation;

/// The memory of a call without its payload, in bytes. It also bounds the number of calls with an empty payload.
const CALL: usize = 256;

/// The calls that a run waits for take more of the host's memory than the run may use at once.
#[derive(Debug, thiserror::Error)]
#[error("it waits for more calls at once than fit")]
pub(crate) struct TooMuch;

/// The calls and times that a run waits for. `O` is the type of the calls' outcomes.
pub(crate) struct AwaitedCalls<O> {
    inner: Mutex<Awaited<O>>,
    /// The most bytes of the calls that may wait at once.
    most: usize,
}

struct Awaited<O> {
    calls: Vec<(Invocation, Arc<Slot<O>>)>,
    races: VecDeque<Race<O>>,
    timers: Vec<(Millis, Arc<Slot<()>>)>,
    bytes: usize,
}

struct Race<O> {
    calls: Vec<Invocation>,
    need: u32,
    slot: Arc<Slot<Vec<Option<O>>>>,
}

impl<O> AwaitedCalls<O> {
    /// No calls yet. `most` is the most bytes of the calls that may wait at once.
    pub fn new(most: usize) -> Self {
        let inner = Awaited { calls: Vec::new(), races: VecDeque::new(), timers: Vec::new(), bytes: 0 };
        Self { inner: Mutex::new(inner), most }
    }

    fn lock(&self) -> MutexGuard<'_, Awaited<O>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves memory for these calls.
    fn reserve(&self, calls: &[Invocation]) -> Result<MutexGuard<'_, Awaited<O>>, TooMuch> {
        let mut inner = self.lock();
        inner.bytes += calls.iter().map(|call| CALL + call.task.len() + call.payload.len()).sum::<usize>();
        if inner.bytes > self.most { Err(TooMuch) } else { Ok(inner) }
    }

    /// Adds a call.
    pub fn call(&self, call: Invocation) -> Result<Arc<Slot<O>>, TooMuch> {
        let slot = Arc::new(Slot::default());
        self.reserve(std::slice::from_ref(&call))?.calls.push((call, slot.clone()));
        Ok(slot)
    }

    /// Adds a race: calls of which the run needs only `need` outcomes.
    pub fn race(&self, calls: Vec<Invocation>, need: u32) -> Result<Arc<Slot<Vec<Option<O>>>>, TooMuch> {
        let slot = Arc::new(Slot::default());
        self.reserve(&calls)?.races.push_back(Race { calls, need, slot: slot.clone() });
        Ok(slot)
    }

    /// Adds a time, in milliseconds since the Unix epoch.
    pub fn time(&self, at: Millis) -> Arc<Slot<()>> {
        let slot = Arc::new(Slot::default());
        self.lock().timers.push((at, slot.clone()));
        slot
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.calls.is_empty() && inner.races.is_empty() && inner.timers.is_empty()
    }

    /// What to ask for next: all calls that are awaited one by one, or else one race, until the earliest of the times. `None`:
    /// nothing waits.
    pub fn next(&self) -> Option<Batch<O>> {
        let mut inner = self.lock();
        if inner.races.is_empty() {
            inner.bytes = 0;
        }
        // If the run has dropped a call, this vector is the only owner of the call's slot.
        let calls = std::mem::take(&mut inner.calls);
        let (calls, slots): (Vec<_>, Vec<_>) =
            calls.into_iter().filter(|(_, slot)| Arc::strong_count(slot) > 1).unzip();
        inner.timers.retain(|(_, slot)| Arc::strong_count(slot) > 1);
        let until = inner.timers.iter().map(|(at, _)| *at).min();
        if !calls.is_empty() {
            return Some(Batch { calls, need: None, until, slots: Slots::Each(slots) });
        }
        while let Some(Race { calls, need, slot }) = inner.races.pop_front() {
            if Arc::strong_count(&slot) > 1 {
                return Some(Batch { calls, need: Some(need), until, slots: Slots::Race(slot) });
            }
        }
        until.map(|_| Batch { calls: Vec::new(), need: None, until, slots: Slots::Each(Vec::new()) })
    }

    /// Hands out the outcomes of a batch, and ends the sleeps whose time has come by the clock after the poll. The calls that
    /// had no outcome when the time of the batch came go on waiting.
    pub fn settle(&self, asked: Asked<O>, outcomes: Vec<Option<O>>, clock: Millis) {
        let mut inner = self.lock();
        let (due, later) = std::mem::take(&mut inner.timers).into_iter().partition(|(at, _)| *at <= clock);
        inner.timers = later;
        match asked.slots {
            Slots::Each(slots) => {
                let mut again = Vec::new();
                let mut calls = asked.calls.into_iter();
                for (slot, outcome) in slots.into_iter().zip(outcomes) {
                    match (outcome, calls.next()) {
                        (Some(outcome), _) => slot.fill(outcome),
                        (None, Some(call)) => again.push((call, slot)),
                        (None, None) => {}
                    }
                }
                again.append(&mut inner.calls);
                inner.calls = again;
            }
            Slots::Race(slot) => {
                let there = outcomes.iter().flatten().count();
                match asked.need {
                    Some(need) if there < (need as usize).min(outcomes.len()) => {
                        inner.races.push_front(Race { calls: asked.calls, need, slot });
                    }
                    _ => slot.fill(outcomes),
                }
            }
        }
        drop(inner);
        let due: Vec<(Millis, Arc<Slot<()>>)> = due;
        due.iter().for_each(|(_, slot)| slot.fill(()));
    }
}

/// Calls that are asked for together.
pub(crate) struct Batch<O> {
    /// The calls. Their outcomes have the same order.
    pub calls: Vec<Invocation>,
    /// The number of outcomes that are needed. `None`: all.
    pub need: Option<u32>,
    /// The time at which the outcomes that are there are enough, in milliseconds since the Unix epoch.
    pub until: Option<Millis>,
    slots: Slots<O>,
}

/// A batch that was asked for.
pub(crate) struct Asked<O> {
    /// The calls, if they may have to be asked for once more.
    calls: Vec<Invocation>,
    need: Option<u32>,
    slots: Slots<O>,
}

impl<O> Batch<O> {
    /// The calls, and what `AwaitedCalls::settle` needs.
    pub fn ask(self) -> (Vec<Invocation>, Asked<O>) {
        let again = if self.until.is_some() { self.calls.clone() } else { Vec::new() };
        (self.calls, Asked { calls: again, need: self.need, slots: self.slots })
    }
}

/// The slots for the outcomes of a batch.
enum Slots<O> {
    Each(Vec<Arc<Slot<O>>>),
    Race(Arc<Slot<Vec<Option<O>>>>),
}

/// The place where an awaited call finds its outcome.
pub(crate) struct Slot<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new((None, None)))
    }
}

impl<T> Slot<T> {
    /// Stores the outcome, and wakes the task that waits for it.
    pub fn fill(&self, outcome: T) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = Some(outcome);
        if let Some(waker) = slot.1.take() {
            waker.wake();
        }
    }

    /// Waits for the outcome, and takes it out of the slot.
    pub async fn filled(&self) -> T {
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

/// A waker that passes a wake-up on, and records it.
#[derive(Default)]
pub(crate) struct Alarm {
    rung: AtomicBool,
    sleeper: Mutex<Option<Waker>>,
}

impl Alarm {
    /// Sets the waker that the next wake-up is passed on to.
    pub fn set(&self, sleeper: &Waker) {
        let mut known = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_none_or(|known| !known.will_wake(sleeper)) {
            *known = Some(sleeper.clone());
        }
    }

    /// Forgets earlier wake-ups.
    pub fn silence(&self) {
        self.rung.store(false, SeqCst);
    }

    /// Was there a wake-up since the last `silence`?
    pub fn has_rung(&self) -> bool {
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
