//! Finds a call that waits for itself. It walks up from a child to its parents, as long as that takes few reads.
//!
//! This module does no I/O: its callers read the records, in several steps or in one transaction. The cost of a walk at each
//! registration must not grow with the graph: in a chain of shared calls the total cost would be quadratic. Cycles that are too
//! long for this walk are found by the doctor, which looks at all calls at once (`doctor/cycles.rs`).

use std::collections::{HashMap, HashSet};

use crate::joining::has_joined;
use crate::model::{Call, CallHash};
use crate::records::is_waiting;
use crate::wire::PendingReturns;

/// The number of records that a walk reads before it gives up.
pub const MAX_READ: usize = 64;

/// True if a child may wait for other calls, so that it may be part of a cycle. That is so if the child was deferred in this
/// job (`run` is its record there), or if a parent in another job waits for it, because the child may have been deferred there.
/// Any other child registers later, and looks for cycles itself then. (A child that only peers have run has no `run` record.
/// The doctor finds its cycles.)
pub(crate) fn may_wait(run: Option<&[u8]>, in_other_jobs: bool) -> bool {
    run.is_some_and(is_waiting) || in_other_jobs
}

/// The cycle of a call that would wait for itself directly. It must be found before the call registers, because its entry would
/// look like that of a job that has joined the call.
pub(crate) fn direct(parent: &CallHash, children: &[Call]) -> Option<Vec<CallHash>> {
    children.iter().any(|child| child.hash == *parent).then(|| vec![parent.clone(), parent.clone()])
}

/// A walk from a call up to its waiting parents, which looks for one of the targets.
pub struct Walk {
    targets: HashSet<CallHash>,
    /// The calls of the next level, which were not read yet.
    unread: Vec<CallHash>,
    left: usize,
    /// Each call that was found, with the child through which it was found.
    below: HashMap<CallHash, CallHash>,
}

impl Walk {
    /// A walk from `start` that looks for a waiting parent in `targets`. It has read nothing yet.
    #[must_use]
    pub fn new(start: &CallHash, targets: HashSet<CallHash>) -> Self {
        Self { targets, unread: vec![start.clone()], left: MAX_READ, below: HashMap::new() }
    }

    /// The calls whose `pending_returns` the caller must read next, all at once. An empty list: there is no cycle, or it is too
    /// long.
    pub fn next_unread(&mut self) -> Vec<CallHash> {
        let mut level = std::mem::take(&mut self.unread);
        level.truncate(self.left);
        self.left -= level.len();
        level
    }

    /// Takes the record that was read for `child`. Returns the cycle when it is found: from a call down to itself.
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
            // The start may have been found again as the parent of another call. Then its own entry would make this loop
            // endless.
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

    /// Walks over a graph that is given as (child, its parents).
    fn walk(edges: &[(&str, &[&str])], start: &str, targets: &[&str]) -> Option<String> {
        let mut walk = Walk::new(&start.into(), targets.iter().map(|t| CallHash::from(*t)).collect());
        loop {
            let level = walk.next_unread();
            if level.is_empty() {
                return None;
            }
            for call in level {
                let parents = edges.iter().find(|(child, _)| *child == call.as_str()).map_or(&[][..], |(_, p)| p);
                let entry = |p: &&str| Return { job_id: "r".into(), parent: (*p).into(), topic: "t".into() };
                let pending = PendingReturns { returns: parents.iter().map(entry).collect(), scheduled_at: None };
                if let Some(path) = walk.read(&call, &pending) {
                    return Some(path.iter().map(CallHash::as_str).collect::<Vec<_>>().join(">"));
                }
            }
        }
    }

    /// Walks up a chain of calls whose lowest call waits for the highest one. Returns whether the walk finds the cycle, and how
    /// many records it reads.
    fn up_a_chain(calls: usize) -> (bool, usize) {
        let name = |n: usize| CallHash::from(n.to_string());
        let (mut walk, mut reads) = (Walk::new(&name(calls - 1), HashSet::from([name(0)])), 0);
        loop {
            let level = walk.next_unread();
            let Some(call) = level.first() else { return (false, reads) };
            reads += level.len();
            let parent = call.as_str().parse::<usize>().unwrap().checked_sub(1);
            let entry = |n| Return { job_id: "r".into(), parent: name(n), topic: "t".into() };
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
        // c would wait for a, which waits for b, which waits for c.
        assert_eq!(walk(&[("c", &["b"]), ("b", &["a"])], "c", &["a"]).unwrap(), "a>b>c>a");
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        assert_eq!(walk(&[("d", &["b", "c"]), ("b", &["a"]), ("c", &["a"])], "d", &["x"]), None);
        // The walk also ends if there is a cycle somewhere else.
        assert_eq!(walk(&[("d", &["b"]), ("b", &["a"]), ("a", &["b"])], "d", &["x"]), None);
    }
}
