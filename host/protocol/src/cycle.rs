//! Finds a call that waits for itself, by walking up from child to parents, while that takes few reads.
//!
//! Pure: who drives it reads the records, step by step or in a transaction. A walk at each registration must not grow with the
//! graph: in a chain of shared calls that would be quadratic. The cycles that are too long for it are found by the doctor, which
//! looks at all calls at once (`doctor/cycles.rs`).

use std::collections::{HashMap, HashSet};

use crate::joining::has_joined;
use crate::model::{Call, CallHash};
use crate::records::is_waiting;
use crate::wire::PendingReturns;

/// How many records a walk reads before it gives up.
pub const MAX_READ: usize = 64;

/// May a child wait for other calls, so that a cycle may lead through it? A child that was deferred in this job (`run` is its
/// record there) may; so may one that another job waits for, because it may have been deferred there. Any other child registers
/// later, and looks for itself then. (A child that only a peer has run has no `run` record; the doctor finds its cycles.)
pub(crate) fn may_wait(run: Option<&[u8]>, in_other_jobs: bool) -> bool {
    run.is_some_and(is_waiting) || in_other_jobs
}

/// The cycle of a call that is about to wait for itself directly. Found before it registers: its entry would be that of a job that
/// has joined the call.
pub(crate) fn direct(parent: &CallHash, children: &[Call]) -> Option<Vec<CallHash>> {
    children.iter().any(|child| child.hash == *parent).then(|| vec![parent.clone(), parent.clone()])
}

/// A walk from a call up to those that wait for it, looking for one of its targets.
pub struct Walk {
    targets: HashSet<CallHash>,
    /// Calls of the next level up.
    unread: Vec<CallHash>,
    left: usize,
    /// Each call found, with the child through which it was found.
    below: HashMap<CallHash, CallHash>,
}

impl Walk {
    #[must_use]
    pub fn new(start: &CallHash, targets: HashSet<CallHash>) -> Self {
        Self { targets, unread: vec![start.clone()], left: MAX_READ, below: HashMap::new() }
    }

    /// The calls whose `pending_returns` to read next, all at once; none: there is no cycle, or it is too long.
    pub fn next_unread(&mut self) -> Vec<CallHash> {
        let mut level = std::mem::take(&mut self.unread);
        level.truncate(self.left);
        self.left -= level.len();
        level
    }

    /// Takes what was read of `child`. Returns the cycle once there is one: from a call down to itself.
    pub fn read(&mut self, child: &CallHash, pending: &PendingReturns) -> Option<Vec<CallHash>> {
        for parent in pending.returns.iter().filter(|entry| !has_joined(entry, child)).map(|entry| &entry.parent) {
            if self.targets.contains(parent) {
                return Some(self.path(parent, child));
            }
            if !self.below.contains_key(parent) {
                self.below.insert(parent.clone(), child.clone());
                self.unread.push(parent.clone());
            }
        }
        None
    }

    fn path(&self, top: &CallHash, child: &CallHash) -> Vec<CallHash> {
        let mut path = vec![top.clone()];
        let mut at = Some(child);
        while let Some(call) = at {
            // The start may have been found again as somebody's parent; its own entry would lead round and round.
            if path.len() > 1 && path.contains(call) {
                break;
            }
            path.push(call.clone());
            at = self.below.get(call);
        }
        if path.last() != Some(top) {
            path.push(top.clone());
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Return;

    /// Walks over a graph given as (child, its parents).
    fn walk(edges: &[(&str, &[&str])], start: &str, targets: &[&str]) -> Option<String> {
        let mut walk = Walk::new(&start.into(), targets.iter().map(|t| CallHash::from(*t)).collect());
        loop {
            let level = walk.next_unread();
            if level.is_empty() {
                return None;
            }
            for call in level {
                let parents = edges.iter().find(|(child, _)| *child == call.as_str()).map_or(&[][..], |(_, p)| p);
                let entry = |p: &&str| Return { root: "r".into(), parent: (*p).into(), topic: "t".into() };
                let pending = PendingReturns { returns: parents.iter().map(entry).collect(), scheduled_at: None };
                if let Some(path) = walk.read(&call, &pending) {
                    return Some(path.iter().map(CallHash::as_str).collect::<Vec<_>>().join(">"));
                }
            }
        }
    }

    /// What a walk up a chain finds whose lowest call waits for the highest one again, and how many records it reads.
    fn up_a_chain(calls: usize) -> (bool, usize) {
        let name = |n: usize| CallHash::from(n.to_string());
        let (mut walk, mut reads) = (Walk::new(&name(calls - 1), HashSet::from([name(0)])), 0);
        loop {
            let level = walk.next_unread();
            let Some(call) = level.first() else { return (false, reads) };
            reads += level.len();
            let parent = call.as_str().parse::<usize>().unwrap().checked_sub(1);
            let entry = |n| Return { root: "r".into(), parent: name(n), topic: "t".into() };
            let pending = PendingReturns { returns: parent.map(entry).into_iter().collect(), scheduled_at: None };
            if walk.read(call, &pending).is_some() {
                return (true, reads);
            }
        }
    }

    #[test]
    fn a_walk_is_bounded() {
        assert_eq!(up_a_chain(MAX_READ + 1), (true, MAX_READ));
        assert_eq!(up_a_chain(MAX_READ + 2), (false, MAX_READ));
        assert_eq!(up_a_chain(10_000), (false, MAX_READ));
    }

    #[test]
    fn finds_cycles_and_names_them_from_the_top_down() {
        assert_eq!(walk(&[("a", &["a"])], "a", &["a"]), None, "a job has joined the call");
        assert_eq!(walk(&[("b", &["a"]), ("a", &["b"])], "a", &["a"]).unwrap(), "a>b>a");
        // c is about to wait for a, which waits for b, which waits for c.
        assert_eq!(walk(&[("c", &["b"]), ("b", &["a"])], "c", &["a"]).unwrap(), "a>b>c>a");
    }

    #[test]
    fn a_diamond_is_none() {
        assert_eq!(walk(&[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"])], "d", &["x"]), None);
        // A cycle elsewhere ends the walk too.
        assert_eq!(walk(&[("d", &["b"]), ("b", &["a"]), ("a", &["b"])], "d", &["x"]), None);
    }
}
