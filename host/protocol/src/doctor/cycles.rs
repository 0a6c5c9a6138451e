//! Finds calls that wait for themselves, in all that waits: the cycles that are too long for the walk at registration
//! (`cycle.rs`), and those that only peers have run.
//!
//! One look at every call, and work in proportion to how many calls wait, however they wait for each other.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Doctor, Finding, bits};
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, Root, Topic};
use crate::ports::{Key, Kind};
use crate::records::JobRecord;
use crate::wire::{PendingReturns, Return};

/// Entries that are looked at together: about 400 MB while the look lasts. Of what is beyond, no cycles are found.
const MOST: usize = 8 << 20;

/// How often one look searches again without the calls of the cycles that it has found. A cycle that leads to another one hides it, so
/// each search finds at least one of a chain of cycles; what is left after these is found by the next look.
const SEARCHES: usize = 16;

/// Who waits for whom, by numbers that stand for the names of calls.
#[derive(Default)]
pub(super) struct Waits {
    /// Child and parent.
    edges: Vec<(u64, u64)>,
}

/// The same in every survey, so that a second one finds the same cycles. Two names of one number cost a look in vain: what is found
/// is checked by name.
fn number(call: &CallHash) -> u64 {
    bits(call.as_str())
}

impl Waits {
    /// Notes who waits for `child`.
    pub fn add<'c>(&mut self, child: &CallHash, parents: impl Iterator<Item = &'c CallHash>) {
        if self.edges.len() < MOST {
            self.edges.extend(parents.map(|parent| (number(child), number(parent))));
        }
    }

    /// Cycles that have no call in common, each from a child to its parent; at least one if there are any.
    fn cycles(mut self) -> Vec<Vec<u64>> {
        let mut all = Vec::new();
        for _ in 0..SEARCHES {
            let found = self.search();
            if found.is_empty() {
                break;
            }
            let done: HashSet<u64> = found.iter().flatten().copied().collect();
            self.edges.retain(|(child, parent)| !done.contains(child) && !done.contains(parent));
            all.extend(found);
        }
        all
    }

    /// One search: it drops the edges that are on no cycle for certain.
    fn search(&mut self) -> Vec<Vec<u64>> {
        let awaited: HashSet<u64> = self.edges.iter().map(|(child, _)| *child).collect();
        self.edges.retain(|(_, parent)| awaited.contains(parent));
        // Takes away, again and again, the calls that no other call waits for. What is left is below a cycle or part of one.
        let mut parents: HashMap<u64, usize> = awaited.into_iter().map(|call| (call, 0)).collect();
        for (child, _) in &self.edges {
            *parents.entry(*child).or_default() += 1;
        }
        self.edges.sort_unstable_by_key(|(child, parent)| (*parent, *child));
        let mut free: Vec<u64> = parents.iter().filter(|(_, count)| **count == 0).map(|(call, _)| *call).collect();
        while let Some(call) = free.pop() {
            parents.remove(&call);
            let first = self.edges.partition_point(|(_, parent)| *parent < call);
            for (child, _) in self.edges[first..].iter().take_while(|(_, parent)| *parent == call) {
                if let Some(count) = parents.get_mut(child) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(*child);
                    }
                }
            }
        }
        // Each call that is left has a parent that is left: going up from one comes round.
        let mut up: HashMap<u64, u64> = HashMap::with_capacity(parents.len());
        for (child, parent) in &self.edges {
            if parents.contains_key(child) && parents.contains_key(parent) {
                up.entry(*child).or_insert(*parent);
            }
        }
        let mut left: Vec<u64> = parents.into_keys().collect();
        left.sort_unstable();
        let (mut seen, mut cycles) = (HashMap::new(), Vec::new());
        for (walk, start) in left.into_iter().enumerate() {
            let mut at = start;
            while !seen.contains_key(&at)
                && let Some(parent) = up.get(&at)
            {
                seen.insert(at, walk);
                at = *parent;
            }
            // At a call of an earlier walk, whose cycle is known; or back at one of this very walk.
            if seen.get(&at) == Some(&walk) {
                let mut cycle = vec![at];
                while let Some(parent) = cycle.last().and_then(|last| up.get(last)).filter(|parent| **parent != at) {
                    cycle.push(*parent);
                }
                cycles.push(cycle);
            }
        }
        cycles
    }
}

impl Doctor {
    /// The cycles in `waits` whose calls have no message on any of `topics` and still wait for each other.
    pub(super) async fn cycles(&self, waits: Waits, topics: &BTreeSet<Topic>) -> Result<Vec<Finding>> {
        let cycles = waits.cycles();
        if cycles.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: HashSet<u64> = cycles.iter().flatten().copied().collect();
        let mut names: HashMap<u64, CallHash> = HashMap::new();
        let mut all = Listing::of(self.backend.store(), Kind::PendingReturns);
        while let Some(ids) = all.next().await? {
            let calls = ids.into_iter().map(CallHash::from).map(|call| (number(&call), call));
            names.extend(calls.filter(|(number, _)| wanted.contains(number)));
        }
        // What was on its way has arrived: a message may be about to fail one of the calls.
        let queued = self.queued(topics).await?;
        let mut findings = Vec::new();
        for cycle in cycles {
            let Some(mut calls) = cycle.iter().map(|n| names.get(n).cloned()).collect::<Option<Vec<_>>>() else {
                continue;
            };
            // From parent to child, and the same whichever call it was found from.
            calls.reverse();
            let first = (0..calls.len()).min_by_key(|n| &calls[*n]).unwrap_or(0);
            calls.rotate_left(first);
            if calls.iter().any(|call| queued.holds(call)) {
                continue;
            }
            if let Some((root, topic)) = self.cycle_stands(&calls).await? {
                findings.push(Finding::Cycle { calls, root, topic });
            }
        }
        Ok(findings)
    }

    /// Does each of `calls` wait for the next one, and the last one for the first, in jobs that are alive? Then a job in which the
    /// last one waits for the first, and the topic of who waits.
    pub(super) async fn cycle_stands(&self, calls: &[CallHash]) -> Result<Option<(Root, Topic)>> {
        let mut first = None;
        for (n, child) in calls.iter().enumerate() {
            let parent = &calls[(n + calls.len() - 1) % calls.len()];
            let Some(entry) = self.waits_in_vain(child, parent).await? else { return Ok(None) };
            first.get_or_insert((entry.root, entry.topic));
        }
        Ok(first)
    }

    /// The entry under which `parent` waits for `child`, which has no outcome, in a job that is alive.
    async fn waits_in_vain(&self, child: &CallHash, parent: &CallHash) -> Result<Option<Return>> {
        let store = self.backend.store();
        let keys = [Key::pending_returns(child), Key::value(child)];
        let [pending, value] = <[_; 2]>::try_from(store.get_many(&keys).await?).unwrap_or_default();
        let pending = pending.and_then(|bytes| PendingReturns::decode(&bytes).ok()).filter(|_| value.is_none());
        for entry in pending.unwrap_or_default().returns.into_iter().filter(|entry| entry.parent == *parent) {
            let keys = [Key::job(&entry.root), Key::failure(child, &entry.root)];
            let [job, failure] = <[_; 2]>::try_from(store.get_many(&keys).await?).unwrap_or_default();
            // A job without a record is a peer's, and alive.
            let is_alive = job.is_none_or(|job| JobRecord::decode(&job).is_ok_and(|job| !job.is_over()));
            if is_alive && failure.is_none() {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cycles among edges given as (child, parent), sorted.
    fn cycles(edges: &[(u64, u64)]) -> Vec<Vec<u64>> {
        let mut cycles = Waits { edges: edges.to_vec() }.cycles();
        cycles.iter_mut().for_each(|cycle| cycle.sort_unstable());
        cycles.sort();
        cycles
    }

    #[test]
    fn every_cycle_leaves_one() {
        assert_eq!(cycles(&[]), [[0_u64; 0]; 0]);
        assert_eq!(cycles(&[(1, 2), (1, 3), (2, 4), (3, 4)]), [[0_u64; 0]; 0], "a diamond");
        assert_eq!(cycles(&[(1, 1)]), [[1]]);
        // 3 waits for 2, 2 for 1, 1 for 3; 9 is above, 5 below.
        assert_eq!(cycles(&[(2, 3), (1, 2), (3, 1), (3, 9), (5, 1)]), [[1, 2, 3]]);
        assert_eq!(cycles(&[(1, 2), (2, 1), (3, 4), (4, 3), (4, 1)]), [[1, 2], [3, 4]], "one leads to the other");
        assert_eq!(cycles(&[(1, 2), (2, 1), (3, 4), (4, 3), (2, 3)]), [[1, 2], [3, 4]], "and the other way round");
        let chain: Vec<(u64, u64)> =
            (0..100).flat_map(|n| [(2 * n, 2 * n + 1), (2 * n + 1, 2 * n), (2 * n + 2, 2 * n)]).collect();
        assert!((SEARCHES..=100).contains(&cycles(&chain).len()), "a chain of cycles");
        let long: Vec<(u64, u64)> = (0..10_000).map(|n| (n, (n + 1) % 10_000)).collect();
        assert_eq!(cycles(&long)[0].len(), 10_000);
    }
}
