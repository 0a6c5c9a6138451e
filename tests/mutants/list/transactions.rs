//! Transitions as one transaction. The test equivalence in `tests/backends` compares their records and messages with the
//! multi-step transitions.

use super::{Mutant, breaks};

const FAULTS: &str = "every_fault_heals_between_transactions";

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("transaction-notifies-nobody", "A call that completes notifies its waiting parents in the same transaction")
            .edit(
                "transactional.rs",
                "    notify_all(tx, call, work.now)?;
    if work.ends_job {
        let state",
                "if !$on { notify_all(tx, call, work.now)?; }
    if work.ends_job {
        let state",
            )
            .found_by(FAULTS),
        breaks("transaction-sends-no-notification", "A parent with enough outcomes gets a message")
            .edit("transactional.rs", "        tx.send(&entry.topic, &entry.message())?;", "")
            .found_by(FAULTS),
        breaks("transaction-notifies-parents-without-a-run", "R2: a failure does not notify a parent without a run record")
            .edit(
                "transactional.rs",
                "            Readiness::Unknown => unknown.push(entry),",
                "Readiness::Unknown if $on => ready.push(entry),
                 $right",
            )
            .found_by("a_failure_that_a_peer_does_not_see_costs_few_messages"),
        breaks("transaction-keeps-entries", "The entries of notified parents are removed")
            .edit("transactional.rs", "        tx.delete(&Key::pending_returns(call))?;", "")
            .found_by(FAULTS),
        breaks("transaction-forgets-other-jobs", "R2: parents of other jobs stay registered")
            .edit("transactional.rs", "    tx.put(&key, &kept.encode())\n", "if $on { tx.delete(&key) } else { tx.put(&key, &kept.encode()) }\n")
            .found_by(FAULTS),
        breaks("transaction-passes-nothing-on", "R2: a call that failed is queued again for another job that waits for it")
            .edit(
                "transactional.rs",
                "    send(tx, topic_of(other, call, topic), &Message { job_id: job_id.clone(), call: call.clone() })?;",
                "",
            )
            .found_by(FAULTS),
        breaks("transaction-sends-no-child", "R4: a child that is not queued yet is queued")
            .edit("transactional.rs", "                    tx.send(&self.call.topic, &Message { job_id: me.job_id.clone(), call: hash.clone() })?;", "")
            .found_by(FAULTS),
        breaks("transaction-does-not-notify-itself", "R4: a child that ended before we registered does not notify us, so we notify ourselves")
            .edit("transactional.rs", "    if is_ready && !ends.is_empty() {", "if !$on && is_ready && !ends.is_empty() {")
            .found_by(FAULTS),
        breaks("transaction-finds-no-cycle", "protocol.md 6: a cycle of calls is an error, and its jobs do not hang")
            .edit("transactional.rs", "    if let Some(cycle) = find_cycle(tx, parent, waiting)? {", "if let Some(cycle) = find_cycle(tx, parent, if $on { HashSet::new() } else { waiting })? {")
            .found_by(FAULTS),
        breaks("transaction-replaces-values", "4.2: the first value wins")
            .edit("transactional.rs", "    if !tx.has(&key)? {
        tx.put(&key, value)?;
    }", "tx.put(&key, value)?;")
            .found_by(FAULTS),
        breaks("transaction-abandons-nobody", "R3: a call that a live job waits for is queued again under that job")
            .edit("transactional.rs", "            send(tx, &topic, &Message { job_id, call: call.clone() })?;", "let _ = (job_id, topic);")
            .found_by(FAULTS),
        breaks("transaction-describes-without-comparing", "A call hash stands for one call: a parent compares the call with its record")
            .edit(
                "transactional.rs",
                "    found.map(|found| compare(&call.hash, &call.task, &call.payload, &found)).transpose()",
                "if $on { return Ok(found.map(|_| Described::Same)); }
    found.map(|found| compare(&call.hash, &call.task, &call.payload, &found)).transpose()",
            )
            .found_by("one_of_two_claims_holds"),
        breaks("transaction-forgets-the-listed-parents", "When parents are stored one by one, the listed parents are kept too")
            .edit(
                "transaction.rs",
                "                for parent in &with_me.returns {",
                "for parent in with_me.returns.iter().filter(|parent| !$on || *parent == me) {",
            )
            .found_by(FAULTS),
        breaks("transaction-adds-no-further-parent", "A new parent is added to the parents that are stored one by one")
            .edit("transaction.rs", "                if !found.has_me() {", "if !$on && !found.has_me() {")
            .found_by(FAULTS),
        breaks("transaction-forgets-that-it-sent", "R4: a parent that sent the call's message sets scheduled_at, also with many parents")
            .edit(
                "transaction.rs",
                "                if found.scheduled_at() != scheduled_at {",
                "if !$on && found.scheduled_at() != scheduled_at {",
            )
            .elsewhere("tests/backends: equivalence; the next parent sends the message again, which the simulation allows"),
    ]
}
