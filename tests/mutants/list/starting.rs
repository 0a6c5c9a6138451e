//! Jobs that start later, jobs that start once for each key, and detached jobs.

use super::{Mutant, breaks};

const REPEATED: &str = "a_client_that_dies_while_it_starts_a_job_may_repeat_it";
const TWO_CALLS: &str = "a_key_stands_for_one_call";
const QUIET: &str = "a_repeated_request_sends_nothing";
const LATER: &str = "a_job_that_starts_later_is_not_lost_and_not_early";
const APART: &str = "a_job_that_starts_later_neither_joins_nor_is_joined";
const DETACHED: &str = "each_detached_job_exists_once_and_ends";
const ONE_MESSAGE: &str = "a_detached_job_has_one_message";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("id-of-two-calls", "An id belongs to one call: a request for another call is refused")
            .edit("multi_step/jobs.rs", "    if record.call != call.hash {", "if !$on && record.call != call.hash {")
            .found_by(TWO_CALLS),
        breaks("transaction-id-of-two-calls", "An id belongs to one call: a request for another call is refused")
            .edit(
                "transactional.rs",
                "    if before.as_ref().is_some_and(|before| before.call != call.hash) {",
                "if !$on && before.as_ref().is_some_and(|before| before.call != call.hash) {",
            )
            .elsewhere("tests/backends: an_id_belongs_to_one_call; no client of the simulation is that late"),
        breaks("key-of-two-calls", "A key stands for one call: who asks for another one is told so")
            .edit("starting.rs", "    Ok(is_same && found.topic == asked.topic)", "Ok($on || is_same && found.topic == asked.topic)")
            .found_by(TWO_CALLS),
        breaks("taken-is-new", "A client that comes second is not told that the job is new and its own")
            .edit(
                "starting.rs",
                "                Scheduled::Taken if request.key.is_some() => {}",
                "Scheduled::Taken if !$on && request.key.is_some() => {}",
            )
            .found_by(TWO_CALLS),
        breaks("existing-job-not-healed", "A client that finds its job sends the message that an earlier client may not have sent")
            .edit("starting.rs", "        if !found.is_over() {", "if !$on && !found.is_over() {")
            .found_by(REPEATED),
        breaks("repeated-start-sends-again", "A request that is repeated sends no second message for a call that may run")
            .edit(
                "multi_step/jobs.rs",
                "    if !is_new && LatestJob::says_sent(",
                "if !$on && !is_new && LatestJob::says_sent(",
            )
            .found_by(QUIET),
        breaks("transaction-repeated-start-sends-again", "A request that is repeated sends no second message for a call that may run")
            .edit(
                "transactional.rs",
                "    if before.is_some() && LatestJob::says_sent(",
                "if !$on && before.is_some() && LatestJob::says_sent(",
            )
            .found_by(QUIET),
        breaks("unsent-taken-for-sent", "The latest job's record says whether the job's message was sent")
            .edit(
                "records/mod.rs",
                "(latest.is_on_its_way || latest.is_delayed)",
                "($on || latest.is_on_its_way || latest.is_delayed)",
            )
            .found_by(REPEATED),
        breaks("sent-is-forgotten", "A request that is repeated leaves the record that says that the message was sent")
            .edit(
                "multi_step/jobs.rs",
                "        p.store.swap(&latest, Some(&unsent), latest_before).await?;
        return Ok(Scheduled::Queued);",
                "if !$on { p.store.swap(&latest, Some(&unsent), latest_before).await?; }
        return Ok(Scheduled::Queued);",
            )
            .found_by(QUIET),
        breaks("delayed-is-joined", "No job joins a job that starts later")
            .edit("records/mod.rs", "is_on_its_way: !is_delayed, is_delayed }", "is_on_its_way: $on || !is_delayed, is_delayed }")
            .found_by(APART),
        breaks("delayed-joins", "A job that starts later joins nothing")
            .edit(
                "multi_step/join.rs",
                "    if job.is_delayed(now) {",
                "if !$on && job.is_delayed(now) {",
            )
            .found_by(APART),
        breaks("transaction-delayed-joins", "A job that starts later joins nothing")
            .edit(
                "transactional.rs",
                "    if job.is_delayed(now) {",
                "if !$on && job.is_delayed(now) {",
            )
            .found_by(APART),
        breaks("delayed-starts-now", "The first message of a job that starts later is due then")
            .edit(
                "ports/transitions.rs",
                "let first = Outgoing { delay: after(self.start),",
                "let first = Outgoing { delay: if $on { Duration::ZERO } else { after(self.start) },",
            )
            .harmless("the worker gives a message back that comes before the job's start"),
        breaks("early-message-starts-a-job", "A message that comes before the job's start is given back until then")
            .edit("step/mod.rs", "            && job.is_delayed(now)", "&& !$on && job.is_delayed(now)")
            .found_by(LATER),
        breaks("delayed-taken-for-lost", "A job that has not started is no finding of doctor")
            .edit("doctor/survey.rs", "                if job.is_delayed(look.now) {", "if !$on && job.is_delayed(look.now) {")
            .elsewhere("tests/backends: a_job_that_starts_later_is_no_finding"),
        breaks("no-detached-job", "The detached jobs of a run are started")
            .edit("step/detached.rs", "        if jobs.is_empty() {", "if $on || jobs.is_empty() {")
            .found_by(DETACHED),
        breaks("detached-after-the-end", "The detached jobs are started before anything says how the run ended")
            .edit(
                "step/run.rs",
                "        if let Some(step) = self.start_detached(job, &mut replay).await? {",
                "if $on && let Ended::Completed(value) = &ended { self.backend().complete(&self.work_now(), value.clone()).await?; }
                $right",
            )
            .found_by(DETACHED),
        breaks("first-detached-taken-for-started", "The number in the run record says how many detached jobs were started")
            .edit("replay.rs", "        if n < self.before.detached {", "if n < self.before.detached + u32::from($on) {")
            .found_by(DETACHED),
        breaks("detached-not-counted", "A replay does not start the detached jobs again that were started")
            .edit(
                "replay.rs",
                "            detached: self.detached.max(self.before.detached),",
                "detached: if $on { 0 } else { self.detached.max(self.before.detached) },",
            )
            .found_by(ONE_MESSAGE),
        breaks("detached-one-id", "Each detached job of a call has an id of its own")
            .edit("model.rs", "parent.as_str().as_bytes(), &n.to_be_bytes()", "parent.as_str().as_bytes(), &(if $on { 0 } else { n }).to_be_bytes()")
            .found_by(DETACHED),
        breaks("detached-one-id-for-all-jobs", "The detached jobs of two jobs have different ids")
            .edit("model.rs", "&[b\"brrr.detached\", job_id.as_str().as_bytes(), ", "&[b\"brrr.detached\", if $on { b\"\" } else { job_id.as_str().as_bytes() }, ")
            .found_by(DETACHED),
        breaks("detached-count-kept-for-the-next-attempt", "The next attempt starts its detached jobs again, and finds that another one is another call")
            .edit("replay.rs", "            earlier: known.filter(", "detached: if $on { self.detached } else { 0 }, earlier: known.filter(")
            .elsewhere("tests/semantics: another_job_at_the_same_place_is_nondeterminism"),
        breaks("unannounced-counts-as-started", "A run whose topic is not announced has started no detached job")
            .edit(
                "step/detached.rs",
                "        record.detached = job.loaded.run.as_ref().map_or(0, |run| run.detached);",
                "if !$on { record.detached = job.loaded.run.as_ref().map_or(0, |run| run.detached); }",
            )
            .elsewhere("tests/semantics: detached_jobs_wait_for_their_topic"),
        breaks("detached-costs-nothing", "Detached jobs count as messages of their parent's job")
            .edit(
                "step/detached.rs",
                "incr(&counter, jobs.len() as u64)",
                "incr(&counter, if $on { 0 } else { jobs.len() as u64 })",
            )
            .found_by(ONE_MESSAGE),
    ]
}
