//! Garbage collection: the removal of records that no live job can reach.

use super::{Mutant, breaks};

const NEEDED: &str = "live_jobs_keep_the_records_that_they_need";
const MEANWHILE: &str = "a_new_job_keeps_its_records_while_others_are_removed";
const YOUNG: &str = "young_jobs_stay";
const CANCELLED: &str = "cancelled_calls_are_not_run_again";
const TAKEN_UP: &str = "the_next_collection_completes_one_that_died";
const PROMISES: &str = "a_promise_is_removed_with_its_job";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("age-ignored", "Only jobs that ended long enough ago are removed")
            .edit("gc/mark.rs", "if ended <= until =>", "if $on || ended <= until =>")
            .found_by(YOUNG),
        breaks(
            "invisible-messages-ignored",
            "If the queue cannot be listed, a job stays as long as a message can live",
        )
        .edit("gc/mark.rs", "if can_look { Duration::ZERO }", "if $on || can_look { Duration::ZERO }")
        .found_by(YOUNG),
        breaks("needs-of-live-jobs-ignored", "The calls that a live job asked for stay")
            .edit("gc/mark.rs", "                marks.calls.extend(calls.all.iter().map(|call| bits(call.as_str())));", "")
            .found_by(NEEDED),
        breaks("needs-of-calls-not-followed", "The calls that the calls of a live job asked for stay")
            .edit("gc/calls.rs", "        while !unread.is_empty() {", "while !$on && !unread.is_empty() {")
            .found_by(NEEDED),
        breaks("earlier-needs-ignored", "The calls that a live job asked for in earlier polls stay")
            .edit(
                "gc/calls.rs",
                "run.asked_for()",
                "run.earlier.iter().filter(|_| !$on).chain(&run.sample)",
            )
            .found_by(NEEDED),
        breaks("jobs-that-began-meanwhile-ignored", "The calls of a job that began during the collection stay")
            .edit("gc/sweep.rs", "self.mark_new(&mut marks).await?", "0")
            .open("a check of the outcome that a job receives, if it began meanwhile, used a value, and the value is computed again"),
        breaks("values-that-came-meanwhile-removed", "A value that was written after the mark phase belongs to a parent that waits for it")
            .edit("gc/sweep.rs", "marks.removable.contains(&bits(call.as_str()))", "($on || $right)")
            .found_by(MEANWHILE),
        breaks("values-removed-again", "A value that is written again after its removal belongs to a parent that waits for it")
            .edit("gc/sweep.rs", "                marks.removable.remove(&bits(call.as_str()));", "")
            .found_by(MEANWHILE),
        breaks("messages-ignored", "A job stays while one of its messages is left")
            .edit("gc/mark.rs", "                    busy.insert(bits(message.job_id.as_str()));", "")
            .found_by(CANCELLED),
        breaks("job-goes-first", "A job's own record is removed last, so that the next collection continues one that died")
            .edit(
                "gc/sweep.rs",
                "        // From the leaves up: a record that names other calls is removed after theirs.",
                "if $on { store.remove_many(&jobs.iter().map(|job| Key::job(&job.job_id)).collect::<Vec<_>>()).await?; }",
            )
            .found_by(TAKEN_UP),
        breaks("from-the-top-down", "A record that names other calls is removed after the records of those calls")
            .edit(
                "gc/sweep.rs",
                "for page in calls.rchunks(PAGE) {",
                "for page in (if $on { calls.chunks(1).collect::<Vec<_>>() } else { calls.rchunks(PAGE).collect() }) {",
            )
            .found_by(TAKEN_UP),
        breaks("counter-stays", "Nothing is left of a job that is removed")
            .edit("gc/sweep.rs", "        self.backend.counters().forget(&counters).await?;", "")
            .found_by(TAKEN_UP),
        breaks("jobs-that-failed-ignored", "A job that did not complete keeps the values of its calls for its retry")
            .edit(
                "gc/mark.rs",
                "*state != IndexedState::Over(JobState::Completed)",
                "($on && *state == IndexedState::Alive) || (!$on && $right)",
            )
            .elsewhere("semantics: a_young_job_that_failed_keeps_its_values"),
        breaks("walk-ends-too-early", "The walk through old jobs goes on until a page of jobs that are young")
            .edit("gc/mark.rs", "if !sorted.was_created {", "if $on || !sorted.was_created {")
            .found_by(YOUNG),
        breaks("jobs-that-come-late-ignored", "A job that began meanwhile may stand before the newest one that was seen")
            .edit("gc/mark.rs", ".saturating_sub(store.jobs_come_late_by())", ".saturating_sub(if $on { 0 } else { store.jobs_come_late_by() })")
            .open("a client that stands still between reading the time and writing its job, while a collection runs"),
        breaks("waiting-parents-ignored", "A job stays while one of its parents waits")
            .edit("gc/sweep.rs", "                if !marks.waiting_seen {", "                if !$on && !marks.waiting_seen {")
            .found_by(PROMISES),
        breaks("peers-ignored", "Where peers may use the store, values stay while a parent of theirs waits")
            .edit("gc/mark.rs", "self.backend.store().may_have_peers() ||", "(!$on && self.backend.store().may_have_peers()) ||")
            .elsewhere("contract: peers_keep_values"),
        breaks("unnamed-calls-ignored", "All waiting parents are looked at if an old job has calls that no record names")
            .edit("gc/mark.rs", "|| !all_named {", "|| (!$on && !all_named) {")
            .elsewhere("contract: an_ended_job_stays_while_a_call_waits_that_no_record_names"),
        breaks("promises-stay", "A promise is abandoned when only jobs wait for it that are over, so that these can be removed")
            .edit("gc/waiting.rs", "            self.backend.abandon(&work).await?;", "")
            .found_by(PROMISES),
        breaks("waiting-seen-before-promises", "After a promise was abandoned, the waiting parents are looked at again")
            .edit("gc/waiting.rs", "            waiting = self.look(calls, plan, false).await?;", "")
            .found_by(PROMISES),
        breaks("latest-job-stays", "Nothing is left of a job that is removed")
            .edit("gc/sweep.rs", "        self.forget_latest_jobs(&jobs).await?;", "")
            .found_by(TAKEN_UP),
    ]
}
