//! Failures: R1 and R2.

use super::{Mutant, breaks};

const UNSEEN: &str = "a_failure_that_a_peer_does_not_see_costs_few_messages";

const SETTLE: &str = "        let unknown = notify_known(p, (call, ChildEnd::Failure), parents, &mut handled).await?;
        if !unknown.is_empty() {
            keep_unnotified(p, call, &unknown).await?;
        }
        let is_sent = is_elsewhere || passed_on.as_ref().is_some_and(|to| is_passed_on(to, &kept, call));
        if let Some(next) = PendingReturns::next_in_turn(&kept, job_id).filter(|_| !is_sent) {
            let message = Message { job_id: next.job_id.clone(), call: call.clone() };
            p.send(topic_of(next, call, topic), &message).await?;
            passed_on = Some(next.clone());
        }
        let kept = match &passed_on {
            Some(to) => pass_on(kept, call, &to.job_id),
            None => kept,
        };
        let new = (!kept.is_empty()).then(|| {
            PendingReturns { returns: kept.into_iter().collect(), scheduled_at: pending.scheduled_at }.encode()
        });
        if new.as_ref() == Some(&bytes) {
            break;
        }
        match p.store.swap(&key, Some(&bytes), new).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("failure-of-all-jobs", "R1: a failure counts only in its job").edit(
            "ports/key.rs",
            "Kind::Failure(job_id.clone())",
            "{ let _ = job_id; Kind::Failure(\"any\".into()) }",
        ),
        breaks("failure-beside-a-value", "R1: a failure is written only where there is no value").edit(
            "multi_step/settle.rs",
            "p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await?",
            "p.store.put_if(&key, encode_failure(failure), &key).await?",
        ).found_by("every_fault_heals"),
        breaks("end-of-job-beside-a-value", "R1: a job that is ended fails its top call only where there is no value").edit(
            "multi_step/jobs.rs",
            "store.put_if(&key, encode_failure(failure), &value).await?",
            "store.put_if(&key, encode_failure(failure), &key).await?",
        ),
        breaks("failure-not-in-one-step", "R1: the check for a value and the write of the failure are one atomic step").edit(
            "multi_step/settle.rs",
            "p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await?",
            "p.store.get(&Key::value(call)).await?.is_none() && p.store.swap(&key, None, Some(encode_failure(failure))).await? == Swap::Done",
        ).found_by("every_fault_heals"),
        breaks("failure-replaced", "R1: a failure is never replaced").edit(
            "multi_step/settle.rs",
            "p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await?",
            "{ p.store.put(&key, encode_failure(failure)).await?; true }",
        ),
        breaks("failure-deleted", "R1: a failure is never deleted").edit(
            "multi_step/settle.rs",
            "        notify_in_job(p, call, job_id, &work.topic, HashSet::new()).await?;",
            "$right
             if let Some(bytes) = p.store.get(&Key::failure(call, job_id)).await? {
                 p.store.swap(&Key::failure(call, job_id), Some(&bytes), None).await?;
             }",
        ),
        breaks("failure-read-before-the-value", "R1: a reader reads the value first, then the failure").edit(
            "multi_step/load.rs",
            "    let values = store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?;
    let calls = &calls[..values.len()];
    let failures = store.get_many(&calls.iter().map(|c| Key::failure(c, job_id)).collect::<Vec<_>>()).await?;",
            "let (values, failures) = if $on {
                let failures = store.get_many(&calls.iter().map(|c| Key::failure(c, job_id)).collect::<Vec<_>>()).await?;
                (store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?, failures)
             } else {
                let values = store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?;
                (values, store.get_many(&calls.iter().map(|c| Key::failure(c, job_id)).collect::<Vec<_>>()).await?)
             };
             let calls = &calls[..values.len()];",
        ).found_by("a_slow_reader_sees_the_same_outcomes_as_others"),
        breaks("no-second-look-in-load", "R1: after a value without a failure, the failure is read again").edit(
            "multi_step/load.rs",
            "    if value.is_some() && failure.is_none() {",
            "if !$on && value.is_some() && failure.is_none() {",
        ).found_by("a_job_ends_as_its_call_did"),
        breaks("no-second-look-at-failures", "R1: as above, for the children in a parent's second check").edit(
            "multi_step/defer.rs",
            "    if !doubtful.is_empty() {",
            "if !$on && !doubtful.is_empty() {",
        ).harmless("there is a value, so all waiting parents may be notified; each parent checks for the failure in its own job"),
        breaks("value-wins", "R1: if a job has both a value and a failure, the failure counts").edit(
            "multi_step/load.rs",
            "    match failure {
        Some(bytes) => Ok(Some(Err(read_failure(",
            "match failure.filter(|_| !($on && value.is_some())) {
        Some(bytes) => Ok(Some(Err(read_failure(",
        ),
        breaks("failure-notifies-other-jobs", "R2: a failure notifies parents of its own job only").edit(
            "multi_step/notify.rs",
            "partition(|r| r.job_id == *job_id)",
            "partition(|r| $on || r.job_id == *job_id)",
        ),
        breaks("failure-passes-nothing-on", "R2: a call that failed is queued again for another job that waits for it").edit(
            "multi_step/notify.rs",
            "PendingReturns::next_in_turn(&kept, job_id).filter(|_| !is_sent)",
            "PendingReturns::next_in_turn(&kept, job_id).filter(|_| !is_sent && !$on)",
        ),
        breaks("failure-passed-on-to-its-own-job", "R2: it is queued again under that job, not under the job where it failed").edit(
            "multi_step/notify.rs",
            "Message { job_id: next.job_id.clone(), call: call.clone() }",
            "Message { job_id: if $on { job_id.clone() } else { next.job_id.clone() }, call: call.clone() }",
        ),
        breaks("failure-passed-on-every-time", "R2: it is queued again once, not once for every read of the record").edit(
            "multi_step/notify.rs",
            "passed_on.as_ref().is_some_and(|to| is_passed_on(to, &kept, call))",
            "(!$on && passed_on.as_ref().is_some_and(|to| is_passed_on(to, &kept, call)))",
        ).harmless("one more message for each time that the record changed between read and write"),
        breaks("failure-forgets-other-jobs", "R2: parents of other jobs stay registered").edit(
            "multi_step/notify.rs",
            "        let new = (!kept.is_empty()).then(|| {",
            "let new = (!$on && !kept.is_empty()).then(|| {",
        ),
        breaks("failure-deletes-then-sends", "R2: notifications and messages are sent before the record changes").edit(
            "multi_step/notify.rs",
            SETTLE,
            "let other = PendingReturns::next_in_turn(&kept, job_id).filter(|_| !is_elsewhere).map(|other| other.job_id.clone());
             let kept = match &other {
                 Some(job_id) => pass_on(kept, call, job_id),
                 None => kept,
             };
             let new = (!kept.is_empty()).then(|| {
                 PendingReturns { returns: kept.into_iter().collect(), scheduled_at: pending.scheduled_at }.encode()
             });
             let swapped = if new.as_ref() == Some(&bytes) { Swap::Done } else { p.store.swap(&key, Some(&bytes), new).await? };
             if let Swap::Mismatch(other) = swapped { found = other; continue; }
             let unknown = notify_known(p, (call, ChildEnd::Failure), parents, &mut handled).await?;
             if !unknown.is_empty() { keep_unnotified(p, call, &unknown).await?; }
             if let Some(job_id) = other { p.send(topic, &Message { job_id, call: call.clone() }).await?; }
             break;",
        ),
        breaks("failure-swaps-what-is-there", "R2: entries are removed from the exact bytes that were read").edit(
            "multi_step/notify.rs",
            "p.store.swap(&key, Some(&bytes), new).await?",
            "p.store.swap(&key, p.store.get(&key).await?.as_ref(), new).await?",
        ),
        breaks("failure-notifies-parents-without-a-run", "R2: a failure does not notify a parent without a run record")
            .edit(
                "multi_step/notify.rs",
                "        let unknown = notify_known(p, (call, ChildEnd::Failure), parents, &mut handled).await?;",
                "let mut unknown = notify_known(p, (call, ChildEnd::Failure), parents, &mut handled).await?;
                 if $on { p.notify(&unknown.iter().collect::<Vec<_>>()).await?; unknown.clear(); }",
            )
            .found_by(UNSEEN),
        breaks("failure-forgets-parents-without-a-run", "R2: such a parent is kept for a later value")
            .edit("multi_step/notify.rs", "            keep_unnotified(p, call, &unknown).await?;", "if !$on { $right }")
            .found_by(UNSEEN),
        breaks("value-forgets-unnotified-parents", "R2: such a parent is notified by a later value")
            .edit(
                "multi_step/notify.rs",
                "    notify_unnotified(p, call, &mut handled).await\n",
                "if $on { Ok(()) } else { notify_unnotified(p, call, &mut handled).await }\n",
            )
            .found_by(UNSEEN),
        breaks("failure-notifies-nobody", "4.4: a failure notifies the parents of its job like a value does").edit(
            "multi_step/settle.rs",
            "        notify_in_job(p, call, job_id, &work.topic, HashSet::new()).await?;",
            "",
        ),
        breaks("repeated-failure-notifies-nobody", "R1: a message for a call that failed in its job repeats R2").edit(
            "step/mod.rs",
            "            self.backend().notify_parents(&self.work, end).await?;",
            "if outcome.is_err() { self.ack().await?; } else { $right }",
        ),
        breaks("acknowledged-before-failing", "Acknowledge last: the failure is durable before the message is acknowledged").edit(
            "multi_step/settle.rs",
            "    let key = Key::failure(call, job_id);
    let end = if p.store.put_if(",
            "if $on { p.ack(work).await?; }
            $right",
        ),
        breaks("acknowledged-before-notifying", "Acknowledge last: a failed call's parents are notified before the acknowledgement").edit(
            "multi_step/settle.rs",
            "    if end == JobState::Completed {
        notify_all(",
            "if $on { p.ack(work).await?; }
            $right",
        ),
        breaks("end-of-a-failed-job-not-recorded", "4.5: a job whose top call failed is over, and its record says so").edit(
            "multi_step/settle.rs",
            "    if work.ends_job {
        mark_over(",
            "if work.ends_job && !$on {
        mark_over(",
        ),
    ]
}
