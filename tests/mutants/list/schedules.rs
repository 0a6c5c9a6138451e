//! The rules of schedules: each tick has one job, whoever dies and however many workers look.

use super::{Mutant, breaks};

const SHORT: &str = "short_histories_of_schedules_end";
const EVERY_ACCESS: &str = "a_look_may_end_at_every_access";
const AT_ONCE: &str = "workers_that_look_at_once_send_one_message_for_a_job";
const REMOVED: &str = "a_schedule_may_be_removed_at_every_access";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("decided-and-not-kept", "The record names the jobs that are decided before any of them is scheduled")
            .edit(
                "schedules/decide.rs",
                "                schedule.starting.push(starting.clone());",
                "if !$on { schedule.starting.push(starting.clone()); }",
            )
            .found_by(SHORT),
        breaks("tick-decided-again", "A tick that is decided is not decided again")
            .edit("schedules/decide.rs", "        schedule.decided = tick;", "if !$on { schedule.decided = tick; }")
            .found_by(SHORT),
        breaks("job-of-a-look", "The id of a job follows from its tick, not from the look that decides it")
            .edit(
                "schedules/decide.rs",
                "JobId::of_tick(topic, &name, schedule.created, tick)",
                "JobId::of_tick(topic, &name, schedule.created, now)",
            )
            .found_by(SHORT),
        breaks("record-overwritten", "A record that another worker has changed is not overwritten")
            .edit(
                "schedules/start.rs",
                "self.backend.store().swap(&Key::schedules(self.topic), read.bytes.as_ref(), new.clone()).await?",
                "{
                     if let Some(new) = &new {
                         self.backend.store().put(&Key::schedules(self.topic), new.clone()).await?;
                     }
                     Swap::Done
                 }",
            )
            .found_by(SHORT),
        breaks("settled-before-it-is-scheduled", "A job stays in the record until it is scheduled")
            .edit(
                "schedules/start.rs",
                "Err(error) if is_final(&error) => starts",
                "Err(error) if $on || is_final(&error) => starts",
            )
            .found_by(SHORT),
        breaks("left-for-ever", "What a worker has decided and not started is started by another one")
            .edit("schedules/look.rs", "starting.since.saturating_add(millis(GRACE)) <= now", "false")
            .found_by(SHORT),
        breaks("everybody-starts-it", "Others leave a worker the time to start what it has decided")
            .edit("schedules/look.rs", "starting.since.saturating_add(millis(GRACE)) <= now", "true")
            .found_by(AT_ONCE),
        breaks("skip-forgets-what-starts", "A job that is decided and not yet scheduled counts as alive")
            .edit(
                "schedules/decide.rs",
                "alive.contains(job_id) || schedule.starting.iter().any(|s| s.job_id == *job_id)",
                "alive.contains(job_id)",
            )
            .found_by(EVERY_ACCESS),
        breaks("skip-allows", "With skip, a tick starts no job while the job before is alive")
            .edit("schedules/decide.rs", "Some(Why::Overlap),", "(if $on { None } else { Some(Why::Overlap) }),")
            .found_by(SHORT),
        breaks("skip-for-ever", "With skip, a tick starts a job when the job before is over")
            .edit(
                "schedules/decide.rs",
                "Overlap::Skip if is_alive(schedule, alive)",
                "Overlap::Skip if is_alive(schedule, alive) || ($on && schedule.last_job.is_some())",
            )
            .found_by(SHORT),
        breaks("cancels-nobody", "With cancel-previous, the job before is cancelled")
            .edit(
                "schedules/decide.rs",
                "previous.filter(|_| schedule.spec.overlap == Overlap::CancelPrevious)",
                "previous.filter(|_| false)",
            )
            .found_by(SHORT),
        breaks("cancelled-before-it-is-scheduled", "A job is scheduled before the next one cancels it")
            .edit(
                "schedules/look.rs",
                "schedule.spec.overlap != Overlap::Allow && decide::is_due(schedule, now, timetable)",
                "false",
            )
            .found_by(EVERY_ACCESS),
        breaks("changed-while-it-starts", "What a schedule starts does not change while a job of it starts")
            .edit(
                "schedules/client.rs",
                "            if self.finish(name, &mut read, now).await? {\n                continue;\n            }\n            \
                 read.record.schedules.insert",
                "if !$on && self.finish(name, &mut read, now).await? { continue; }
                 read.record.schedules.insert",
            )
            .found_by(SHORT),
        breaks("removed-with-what-starts", "A schedule is removed when its jobs that are decided have started")
            .edit(
                "schedules/client.rs",
                "            if self.finish(name, &mut read, now).await? {\n                continue;\n            }\n            \
                 read.record.schedules.remove",
                "if !$on && self.finish(name, &mut read, now).await? { continue; }
                 read.record.schedules.remove",
            )
            .found_by(REMOVED),
        breaks("new-schedule-catches-up", "The ticks before a schedule was added are none of its ticks")
            .edit("schedules/client.rs", "        decided: now,", "decided: if $on { now.saturating_sub(3_600_000) } else { now },")
            .found_by(REMOVED),
        breaks("gc-removes-what-may-start", "The record of a job stays while a worker may yet schedule the job")
            .edit(
                "gc/mark.rs",
                "                marks.busy.extend(starting.map(|starting| bits(starting.job_id.as_str())));",
                "",
            )
            .found_by("no_job_of_a_schedule_is_started_again_after_it_was_removed"),
        breaks("missed-are-caught-up", "A tick that is too late passes without a job")
            .edit("schedules/decide.rs", ".filter(|tick| *tick <= too_late)?", ".filter(|tick| !$on && *tick <= too_late)?")
            .elsewhere("unit tests: missed_ticks_are_caught_up_within_their_time"),
        breaks("pause-is-caught-up", "The ticks of a pause are not caught up")
            .edit(
                "schedules/client.rs",
                "    if !is_paused {\n        schedule.decided",
                "if !is_paused && !$on {\n        schedule.decided",
            )
            .elsewhere("semantics: a_paused_schedule_starts_nothing_and_catches_up_nothing"),
    ]
}
