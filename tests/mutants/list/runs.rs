//! Runs: retries, races, replays.

use super::{Mutant, breaks};

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("call-of-an-ended-job-not-abandoned", "R3: a call whose job is over is abandoned, also if its children were forgotten")
            .edit("step/abandoned.rs", "self.job().await?.and_then(|job| job.end) {", "self.job().await?.and_then(|job| job.end).filter(|_| !$on) {")
            .open("about one of 160,000 random histories; a history in which `forget` happens between two reads of `load`"),
        breaks("no-room-is-dropped", "Invariant 15: if there is no capacity for a run, its message is given back and never dropped").edit(
            "step/mod.rs",
            "            Entry::NotNow(delay) => return self.nack(delay).await,",
            "Entry::NotNow(delay) => {
                 if $on { self.ack().await?; return Ok(Step::NotReady); }
                 return self.nack(delay).await;
             }",
        ),
        breaks("retry-by-put", "4.4: the count of attempts is raised by compare-and-swap").edit(
            "step/failed.rs",
            "        let swapped = self
            .backend()
            .store()
            .swap(&Key::run(call, job_id), job.loaded.run_bytes.as_ref(), Some(record.encode()))
            .await;",
            "let swapped = if $on {
                 self.backend().store().put(&Key::run(call, job_id), record.encode()).await.map(|()| Swap::Done)
             } else {
                 self.backend().store().swap(&Key::run(call, job_id), job.loaded.run_bytes.as_ref(), Some(record.encode())).await
             };",
        ).found_by("each_attempt_is_counted_once"),
        breaks("attempts-not-counted", "4.4: each retry raises the count of attempts").edit(
            "replay.rs",
            "self.before.attempt.max(1).saturating_add(1)",
            "self.before.attempt.max(1)",
        ),
        breaks("attempts-forgotten-by-a-wait", "4.4: a run that waits keeps the count of attempts").edit(
            "replay.rs",
            "            attempt: self.before.attempt.max(1),",
            "attempt: if $on { 1 } else { self.before.attempt.max(1) },",
        ).found_by("an_attempt_that_waits_stays_the_same"),
        breaks("attempts-counted-twice", "4.4: each retry counts once").edit(
            "replay.rs",
            "self.before.attempt.max(1).saturating_add(1)",
            "self.before.attempt.max(1).saturating_add(2)",
        ),
        breaks("never-retried", "4.4: a retryable failure is retried as often as the options say").edit(
            "step/failed.rs",
            ".filter(|_| retryable)",
            ".filter(|_| !$on && retryable)",
        ),
        breaks("not-before-is-dropped", "4.4: a message that is delivered before its time is given back, never dropped").edit(
            "step/mod.rs",
            "            return self.nack(Duration::from_millis(run.not_before - now)).await;",
            "self.ack().await?; return Ok(Step::NotReady);",
        ),
        breaks("not-before-is-ignored", "4.4: a call is not retried before its time").edit(
            "step/mod.rs",
            "            && run.not_before > now",
            "&& !$on && run.not_before > now",
        ).elsewhere("tests/semantics: a_message_before_its_time_is_nacked"),
        breaks("retry-lost-to-another-run", "Invariant 7: a message is given back after a mismatch too: it may be the only message").edit(
            "step/failed.rs",
            "            // is the only one for the call. So it is given back at once, and the next delivery reads the other run's record.
            return self.nack(Duration::ZERO).await;",
            "if $on { self.ack().await?; return Ok(Step::NotReady); }
            $right",
        ),
        breaks("retry-sent-before-its-record", "Invariant 7: the message is given back after the record was swapped").edit(
            "step/failed.rs",
            "        let mut record = replay.next_attempt(",
            "if $on { self.backend().queue().nack(&self.delivery.receipt, after).await?; }
            $right",
        ).harmless("one more run of the same attempt, as after any crash"),
        breaks("retry-acknowledged", "4.4: a call that will be retried has a message").edit(
            "step/failed.rs",
            "        self.backend().queue().nack(&self.delivery.receipt, after).await?;
        self.report",
            "if $on { self.ack().await?; } else { self.backend().queue().nack(&self.delivery.receipt, after).await?; }
        self.report",
        ),
        breaks("race-needs-all", "4.3: a race waits for the number of outcomes that it asked for").edit(
            "replay.rs",
            "    Wait { calls: distinct, need: need as u32, until: until.unwrap_or(0), fast: false, pace: 0 }",
            "let need = if $on { distinct.len() } else { need };
             $right",
        ),
        breaks("gather-needs-one", "4.3: a gather waits for all its calls").edit(
            "replay.rs",
            "    Wait { calls: distinct, need: need as u32, until: until.unwrap_or(0), fast: false, pace: 0 }",
            "let need = if $on { need.min(1) } else { need };
             $right",
        ),
        breaks("race-decided-again", "4.8: every later run gets the same choice as the first run").edit(
            "replay.rs",
            "            decisions: self.decisions.clone(),
            until",
            "decisions: if $on { Vec::new() } else { self.decisions.clone() },
            until",
        ).found_by("a_race_is_decided_once"),
        breaks("outcomes-kept-for-another-job", "A run's outcomes are kept for the next run of the same attempt in the same job").edit(
            "outcome_cache.rs",
            "Self { job_id: job_id.clone(), call: call.clone(), attempt: run.attempt, first: run.first }",
            "if $on {
                 Self { job_id: JobId::from(\"any\"), call: call.clone(), attempt: 0, first: 0 }
             } else {
                 Self { job_id: job_id.clone(), call: call.clone(), attempt: run.attempt, first: run.first }
             }",
        ).found_late(),
        breaks("replay-ends-without-its-outcomes", "A poll is answered when enough outcomes are there").edit(
            "replay.rs",
            "                Want::All | Want::Some(_) => some >= need,",
            "Want::All | Want::Some(_) => some >= if $on { need.min(1) } else { need },",
        ),
        breaks("nobody-ends-an-overdue-job", "4.5: a worker that sees that a job's deadline has passed ends the job").edit(
            "step/abandoned.rs",
            "        if !job.is_overdue(now) {",
            "if $on || !job.is_overdue(now) {",
        ),
        breaks("max-messages-ignored", "4.9: a job that sends more messages than it may fails").edit(
            "multi_step/defer.rs",
            "        if count > d.max_messages {",
            "if !$on && count > d.max_messages {",
        ),
        breaks("max-messages-leaves-messages-out", "4.9: a message over the limit fails the job, it is never left out")
            .edit("multi_step/defer.rs", "let messages: Vec<Outgoing> = children", "let mut /* $on */ messages: Vec<Outgoing> = children")
            .edit("multi_step/defer.rs", "            return Ok(Deferred::TooManyMessages);", "messages.clear();"),
        breaks("max-messages-fails-one-call", "4.9: over the limit the job's top call fails, not only the current call").edit(
            "step/failed.rs",
            "            Some(record) if record.call != self.work.message.call => {",
            "Some(record) if !$on && record.call != self.work.message.call => {",
        ),
        breaks("max-messages-abandons-nothing", "4.9: over the limit the current call is abandoned").edit(
            "step/failed.rs",
            "                self.backend().end_job(job_id, &top, self.now()).await?;
                self.backend().abandon(&self.work_now()).await?;",
            "self.backend().end_job(job_id, &top, self.now()).await?;
             if $on { self.ack().await?; } else { self.backend().abandon(&self.work_now()).await?; }",
        ),
        breaks("dead-letter-fails-nothing", "4.6: a message that becomes a dead letter fails its call first").edit(
            "step/dead_letter.rs",
            "        match self.backend().fail(&work, &failure).await {",
            "match if $on { Ok(()) } else { self.backend().fail(&work, &failure).await } {",
        ),
        breaks("unknown-task-dead-at-once", "4.6: a task without a handler has a grace period").edit(
            "step/unknown_task.rs",
            "waited >= self.site.limits.unknown_task_grace",
            "true",
        ),
        breaks("unknown-task-forever", "4.6: a task without a handler fails after the grace period").edit(
            "step/unknown_task.rs",
            "waited >= self.site.limits.unknown_task_grace",
            "false",
        ),
        breaks("unknown-task-dropped", "4.6: the message of a task without a handler is given back").edit(
            "step/unknown_task.rs",
            "        self.nack(delay).await",
            "if $on { self.ack().await?; return Ok(Step::NotReady); }
            $right",
        ),
        breaks("call-to-an-unannounced-topic", "A call is sent only to topics that are announced or named").edit(
            "step/deferred.rs",
            "                Callable::Unannounced => return self.unannounced(job, call, run_after).await.map(Some),",
            "Callable::Unannounced if $on => {} $right",
        ).elsewhere("semantics: topics"),
        breaks("unfit-topic-called", "A call is sent only to topics with a valid name").edit(
            "topics.rs",
            "        if let Err(reason) = check_topic(topic.as_str()) {",
            "if let (Err(reason), false) = (check_topic(topic.as_str()), $on) {",
        ).elsewhere("semantics: topics"),
        breaks("waits-for-unregistered-calls", "A run that waits for a topic waits for no call").edit(
            "step/deferred.rs",
            "        let run = RunRecord {
            total: 0,
            need: 0,
            until: 0,
            pace: 0,
            sample: Vec::new(),
            unknown_since: since,
            ..run_after.clone()
        };",
            "let run = match (RunRecord { unknown_since: since, ..run_after.clone() }) {
                 run if $on => run,
                 run => RunRecord { total: 0, need: 0, until: 0, sample: Vec::new(), ..run },
             };",
        ).elsewhere("semantics: topics"),
        breaks("too-many-deliveries-allowed", "4.6: a message that kills its workers becomes a dead letter").edit(
            "step/mod.rs",
            "        if self.delivery.receives > self.site.limits.max_deliveries {",
            "if !$on && self.delivery.receives > self.site.limits.max_deliveries {",
        ),
        breaks("early-message-dropped-at-a-deadline", "A message for a job's deadline that is delivered early is given back").edit(
            "step/abandoned.rs",
            "        if let Some(deadline) = deadline
            && (waiting",
            "if let (Some(deadline), false) = (deadline, $on)
            && (waiting",
        ).found_by("a_deadline_holds_however_early_its_message_comes"),
    ]
}
