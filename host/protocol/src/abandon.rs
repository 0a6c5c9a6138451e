//! Rule R3: abandons a call on behalf of jobs that are over.
//!
//! The parents that wait for the call in such jobs are abandoned first, and only then removed from the record. So after a crash
//! in between, the next message finds the way up to them again. If a live job waits for a call, one message queues the call
//! again under that job. That message is not needed if the job that is over had only joined the call, because then another job
//! has the call's message. This module does no I/O: its callers read and write, in several steps or in one transaction.

use std::collections::{HashMap, HashSet};

use crate::joining::{has_joined, is_passed_on, pass_on, topic_of};
use crate::model::{CallHash, JobId, Topic};
use crate::wire::{PendingReturns, Return};

/// One abandoned call, and all calls above it that wait for it only in jobs that are over.
pub struct Abandon {
    /// The job that is over, and the call of the message that is being handled.
    abandoned: (JobId, CallHash),
    /// The calls to abandon, each with its topic. The last one is the current call. The calls below it in the stack wait until
    /// it is done.
    stack: Vec<(CallHash, Topic)>,
    visited: HashSet<CallHash>,
    over: HashMap<JobId, bool>,
    /// Calls for which a message was already sent, and the entry whose job it was sent for.
    sent: HashMap<CallHash, Return>,
}

/// What the caller must do about the current call, after it has read its `pending_returns`.
#[derive(Debug, PartialEq, Eq)]
pub enum Todo {
    /// Other calls must be abandoned first: ask for the next call.
    Others,
    /// Send a message for the job and topic in `send`. Then replace the record by `new` (`None`: delete the record; `keep`:
    /// leave the record as it is). Then call `done`.
    Settle {
        /// The live job for which the call is queued again, and the topic of the message. `None`: no message is needed.
        send: Option<(JobId, Topic)>,
        /// The record without the parents that were abandoned. `None`: no parent is left.
        new: Option<PendingReturns>,
        /// True if the record is already as it must be.
        keep: bool,
    },
}

impl Abandon {
    /// Begins to abandon `call` on behalf of `job_id`, which is over. `topic`: the topic of the message for the call.
    #[must_use]
    pub fn new(job_id: &JobId, call: &CallHash, topic: &Topic) -> Self {
        Self {
            abandoned: (job_id.clone(), call.clone()),
            stack: vec![(call.clone(), topic.clone())],
            visited: HashSet::from([call.clone()]),
            over: HashMap::new(),
            sent: HashMap::new(),
        }
    }

    /// The call whose `pending_returns` the caller must read next. `None`: all is done.
    #[must_use]
    pub fn next_call(&self) -> Option<CallHash> {
        self.stack.last().map(|(call, _)| call.clone())
    }

    /// The current call is settled: no parent waits for it, or its record was replaced.
    pub fn done(&mut self) {
        self.stack.pop();
    }

    /// The jobs for which the caller must find out whether they are over.
    #[must_use]
    pub fn unknown_jobs(&self, pending: &PendingReturns) -> HashSet<JobId> {
        pending.returns.iter().map(|r| &r.job_id).filter(|job_id| !self.over.contains_key(job_id)).cloned().collect()
    }

    /// Takes the answer whether a job is over.
    pub fn found(&mut self, job_id: JobId, over: bool) {
        self.over.insert(job_id, over);
    }

    /// What the caller must do about the current call.
    pub fn decide(&mut self, pending: &PendingReturns) -> Todo {
        let Some((call, topic)) = self.stack.last().cloned() else { return Todo::Others };
        let (dead, live): (Vec<_>, Vec<_>) =
            pending.returns.iter().partition(|r| self.over.get(&r.job_id).copied().unwrap_or(false));
        let before = self.stack.len();
        for entry in &dead {
            if self.visited.insert(entry.parent.clone()) {
                self.stack.push((entry.parent.clone(), entry.topic.clone()));
            }
        }
        if self.stack.len() > before {
            return Todo::Others;
        }
        let had_joined = |entry: &&Return| {
            has_joined(entry, &call) && (&entry.job_id, &call) == (&self.abandoned.0, &self.abandoned.1)
        };
        let is_elsewhere = dead.iter().any(had_joined);
        let live: Vec<Return> = live.into_iter().cloned().collect();
        let mut send = None;
        let is_sent = self.sent.get(&call).is_some_and(|to| is_passed_on(to, &live, &call));
        if let Some(next) = live.first().filter(|_| !is_elsewhere && !is_sent) {
            send = Some((next.job_id.clone(), topic_of(next, &call, &topic).clone()));
            self.sent.insert(call.clone(), next.clone());
        }
        let count = live.len();
        let live = match self.sent.get(&call) {
            Some(to) => pass_on(live, &call, &to.job_id),
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

    /// Abandons `call` in a graph of (child, [(job, parent)]). Jobs in upper case are alive. Returns the messages that were
    /// sent and the entries that are left.
    fn abandon(edges: &[(&str, &[(&str, &str)])], call: &str) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
        let mut records: BTreeMap<String, PendingReturns> = edges
            .iter()
            .map(|(child, entries)| {
                let returns = entries
                    .iter()
                    .map(|(job_id, p)| Return { job_id: (*job_id).into(), parent: (*p).into(), topic: "t".into() })
                    .collect();
                ((*child).to_owned(), PendingReturns { returns, scheduled_at: Some(1) })
            })
            .collect();
        let mut sent = Vec::new();
        let mut abandon = Abandon::new(&"r".into(), &call.into(), &"t".into());
        while let Some(call) = abandon.next_call() {
            let Some(pending) = records.get(call.as_str()).cloned() else {
                abandon.done();
                continue;
            };
            for job_id in abandon.unknown_jobs(&pending) {
                let over = job_id.as_str().chars().all(char::is_lowercase);
                abandon.found(job_id, over);
            }
            if let Todo::Settle { send, new, keep } = abandon.decide(&pending) {
                sent.extend(send.map(|(job_id, _)| format!("{job_id}:{call}")));
                match new {
                    Some(pending) => records.insert(call.to_string(), pending),
                    None if keep => None,
                    None => records.remove(call.as_str()),
                };
                abandon.done();
            }
        }
        let left = records
            .into_iter()
            .map(|(child, p)| (child, p.returns.iter().map(|r| format!("{}:{}", r.job_id, r.parent)).collect()))
            .collect();
        (sent, left)
    }

    #[test]
    fn parents_are_abandoned_first_and_each_live_job_gets_one_message() {
        let edges: &[(&str, &[(&str, &str)])] =
            &[("c", &[("r", "b"), ("r", "x")]), ("b", &[("r", "a"), ("Y", "p")]), ("x", &[("r", "a")])];
        let (sent, left) = abandon(edges, "c");
        assert_eq!(sent, ["Y:b"]);
        assert_eq!(left, BTreeMap::from([("b".to_owned(), vec!["Y:p".to_owned()])]));
    }

    #[test]
    fn parents_in_live_jobs_stay_registered() {
        let (sent, left) = abandon(&[("c", &[("Y", "p"), ("Z", "q")])], "c");
        assert_eq!(sent, ["Y:c"]);
        assert_eq!(left["c"].len(), 2);
    }

    #[test]
    fn a_call_is_passed_on_to_a_job_that_has_joined_it() {
        let (sent, left) = abandon(&[("c", &[("Y", "c"), ("Z", "c"), ("r", "p")])], "c");
        assert_eq!(sent, ["Y:c"]);
        assert_eq!(left["c"], ["Z:c"], "the one that it was passed on to does not wait any more");
    }

    #[test]
    fn a_job_that_had_only_joined_passes_nothing_on() {
        let (sent, left) = abandon(&[("c", &[("Y", "c"), ("r", "c")])], "c");
        assert!(sent.is_empty(), "{sent:?}");
        assert_eq!(left["c"], ["Y:c"]);
    }

    #[test]
    fn a_cycle_ends() {
        let (sent, left) = abandon(&[("a", &[("r", "b")]), ("b", &[("r", "a")])], "a");
        assert!(sent.is_empty() && left.is_empty(), "{sent:?} {left:?}");
    }
}
