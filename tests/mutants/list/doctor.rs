//! The search for stuck work, and its repair.

use super::{Mutant, breaks};

const DIE: &str = "stuck_work_of_peers_that_die_is_repaired";
const RIGHT: &str = "healthy_work_is_no_finding";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("repair-misses-lost-calls", "A call that a live job waits for and that has no message is found")
            .edit(
                "doctor/judge.rs",
                "self.lost(facts, job_id, &topics, Why::NotQueued, !may_be_queued).await.map(Some)",
                "Ok(None)",
            )
            .found_by(DIE),
        breaks(
            "repair-misses-unnotified-parents",
            "A parent whose children have all ended, but that was not notified, is found",
        )
        .edit(
            "doctor/judge.rs",
            "return self.lost(facts, job_id, &topics, Why::NotNotified, !may_be_queued).await.map(Some);",
            "return Ok(None);",
        )
        .found_by(DIE),
        breaks("repair-misses-values-that-notified-nobody", "A parent that waits for a call with a value is found")
            .edit(
                "doctor/judge.rs",
                "            if let Some(entry) = first {",
                "if let Some(entry) = first.filter(|_| !$on) {",
            )
            .found_by(DIE),
        breaks("repair-sends-nothing", "A call that is lost is queued again")
            .edit(
                "doctor/repair.rs",
                "        match self.backend.queue().send_many(&[Outgoing::now(topic, &message)]).await {",
                "match if $on { Ok(()) } else { self.backend.queue().send_many(&[Outgoing::now(topic, &message)]).await } {",
            )
            .found_by(DIE),
        breaks("repair-makes-nothing-ready", "A parent that no call will notify runs again, whatever it waits for")
            .edit(
                "doctor/repair.rs",
                "let ready = RunRecord { need: 0, ..run };",
                "let ready = RunRecord { need: if $on { run.need } else { 0 }, ..run };",
            )
            .elsewhere("tests/backends: a_parent_that_is_not_registered_with_its_children_is_run_again"),
        breaks("repair-by-put", "A repair changes a run record only from what was read")
            .edit(
                "doctor/repair.rs",
                "Ok(store.swap(&key, Some(&bytes), Some(ready.encode())).await? == Swap::Done)",
                "{ store.put(&key, ready.encode()).await?; Ok(true) }",
            )
            .open("a history in which stuck work continues while it is repaired"),
        breaks("queued-calls-look-lost", "A call that has a message is not lost")
            .edit("doctor/queued.rs", "            self.calls.insert(bits(message.call.as_str()));", "")
            .found_by(RIGHT),
        breaks("calls-in-work-look-lost", "A call whose message a worker holds is not lost")
            .edit(
                "doctor/queued.rs",
                "&mut |body, _| queued.add(body)",
                "&mut |body, state| if !($on && state == MessageState::Leased) { queued.add(body) }",
            )
            .found_by(RIGHT),
        breaks("waiting-calls-look-lost", "A parent is not stuck if one of its children will notify it")
            .edit("doctor/judge.rs", "self.will_be_notified(call, job_id, run).await?", "false")
            .found_by(RIGHT),
        breaks(
            "calls-that-see-no-failure-look-lost",
            "A parent that sees no failures, and waits for a failed call, is not stuck",
        )
        .edit(
            "doctor/judge.rs",
            "self.held.contains(&(job_id.clone(), facts.case.call.clone()))",
            "!$on && self.held.contains(&(job_id.clone(), facts.case.call.clone()))",
        )
        .found_by("a_failure_that_a_peer_does_not_see_costs_few_messages"),
        breaks("young-calls-look-lost", "Work that is younger than the limit is not repaired")
            .edit("doctor/judge.rs", "        if self.is_young(facts) {", "if !$on && self.is_young(facts) {")
            .found_by("young_work_is_left_alone"),
        breaks("dead-jobs-look-alive", "Nothing is queued again for a job that is over").edit(
            "doctor/judge.rs",
            "JobRecord::decode(&bytes).is_ok_and(|job| !job.is_over())",
            "JobRecord::decode(&bytes).is_ok()",
        ).found_late(),
        breaks(
            "no-look-for-long-cycles",
            "A cycle that is too long for the walk at registration is found by the search for stuck work",
        )
        .edit(
            "doctor/survey.rs",
            "self.cycles(std::mem::take(&mut judge.waits), &topics).await?",
            "if $on { Vec::new() } else { $right }",
        )
        .found_by("the_doctor_finds_a_long_cycle"),
        breaks(
            "queued-calls-count-as-stuck-cycles",
            "The search ignores a cycle if one of its calls has a message: that call will find the cycle",
        )
        .edit(
            "doctor/judge.rs",
            "            if queued.holds(&facts.case.call) {\n                continue;",
            "if !$on && queued.holds(&facts.case.call) {\n                continue;",
        )
        .edit(
            "doctor/cycles.rs",
            "            if calls.iter().any(|call| queued.holds(call)) {",
            "if !$on && calls.iter().any(|call| queued.holds(call)) {",
        )
        .found_by("healthy_work_is_no_finding"),
    ]
}
