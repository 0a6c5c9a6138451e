//! Registration with children: protocol.md 1, R4.

use super::{Mutant, breaks};

const SEND: &str = "    if !messages.is_empty() {
        p.queue.send_many(&messages).await?;
    }";
const CLAIMS: &str = "one_of_two_claims_holds";

const REGISTERED: &str = "    let key = Key::run(parent, job_id);";

const WRITE_RUN: &str = "p.store.swap(&key, d.run_before, Some(d.run_after.encode())).await?";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("record-before-message", "protocol.md 1: a child's message is sent before its record says that it was")
            .edit("multi_step/defer.rs", SEND, "")
            .edit(
                "multi_step/defer.rs",
                REGISTERED,
                "if $on && !messages.is_empty() { p.queue.send_many(&messages).await?; }
                 $right",
            )
            .edit("multi_step/child.rs", ".filter(|_| !self.sent);", "$right let scheduled_at = scheduled_at.or($on.then_some(1));"),
        breaks("message-after-the-entry", "R4: the message first, then the entry: a peer sees an entry and sends nothing")
            .edit("multi_step/defer.rs", SEND, "")
            .edit(
                "multi_step/defer.rs",
                REGISTERED,
                "if $on && !messages.is_empty() { p.queue.send_many(&messages).await?; }
                 $right",
            ).found_late(),
        breaks("scheduled-at-once", "R4: an entry is without scheduled_at until it is certain that the call will run")
            .edit("multi_step/child.rs", ".filter(|_| !self.sent);", "$right let scheduled_at = scheduled_at.or($on.then_some(1));").found_late(),
        breaks("missing-scheduled-at-ignored", "R4: if there is no scheduled_at, the next parent sends the message again").edit(
            "multi_step/child.rs",
            "found.scheduled_at().is_none() || found.only",
            "(!$on && found.scheduled_at().is_none()) || found.only",
        ).found_late(),
        breaks("own-entry-of-another-job-ignored", "R4: a parent that waits only under another job sends the message again").edit(
            "multi_step/child.rs",
            "found.scheduled_at().is_none() || found.only_in_other_jobs()",
            "found.scheduled_at().is_none()",
        ).found_by("the_next_job_sends_a_message_that_a_peer_lost"),
        breaks("no-second-look", "R4: after registering, a parent checks whether its children have ended meanwhile")
            .edit("multi_step/defer.rs", "        ended: ended.collect(),
        job_over: job", "ended: ended.map(|end| end.filter(|_| !$on)).collect(),
        job_over: !$on && job"),
        breaks("second-look-misses-values", "R4: a value that is found in the second check notifies the other parents").edit(
            "multi_step/child.rs",
            "            Some(ChildEnd::Value) => notify_all(p, call, ourselves).await,",
            "Some(ChildEnd::Value) => if $on { Ok(()) } else { notify_all(p, call, ourselves).await },",
        ).harmless("the message that was sent finds the value and notifies the parents"),
        breaks("second-look-misses-failures", "R4: a failure that is found in the second check is handled by R2").edit(
            "multi_step/child.rs",
            "            Some(ChildEnd::Failure) => notify_in_job(p, call, job_id, &self.call.topic, ourselves).await,",
            "Some(ChildEnd::Failure) => if $on { Ok(()) } else { notify_in_job(p, call, job_id, &self.call.topic, ourselves).await },",
        ).found_by("a_failure_is_settled_before_a_peer_comes"),
        breaks("second-look-misses-failures-of-others", "R4: a parent also checks for failures of calls that other parents have queued")
            .edit(
                "multi_step/defer.rs",
                "    let ended = values.into_iter().zip(failures).map(",
                "let failures = failures.into_iter().zip(children).map(|(failed, child)| failed && (!$on || child.sent));
                 $right",
            )
            .found_by("every_fault_heals"),
        breaks("second-look-misses-the-job-s-end", "R4: a child is abandoned if its job ended while the parent registered").edit(
            "multi_step/child.rs",
            "            None if job_over =>",
            "None if job_over && !$on =>",
        ).found_by("a_slow_worker_sees_a_job_end"),
        breaks("parent-does-not-notify-itself", "R4: a child that ended before we registered does not notify us, so we notify ourselves").edit(
            "multi_step/defer.rs",
            "[ChildEnd::Failure, ChildEnd::Value].into_iter().find(|end| seen.ended.contains(&Some(*end)))",
"None::<ChildEnd>",
        ),
        breaks("notifies-itself-last", "R4: a parent notifies itself of ended children before its entries are removed")
            .edit(
                "multi_step/defer.rs",
                "[ChildEnd::Failure, ChildEnd::Value].into_iter().find(|end| seen.ended.contains(&Some(*end)))",
"None::<ChildEnd>",
            )
            .edit(
                "multi_step/defer.rs",
                "    let waiting = waiting_children(&children, &seen);",
                "let found = [ChildEnd::Failure, ChildEnd::Value].into_iter().find(|end| seen.ended.contains(&Some(*end)));
                 if let (Some(end), true) = (found, $on)
                     && matches!(readiness(p.store, &me, None, end).await?, Readiness::Ready | Readiness::Unknown)
                 {
                     p.send(&me.topic, &d.work.message).await?;
                 }
                 $right",
            )
            .found_by("a_zombie_that_dies_loses_nothing"),
        breaks("scheduled-at-by-put", "R4: scheduled_at is set by one compare-and-swap from the bytes that were written").edit(
            "multi_step/child.rs",
            "p.store.swap(&Key::pending_returns(call), Some(bytes), Some(pending.encode())).await?;",
            "p.store.put(&Key::pending_returns(call), pending.encode()).await?;",
        ),
        breaks("entry-by-put", "pending_returns is only changed by compare-and-swap").edit(
            "multi_step/child.rs",
            "            return p.store.swap(&key, self.bytes.as_ref(), Some(new)).await.map(Some);",
            "p.store.put(&key, new).await?; return Ok(Some(Swap::Done));",
        ),
        breaks("entry-beside-a-value", "R4: an entry is only created where there is no value").edit(
            "multi_step/child.rs",
            "    async fn write(&self, p: &Ports<'_>, new: Bytes) -> Result<Option<Swap>> {
        let (key, value) = (Key::pending_returns(&self.call.hash), Key::value(&self.call.hash));
        if self.bytes.is_some() {",
            "async fn write(&self, p: &Ports<'_>, new: Bytes) -> Result<Option<Swap>> {
        let (key, value) = (Key::pending_returns(&self.call.hash), Key::value(&self.call.hash));
        if $on || self.bytes.is_some() {",
        ),
        breaks("record-gone-while-registering", "R4: a record that is deleted while we register did not notify us, so we send").edit(
            "multi_step/child.rs",
            "            if !self.sent && must_send(",
            "if !$on && !self.sent && must_send(",
        ),
        breaks("over-job-registers", "R3: a run of a job that is over registers nowhere").edit(
            "multi_step/defer.rs",
            "    if job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(job_id)))? {",
            "if !$on && job.as_deref().map_or(Ok(false), JobRecord::is_over_in).map_err(|e| e.of(&Key::job(job_id)))? {",
        ).harmless("its children remove its entries when they end or are abandoned"),
        breaks("call-record-last", "R4: a call is described before its message is sent")
            .edit(
                "multi_step/defer.rs",
                "    describe_all(p.store, &d.wait.calls).await?;",
                "if !$on { describe_all(p.store, &d.wait.calls).await?; }",
            )
            .edit(
                "multi_step/defer.rs",
                REGISTERED,
                "if $on { describe_all(p.store, &d.wait.calls).await?; }
                 $right",
            ),
        breaks("run-record-before-sending", "4.3: a record that suppresses notifications is written after all messages were sent")
            .edit(
                "multi_step/defer.rs",
                "    // Messages first: a peer that gets a redelivery",
                "if $on { p.store.swap(&Key::run(parent, job_id), d.run_before, Some(d.run_after.encode())).await?; }
                 $right",
            )
            .edit("multi_step/defer.rs", WRITE_RUN, "Swap::Done"),
        breaks("run-record-by-put", "4.3: the run record is written by compare-and-swap from the record at the start of the run").edit(
            "multi_step/defer.rs",
            WRITE_RUN,
            "p.store.put(&key, d.run_after.encode()).await?; Swap::Done",
        ).found_by("every_fault_heals"),
        breaks("no-run-record", "4.3: a run that waits records its children, so that one notification is enough").edit(
            "multi_step/defer.rs",
            WRITE_RUN,
            "Swap::Done",
        ),
        breaks("acknowledged-before-registered", "Acknowledge last: a run that waits registers before its message is acknowledged").edit(
            "multi_step/defer.rs",
            "    // Messages first: a peer that gets a redelivery",
            "if $on { p.ack(d.work).await?; }
            $right",
        ),
        breaks("no-walk-for-cycles", "protocol.md 6: a cycle of calls is an error, and its jobs do not hang").edit(
            "multi_step/defer.rs",
            "    if targets.is_empty() {\n        return Ok(None);",
            "if $on || targets.is_empty() {\n        return Ok(None);",
        ),
        breaks("cycle-looked-for-too-early", "4.7: the search for a cycle begins after the parent's own run record is written")
            .edit(
                "multi_step/defer.rs",
                REGISTERED,
                "let early = if $on {
                     let seen = look_again(p.store, job_id, &children, d.wait.pace > 0).await?;
                     Some(find_cycle(p.store, parent, waiting_children(&children, &seen)).await?)
                 } else { None };
                 $right",
            )
            .edit(
                "multi_step/defer.rs",
                "find_cycle(p.store, parent, waiting).await?",
                "match early { Some(early) => early, None => find_cycle(p.store, parent, waiting).await? }",
            ).found_by("the_last_to_register_finds_the_cycle"),
        breaks("cycle-not-through-deferred-calls", "4.7: a child that was deferred in this job may wait for its parent").edit(
            "cycle.rs",
            "run.is_some_and(is_waiting) || in_other_jobs",
            "(!$on && run.is_some_and(is_waiting)) || in_other_jobs",
        ).found_by("the_last_to_register_finds_the_cycle"),
        breaks("description-replaced", "A call hash stands for one call: an existing `call` record is not replaced")
            .edit(
                "multi_step/describe.rs",
                "store.swap(&key, expected.as_ref(), Some(new.clone())).await?",
                "if $on { store.put(&key, new.clone()).await?; Swap::Done } else { $right }",
            )
            .found_by(CLAIMS),
        breaks("description-not-compared", "A call hash stands for one call: a parent that registers compares the call with its record")
            .edit(
                "multi_step/describe.rs",
                "            && compare(&call.hash, &call.task, &call.payload, found)? == Described::Same",
                "&& ($on || compare(&call.hash, &call.task, &call.payload, found)? == Described::Same)",
            )
            .found_by(CLAIMS),
        breaks("outcome-not-compared", "A call hash stands for one call: a parent that gets an outcome compares the call with its record")
            .edit("replay.rs", "            self.compare(calls, &ended).await?;", "")
            .found_by(CLAIMS),
        breaks("asked-before-it-was-there", "An outcome is loaded without a comparison only if the call was compared before")
            .edit("replay.rs", "drop(self.uncompared.insert(call.clone()))", "drop($on || self.uncompared.insert(call.clone()))")
            .elsewhere("semantics: a_call_that_a_run_asked_for_before_it_existed_is_compared"),
        breaks("walk-without-a-bound", "A walk at registration reads a bounded number of records")
            .edit("cycle.rs", "        level.truncate(self.left);
        self.left -= level.len();", "if !$on { level.truncate(self.left); self.left -= level.len(); }")
            .found_by("the_doctor_finds_a_long_cycle"),
        breaks("early-message-looks-for-no-cycle", "4.7: a message for a call that is not ready also starts a search for a cycle")
            .edit(
                "step/abandoned.rs",
                "find_cycle(self.backend().store(), me, HashSet::from([me.clone()])).await?",
                "None::<Vec<crate::model::CallHash>>",
            ),
    ]
}
