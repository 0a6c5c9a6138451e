//! The calls of a run, poll by poll, and the place where two runs differ.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use brrr_protocol::model::{Call, CallHash};
use brrr_protocol::replay::Want;
use similar::{ChangeTag, TextDiff};

use super::payload::show_call;

/// The calls that a run asked for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    pub calls: Vec<CallHash>,
    pub want: Want,
    /// The poll only looks at what is there.
    pub is_peek: bool,
}

impl Poll {
    /// Is the poll content with fewer outcomes than it has calls? Then what follows depends on which ones came.
    pub fn is_race(&self) -> bool {
        self.is_peek || self.need() < self.calls.len()
    }

    /// The number of outcomes that the poll needs.
    pub fn need(&self) -> usize {
        match self.want {
            Want::All => self.calls.len(),
            Want::Some(need) => (need as usize).min(self.calls.len()),
            Want::Progress => self.calls.len().min(1),
        }
    }
}

/// The polls of a run, in order.
pub type Trace = Vec<Poll>;

/// The place where two runs asked for different calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The index of the poll, from 0.
    pub poll: usize,
    pub before: Option<Poll>,
    pub now: Option<Poll>,
}

impl Difference {
    /// Did both runs ask for the same calls in another order?
    pub fn is_of_order(&self) -> bool {
        let (Some(a), Some(b)) = (&self.before, &self.now) else { return false };
        let sorted = |poll: &Poll| {
            let mut calls = poll.calls.clone();
            calls.sort();
            calls
        };
        a.want == b.want && sorted(a) == sorted(b)
    }

    /// The difference in lines: calls that only the earlier run asked for (`-`), calls that only the later run asked
    /// for (`+`), and some calls of both.
    pub fn show(&self, known: &HashMap<CallHash, Call>) -> String {
        let lines = |poll: &Option<Poll>| {
            let Some(poll) = poll else { return String::new() };
            let mut text = String::new();
            if let Want::Some(need) = poll.want {
                let _ = writeln!(text, "(a race: {need} of these {})", poll.calls.len());
            }
            for call in &poll.calls {
                let shown = known.get(call).map_or_else(|| format!("call {}", call.short()), show_call);
                let _ = writeln!(text, "{shown}");
            }
            text
        };
        let (before, now) = (lines(&self.before), lines(&self.now));
        diff(&before, &now)
    }
}

/// The difference between two texts in lines: `-` only in the first, `+` only in the second, and a few common lines
/// around them.
pub fn diff(before: &str, now: &str) -> String {
    /// A longer difference would be hard to read.
    const MOST: usize = 12;
    let diff = TextDiff::from_lines(before, now);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(2) {
        for op in &group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                lines.push(format!("{sign} {}", change.value().trim_end_matches('\n')));
            }
        }
    }
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("  … and {more} more lines"));
    }
    lines.join("\n")
}

/// The place where `now` does not continue `before`. A replay knows more outcomes than the run before it, so it may ask
/// for more calls. It must also ask again for all calls of the run before it.
pub fn not_continued(before: &Trace, now: &Trace) -> Option<Difference> {
    before.iter().enumerate().find_map(|(poll, asked)| {
        let now = now.get(poll);
        (now != Some(asked)).then(|| Difference { poll, before: Some(asked.clone()), now: now.cloned() })
    })
}

/// The place where two runs differ that knew the same outcomes and chose the same winners.
pub fn parted(before: &Trace, now: &Trace) -> Option<Difference> {
    not_continued(before, now).or_else(|| {
        let poll = before.len();
        now.get(poll).map(|more| Difference { poll, before: None, now: Some(more.clone()) })
    })
}

/// Asks one of two runs for a call that the other one never asks for? If neither has a race, all calls are the same, in whatever
/// order their outcomes arrive. `None`: one of them has a race.
pub fn other_call(a: &Trace, b: &Trace) -> Option<CallHash> {
    let has_race = |trace: &Trace| trace.iter().any(|poll| poll.want != Want::Progress && poll.is_race());
    if has_race(a) || has_race(b) {
        return None;
    }
    let calls = |trace: &Trace| trace.iter().flat_map(|poll| poll.calls.iter().cloned()).collect::<BTreeSet<_>>();
    calls(a).symmetric_difference(&calls(b)).next().cloned()
}

/// The polls up to and including the first race. They are the same for every winner.
pub fn up_to_a_race(trace: &Trace) -> Trace {
    let end = trace.iter().position(Poll::is_race).map_or(trace.len(), |race| race + 1);
    trace[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(calls: &[&str], need: usize) -> Poll {
        let want = if need == calls.len() { Want::All } else { Want::Some(u32::try_from(need).unwrap()) };
        Poll { calls: calls.iter().map(|call| CallHash::from(*call)).collect(), want, is_peek: false }
    }

    #[test]
    fn runs_without_a_race_ask_for_the_same_calls() {
        let progress = |calls: &[&str]| Poll { want: Want::Progress, ..poll(calls, calls.len()) };
        let (one, other) =
            (vec![progress(&["a", "b"]), poll(&["b", "c"], 2)], vec![progress(&["a", "b"]), poll(&["c"], 1)]);
        assert_eq!(other_call(&one, &other), None);
        let third = vec![progress(&["a", "b"]), poll(&["d"], 1)];
        assert_eq!(other_call(&other, &third), Some("c".into()));
        assert_eq!(other_call(&other, &vec![poll(&["a", "b"], 1), poll(&["d"], 1)]), None);
    }

    #[test]
    fn a_replay_may_ask_for_more_calls_but_not_for_other_calls() {
        let before = vec![poll(&["a", "b"], 2)];
        assert_eq!(not_continued(&before, &vec![poll(&["a", "b"], 2), poll(&["c"], 1)]), None);
        let other = not_continued(&before, &vec![poll(&["a", "c"], 2)]).unwrap();
        assert!(!other.is_of_order());
        assert!(not_continued(&before, &vec![poll(&["b", "a"], 2)]).unwrap().is_of_order());
        assert_eq!(not_continued(&before, &Vec::new()).unwrap().now, None);
        assert!(parted(&before, &vec![poll(&["a", "b"], 2), poll(&["c"], 1)]).is_some());
    }

    #[test]
    fn calls_after_a_race_may_differ() {
        let trace = vec![poll(&["a"], 1), poll(&["b", "c"], 1), poll(&["d"], 1)];
        assert_eq!(up_to_a_race(&trace), trace[..2]);
    }

    #[test]
    fn the_difference_is_shown_among_many_calls() {
        let lines = |skip: usize| {
            (0..100)
                .map(|n| format!("leaf {n}\n"))
                .enumerate()
                .filter(|(i, _)| *i != skip)
                .map(|(_, l)| l)
                .collect::<String>()
        };
        let shown = diff(&lines(100), &lines(50));
        assert_eq!(shown, "  leaf 48\n  leaf 49\n- leaf 50\n  leaf 51\n  leaf 52");
    }
}
