//! Which of the due ticks get a job. This changes a record in memory, and does nothing else.

use std::collections::{HashMap, HashSet};

use super::{GRACE, IN_TIME, Timetable, millis};
use crate::model::{JobId, Millis, Topic};
use crate::records::{Overlap, Schedule, SchedulesRecord, Starting};

/// The most jobs of a topic that are decided and not yet scheduled. The other ticks are decided in the next look, which follows at
/// once.
pub const MOST_STARTING: usize = 100;

/// A tick that passes without a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The name of its schedule.
    pub name: String,
    /// The tick, in milliseconds since the Unix epoch. With `Why::Missed` the first of those that were missed.
    pub tick: Millis,
    /// Why it gets no job.
    pub why: Why,
}

/// Why a tick gets no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No worker was there for so long that it would be too late now. There may have been more ticks before it got too late.
    Missed,
    /// The job before is alive, and the schedule says `skip`.
    Overlap,
    /// A later tick is due as well, and would cancel its job at once.
    Superseded,
}

/// What was decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// The jobs to start, with the names of their schedules.
    pub start: Vec<(String, Starting)>,
    pub skipped: Vec<Skipped>,
    /// The record was changed.
    pub is_changed: bool,
}

/// True if a tick of the schedule is due.
pub(super) fn is_due(schedule: &Schedule, now: Millis, timetable: &mut Timetable) -> bool {
    !schedule.is_paused && timetable.next(&schedule.spec, schedule.decided).is_some_and(|tick| tick <= now)
}

/// The jobs of which it must be known whether they are alive, before the due ticks can be decided.
pub(super) fn previous_jobs(record: &SchedulesRecord, now: Millis, timetable: &mut Timetable) -> Vec<JobId> {
    let asks = |schedule: &&Schedule| schedule.spec.overlap == Overlap::Skip && is_due(schedule, now, timetable);
    record.schedules.values().filter(asks).filter_map(|schedule| schedule.last_job.clone()).collect()
}

/// Decides the ticks that are due now, the oldest first. `alive`: those of `previous_jobs` that are alive.
pub(super) fn decide(
    record: &mut SchedulesRecord,
    topic: &Topic,
    now: Millis,
    alive: &HashSet<JobId>,
    timetable: &mut Timetable,
) -> Decision {
    let mut decision = Decision::default();
    let mut room = MOST_STARTING.saturating_sub(starting(record).count());
    let mut due = Vec::new();
    for (name, schedule) in record.schedules.iter_mut().filter(|(_, schedule)| !schedule.is_paused) {
        if let Some(tick) = pass_missed(schedule, now, timetable) {
            decision.skipped.push(Skipped { name: name.clone(), tick, why: Why::Missed });
            decision.is_changed = true;
        }
        let mut tick = schedule.decided;
        for _ in 0..MOST_STARTING {
            match timetable.next(&schedule.spec, tick) {
                Some(next) if next <= now => tick = next,
                _ => break,
            }
            due.push((tick, name.clone()));
        }
    }
    // The ticks of one schedule stay in their order.
    due.sort();
    let last_of: HashMap<String, Millis> = due.iter().map(|(tick, name)| (name.clone(), *tick)).collect();
    for (tick, name) in due {
        let Some(schedule) = record.schedules.get_mut(&name) else { continue };
        let is_last = last_of.get(&name) == Some(&tick);
        let why = match schedule.spec.overlap {
            Overlap::Skip if is_alive(schedule, alive) => Some(Why::Overlap),
            Overlap::CancelPrevious if !is_last => Some(Why::Superseded),
            _ => None,
        };
        match why {
            Some(why) => decision.skipped.push(Skipped { name, tick, why }),
            None if room == 0 => break,
            None => {
                room -= 1;
                let job_id = JobId::of_tick(topic, &name, schedule.created, tick);
                let previous = schedule.last_job.replace(job_id.clone());
                let cancels = previous.filter(|_| schedule.spec.overlap == Overlap::CancelPrevious);
                let starting = Starting { tick, job_id, cancels, since: now };
                schedule.starting.push(starting.clone());
                decision.start.push((name, starting));
            }
        }
        schedule.decided = tick;
        schedule.last = tick;
        decision.is_changed = true;
    }
    decision
}

/// True if the job before is alive. One that was decided to start a moment ago will be.
fn is_alive(schedule: &Schedule, alive: &HashSet<JobId>) -> bool {
    let is = |job_id: &JobId| alive.contains(job_id) || schedule.starting.iter().any(|s| s.job_id == *job_id);
    schedule.last_job.as_ref().is_some_and(is)
}

/// Lets the ticks pass that are too late. Returns the first of them.
fn pass_missed(schedule: &mut Schedule, now: Millis, timetable: &mut Timetable) -> Option<Millis> {
    let window = millis(schedule.spec.catch_up.max(IN_TIME));
    // A tick at this moment is too late, and one a millisecond later is not.
    let too_late = now.saturating_sub(window).checked_sub(1)?;
    if schedule.decided >= too_late {
        return None;
    }
    let first = timetable.next(&schedule.spec, schedule.decided).filter(|tick| *tick <= too_late)?;
    schedule.decided = too_late;
    Some(first)
}

/// The jobs that are decided and of which it is not known that they are scheduled.
pub(super) fn starting(record: &SchedulesRecord) -> impl Iterator<Item = (&String, &Schedule, &Starting)> {
    record.schedules.iter().flat_map(|(name, schedule)| schedule.starting.iter().map(move |s| (name, schedule, s)))
}

/// When there is something to do next. `None`: never.
pub(super) fn next(record: &SchedulesRecord, timetable: &mut Timetable) -> Option<Millis> {
    let left = starting(record).map(|(_, _, starting)| starting.since.saturating_add(millis(GRACE))).min();
    if starting(record).count() >= MOST_STARTING {
        // There is no room for a tick that is due.
        return left;
    }
    let running = record.schedules.values().filter(|schedule| !schedule.is_paused);
    let due = running.filter_map(|schedule| timetable.next(&schedule.spec, schedule.decided)).min();
    left.into_iter().chain(due).min()
}

#[cfg(test)]
mod tests;
