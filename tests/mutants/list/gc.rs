//! Who removes what no live job can reach.

use super::{Mutant, breaks};

const NEEDED: &str = "what_lives_keeps_what_it_needs";
const MEANWHILE: &str = "what_comes_while_others_go_stays";
const YOUNG: &str = "what_is_young_stays";
const CANCELLED: &str = "what_was_cancelled_is_not_run_again";
const TAKEN_UP: &str = "a_collection_that_dies_is_taken_up";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("age-ignored", "Only jobs that ended long enough ago go")
            .edit("gc/mark.rs", "if ended <= until =>", "if $on || ended <= until =>")
            .found_by(YOUNG),
        breaks(
            "messages-that-nobody-sees-ignored",
            "Where nobody sees what is queued, a job stays as long as a message can live",
        )
        .edit("gc/mark.rs", "if can_look { Duration::ZERO }", "if $on || can_look { Duration::ZERO }")
        .found_by(YOUNG),
        breaks("needs-of-live-jobs-ignored", "What a live job asked for stays")
            .edit("gc/mark.rs", "                marks.calls.extend(calls.all.iter().map(|call| bits(call.as_str())));", "")
            .found_by(NEEDED),
        breaks("needs-of-calls-not-followed", "What the calls of a live job asked for stays")
            .edit("gc/calls.rs", "        while !unread.is_empty() {", "while !$on && !unread.is_empty() {")
            .found_by(NEEDED),
        breaks("earlier-needs-ignored", "What a live job asked for before it came to wait stays")
            .edit(
                "gc/calls.rs",
                "run.earlier.into_iter().chain(run.sample)",
                "run.earlier.into_iter().filter(|_| !$on).chain(run.sample)",
            )
            .found_by(NEEDED),
        breaks("jobs-that-began-meanwhile-ignored", "What a job needs that began meanwhile stays")
            .edit("gc/sweep.rs", "self.mark_new(&mut marks).await?", "0")
            .open("a job that began meanwhile, has used a value and has it computed again: no oracle looks at what is told it then"),
        breaks("values-that-came-meanwhile-removed", "A value that came after the look is somebody's who waits for it")
            .edit("gc/sweep.rs", "marks.removable.contains(&bits(call.as_str()))", "($on || $right)")
            .found_by(MEANWHILE),
        breaks("values-removed-again", "A value that comes again after it was removed is somebody's who waits for it")
            .edit("gc/sweep.rs", "                marks.removable.remove(&bits(call.as_str()));", "")
            .found_by(MEANWHILE),
        breaks("messages-ignored", "A job stays of which a message is left")
            .edit("gc/mark.rs", "                    busy.insert(bits(message.job_id.as_str()));", "")
            .found_by(CANCELLED),
        breaks("job-goes-first", "A job's own record goes last, so that a collection that dies is taken up")
            .edit(
                "gc/sweep.rs",
                "        // From the leaves up: what names others goes after them.",
                "if $on { store.remove_many(&jobs.iter().map(|job| Key::job(&job.job_id)).collect::<Vec<_>>()).await?; }",
            )
            .found_by(TAKEN_UP),
        breaks("from-the-top-down", "What names others goes after them")
            .edit(
                "gc/sweep.rs",
                "for page in calls.rchunks(PAGE) {",
                "for page in (if $on { calls.chunks(1).collect::<Vec<_>>() } else { calls.rchunks(PAGE).collect() }) {",
            )
            .found_by(TAKEN_UP),
        breaks("counter-stays", "Of a job that is removed nothing is left")
            .edit("gc/sweep.rs", "        self.backend.counters().forget(&counters).await?;", "")
            .found_by(TAKEN_UP),
        breaks("who-asked-last-stays", "Of a job that is removed nothing is left")
            .edit("gc/sweep.rs", "        self.forget_latest(jobs).await?;", "")
            .found_by(TAKEN_UP),
    ]
}
