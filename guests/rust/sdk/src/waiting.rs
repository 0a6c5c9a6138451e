//! The calls that the handler waits for: who waits for them, and what a poll of all of them asks for.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::Failure;
use crate::host::{self, Asked, Invocation, Want};

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
        // Our own top level polls anyway. Combinators like `FuturesUnordered` poll only the futures that were woken.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// What an awaiter of several calls needs of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Every value: a failure ends the wait. [`try_join!`](crate::try_join!).
    Values,
    /// Every outcome, whatever it is. [`join!`](crate::join!).
    Outcomes,
}

/// One awaiter of several calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaiter {
    id: u64,
    need: Need,
}

impl Awaiter {
    pub(crate) fn new(need: Need) -> Self {
        thread_local!(static LAST: Cell<u64> = const { Cell::new(0) });
        // Only equality counts, so that a replay may have other numbers.
        let id = LAST.get() + 1;
        LAST.set(id);
        Self { id, need }
    }

    /// Polls a future of this awaiter's. If the future is a call itself, and not something that contains calls, then the
    /// awaiter waits for this call.
    pub(crate) fn polls<T>(self, future: *const (), size: usize, poll: impl FnOnce() -> T) -> T {
        let before = POLLED.replace(Some((future, size, self)));
        let polled = poll();
        POLLED.set(before);
        polled
    }
}

/// Several calls of which `need` outcomes are enough.
pub(crate) struct Race {
    missing: Cell<usize>,
    outcomes: RefCell<Vec<Option<Outcome>>>,
    slot: Rc<Slot<Vec<Option<Outcome>>>>,
}

impl Race {
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Vec<Option<Outcome>>> {
        self.slot.poll(context)
    }

    fn take(&self, index: usize, outcome: Outcome) {
        // A poll for several awaiters may bring more outcomes than the race needs. The first ones in the order of the calls
        // win, in every replay.
        let Some(missing) = self.missing.get().checked_sub(1) else { return };
        self.missing.set(missing);
        self.outcomes.borrow_mut()[index] = Some(outcome);
        if missing == 0 {
            self.slot.fill(self.outcomes.take());
        }
    }
}

/// Whom an outcome is for. Weak: nobody asks for a call whose future was dropped.
enum Receiver {
    /// A call, and the awaiter of several calls that waits for it, if there is one.
    Call(Weak<Slot<Outcome>>, Option<Awaiter>),
    /// A call of a race, by its number.
    Race(Weak<Race>, usize),
}

impl Receiver {
    fn waits(&self) -> bool {
        match self {
            Self::Call(slot, _) => slot.strong_count() > 0,
            Self::Race(race, _) => race.upgrade().is_some_and(|race| race.missing.get() > 0),
        }
    }

    fn take(&self, outcome: Outcome) {
        match self {
            Self::Call(slot, _) => {
                if let Some(slot) = slot.upgrade() {
                    slot.fill(outcome);
                }
            }
            Self::Race(race, index) => {
                if let Some(race) = race.upgrade() {
                    race.take(*index, outcome);
                }
            }
        }
    }
}

/// Two lists of the same length, as the host takes a slice of calls.
#[derive(Default)]
pub(crate) struct Waiting {
    asked: Vec<Asked>,
    receivers: Vec<Receiver>,
}

thread_local! {
    /// One handler runs at a time: an instance handles a single call.
    static WAITING: RefCell<Waiting> = RefCell::default();
    /// The future that an awaiter of several polls at the moment: its place, its size, the awaiter.
    static POLLED: Cell<Option<(*const (), usize, Awaiter)>> = const { Cell::new(None) };
}

/// Puts a call into the next poll. `future` is the future that waits for it.
pub(crate) fn wait<F>(future: &F, call: Invocation) -> Rc<Slot<Outcome>> {
    if call.options.is_detached() {
        return ask(call);
    }
    // A future that contains the call has another place, or it is larger: it also keeps what it does afterwards.
    let this = (std::ptr::from_ref(future).cast(), size_of::<F>());
    let awaiter = POLLED.get().filter(|(place, size, _)| (*place, *size) == this).map(|(_, _, awaiter)| awaiter);
    let slot = Slot::new();
    WAITING.with_borrow_mut(|waiting| {
        waiting.asked.push(host::asked(call));
        waiting.receivers.push(Receiver::Call(Rc::downgrade(&slot), awaiter));
    });
    slot
}

/// Makes a call that the host answers at once: what else waits need not be asked for.
fn ask(call: Invocation) -> Rc<Slot<Outcome>> {
    let outcome = host::poll(&[host::asked(call)], Want::All, None).pop().flatten();
    let slot = Slot::new();
    slot.fill(outcome.expect("the host returns the outcome of a detached call at once"));
    slot
}

/// Asks for `need` outcomes of these calls.
pub(crate) fn wait_race(calls: Vec<Invocation>, need: usize) -> Rc<Race> {
    let outcomes = RefCell::new(calls.iter().map(|_| None).collect());
    let race = Rc::new(Race { missing: Cell::new(need), outcomes, slot: Slot::new() });
    if need == 0 {
        race.slot.fill(race.outcomes.take());
    }
    WAITING.with_borrow_mut(|waiting| {
        for (index, call) in calls.into_iter().enumerate() {
            waiting.asked.push(host::asked(call));
            waiting.receivers.push(Receiver::Race(Rc::downgrade(&race), index));
        }
    });
    race
}

/// Takes all that is waited for: to ask for it, or because another handler runs inside this one's poll in a native test.
pub(crate) fn take() -> Waiting {
    WAITING.take()
}

/// Puts back what is still waited for. Nothing has been added meanwhile: no future was polled.
pub(crate) fn put_back(waiting: Waiting) {
    WAITING.set(waiting);
}

impl Waiting {
    /// Leaves out the calls that nobody waits for any more.
    pub(crate) fn forget_dropped(&mut self) {
        if self.receivers.iter().any(|receiver| !receiver.waits()) {
            let waits: Vec<bool> = self.receivers.iter().map(Receiver::waits).collect();
            self.keep(waits);
        }
    }

    fn keep(&mut self, kept: Vec<bool>) {
        let mut each = kept.iter();
        self.asked.retain(|_| each.next() == Some(&true));
        let mut each = kept.iter();
        self.receivers.retain(|_| each.next() == Some(&true));
    }

    /// The calls, in the order in which they were made.
    pub(crate) fn calls(&self) -> &[Asked] {
        &self.asked
    }

    /// What to ask for: what the one awaiter needs. If there are several, each of them is to go on as soon as it can.
    pub(crate) fn want(&self) -> Want {
        let Some(first) = self.receivers.first() else { return Want::All };
        match first {
            Receiver::Call(_, None) if self.receivers.len() == 1 => Want::All,
            Receiver::Call(_, Some(awaiter)) => {
                let same = |receiver: &Receiver| matches!(receiver, Receiver::Call(_, Some(by)) if by == awaiter);
                match awaiter.need {
                    _ if !self.receivers.iter().all(same) => Want::Progress,
                    Need::Values => Want::All,
                    Need::Outcomes => Want::Some(number(self.receivers.len())),
                }
            }
            Receiver::Race(race, _) => {
                let same = |receiver: &Receiver| matches!(receiver, Receiver::Race(by, _) if by.ptr_eq(race));
                match race.upgrade() {
                    Some(race) if self.receivers.iter().all(same) => Want::Some(number(race.missing.get())),
                    _ => Want::Progress,
                }
            }
            // Several calls that are not our own combinators': a `select!`, or tasks of a handler that wait one by one.
            Receiver::Call(_, None) => Want::Progress,
        }
    }

    /// Hands out the outcomes that are there, in the order of the calls, and keeps the other calls.
    pub(crate) fn hand_out(&mut self, outcomes: Vec<Option<Outcome>>) {
        let mut missing = Vec::with_capacity(outcomes.len());
        for (receiver, outcome) in self.receivers.iter().zip(outcomes) {
            missing.push(outcome.is_none());
            if let Some(outcome) = outcome {
                receiver.take(outcome);
            }
        }
        if missing.contains(&true) {
            self.keep(missing);
        } else {
            *self = Self::default();
        }
    }
}

fn number(calls: usize) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}
