//! Runs a handler until all of it waits for calls, asks the host for those calls together, and goes on with the
//! outcomes. Nothing here depends on time or chance, so every replay makes the same batches.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::Failure;
use crate::host::{self, Invocation};

/// What a call came to, before decoding.
pub(crate) type Outcome = Result<Vec<u8>, Failure>;

/// Where a waiting future finds its outcome.
pub(crate) struct Slot<T>(RefCell<(Option<T>, Option<Waker>)>);

impl<T> Slot<T> {
    fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::new((None, None))))
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.borrow_mut();
        match slot.0.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                slot.1 = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn fill(&self, outcome: T) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.0 = Some(outcome);
            slot.1.take()
        };
        // Our own top level polls anyway; combinators like `FuturesUnordered` poll only what was woken.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Several calls of which `need` outcomes are enough.
struct Race {
    calls: Vec<Invocation>,
    need: u32,
    slot: Rc<Slot<Vec<Option<Outcome>>>>,
}

#[derive(Default)]
struct Waiting {
    calls: Vec<(Invocation, Rc<Slot<Outcome>>)>,
    races: VecDeque<Race>,
}

thread_local! {
    /// One handler runs at a time: an instance handles a single call.
    static WAITING: RefCell<Waiting> = RefCell::default();
}

/// Puts a call into the next batch.
pub(crate) fn wait(call: Invocation) -> Rc<Slot<Outcome>> {
    let slot = Slot::new();
    WAITING.with_borrow_mut(|waiting| waiting.calls.push((call, slot.clone())));
    slot
}

/// Asks for `need` outcomes of these calls.
pub(crate) fn wait_race(calls: Vec<Invocation>, need: u32) -> Rc<Slot<Vec<Option<Outcome>>>> {
    let slot = Slot::new();
    WAITING.with_borrow_mut(|waiting| waiting.races.push_back(Race { calls, need, slot: slot.clone() }));
    slot
}

/// The handler waits for something that is no call and no request: nothing could ever wake it.
#[derive(Debug)]
pub(crate) struct Stuck;

/// Drives a handler to its end.
pub(crate) fn run<F: Future>(handler: F) -> Result<F::Output, Stuck> {
    // In a native test a handler runs inside another one's poll; what that one waits for is none of our business.
    let outer = WAITING.take();
    let mut handler = pin!(handler);
    let mut context = Context::from_waker(Waker::noop());
    let result = loop {
        if let Poll::Ready(output) = handler.as_mut().poll(&mut context) {
            break Ok(output);
        }
        if !advance() {
            break Err(Stuck);
        }
    };
    WAITING.set(outer);
    result
}

/// Waits for answers of the world, or makes the next batch; false when there is nothing to wait for.
fn advance() -> bool {
    #[cfg(target_family = "wasm")]
    if crate::io::wait() {
        return true;
    }
    // Whoever dropped its future has dropped its share of the slot.
    let calls = WAITING.with_borrow_mut(|waiting| std::mem::take(&mut waiting.calls));
    let (calls, slots): (Vec<_>, Vec<_>) = calls.into_iter().filter(|(_, slot)| Rc::strong_count(slot) > 1).unzip();
    if !calls.is_empty() {
        for (slot, outcome) in slots.iter().zip(host::poll(calls, None)) {
            slot.fill(outcome.expect("the host returns every outcome when all are asked for"));
        }
        return true;
    }
    // A poll has one `need`, so a race has a poll of its own, after the plain calls beside it.
    while let Some(race) = WAITING.with_borrow_mut(|waiting| waiting.races.pop_front()) {
        if Rc::strong_count(&race.slot) > 1 {
            race.slot.fill(host::poll(race.calls, Some(race.need)));
            return true;
        }
    }
    false
}
