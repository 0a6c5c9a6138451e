//! The calls of a run, poll by poll, and where two runs differ.

use std::collections::HashMap;
use std::fmt::Write as _;

use brrr_protocol::model::{Call, CallHash};
use similar::{ChangeTag, TextDiff};

use super::payload::show_call;

/// What a run asked for at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    pub calls: Vec<CallHash>,
    /// So many outcomes were needed.
    pub need: usize,
}

impl Poll {
    pub fn is_race(&self) -> bool {
        self.need < self.calls.len()
    }
}

/// What a run asked for, in order.
pub type Trace = Vec<Poll>;

/// Where a run asked for something else than another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which poll, from 0.
    pub poll: usize,
    pub before: Option<Poll>,
    pub now: Option<Poll>,
}

impl Difference {
    /// The same calls in another order?
    pub fn is_of_order(&self) -> bool {
        let (Some(a), Some(b)) = (&self.before, &self.now) else { return false };
        let sorted = |poll: &Poll| {
            let mut calls = poll.calls.clone();
            calls.sort();
            calls
        };
        a.need == b.need && sorted(a) == sorted(b)
    }

    /// Lines with what was asked for before (`-`) and now (`+`), and some of what both asked for.
    pub fn show(&self, known: &HashMap<CallHash, Call>) -> String {
        let lines = |poll: &Option<Poll>| {
            let Some(poll) = poll else { return String::new() };
            let mut text = String::new();
            if poll.is_race() {
                let _ = writeln!(text, "(a race: {} of these {})", poll.need, poll.calls.len());
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

/// Lines of two texts: `-` only in the first, `+` only in the second, a few of both around them.
pub fn diff(before: &str, now: &str) -> String {
    /// More would hide the difference rather than show it.
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

/// Where `now` does not begin as `before` did. A replay knows more outcomes than the run before it, and so may ask for more;
/// what that run asked for it must ask for again.
pub fn not_continued(before: &Trace, now: &Trace) -> Option<Difference> {
    before.iter().enumerate().find_map(|(poll, asked)| {
        let now = now.get(poll);
        (now != Some(asked)).then(|| Difference { poll, before: Some(asked.clone()), now: now.cloned() })
    })
}

/// Where two runs that knew the same outcomes, and chose the same winners, part.
pub fn parted(before: &Trace, now: &Trace) -> Option<Difference> {
    not_continued(before, now).or_else(|| {
        let poll = before.len();
        now.get(poll).map(|more| Difference { poll, before: None, now: Some(more.clone()) })
    })
}

/// The polls up to the first race and with it: whoever wins, they are the same.
pub fn up_to_a_race(trace: &Trace) -> Trace {
    let end = trace.iter().position(Poll::is_race).map_or(trace.len(), |race| race + 1);
    trace[..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(calls: &[&str], need: usize) -> Poll {
        Poll { calls: calls.iter().map(|call| CallHash::from(*call)).collect(), need }
    }

    #[test]
    fn a_replay_may_ask_for_more_and_not_for_other_things() {
        let before = vec![poll(&["a", "b"], 2)];
        assert_eq!(not_continued(&before, &vec![poll(&["a", "b"], 2), poll(&["c"], 1)]), None);
        let other = not_continued(&before, &vec![poll(&["a", "c"], 2)]).unwrap();
        assert!(!other.is_of_order());
        assert!(not_continued(&before, &vec![poll(&["b", "a"], 2)]).unwrap().is_of_order());
        assert_eq!(not_continued(&before, &Vec::new()).unwrap().now, None);
        assert!(parted(&before, &vec![poll(&["a", "b"], 2), poll(&["c"], 1)]).is_some());
    }

    #[test]
    fn what_follows_a_race_is_another_matter() {
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
