//! Finds calls that wait for themselves, among all calls that wait. These are the cycles that are too long for the walk at
//! registration (`cycle.rs`), and the cycles of calls that only peers have run.
//!
//! Each call is looked at once. The work grows linearly with the number of waiting calls, whatever the graph looks like.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Doctor, Finding, bits};
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, JobId, Topic};
use crate::ports::{Key, Kind};
use crate::records::JobRecord;
use crate::wire::{PendingReturns, Return};

/// The most entries that are looked at together. They take about 400 MB during the search. Cycles among entries beyond this
/// number are not found.
const MOST: usize = 8 << 20;

/// The number of searches of one survey. Each search leaves out the calls of the cycles that were found before. A cycle that
/// leads to another cycle hides it, so each search finds at least one of a chain of cycles. The next survey finds the rest.
const SEARCHES: usize = 16;

/// Which parents wait for which children. Numbers stand for the names of calls.
#[derive(Default)]
pub(super) struct Waits {
    /// Pairs of child and parent.
    edges: Vec<(u64, u64)>,
}

/// The number of a call. It is the same in every survey, so that a second survey finds the same cycles. If two names have the
/// same number, the only harm is a look in vain: every cycle is checked by name.
fn number(call: &CallHash) -> u64 {
    bits(call.as_str())
}

impl Waits {
    /// Adds the parents that wait for `child`.
    pub fn add<'c>(&mut self, child: &CallHash, parents: impl Iterator<Item = &'c CallHash>) {
        if self.edges.len() < MOST {
            self.edges.extend(parents.map(|parent| (number(child), number(parent))));
        }
    }

    /// Cycles that have no call in common, each from a child to its parent. If there are cycles, at least one is found.
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

    /// One search. It removes the edges that can't be part of a cycle.
    fn search(&mut self) -> Vec<Vec<u64>> {
        let awaited: HashSet<u64> = self.edges.iter().map(|(child, _)| *child).collect();
        self.edges.retain(|(_, parent)| awaited.contains(parent));
        // Removes, again and again, the calls that no other call waits for. The calls that are left are below a cycle or part
        // of one.
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
        // Each call that is left has a parent that is left. So the way up from any of them leads into a cycle.
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
            // The walk has reached a call of an earlier walk, whose cycle is known, or a call of this walk. Only the latter is
            // a new cycle.
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
        // By now messages that were on their way have arrived. One of them may be about to fail one of the calls.
        let queued = self.queued(topics).await?;
        let mut findings = Vec::new();
        for cycle in cycles {
            let Some(mut calls) = cycle.iter().map(|n| names.get(n).cloned()).collect::<Option<Vec<_>>>() else {
                continue;
            };
            // Turned from parent to child, and rotated so that the list does not depend on the call where the search began.
            calls.reverse();
            let first = (0..calls.len()).min_by_key(|n| &calls[*n]).unwrap_or(0);
            calls.rotate_left(first);
            if calls.iter().any(|call| queued.holds(call)) {
                continue;
            }
            if let Some((job_id, topic)) = self.cycle_stands(&calls).await? {
                findings.push(Finding::Cycle { calls, job_id, topic });
            }
        }
        Ok(findings)
    }

    /// Checks whether each of `calls` waits for the next one, and the last one for the first, in live jobs. If so, returns a
    /// job in which the last one waits for the first, and the topic of the waiting parent.
    pub(super) async fn cycle_stands(&self, calls: &[CallHash]) -> Result<Option<(JobId, Topic)>> {
        let mut first = None;
        for (n, child) in calls.iter().enumerate() {
            let parent = &calls[(n + calls.len() - 1) % calls.len()];
            let Some(entry) = self.waits_in_vain(child, parent).await? else { return Ok(None) };
            first.get_or_insert((entry.job_id, entry.topic));
        }
        Ok(first)
    }

    /// The entry under which `parent` waits for `child` in a live job. `None` if there is no such entry, or if `child` has an
    /// outcome.
    async fn waits_in_vain(&self, child: &CallHash, parent: &CallHash) -> Result<Option<Return>> {
        let store = self.backend.store();
        let keys = [Key::pending_returns(child), Key::value(child)];
        let [pending, value] = <[_; 2]>::try_from(store.get_many(&keys).await?).unwrap_or_default();
        let pending = pending.and_then(|bytes| PendingReturns::decode(&bytes).ok()).filter(|_| value.is_none());
        for entry in pending.unwrap_or_default().returns.into_iter().filter(|entry| entry.parent == *parent) {
            let keys = [Key::job(&entry.job_id), Key::failure(child, &entry.job_id)];
            let [job, failure] = <[_; 2]>::try_from(store.get_many(&keys).await?).unwrap_or_default();
            // A job without a record is a peer's job, and is alive.
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

    /// The cycles among edges that are given as (child, parent), sorted.
    fn cycles(edges: &[(u64, u64)]) -> Vec<Vec<u64>> {
        let mut cycles = Waits { edges: edges.to_vec() }.cycles();
        cycles.iter_mut().for_each(|cycle| cycle.sort_unstable());
        cycles.sort();
        cycles
    }

    #[test]
    fn every_cycle_is_found() {
        assert_eq!(cycles(&[]), [[0_u64; 0]; 0]);
        assert_eq!(cycles(&[(1, 2), (1, 3), (2, 4), (3, 4)]), [[0_u64; 0]; 0], "a diamond");
        assert_eq!(cycles(&[(1, 1)]), [[1]]);
        // 3 waits for 2, 2 waits for 1, and 1 waits for 3. 9 is above the cycle, 5 is below it.
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
