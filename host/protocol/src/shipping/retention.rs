//! Which revisions may go: those that no live job has and no new job can get, beyond the newest few.

use std::collections::HashSet;

use super::MARGIN;
use super::deployments::{add_gone, keep};
use super::in_force::{Entry, newest_first, revision_for};
use super::live::LiveJob;
use crate::model::Millis;
use crate::records::{DeploymentsRecord, Gone, Step};

/// The numbers of the revisions that may be removed. `live`: all live jobs of the backend, because each of them may call a task of
/// the topic. `now`: the current time, in milliseconds since the Unix epoch.
#[must_use]
pub fn removable(deployments: &DeploymentsRecord, live: &[LiveJob], now: Millis) -> Vec<u64> {
    let revisions = &deployments.revisions;
    let old = revisions.len().saturating_sub(keep(deployments));
    if old == 0 {
        return Vec::new();
    }
    let mut needed = still_taking(deployments, now);
    let of_live = live.iter().filter_map(|job| revision_for(deployments, job.created, &job.job_id));
    needed.extend(of_live.map(|revision| revision.number));
    let numbers = revisions.iter().take(old).map(|revision| revision.number);
    numbers.filter(|number| !needed.contains(number)).collect()
}

/// The record without these revisions. Jobs that have another revision keep it.
#[must_use]
pub fn let_go(deployments: &DeploymentsRecord, numbers: &[u64]) -> DeploymentsRecord {
    let mut record = deployments.clone();
    let (go, stay): (Vec<_>, Vec<_>) =
        std::mem::take(&mut record.revisions).into_iter().partition(|revision| numbers.contains(&revision.number));
    record.revisions = stay;
    for revision in go {
        add_gone(&mut record, Gone { number: revision.number, steps: revision.steps });
    }
    record
}

/// The revisions that a job may have that was created a moment ago, or is created later.
fn still_taking(deployments: &DeploymentsRecord, now: Millis) -> HashSet<u64> {
    let start = now.saturating_sub(u64::try_from(MARGIN.as_millis()).unwrap_or(u64::MAX));
    let mut taking = HashSet::new();
    for entry in newest_first(deployments) {
        if let Entry::There(revision) = entry {
            taking.insert(revision.number);
        }
        // The jobs of a removed revision have the next newer one, which is among those that were looked at.
        if takes_all_since(entry.steps(), start) {
            break;
        }
    }
    taking
}

/// True if all jobs that are created from this time on are taken.
fn takes_all_since(steps: &[Step], start: Millis) -> bool {
    let before = steps.iter().rposition(|step| step.from <= start);
    before.is_some_and(|first| steps.iter().skip(first).all(|step| step.weight == 100))
}

#[cfg(test)]
mod tests;
