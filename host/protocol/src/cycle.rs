//! Finds a call that waits for itself, by walking up from child to parents.
//!
//! Pure: who drives it reads the records, step by step or in a transaction.

use std::collections::{HashMap, HashSet};

use crate::model::CallHash;
use crate::wire::PendingReturns;

/// How many calls a walk visits before it gives up. A walk that gives up finds nothing: the cycle then stays a hang,
/// which is what it would be without the walk.
const MAX_VISITED: usize = 10_000;

/// A walk from a call up to those that wait for it, looking for one of its targets.
pub struct Walk {
    targets: HashSet<CallHash>,
    unread: Vec<CallHash>,
    /// Each call found, with the child through which it was found.
    below: HashMap<CallHash, CallHash>,
}

impl Walk {
    #[must_use]
    pub fn new(start: &CallHash, targets: HashSet<CallHash>) -> Self {
        Self { targets, unread: vec![start.clone()], below: HashMap::new() }
    }

    /// The call whose `pending_returns` to read next; `None`: there is no cycle.
    pub fn next_unread(&mut self) -> Option<CallHash> {
        if self.below.len() > MAX_VISITED {
            return None;
        }
        self.unread.pop()
    }

    /// Takes what was read of `child`. Returns the cycle once there is one: from a call down to itself.
    pub fn read(&mut self, child: &CallHash, pending: &PendingReturns) -> Option<Vec<CallHash>> {
        for parent in pending.returns.iter().map(|r| &r.parent) {
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
        while let Some(call) = walk.next_unread() {
            let parents = edges.iter().find(|(child, _)| *child == call.as_str()).map_or(&[][..], |(_, p)| p);
            let returns =
                parents.iter().map(|p| Return { root: "r".into(), parent: (*p).into(), topic: "t".into() }).collect();
            let pending = PendingReturns { returns, scheduled_at: None };
            if let Some(path) = walk.read(&call, &pending) {
                return Some(path.iter().map(CallHash::as_str).collect::<Vec<_>>().join(">"));
            }
        }
        None
    }

    #[test]
    fn finds_cycles_and_names_them_from_the_top_down() {
        assert_eq!(walk(&[("a", &["a"])], "a", &["a"]).unwrap(), "a>a");
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
