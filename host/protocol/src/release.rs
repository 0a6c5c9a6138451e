//! Rule R3: letting go of a call on behalf of jobs that are over.
//!
//! Whoever waited for it in such a job is let go first, and only then forgotten: so a crash in between finds the way up
//! again. If a live job waits for a call, one message brings the call back under that job. It is not needed if the job that is over
//! had only joined the call: then another job has its message. Pure: who drives it reads and
//! writes, step by step or in a transaction.

use std::collections::{HashMap, HashSet};

use crate::joining::{has_joined, is_passed_on, pass_on, topic_of};
use crate::model::{CallHash, Root, Topic};
use crate::wire::{PendingReturns, Return};

/// One release, from a call up to all that waited for it only in jobs that are over.
pub struct Release {
    /// The job that is over, and the call whose message came for it.
    released: (Root, CallHash),
    /// The call at hand is the last; those below it wait until it is done.
    stack: Vec<(CallHash, Topic)>,
    visited: HashSet<CallHash>,
    over: HashMap<Root, bool>,
    /// Calls for which a message was sent already, and to whom.
    sent: HashMap<CallHash, Return>,
}

/// What to do about the call at hand, whose `pending_returns` was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Todo {
    /// Others come first: ask for the next call.
    Others,
    /// Send a message to `send` (a job and a topic), then replace the record by `new` (`None`: delete it; `keep`: leave it), then
    /// `done`.
    Settle { send: Option<(Root, Topic)>, new: Option<PendingReturns>, keep: bool },
}

impl Release {
    #[must_use]
    pub fn new(root: &Root, call: &CallHash, topic: &Topic) -> Self {
        Self {
            released: (root.clone(), call.clone()),
            stack: vec![(call.clone(), topic.clone())],
            visited: HashSet::from([call.clone()]),
            over: HashMap::new(),
            sent: HashMap::new(),
        }
    }

    /// The call whose `pending_returns` to read next; `None`: it is over.
    #[must_use]
    pub fn next_call(&self) -> Option<CallHash> {
        self.stack.last().map(|(call, _)| call.clone())
    }

    /// The call at hand is settled: nobody waits for it, or the record was replaced.
    pub fn done(&mut self) {
        self.stack.pop();
    }

    /// The jobs of which it must be known whether they are over.
    #[must_use]
    pub fn unknown_roots(&self, pending: &PendingReturns) -> HashSet<Root> {
        pending.returns.iter().map(|r| &r.root).filter(|root| !self.over.contains_key(root)).cloned().collect()
    }

    /// Takes what is known of a job.
    pub fn found(&mut self, root: Root, over: bool) {
        self.over.insert(root, over);
    }

    /// What to do about the call at hand.
    pub fn decide(&mut self, pending: &PendingReturns) -> Todo {
        let Some((call, topic)) = self.stack.last().cloned() else { return Todo::Others };
        let (dead, live): (Vec<_>, Vec<_>) =
            pending.returns.iter().partition(|r| self.over.get(&r.root).copied().unwrap_or(false));
        let before = self.stack.len();
        for entry in &dead {
            if self.visited.insert(entry.parent.clone()) {
                self.stack.push((entry.parent.clone(), entry.topic.clone()));
            }
        }
        if self.stack.len() > before {
            return Todo::Others;
        }
        let had_joined =
            |entry: &&Return| has_joined(entry, &call) && (&entry.root, &call) == (&self.released.0, &self.released.1);
        let is_elsewhere = dead.iter().any(had_joined);
        let live: Vec<Return> = live.into_iter().cloned().collect();
        let mut send = None;
        let is_sent = self.sent.get(&call).is_some_and(|to| is_passed_on(to, &live, &call));
        if let Some(next) = live.first().filter(|_| !is_elsewhere && !is_sent) {
            send = Some((next.root.clone(), topic_of(next, &call, &topic).clone()));
            self.sent.insert(call.clone(), next.clone());
        }
        let count = live.len();
        let live = match self.sent.get(&call) {
            Some(to) => pass_on(live, &call, &to.root),
            None => live,
        };
        let keep = dead.is_empty() && live.len() == count;
        let returns = live.into_iter().collect();
        let new = PendingReturns { returns, scheduled_at: pending.scheduled_at };
        Todo::Settle { send, new: (!new.returns.is_empty()).then_some(new), keep }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::wire::Return;

    /// Releases `call` in a graph of (child, [(job, parent)]), where jobs in upper case live; what was sent, what is left.
    fn release(edges: &[(&str, &[(&str, &str)])], call: &str) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
        let mut records: BTreeMap<String, PendingReturns> = edges
            .iter()
            .map(|(child, entries)| {
                let returns = entries
                    .iter()
                    .map(|(root, p)| Return { root: (*root).into(), parent: (*p).into(), topic: "t".into() })
                    .collect();
                ((*child).to_owned(), PendingReturns { returns, scheduled_at: Some(1) })
            })
            .collect();
        let mut sent = Vec::new();
        let mut release = Release::new(&"r".into(), &call.into(), &"t".into());
        while let Some(call) = release.next_call() {
            let Some(pending) = records.get(call.as_str()).cloned() else {
                release.done();
                continue;
            };
            for root in release.unknown_roots(&pending) {
                let over = root.as_str().chars().all(char::is_lowercase);
                release.found(root, over);
            }
            if let Todo::Settle { send, new, keep } = release.decide(&pending) {
                sent.extend(send.map(|(root, _)| format!("{root}:{call}")));
                match new {
                    Some(pending) => records.insert(call.to_string(), pending),
                    None if keep => None,
                    None => records.remove(call.as_str()),
                };
                release.done();
            }
        }
        let left = records
            .into_iter()
            .map(|(child, p)| (child, p.returns.iter().map(|r| format!("{}:{}", r.root, r.parent)).collect()))
            .collect();
        (sent, left)
    }

    #[test]
    fn all_above_is_let_go_first_and_live_jobs_get_one_message_each() {
        let edges: &[(&str, &[(&str, &str)])] =
            &[("c", &[("r", "b"), ("r", "x")]), ("b", &[("r", "a"), ("Y", "p")]), ("x", &[("r", "a")])];
        let (sent, left) = release(edges, "c");
        assert_eq!(sent, ["Y:b"]);
        assert_eq!(left, BTreeMap::from([("b".to_owned(), vec!["Y:p".to_owned()])]));
    }

    #[test]
    fn who_waits_in_a_live_job_stays() {
        let (sent, left) = release(&[("c", &[("Y", "p"), ("Z", "q")])], "c");
        assert_eq!(sent, ["Y:c"]);
        assert_eq!(left["c"].len(), 2);
    }

    #[test]
    fn a_call_is_passed_on_to_a_job_that_has_joined_it() {
        let (sent, left) = release(&[("c", &[("Y", "c"), ("Z", "c"), ("r", "p")])], "c");
        assert_eq!(sent, ["Y:c"]);
        assert_eq!(left["c"], ["Z:c"], "the one that it was passed on to does not wait any more");
    }

    #[test]
    fn a_job_that_had_only_joined_passes_nothing_on() {
        let (sent, left) = release(&[("c", &[("Y", "c"), ("r", "c")])], "c");
        assert!(sent.is_empty(), "{sent:?}");
        assert_eq!(left["c"], ["Y:c"]);
    }

    #[test]
    fn a_cycle_ends() {
        let (sent, left) = release(&[("a", &[("r", "b")]), ("b", &[("r", "a")])], "a");
        assert!(sent.is_empty() && left.is_empty(), "{sent:?} {left:?}");
    }
}
