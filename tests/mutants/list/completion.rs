//! Completion of a call and notification of its waiting parents: protocol.md 2 to 5.

use super::{Mutant, breaks};

const VALUE_THEN_NOTIFY: &str = "    p.store.swap(&Key::value(call), None, Some(value)).await?;
    notify_all(p, call, HashSet::new()).await?;";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("notified-before-the-value", "protocol.md 2: the waiting parents are read after the value is durable")
            .edit(
                "multi_step/settle.rs",
                VALUE_THEN_NOTIFY,
                "notify_all(p, call, HashSet::new()).await?;
             p.store.swap(&Key::value(call), None, Some(value)).await?;",
            ),
        breaks("absent-before-the-value", "protocol.md 2: the absence of parents is read after the value is durable")
            .edit(
                "multi_step/settle.rs",
                VALUE_THEN_NOTIFY,
                "let nobody = p.store.get(&Key::pending_returns(call)).await?.is_none();
             p.store.swap(&Key::value(call), None, Some(value)).await?;
             if !nobody { notify_all(p, call, HashSet::new()).await?; }",
            )
            .found_late(),
        breaks(
            "delete-then-send",
            "protocol.md 3: notifications are sent before the record of the waiting parents is deleted",
        )
        .edit(
            "multi_step/notify.rs",
            "        notify_new(p, call, pending.returns, &mut handled).await?;
        match p.store.swap(&key, Some(&bytes), None).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }",
            "match p.store.swap(&key, Some(&bytes), None).await? {
                Swap::Done => {
                    notify_new(p, call, pending.returns, &mut handled).await?;
                    break;
                }
                Swap::Mismatch(other) => found = other,
            }",
        ),
        breaks("record-deleted-as-it-is", "pending_returns is deleted only if it still has the bytes that were read")
            .edit(
                "multi_step/notify.rs",
                "p.store.swap(&key, Some(&bytes), None).await?",
                "p.store.swap(&key, p.store.get(&key).await?.as_ref(), None).await?",
            ),
        breaks("swapped-by-a-new-encoding", "pending_returns is compared with the exact bytes that were read")
            .edit(
                "multi_step/notify.rs",
                "p.store.swap(&key, Some(&bytes), None).await?",
                "p.store.swap(&key, Some(&PendingReturns::decode(&bytes)?.encode()), None).await?",
            )
            .found_by("all_jobs_end_whichever_worker_gets_a_message"),
        breaks("value-replaced", "4.2: the first value wins")
            .edit(
                "multi_step/settle.rs",
                "p.store.swap(&Key::value(call), None, Some(value)).await?;",
                "p.store.put(&Key::value(call), value).await?;",
            )
            .found_by("every_fault_heals"),
        breaks("ended-call-runs-again", "protocol.md 4: a call that has its outcome is not run again").edit(
            "step/mod.rs",
            "        if let Some(outcome) = &loaded.outcome {",
            "if !$on && let Some(outcome) = &loaded.outcome {",
        ),
        breaks(
            "ended-call-notifies-nobody",
            "4.2: a message for a call with an outcome notifies the parents that still wait",
        )
        .edit(
            "step/mod.rs",
            "            self.backend().notify_parents(&self.work, end).await?;",
            "self.ack().await?;",
        ),
        breaks("completion-notifies-nobody", "A call that completes notifies its waiting parents").edit(
            "multi_step/settle.rs",
            VALUE_THEN_NOTIFY,
            "p.store.swap(&Key::value(call), None, Some(value)).await?;",
        ),
        breaks(
            "notified-by-every-child",
            "protocol.md 5: the end of a child notifies a parent only when enough children have ended",
        )
        .edit("multi_step/notify.rs", "store.get(&Key::run(&entry.parent, &entry.job_id)).await?", "None"),
        breaks("run-by-every-notification", "protocol.md 5: a notified parent that is not ready does not run")
            .edit("multi_step/notify.rs", "store.get(&Key::run(&entry.parent, &entry.job_id)).await?", "None")
            .edit("step/mod.rs", "!loaded.ready(now)", "false"),
        breaks("not-ready-is-run", "4.3: a notified parent checks again whether it is ready").edit(
            "step/mod.rs",
            "!loaded.ready(now)",
            "false",
        ),
        breaks("notified-only-by-the-last-child", "4.3: a parent is notified when enough of its children have ended")
            .edit(
                "records/waiting.rs",
                "allowed: total.saturating_sub(need)",
                "allowed: if $on { 0 } else { total.saturating_sub(need) }",
            ),
        breaks("counts-itself-as-missing", "4.3: the call that has just ended counts as ended").edit(
            "multi_step/notify.rs",
            "                waiting.found(true);",
            "waiting.found(false);",
        ),
        breaks(
            "acknowledged-before-the-value",
            "Acknowledge last: the value is durable before the message is acknowledged",
        )
        .edit(
            "multi_step/settle.rs",
            VALUE_THEN_NOTIFY,
            "p.ack(work).await?;
             $right",
        ),
        breaks(
            "acknowledged-before-notifying-the-parents",
            "Acknowledge last: the parents are notified before the message is acknowledged",
        )
        .edit(
            "multi_step/settle.rs",
            VALUE_THEN_NOTIFY,
            "p.store.swap(&Key::value(call), None, Some(value)).await?;
             p.ack(work).await?;
             notify_all(p, call, HashSet::new()).await?;",
        ),
        breaks(
            "end-of-a-completed-job-not-recorded",
            "4.5: a job whose top call has its outcome is over, and its record says so",
        )
        .edit(
            "multi_step/settle.rs",
            "    if work.ends_job {
        let state = end_in_job",
            "if work.ends_job && !$on {
        let state = end_in_job",
        ),
    ]
}
