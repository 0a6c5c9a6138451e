//! Collects the polls that wait in a run at the same time. The host asks for the calls of all of them together when no part of the
//! run can continue.
//!
//! Each waiting poll has a slot. The code that drives the run notices that all of the run waits. It then asks the run's replay for
//! every call of every poll that has a slot, hands out the outcomes, and fills the slots of the polls that have what they want.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};

use brrr_protocol::model::Millis;
use brrr_protocol::replay::{Invocation, Want};

/// The memory of a call without its payload, in bytes. It also bounds the number of calls with an empty payload.
const CALL: usize = 256;

/// The calls that a run waits for take more of the host's memory than the run may use at once.
#[derive(Debug, thiserror::Error)]
#[error("it waits for more calls at once than fit")]
pub(crate) struct TooMuch;

/// The polls that a run waits for. `O` is the type of the calls' outcomes, whose errors are failures.
pub(crate) struct AwaitedPolls<O> {
    inner: Mutex<Awaited<O>>,
    /// The most bytes of the calls that may wait at once.
    most: usize,
}

struct Awaited<O> {
    polls: Vec<AwaitedPoll<O>>,
    bytes: usize,
}

/// The outcomes of a poll, in the order of its calls.
pub(crate) type Outcomes<O> = Vec<Option<O>>;

struct AwaitedPoll<O> {
    calls: Vec<Invocation>,
    /// The outcomes that the run was given already.
    outcomes: Outcomes<O>,
    want: Want,
    until: Option<Millis>,
    slot: Arc<Slot<Outcomes<O>>>,
    bytes: usize,
}

/// Is an outcome a failure?
pub(crate) trait MayFail {
    fn has_failed(&self) -> bool;
}

impl<T, E> MayFail for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
    }
}

impl<O: MayFail> AwaitedPoll<O> {
    /// Has the run let go of the poll? Then this is the only owner of the slot.
    fn is_dropped(&self) -> bool {
        Arc::strong_count(&self.slot) == 1
    }

    fn missing(&self) -> impl Iterator<Item = &Invocation> {
        self.calls.iter().zip(&self.outcomes).filter(|(_, outcome)| outcome.is_none()).map(|(call, _)| call)
    }

    /// Has the poll what it wants, or has its time passed? A poll that asks for `some(n)` gets exactly n outcomes.
    fn is_answered(&self, clock: Millis) -> bool {
        let there = self.outcomes.iter().flatten().count();
        let is_sleep = self.calls.is_empty() && self.until.is_some();
        let is_enough = match self.want {
            Want::All => there == self.calls.len() || self.outcomes.iter().flatten().any(MayFail::has_failed),
            Want::Some(need) => there >= (need as usize).min(self.calls.len()),
            Want::Progress => there > 0 || self.calls.is_empty(),
        };
        is_enough && !is_sleep || self.until.is_some_and(|until| until <= clock)
    }

    fn answer(mut self) {
        if let Want::Some(need) = self.want {
            let mut left = need;
            for outcome in self.outcomes.iter_mut().filter(|outcome| outcome.is_some()) {
                if left == 0 {
                    *outcome = None;
                }
                left = left.saturating_sub(1);
            }
        }
        self.slot.fill(self.outcomes);
    }
}

impl<O: MayFail> AwaitedPolls<O> {
    /// No polls yet. `most` is the most bytes of the calls that may wait at once.
    pub fn new(most: usize) -> Self {
        Self { inner: Mutex::new(Awaited { polls: Vec::new(), bytes: 0 }), most }
    }

    fn lock(&self) -> MutexGuard<'_, Awaited<O>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a poll. `until` is in milliseconds since the Unix epoch.
    pub fn poll(
        &self,
        calls: Vec<Invocation>,
        want: Want,
        until: Option<Millis>,
    ) -> Result<Arc<Slot<Outcomes<O>>>, TooMuch> {
        // A poll without calls takes memory too.
        let of_calls = calls.iter().map(|call| CALL + call.task.len() + call.payload.len()).sum::<usize>();
        let bytes = of_calls.max(CALL);
        let mut inner = self.lock();
        inner.bytes += bytes;
        if inner.bytes > self.most {
            return Err(TooMuch);
        }
        let (slot, outcomes) = (Arc::new(Slot::default()), calls.iter().map(|_| None).collect());
        inner.polls.push(AwaitedPoll { calls, outcomes, want, until, slot: slot.clone(), bytes });
        Ok(slot)
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.lock().polls.is_empty()
    }

    /// What to ask for next: the missing calls of all polls, until the earliest of their times. `None`: nothing waits.
    pub fn next(&self) -> Option<Batch> {
        let mut inner = self.lock();
        let Awaited { polls, bytes } = &mut *inner;
        polls.retain(|poll| {
            *bytes -= if poll.is_dropped() { poll.bytes } else { 0 };
            !poll.is_dropped()
        });
        let until = polls.iter().filter_map(|poll| poll.until).min();
        let mut with_calls = polls.iter().filter(|poll| !poll.calls.is_empty());
        let want = match (with_calls.next(), with_calls.next()) {
            (None, _) if polls.is_empty() => return None,
            (None, _) => Want::All,
            (Some(only), None) => only.want,
            // Each of them goes on as soon as it has what it wants.
            (Some(_), Some(_)) => Want::Progress,
        };
        // An only poll is answered by the next answer, whatever that is. Its calls are not asked for again.
        let calls = polls.iter().flat_map(AwaitedPoll::missing).cloned().collect();
        Some(Batch { calls, want, until })
    }

    /// Hands out the answer to a batch, and the clock after it. Those polls go on that have what they want, or whose time has
    /// passed.
    pub fn settle(&self, outcomes: Outcomes<O>, clock: Millis) {
        let mut inner = self.lock();
        let mut outcomes = outcomes.into_iter();
        let missing = inner.polls.iter_mut().flat_map(|poll| poll.outcomes.iter_mut().filter(|o| o.is_none()));
        for (place, outcome) in missing.zip(&mut outcomes) {
            *place = outcome;
        }
        let (answered, waiting) = std::mem::take(&mut inner.polls).into_iter().partition(|p| p.is_answered(clock));
        let answered: Vec<AwaitedPoll<O>> = answered;
        inner.polls = waiting;
        inner.bytes -= answered.iter().map(|poll| poll.bytes).sum::<usize>();
        drop(inner);
        answered.into_iter().for_each(AwaitedPoll::answer);
    }
}

/// Calls that are asked for together.
pub(crate) struct Batch {
    /// The calls. Their outcomes have the same order.
    pub calls: Vec<Invocation>,
    /// When the outcomes are worth another run.
    pub want: Want,
    /// The time at which the outcomes that are there are enough, in milliseconds since the Unix epoch.
    pub until: Option<Millis>,
}

/// The place where a poll finds its answer.
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    type Outcome = Result<u32, u32>;

    fn call(task: &str) -> Invocation {
        Invocation { task: task.to_owned(), ..Invocation::promise("") }
    }

    fn asked(polls: &AwaitedPolls<Outcome>) -> (Vec<String>, Want, Option<Millis>) {
        let batch = polls.next().unwrap();
        (batch.calls.into_iter().map(|call| call.task).collect(), batch.want, batch.until)
    }

    #[test]
    fn an_only_poll_is_asked_for_as_it_is() {
        let polls = AwaitedPolls::<Outcome>::new(usize::MAX);
        let race = polls.poll(vec![call("a"), call("b"), call("c")], Want::Some(1), Some(9)).unwrap();
        assert_eq!(asked(&polls), (vec!["a".into(), "b".into(), "c".into()], Want::Some(1), Some(9)));
        polls.settle(vec![None, Some(Ok(1)), None], 5);
        assert_eq!(race.filled().now_or_never(), Some(vec![None, Some(Ok(1)), None]));
        assert!(polls.is_empty() && polls.next().is_none());
    }

    #[test]
    fn several_polls_go_on_one_by_one() {
        let polls = AwaitedPolls::<Outcome>::new(usize::MAX);
        let both = polls.poll(vec![call("a"), call("b")], Want::All, None).unwrap();
        let race = polls.poll(vec![call("c"), call("d"), call("e")], Want::Some(2), None).unwrap();
        let sleep = polls.poll(Vec::new(), Want::All, Some(7)).unwrap();
        assert_eq!(asked(&polls).1, Want::Progress);
        polls.settle(vec![None, Some(Ok(2)), Some(Ok(3)), None, None], 5);
        assert!(both.filled().now_or_never().is_none() && race.filled().now_or_never().is_none());
        assert_eq!(asked(&polls), (vec!["a".into(), "d".into(), "e".into()], Want::Progress, Some(7)));
        polls.settle(vec![None, Some(Ok(4)), Some(Ok(5))], 7);
        assert_eq!(race.filled().now_or_never(), Some(vec![Some(Ok(3)), Some(Ok(4)), None]));
        assert_eq!(sleep.filled().now_or_never(), Some(Vec::new()));
        polls.settle(vec![Some(Err(1))], 8);
        assert_eq!(both.filled().now_or_never(), Some(vec![Some(Err(1)), Some(Ok(2))]));
    }

    #[test]
    fn a_failure_ends_a_wait_for_all() {
        let polls = AwaitedPolls::<Outcome>::new(usize::MAX);
        let both = polls.poll(vec![call("a"), call("b")], Want::All, None).unwrap();
        polls.settle(vec![None, Some(Err(2))], 1);
        assert_eq!(both.filled().now_or_never(), Some(vec![None, Some(Err(2))]));
    }

    #[test]
    fn a_poll_that_the_run_let_go_of_is_not_made() {
        let polls = AwaitedPolls::<Outcome>::new(3 * CALL + 3);
        drop(polls.poll(vec![call("a"), call("b")], Want::All, Some(3)).unwrap());
        let kept = polls.poll(vec![call("c")], Want::All, None).unwrap();
        assert!(polls.poll(vec![call("d")], Want::All, None).is_err(), "too much at once");
        assert_eq!(asked(&polls), (vec!["c".into()], Want::All, None));
        polls.settle(vec![Some(Ok(1))], 1);
        assert!(kept.filled().now_or_never().is_some());
    }
}
