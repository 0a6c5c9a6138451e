//! Which revision runs the calls of a job. It follows from the record, the job's id and the time of its creation, so every worker
//! comes to the same revision.

use sha2::{Digest as _, Sha256};

use crate::model::{JobId, Millis};
use crate::records::{DeploymentsRecord, Gone, Revision, Step};

/// The revision that runs the calls of this job. `created`: when the job was created. `None`: the topic has no revision.
///
/// It is the newest one that took the job when the job was created. A revision takes a job if the job's share ([`share`]) is below
/// the weight that the revision had then. So a later push, ramp or rollback moves no job.
///
/// - If that revision was removed: the oldest one that is there and newer, otherwise the newest.
/// - If none took the job (it was created before the first one, or the first one took a part only): the oldest one that is there.
/// - If the topic follows the newest: the newest one whose weight is now above the job's share, whenever the job was created;
///   otherwise the oldest one.
///
/// A record that was read at some time is right for all jobs that were created by then: the times of later changes are later. For a
/// job that was created after that, the record must be read again.
#[must_use]
pub fn revision_for<'a>(deployments: &'a DeploymentsRecord, created: Millis, job_id: &JobId) -> Option<&'a Revision> {
    let (revisions, share) = (&deployments.revisions, share(job_id));
    let oldest = revisions.first();
    if deployments.follow_newest {
        return revisions.iter().rev().find(|revision| share < revision.weight()).or(oldest);
    }
    match newest_first(deployments).find(|entry| share < weight_at(entry.steps(), created)) {
        None => oldest,
        Some(Entry::There(revision)) => Some(revision),
        Some(Entry::Gone(gone)) => revisions.iter().find(|r| r.number > gone.number).or(revisions.last()),
    }
}

/// The share of a job, from 0 to 99. It depends on nothing but its id, so a job that a ramp of 20 % takes is one that a ramp of
/// 50 % takes too.
#[must_use]
pub fn share(job_id: &JobId) -> u8 {
    let digest = Sha256::new().chain_update(b"brrr.share").chain_update(job_id.as_str()).finalize();
    // The first eight bytes of a hash are evenly distributed enough: 2^64 is far above 100.
    let number = digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    // Below 100.
    (number % 100) as u8
}

/// A revision, or what is left of one.
#[derive(Clone, Copy)]
pub(super) enum Entry<'a> {
    There(&'a Revision),
    Gone(&'a Gone),
}

impl<'a> Entry<'a> {
    pub fn steps(self) -> &'a [Step] {
        match self {
            Self::There(revision) => &revision.steps,
            Self::Gone(gone) => &gone.steps,
        }
    }
}

/// All revisions that there were, the newest first.
pub(super) fn newest_first(deployments: &DeploymentsRecord) -> impl Iterator<Item = Entry<'_>> {
    let mut there = deployments.revisions.iter().rev().peekable();
    let mut gone = deployments.gone.iter().rev().peekable();
    std::iter::from_fn(move || {
        let is_gone = match (there.peek(), gone.peek()) {
            (Some(revision), Some(gone)) => gone.number > revision.number,
            (None, Some(_)) => true,
            _ => false,
        };
        if is_gone { gone.next().map(Entry::Gone) } else { there.next().map(Entry::There) }
    })
}

/// The part of the jobs that was taken at this time, in percent. 0: before the first step.
fn weight_at(steps: &[Step], time: Millis) -> u8 {
    steps.iter().rev().find(|step| step.from <= time).map_or(0, |step| step.weight)
}

#[cfg(test)]
mod tests;
