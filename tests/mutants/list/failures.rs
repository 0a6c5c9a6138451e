//! Failures: R1 and R2.

use super::{Mutant, breaks};

const UNSEEN: &str = "a_failure_that_a_peer_does_not_see_costs_few_messages";

const SETTLE: &str = "        let unknown = wake_known(p, call, parents, &mut handled).await?;
        if !unknown.is_empty() {
            keep_unnotified(p, call, &unknown).await?;
        }
        let is_sent = is_elsewhere || passed_on.as_ref().is_some_and(|to| is_passed_on(to, &kept, call));
        if let Some(next) = PendingReturns::next_in_turn(&kept, root).filter(|_| !is_sent) {
            let message = Message { root: next.root.clone(), call: call.clone() };
            p.send(topic_of(next, call, topic), &message).await?;
            passed_on = Some(next.clone());
        }
        let kept = match &passed_on {
            Some(to) => pass_on(kept, call, &to.root),
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
            "ports.rs",
            "Kind::Failure(root.clone())",
            "{ let _ = root; Kind::Failure(\"any\".into()) }",
        ),
        breaks("failure-beside-a-value", "R1: a failure is put only where there is no value").edit(
            "stepwise/settle.rs",
            "p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await?",
            "p.store.put_if(&key, encode_failure(failure), &key).await?",
        ).found_by("every_fault_heals"),
        breaks("end-of-job-beside-a-value", "R1: a job that is ended fails its top call only where there is no value").edit(
            "stepwise/jobs.rs",
            "store.put_if(&key, encode_failure(failure), &value).await?",
            "store.put_if(&key, encode_failure(failure), &key).await?",
        ),
        breaks("failure-not-in-one-step", "R1: value and failure are looked at and written in one atomic step").edit(
            "stepwise/settle.rs",
            "p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await?",
            "p.store.get(&Key::value(call)).await?.is_none() && p.store.swap(&key, None, Some(encode_failure(failure))).await? == Swap::Done",
        ).found_by("every_fault_heals"),
        breaks("failure-replaced", "R1: a failure is never replaced").edit(
            "stepwise/settle.rs",
            "p.store.put_if(&key, encode_failure(failure), &Key::value(call)).await?",
            "{ p.store.put(&key, encode_failure(failure)).await?; true }",
        ),
        breaks("failure-deleted", "R1: a failure is never deleted").edit(
            "stepwise/settle.rs",
            "        wake_in_job(p, call, root, &work.topic, HashSet::new()).await?;",
            "$right
             if let Some(bytes) = p.store.get(&Key::failure(call, root)).await? {
                 p.store.swap(&Key::failure(call, root), Some(&bytes), None).await?;
             }",
        ),
        breaks("failure-read-before-the-value", "R1: a reader reads the value first, then the failure").edit(
            "stepwise/load.rs",
            "    let values = store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?;
    let calls = &calls[..values.len()];
    let failures = store.get_many(&calls.iter().map(|c| Key::failure(c, root)).collect::<Vec<_>>()).await?;",
            "let (values, failures) = if $on {
                let failures = store.get_many(&calls.iter().map(|c| Key::failure(c, root)).collect::<Vec<_>>()).await?;
                (store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?, failures)
             } else {
                let values = store.get_some(&calls.iter().map(Key::value).collect::<Vec<_>>(), bytes).await?;
                (values, store.get_many(&calls.iter().map(|c| Key::failure(c, root)).collect::<Vec<_>>()).await?)
             };
             let calls = &calls[..values.len()];",
        ).found_by("a_slow_reader_sees_what_others_saw"),
        breaks("no-second-look-in-load", "R1: after a value without a failure, the failure is read again").edit(
            "stepwise/load.rs",
            "    if value.is_some() && failure.is_none() {",
            "if !$on && value.is_some() && failure.is_none() {",
        ).found_by("a_job_ends_as_its_call_did"),
        breaks("no-second-look-at-failures", "R1: as above, of the children at a parent's second look").edit(
            "stepwise/defer.rs",
            "    if !doubtful.is_empty() {",
            "if !$on && !doubtful.is_empty() {",
        ).harmless("there is a value, so all that wait may be woken; each of them looks at the failure of its job itself"),
        breaks("value-wins", "R1: of a value and a failure of the same job the failure counts").edit(
            "stepwise/load.rs",
            "    match failure {
        Some(bytes) => Ok(Some(Err(read_failure(",
            "match failure.filter(|_| !($on && value.is_some())) {
        Some(bytes) => Ok(Some(Err(read_failure(",
        ),
        breaks("failure-wakes-other-jobs", "R2: a failure wakes parents of its own job only").edit(
            "stepwise/wake.rs",
            "partition(|r| r.root == *root)",
            "partition(|r| $on || r.root == *root)",
        ),
        breaks("failure-passes-nothing-on", "R2: a call that failed is queued again for another job that waits for it").edit(
            "stepwise/wake.rs",
            "PendingReturns::next_in_turn(&kept, root).filter(|_| !is_sent)",
            "PendingReturns::next_in_turn(&kept, root).filter(|_| !is_sent && !$on)",
        ),
        breaks("failure-passed-on-in-vain", "R2: it is queued again under that job, not under the one where it failed").edit(
            "stepwise/wake.rs",
            "Message { root: next.root.clone(), call: call.clone() }",
            "Message { root: if $on { root.clone() } else { next.root.clone() }, call: call.clone() }",
        ),
        breaks("failure-passed-on-every-time", "R2: it is queued again once, not once for every look at the record").edit(
            "stepwise/wake.rs",
            "            passed_on = Some(next.clone());",
            "passed_on = Some(next.clone()).filter(|_| !$on);",
        ).harmless("one message more for each time that the record changed between read and write"),
        breaks("failure-forgets-other-jobs", "R2: parents of other jobs stay registered").edit(
            "stepwise/wake.rs",
            "        let new = (!kept.is_empty()).then(|| {",
            "let new = (!$on && !kept.is_empty()).then(|| {",
        ),
        breaks("failure-deletes-then-sends", "R2: wake-ups and messages are sent before the record changes").edit(
            "stepwise/wake.rs",
            SETTLE,
            "let other = PendingReturns::next_in_turn(&kept, root).filter(|_| !is_elsewhere).map(|other| other.root.clone());
             let kept = match &other {
                 Some(root) => pass_on(kept, call, root),
                 None => kept,
             };
             let new = (!kept.is_empty()).then(|| {
                 PendingReturns { returns: kept.into_iter().collect(), scheduled_at: pending.scheduled_at }.encode()
             });
             let swapped = if new.as_ref() == Some(&bytes) { Swap::Done } else { p.store.swap(&key, Some(&bytes), new).await? };
             if let Swap::Mismatch(other) = swapped { found = other; continue; }
             let unknown = wake_known(p, call, parents, &mut handled).await?;
             if !unknown.is_empty() { keep_unnotified(p, call, &unknown).await?; }
             if let Some(root) = other { p.send(topic, &Message { root, call: call.clone() }).await?; }
             break;",
        ),
        breaks("failure-swaps-what-is-there", "R2: entries are removed from the very bytes that were read").edit(
            "stepwise/wake.rs",
            "p.store.swap(&key, Some(&bytes), new).await?",
            "p.store.swap(&key, p.store.get(&key).await?.as_ref(), new).await?",
        ),
        breaks("failure-wakes-who-sees-none", "R2: a failure does not wake a parent that no run record tells of")
            .edit(
                "stepwise/wake.rs",
                "        let unknown = wake_known(p, call, parents, &mut handled).await?;",
                "let mut unknown = wake_known(p, call, parents, &mut handled).await?;
                 if $on { p.wake(&unknown.iter().collect::<Vec<_>>()).await?; unknown.clear(); }",
            )
            .found_by(UNSEEN),
        breaks("failure-forgets-who-sees-none", "R2: such a parent is kept for a later value")
            .edit("stepwise/wake.rs", "            keep_unnotified(p, call, &unknown).await?;", "if !$on { $right }")
            .found_by(UNSEEN),
        breaks("value-wakes-nobody-who-saw-no-failure", "R2: such a parent is woken by a later value")
            .edit(
                "stepwise/wake.rs",
                "    wake_unnotified(p, call, &mut handled).await\n",
                "if $on { Ok(()) } else { wake_unnotified(p, call, &mut handled).await }\n",
            )
            .found_by(UNSEEN),
        breaks("failure-wakes-nobody", "4.4: a failure wakes the parents of its job like a value does").edit(
            "stepwise/settle.rs",
            "        wake_in_job(p, call, root, &work.topic, HashSet::new()).await?;",
            "",
        ),
        breaks("repeated-failure-wakes-nobody", "R1: a message for a call that failed in its job repeats R2").edit(
            "step/mod.rs",
            "            self.backend().discharge(&self.work, end).await?;",
            "if outcome.is_err() { self.ack().await?; } else { $right }",
        ),
        breaks("acknowledged-before-failing", "Acknowledge last: a failure is durable before").edit(
            "stepwise/settle.rs",
            "    let key = Key::failure(call, root);
    let end = if p.store.put_if(",
            "if $on { p.ack(work).await?; }
            $right",
        ),
        breaks("acknowledged-before-discharging", "Acknowledge last: who waits for what failed was woken before").edit(
            "stepwise/settle.rs",
            "    if end == JobState::Completed {
        wake_all(",
            "if $on { p.ack(work).await?; }
            $right",
        ),
        breaks("failed-job-not-written-down", "4.5: a job whose top call failed is over, and its record says so").edit(
            "stepwise/settle.rs",
            "    if let Some(at) = work.ends_job {
        mark_over(",
            "if let (Some(at), false) = (work.ends_job, $on) {
        mark_over(",
        ),
    ]
}
