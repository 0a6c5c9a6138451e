//! The rules of calls that go on with some of the outcomes that they wait for.

use super::{Mutant, breaks};

const SIDES: &str = "chains_side_by_side_do_not_wait_for_each_other";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("failure-waits-for-the-others", "A failure notifies a parent that wants to know of it at once")
            .edit("records/waiting.rs", "self.ready() || self.fast && end == ChildEnd::Failure", "self.ready()")
            .found_by(SIDES),
        breaks(
            "failure-is-no-reason-to-run",
            "A parent that wants to know of a failure is run as soon as there is one",
        )
        .edit("ports/transitions.rs", "run.fast && self.sample", "!$on && run.fast && self.sample")
        .found_by(SIDES),
        breaks("no-look-at-some", "The first child that ends sends the message for another look at its parent")
            .edit("records/waiting.rs", "self.pace > 0 && self.look == 0 && self.waits_for(ended)?", "false")
            .found_by(SIDES),
        breaks("a-look-for-each", "One message for another look is enough for a wait")
            .edit(
                "records/waiting.rs",
                "self.pace > 0 && self.look == 0 && self.waits_for(ended)?",
                "self.pace > 0 && self.waits_for(ended)?",
            )
            .found_by("a_wait_for_progress_sends_one_message_for_another_look"),
        breaks("some-are-no-reason-to-run", "A parent is run when some outcomes have been there for a while")
            .edit(
                "ports/transitions.rs",
                "self.look(run).is_some_and(|look| look <= now)",
                "self.look(run).is_some_and(|_| false)",
            )
            .found_by(SIDES),
        breaks("some-run-at-once", "A quick fan-out is not run for each of its outcomes")
            .edit(
                "ports/transitions.rs",
                "self.look(run).is_some_and(|look| look <= now)",
                "self.look(run).is_some_and(|_| true)",
            )
            .elsewhere("semantics: a_message_before_the_look_does_not_run_the_call"),
        breaks("look-dropped", "A message that comes before the time for another look is kept until then")
            .edit(
                "step/abandoned.rs",
                "            && let Some(look) = loaded.look(run)",
                "&& let Some(look) = loaded.look(run).filter(|_| !$on)",
            )
            .found_by("a_look_that_comes_early_is_kept"),
        breaks(
            "value-of-a-call-asked-again-is-not-looked-for",
            "A parent that asks again for a call looks whether it has ended",
        )
        .edit(
            "multi_step/defer.rs",
            "|c: &Child<'_>| c.sent || c.again || wants_progress;",
            "|c: &Child<'_>| c.sent || (c.again && !$on) || wants_progress;",
        )
        .found_by("a_child_that_ends_while_its_parent_asks_again_is_noticed"),
        breaks("some-decided-again", "What was there is the same in every later run").edit(
            "replay.rs",
            "indices.len() < there.len()",
            "indices.len() < there.len() && want != Want::Progress",
        ),
        breaks("look-for-a-call-given-up", "Only a call that the parent still waits for asks for another look at it")
            .edit(
                "records/waiting.rs",
                "self.pace > 0 && self.look == 0 && self.waits_for(ended)?",
                "self.pace > 0 && self.look == 0",
            )
            .elsewhere("waiting: a_failure_or_a_while_may_suffice"),
        breaks("transaction-looks-at-none", "R4: a child that ended before we registered asks for another look")
            .edit("transactional.rs", "    } else if is_looked_at {", "} else if is_looked_at && !$on {")
            .elsewhere("equivalence"),
        breaks("promise-is-queued", "A promise has no message")
            .edit("multi_step/defer.rs", "c.sent && !c.call.is_promise()", "c.sent")
            .found_by("a_promise_costs_no_message_of_its_own"),
        breaks("promise-is-run", "No worker runs a promise")
            .edit("step/mod.rs", "        if call.is_promise() {", "if !$on && call.is_promise() {")
            .harmless("a message for a promise is sent only by peers and for joined jobs; it becomes an unknown task"),
        breaks("answer-notifies-nobody", "An answer notifies those who wait for the promise")
            .edit(
                "client.rs",
                "            Ok(value) => self.backend.complete(&work, value).await?,",
                "Ok(value) if $on => drop(self.backend.store().swap(&Key::value(&call), None, Some(value)).await?),
                 $right",
            )
            .found_by("a_promise_is_answered_whenever_its_client_comes_or_dies"),
        breaks("second-answer-is-done", "Of two answers one stays, and the other client is told so")
            .edit(
                "client.rs",
                "            Some(after) if after != answer => Answered::Other,",
                "Some(after) if !$on && after != answer => Answered::Other,",
            )
            .found_by("one_of_two_answers_stays"),
        breaks("doctor-queues-promises", "A promise without a message is not stuck")
            .edit(
                "doctor/judge.rs",
                "is_ok_and(|record| record.is_promise())",
                "is_ok_and(|record| record.is_promise() && !$on)",
            )
            .found_by("an_open_promise_is_no_finding"),
    ]
}
