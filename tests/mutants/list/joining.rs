//! Jobs that join a call that is already queued or running.

use super::{Mutant, breaks};

const ONCE: &str = "a_call_that_is_on_its_way_is_run_once";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("no-job-joins", "A job joins its call if the call is already queued or running")
            .edit(
                "joining.rs",
                "    latest_is_another.then_some(latest.job_id)",
                "(!$on && latest_is_another).then_some(latest.job_id)",
            )
            .found_by(ONCE),
        breaks("joins-a-job-that-is-over", "A job that is over has no message that other jobs could rely on").edit(
            "joining.rs",
            "    let is_alive = !job.is_over() && !job.is_overdue(now);",
            "let is_alive = $on || (!job.is_over() && !job.is_overdue(now));",
        ).harmless("a job that is over has a failure, which is checked as well, or has its value"),
        breaks("joins-a-call-that-failed", "A call that failed in another job has no message in that job any more")
            .edit(
                "multi_step/join.rs",
                "(may_be_joined && failure.is_none())",
                "(may_be_joined && ($on || failure.is_none()))",
            )
            .harmless("the check after joining finds the failure too"),
        breaks(
            "joins-an-unsent-call",
            "A job that has not sent its message yet may never do so: its client may die",
        )
        .edit(
            "joining.rs",
            "let latest_is_another = latest.is_on_its_way &&",
            "let latest_is_another = ($on || latest.is_on_its_way) &&",
        ).found_by("a_job_that_joins_does_not_rely_on_a_client"),
        breaks("joins-unseen", "A job that joins checks the call once more, because the call may have ended before").edit(
            "multi_step/join.rs",
            "                    look_again(p, job, carrier, &new, now).await?;",
            "let _ = carrier;",
        ).found_by("a_client_that_dies_while_it_schedules_may_repeat_it"),
        breaks("joined-before-it-is-certain", "R4: scheduled_at says that the call's message was certainly sent")
            .edit(
                "multi_step/join.rs",
                "with_me(pending.as_ref(), &me, pending.as_ref().and_then(Registered::scheduled_at))",
                "with_me(pending.as_ref(), &me, pending.as_ref().and_then(Registered::scheduled_at).or($on.then_some(now / 1000)))",
            )
            .found_by("a_client_that_dies_while_it_joins_misleads_nobody"),
        breaks("joins-without-scheduled-at", "A record without scheduled_at does not say that the call's message was sent")
            .edit(
                "joining.rs",
                "    pending.is_some_and(|pending| pending.scheduled_at().is_some())",
                "pending.is_some_and(|pending| $on || pending.scheduled_at().is_some())",
            )
            .elsewhere("tests/backends: only_a_call_that_is_certain_to_be_on_its_way_is_joined"),
        breaks("joins-a-call-of-peers", "A job joins only tasks that our workers have announced, because peers may lose a message")
            .edit(
                "joining.rs",
                "    tasks.and_then(|tasks| decode_tasks(tasks).ok())",
                "if $on { return true; }
                 $right",
            )
            .found_by("the_next_job_sends_a_message_that_a_peer_lost"),
        breaks(
            "joined-job-is-notified-of-its-failure",
            "A job that has joined a call is no parent: the failure in that job does not notify it",
        )
        .edit(
            "multi_step/notify.rs",
            "filter(|entry| !has_joined(entry, call))",
            "filter(|entry| $on || !has_joined(entry, call))",
        )
        .harmless("such a job has its own message by then, and already knows the failure"),
        breaks("joined-stays-when-passed-on", "If the call's message is sent for a job, that job no longer waits for the call")
            .edit(
                "joining.rs",
                "filter(|entry| !(has_joined(entry, call) && entry.job_id == *to))",
                "filter(|entry| $on || !(has_joined(entry, call) && entry.job_id == *to))",
            )
            .found_by("a_job_may_be_ended_twice"),
        breaks(
            "abandoned-joined-passes-on",
            "A job that had only joined does not pass the call on: another job has its message",
        )
        .edit(
            "abandon.rs",
            "        let is_elsewhere = dead.iter().any(had_joined);",
            "let is_elsewhere = !$on && dead.iter().any(had_joined);",
        )
        .elsewhere("tests/backends: a_job_that_is_over_passes_the_call_on_if_it_had_its_message"),
        breaks("cancelled-joined-passes-on", "As above, if the job that had joined was cancelled before its message was delivered")
            .edit(
                "multi_step/notify.rs",
                "        let is_elsewhere = mine.iter().any(|entry| has_joined(entry, call));",
                "let is_elsewhere = !$on && mine.iter().any(|entry| has_joined(entry, call));",
            )
            .found_by("a_job_that_has_joined_may_be_cancelled"),
        breaks("passed-on-to-a-job-without-its-entry", "The call is not passed on to a job that had joined and whose entry was removed")
            .edit("joining.rs", "    !has_joined(to, call) || kept.contains(to)", "$on || !has_joined(to, call) || kept.contains(to)")
            .found_by("a_slow_worker_sees_a_job_end"),
        breaks("joined-taken-for-a-cycle", "A job that has joined a call is no parent of the call, so there is no cycle").edit(
            "cycle.rs",
            "pending.returns.iter().filter(|entry| !has_joined(entry, child))",
            "pending.returns.iter().filter(|entry| $on || !has_joined(entry, child))",
        ),
        breaks("call-of-itself-not-found", "A call that waits for itself fails before it registers").edit(
            "cycle.rs",
            "    children.iter().any(|child| child.hash == *parent).then(",
            "children.iter().any(|child| !$on && child.hash == *parent).then(",
        ),
        breaks("joined-again", "A client that repeats a schedule finds that its job has joined").edit(
            "multi_step/join.rs",
            "if is_on_its_way(pending.as_ref()) { Start::Joins } else { Start::SendsAndLeaves }",
            "if is_on_its_way(pending.as_ref()) && !$on { Start::Joins } else { Start::SendsAndLeaves }",
        ).found_by(ONCE),
        breaks("transaction-joins-a-call-that-failed", "A call that failed in another job has no message in that job any more")
            .edit(
                "transactional.rs",
                "&& !tx.has(&Key::failure(&call.hash, &job_id))?)",
                "&& ($on || !tx.has(&Key::failure(&call.hash, &job_id))?))",
            )
            .harmless("in a transaction a job is over as soon as it has its failure, and that is checked as well"),
    ]
}
