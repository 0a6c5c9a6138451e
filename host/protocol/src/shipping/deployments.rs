//! What people do with the revisions of a topic. Each function takes a record and gives the changed one.

use super::{
    KEEP, LEAD, LONGEST_NAME, LONGEST_NOTE, MOST_COMPONENTS, MOST_DEPLOYMENTS_BYTES, MOST_REVISIONS, MOST_STEPS,
};
use crate::model::Millis;
use crate::records::{DeployedComponent, DeploymentsRecord, Gone, Revision, Step};

/// A revision to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRevision {
    /// Its components, each with its name.
    pub components: Vec<DeployedComponent>,
    /// The part of new jobs that it takes, in percent, 0 to 100.
    pub percent: u8,
    /// What the person who pushes it says of it.
    pub note: String,
    /// Who pushes it.
    pub by: String,
}

/// The result of a change that was possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The record as it is to be.
    To(Box<DeploymentsRecord>),
    /// All is already so.
    Same,
}

/// Why a change is not possible. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such revision.
    #[error("the topic has no revision {0}; it was removed, or never pushed")]
    NoRevision(u64),
    /// There is nothing to roll back to.
    #[error("the topic has no revision before its newest one, so there is nothing to roll back to")]
    NothingBefore,
    /// A part of the jobs that is no percentage.
    #[error("a revision takes 0 to 100 percent of the jobs, not {0}")]
    Percent(u8),
    /// Too few or too many components.
    #[error("a revision has 1 to {MOST_COMPONENTS} components, not {0}")]
    Components(usize),
    /// Two components that are the same, or have the same name.
    #[error("the component {0:?} is named twice; name each component once")]
    Twice(String),
    /// A name or note that is too long.
    #[error("the {what} has {size} bytes; at most {most} are possible")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its bytes.
        size: usize,
        /// The most bytes.
        most: usize,
    },
    /// The part of the jobs was changed too often.
    #[error("the part of the jobs that revision {0} takes was changed {MOST_STEPS} times; push its components again")]
    TooManySteps(u64),
    /// Too many revisions.
    #[error(
        "the topic has {MOST_REVISIONS} revisions that live jobs need; wait until jobs have ended, or remove revisions"
    )]
    TooManyRevisions,
    /// The record would be too large.
    #[error("the revisions would take {0} bytes; at most {MOST_DEPLOYMENTS_BYTES} are possible; remove revisions")]
    TooLarge(usize),
}

/// Adds a revision. It takes its part of the jobs that are created from now on, or rather from [`LEAD`] on, as all changes do. If the newest revision has the same components and
/// takes the same part, nothing changes. Who takes the rest: the revisions before it. A first revision takes all, whatever its part.
///
/// # Errors
/// Why it is not possible.
pub fn push(deployments: &DeploymentsRecord, new: &NewRevision, now: Millis) -> Result<Changed, Refusal> {
    check(new)?;
    add(deployments, new, 0, now)
}

/// Adds a revision with the components of the revision `to`, for all jobs that are created from now on. History stays, and jobs
/// that were created before stay where they are. If the newest revision has these components and takes all jobs, nothing changes.
///
/// # Errors
/// Why it is not possible.
pub fn rollback(
    deployments: &DeploymentsRecord,
    to: u64,
    note: &str,
    by: &str,
    now: Millis,
) -> Result<Changed, Refusal> {
    let old = deployments.revisions.iter().find(|revision| revision.number == to).ok_or(Refusal::NoRevision(to))?;
    let new =
        NewRevision { components: old.components.clone(), percent: 100, note: note.to_owned(), by: by.to_owned() };
    check(&new)?;
    add(deployments, &new, to, now)
}

/// The revision before the newest one, among those that are there. After a rollback, it is the one that was rolled back.
///
/// # Errors
/// `NothingBefore`, if there are fewer than two.
pub fn to_roll_back_to(deployments: &DeploymentsRecord) -> Result<u64, Refusal> {
    deployments.revisions.iter().rev().nth(1).map(|revision| revision.number).ok_or(Refusal::NothingBefore)
}

/// Changes the part of the jobs that a revision takes of those that are created from now on. Jobs that were created before stay
/// where they are.
///
/// # Errors
/// Why it is not possible.
pub fn ramp(deployments: &DeploymentsRecord, number: u64, percent: u8, now: Millis) -> Result<Changed, Refusal> {
    if percent > 100 {
        return Err(Refusal::Percent(percent));
    }
    let mut record = deployments.clone();
    let from = next_time(&record, now);
    let found = record.revisions.iter_mut().find(|revision| revision.number == number);
    let revision = found.ok_or(Refusal::NoRevision(number))?;
    if revision.weight() == percent {
        return Ok(Changed::Same);
    }
    if revision.steps.len() >= MOST_STEPS {
        return Err(Refusal::TooManySteps(number));
    }
    revision.steps.push(Step { from, weight: percent });
    record.changed = from;
    Ok(Changed::To(Box::new(record)))
}

/// Removes a revision. It takes no more jobs. Jobs that had it get another one, see `revision_for`.
///
/// # Errors
/// Why it is not possible.
pub fn remove(deployments: &DeploymentsRecord, number: u64, now: Millis) -> Result<Changed, Refusal> {
    let mut record = deployments.clone();
    let found = record.revisions.iter().position(|revision| revision.number == number);
    let Some(position) = found else {
        // Who asks again has what was asked for.
        let is_gone = (1..=record.last).contains(&number);
        return if is_gone { Ok(Changed::Same) } else { Err(Refusal::NoRevision(number)) };
    };
    let from = next_time(&record, now);
    let mut steps = record.revisions.remove(position).steps;
    steps.push(Step { from, weight: 0 });
    add_gone(&mut record, Gone { number, steps });
    record.changed = from;
    Ok(Changed::To(Box::new(record)))
}

/// How many of the newest revisions stay even if no job needs them.
pub(super) fn keep(deployments: &DeploymentsRecord) -> usize {
    if deployments.keep == 0 { KEEP as usize } else { deployments.keep as usize }
}

/// Checks that the record is small enough for every store.
pub(super) fn check_size(deployments: &DeploymentsRecord) -> Result<(), Refusal> {
    if deployments.revisions.len() > MOST_REVISIONS {
        return Err(Refusal::TooManyRevisions);
    }
    let size = deployments.encode().len();
    if size > MOST_DEPLOYMENTS_BYTES { Err(Refusal::TooLarge(size)) } else { Ok(()) }
}

/// Notes that a revision was removed. What says nothing more of any job is left out, so that this does not grow for ever.
pub(super) fn add_gone(deployments: &mut DeploymentsRecord, gone: Gone) {
    deployments.gone.push(gone);
    deployments.gone.sort_by_key(|gone| gone.number);
    let oldest = deployments.revisions.first().map(|revision| revision.number);
    let all = std::mem::take(&mut deployments.gone);
    let is_between = |low: u64, high: u64| deployments.revisions.iter().any(|r| low < r.number && r.number < high);
    let mut kept: Vec<Gone> = Vec::new();
    for gone in all {
        // Jobs of one that is older than all that are there get the oldest one, as do jobs that no revision took.
        let says_something = oldest.is_some_and(|oldest| gone.number > oldest);
        // The one before it took all jobs. Jobs of both get the same revision: the next one that is there.
        let took_all = |before: &Gone| {
            before.steps.iter().all(|step| step.weight == 100) && !is_between(before.number, gone.number)
        };
        if says_something && !kept.last().is_some_and(took_all) {
            kept.push(gone);
        }
    }
    deployments.gone = kept;
}

fn add(deployments: &DeploymentsRecord, new: &NewRevision, restores: u64, now: Millis) -> Result<Changed, Refusal> {
    let newest = deployments.revisions.last();
    if newest.is_some_and(|newest| newest.components == new.components && newest.weight() == new.percent) {
        return Ok(Changed::Same);
    }
    let mut record = deployments.clone();
    let from = next_time(&record, now);
    record.last += 1;
    record.changed = from;
    record.revisions.push(Revision {
        number: record.last,
        steps: vec![Step { from, weight: new.percent }],
        components: new.components.clone(),
        note: new.note.clone(),
        by: new.by.clone(),
        restores,
        extra: Vec::new(),
    });
    Ok(Changed::To(Box::new(record)))
}

/// The time of a change: a moment later than now, and after all changes before it. When its time comes, the change is in the store.
/// So no job that has begun is moved.
fn next_time(deployments: &DeploymentsRecord, now: Millis) -> Millis {
    let lead = Millis::try_from(LEAD.as_millis()).unwrap_or(Millis::MAX);
    now.saturating_add(lead).max(deployments.changed.saturating_add(1))
}

fn check(new: &NewRevision) -> Result<(), Refusal> {
    if new.percent > 100 {
        return Err(Refusal::Percent(new.percent));
    }
    if new.components.is_empty() || new.components.len() > MOST_COMPONENTS {
        return Err(Refusal::Components(new.components.len()));
    }
    let texts = [("note", &new.note, LONGEST_NOTE), ("name of the person who pushes", &new.by, LONGEST_NAME)];
    let names = new.components.iter().map(|component| ("name of a component", &component.name, LONGEST_NAME));
    for (what, text, most) in texts.into_iter().chain(names) {
        if text.len() > most {
            return Err(Refusal::TooLong { what, size: text.len(), most });
        }
    }
    for (n, component) in new.components.iter().enumerate() {
        let same = |other: &DeployedComponent| other.name == component.name || other.digest == component.digest;
        if new.components.iter().take(n).any(same) {
            return Err(Refusal::Twice(component.name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
