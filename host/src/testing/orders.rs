//! The orders in which the outcomes of calls arrive.

use std::fmt;

use brrr_protocol::model::{Call, CallHash};
use brrr_protocol::replay::Wait;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// An order of arrival, or another condition that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// All outcomes that the run waits for, then a replay.
    AtOnce,
    FirstToLast,
    LastToFirst,
    Shuffled(u64),
    /// This call of a race (from 0) before the others.
    Wins(usize),
    /// All outcomes exist at the first run, because another job had asked for the calls.
    KnownBefore,
    /// All outcomes at once, but this call fails.
    Fails(CallHash, String),
    /// All outcomes at once, but the time of this wait (from 0, of those that have calls and a time) passes before.
    Late(usize),
    /// All outcomes at once, in a job with another time and other random numbers.
    OtherJob,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("all results at once"),
            Self::FirstToLast => f.write_str("results one at a time, first to last"),
            Self::LastToFirst => f.write_str("results one at a time, last to first"),
            Self::Shuffled(seed) => write!(f, "results one at a time, shuffled (--seed {seed} --orders 1)"),
            Self::Wins(call) => write!(f, "call {} of the race first", call + 1),
            Self::KnownBefore => f.write_str("all results there before the first run"),
            Self::Fails(_, call) => write!(f, "{call} fails"),
            Self::Late(0) => f.write_str("the time limit first"),
            Self::Late(wait) => write!(f, "time limit {} first", wait + 1),
            Self::OtherJob => f.write_str("in another job: another time, other random numbers"),
        }
    }
}

/// A batch of up to this many calls is replayed after each single arrival.
pub const EVERY_POINT: usize = 24;

/// The number of replays of a larger batch, spread evenly over its arrivals. A slow language needs some ten
/// milliseconds for a replay of 2,000 calls.
const SOME_POINTS: usize = 8;

impl Order {
    /// Is each run to be made twice and compared? In an order that adds no new kind of run, one run is enough.
    pub fn is_worth_two_runs(&self) -> bool {
        matches!(self, Self::AtOnce | Self::FirstToLast | Self::LastToFirst | Self::KnownBefore)
    }
}

/// The calls whose outcomes arrive before each of the following replays.
pub fn plan(order: &Order, wait: &Wait) -> Vec<Vec<Call>> {
    let calls = wait.calls.clone();
    let in_order = match order {
        Order::AtOnce | Order::KnownBefore | Order::Fails(..) | Order::Late(_) | Order::OtherJob => {
            return vec![calls];
        }
        Order::FirstToLast => calls,
        Order::LastToFirst => calls.into_iter().rev().collect(),
        Order::Shuffled(seed) => shuffled(calls, *seed),
        Order::Wins(winner) => {
            if wait.need as usize >= calls.len() && wait.pace == 0 {
                return vec![calls];
            }
            let mut calls = calls;
            let winner = calls.remove(winner % calls.len());
            calls.insert(0, winner);
            calls
        }
    };
    points(in_order)
}

/// One call at a time. If that would need too many replays, several calls at a time.
fn points(calls: Vec<Call>) -> Vec<Vec<Call>> {
    let count = calls.len();
    let replays = if count > EVERY_POINT { SOME_POINTS } else { count };
    let mut calls = calls.into_iter();
    (0..replays)
        .map(|n| {
            let (from, to) = (n * count / replays, (n + 1) * count / replays);
            calls.by_ref().take(to - from).collect()
        })
        .collect()
}

fn shuffled(mut calls: Vec<Call>, seed: u64) -> Vec<Call> {
    let mut random = ChaCha20Rng::seed_from_u64(seed);
    for last in (1..calls.len()).rev() {
        // The remainder favours some numbers slightly, which does not matter here.
        let other = usize::try_from(random.next_u64() % (last as u64 + 1)).unwrap_or(0);
        calls.swap(last, other);
    }
    calls
}

/// At most `most` of the items: the first, the last, and some between them.
pub fn sample<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    if all.len() <= most {
        return all.to_vec();
    }
    (0..most).filter_map(|n| all.get(n * (all.len() - 1) / (most - 1).max(1)).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use brrr_protocol::options::Options;
    use bytes::Bytes;

    use super::*;

    fn wait(count: usize, need: u32) -> Wait {
        let call = |n: usize| Call {
            hash: n.to_string().into(),
            task: "t".into(),
            payload: Bytes::new(),
            topic: "t".into(),
            options: Options::default(),
        };
        Wait { calls: (0..count).map(call).collect(), need, until: 0, fast: false, pace: 0 }
    }

    fn names(plan: &[Vec<Call>]) -> Vec<Vec<&str>> {
        plan.iter().map(|batch| batch.iter().map(|call| call.hash.as_str()).collect()).collect()
    }

    #[test]
    fn everything_arrives_once() {
        for count in [1, 2, 24, 25, 2000] {
            for order in [Order::AtOnce, Order::FirstToLast, Order::LastToFirst, Order::Shuffled(3), Order::Wins(1)] {
                let plan = plan(&order, &wait(count, 1));
                let mut all: Vec<usize> = names(&plan).concat().iter().map(|name| name.parse().unwrap()).collect();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>(), "{order}");
                assert!(plan.len() <= EVERY_POINT && plan.iter().all(|batch| !batch.is_empty()), "{order}");
            }
        }
    }

    #[test]
    fn each_order_has_its_sequence() {
        assert_eq!(names(&plan(&Order::LastToFirst, &wait(3, 3))), [["2"], ["1"], ["0"]]);
        assert_eq!(names(&plan(&Order::Wins(2), &wait(3, 1))), [["2"], ["0"], ["1"]]);
        assert_eq!(names(&plan(&Order::Wins(2), &wait(3, 3))), [["0", "1", "2"]]);
        let shuffled = |seed| names(&plan(&Order::Shuffled(seed), &wait(9, 9))).concat().join("");
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
    }

    #[test]
    fn a_sample_includes_both_ends() {
        assert_eq!(sample(&[1, 2, 3], 5), [1, 2, 3]);
        let some = sample(&(0..100).collect::<Vec<_>>(), 5);
        assert_eq!((some[0], some[4], some.len()), (0, 99, 5));
    }
}
