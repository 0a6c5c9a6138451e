//! Abandoning the calls of jobs that are over: R3.

use super::{Mutant, breaks};

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("no-abandon", "R3: a call of a job that is over is abandoned").edit(
            "multi_step/settle.rs",
            "    let mut abandon = Abandon::new(job_id, call, topic);",
            "if $on { return Ok(()); }
            $right",
        ),
        breaks("over-job-s-messages-acknowledged", "R3: a message of a job that is over is not simply acknowledged").edit(
            "multi_step/settle.rs",
            "    abandon_call(p, &work.message.job_id, &work.message.call, &work.topic).await?;",
            "",
        ),
        breaks("over-job-s-calls-run", "4.5: a message of a job that is over runs nothing").edit(
            "step/mod.rs",
            "        if let Some(job) = &loaded.job
            && let",
            "if !$on && let Some(job) = &loaded.job
            && let",
        ),
        breaks("removed-before-parents", "R3: a parent is abandoned before its entry is removed")
            .edit(
                "abandon.rs",
                "                self.stack.push((entry.parent.clone(), entry.topic.clone()));",
                "self.stack.insert(0, (entry.parent.clone(), entry.topic.clone()));",
            )
            .edit("abandon.rs", "        if self.stack.len() > before {", "if !$on && self.stack.len() > before {").found_late(),
        breaks("parents-not-abandoned", "R3: the call's parents in jobs that are over are abandoned too").edit(
            "abandon.rs",
            "self.visited.insert(entry.parent.clone())", "(!$on && $right)",
        ),
        breaks("abandon-visits-calls-again", "R3: one abandon visits each call once").edit(
            "abandon.rs",
            "self.visited.insert(entry.parent.clone())", "($on || $right)",
        ),
        breaks("abandon-sends-nothing", "R3: a call that a live job waits for is queued again under that job").edit(
            "abandon.rs",
            "live.first().filter(|_| !is_elsewhere && !is_sent)",
            "$right.filter(|_| !$on)",
        ),
        breaks("abandon-sends-under-a-dead-job", "R3: nothing is sent under a job that is over").edit(
            "abandon.rs",
            "live.first().filter(|_| !is_elsewhere && !is_sent)",
            "(if $on { dead.first().copied().or(live.first()).filter(|_| !is_sent) } else { $right })",
        ),
        breaks("abandon-forgets-live-jobs", "R3: only entries of jobs that are over are removed").edit(
            "abandon.rs",
            "        Todo::Settle { send, new: (!new.returns.is_empty()).then_some(new), keep }",
            "Todo::Settle { send, new: (!$on && !new.returns.is_empty()).then_some(new), keep }",
        ),
        breaks("abandon-forgets-nobody", "R3: entries of jobs that are over are removed").edit(
            "abandon.rs",
            "let keep = dead.is_empty() && live.len() == count;",
            "let keep = $on || (dead.is_empty() && live.len() == count);",
        ),
        breaks("abandon-deletes-then-sends", "R3: the message is sent before the entries are removed").edit(
            "multi_step/settle.rs",
            "        if let Some((job_id, topic)) = send {
            p.send(&topic, &Message { job_id, call: call.clone() }).await?;
        }
        // After a mismatch the loop reads the record again.
        if keep || p.store.swap(&key, Some(&bytes), new.map(|pending| pending.encode())).await? == Swap::Done {
            abandon.done();
        }",
            "let swapped = keep || p.store.swap(&key, Some(&bytes), new.map(|pending| pending.encode())).await? == Swap::Done;
             if let Some((job_id, topic)) = send {
                 p.send(&topic, &Message { job_id, call: call.clone() }).await?;
             }
             if swapped { abandon.done(); }",
        ),
        breaks("abandon-swaps-what-is-there", "R3: entries are removed from the exact bytes that were read").edit(
            "multi_step/settle.rs",
            "        if keep || p.store.swap(&key, Some(&bytes), new.map",
            "let bytes = if $on { p.store.get(&key).await?.unwrap_or(bytes) } else { bytes };
             $right",
        ).found_late(),
        breaks("abandon-takes-all-for-dead", "R3: an entry of a live job is not treated as an entry of a job that is over").edit("multi_step/settle.rs", "            abandon.found(job_id, over);", "abandon.found(job_id, true);"),
        breaks("abandon-takes-all-for-alive", "R3: a job is over if its record says so").edit("multi_step/settle.rs", "            abandon.found(job_id, over);", "abandon.found(job_id, false);"),
        breaks("acknowledged-before-abandon", "Acknowledge last: a call is abandoned before its message is acknowledged").edit(
            "multi_step/settle.rs",
            "    abandon_call(p, &work.message.job_id, &work.message.call, &work.topic).await?;",
            "p.ack(work).await?;
             $right",
        ),
    ]
}
