//! The actions of clients: schedule, cancel, forget.

use super::{Mutant, breaks};

pub fn all() -> Vec<Mutant> {
    vec![
        breaks("schedule-replaces-the-job", "4.5: a repeated schedule does not revive a job that is over").edit(
            "multi_step/jobs.rs",
            "    if let Swap::Mismatch(Some(found)) = p.store.swap(&key, None, Some(record.encode())).await? {",
            "if $on { p.store.put(&key, record.encode()).await?; } else if let Swap::Mismatch(Some(found)) = p.store.swap(&key, None, Some(record.encode())).await? {",
        ).found_by("a_client_that_dies_while_it_schedules_may_repeat_it"),
        breaks("schedule-repeated-sends-nothing", "4.4: a repeated schedule queues the job, because the first one may have failed").edit(
            "multi_step/jobs.rs",
            "        (record, is_new) = (JobRecord::decode(&found).map_err(|e| e.of(&key))?, false);",
            "return Ok(Scheduled::Queued);",
        ),
        breaks("schedule-sends-first", "A job has its record before its message can be delivered")
            .edit(
                "multi_step/jobs.rs",
                "    let key = Key::job(&job.job_id);
    let (mut record, mut is_new) = (job.record(now), true);",
                "if $on { p.queue.send_many(&job.messages(now)).await?; }
                 $right",
            )
            .edit("multi_step/jobs.rs", "        p.counters.incr(&message_counter(&job.job_id), messages.len() as u64).await?;", "return Ok(Scheduled::Queued);"),
        breaks("schedule-over-a-value-leaves-the-job-alive", "A job whose call has its value is over").edit(
            "multi_step/jobs.rs",
            "        mark_over(p.store, &job.job_id, JobEnd { state, at: now }).await?;
        return Ok(Scheduled::AlreadyDone);",
            "if !$on { mark_over(p.store, &job.job_id, JobEnd { state, at: now }).await?; }
        return Ok(Scheduled::AlreadyDone);",
        ),
        breaks("no-message-at-the-deadline", "A job ends at its deadline even if nothing else happens").edit(
            "ports/transitions.rs",
            "if self.deadline > 0 { vec![first, last] }",
            "if !$on && self.deadline > 0 { vec![first, last] }",
        ),
        breaks("state-before-the-failure", "4.5: the end of a job writes the failure first, then the job's state").edit(
            "multi_step/jobs.rs",
            "    let state = if store.put_if(&key, encode_failure(failure), &value).await? {",
            "if $on { mark_over(store, job_id, JobEnd { state: JobState::of(Err(&failure.kind)), at: now }).await?; }
            $right",
        ),
        breaks("cancelled-without-a-failure", "4.5: a job that is ended fails its top call").edit(
            "multi_step/jobs.rs",
            "store.put_if(&key, encode_failure(failure), &value).await?",
            "true",
        ),
        breaks("end-of-a-job-replaced", "4.5: a job that is over stays over").edit(
            "multi_step/jobs.rs",
            "        if job.is_over() {
            return Ok(Some(job));
        }
        let over",
            "if !$on && job.is_over() {
            return Ok(Some(job));
        }
        let over",
        ),
        breaks("end-of-a-job-by-put", "4.5: a job's end is written by compare-and-swap").edit(
            "multi_step/jobs.rs",
            "        match store.swap(&key, Some(&bytes), Some(over.encode())).await? {
            Swap::Done => return Ok(Some(over)),",
            "match (if $on { store.put(&key, over.encode()).await?; Swap::Done } else { store.swap(&key, Some(&bytes), Some(over.encode())).await? }) {
            Swap::Done => return Ok(Some(over)),",
        ),
        breaks("forgotten-while-in-use", "4.2: a value is not forgotten while a job is live that may have used it").edit(
            "client.rs",
            "                    Ok(true) => return Ok(Forgotten::InUse(job_id)),",
            "Ok(true) if $on => {} $right",
        ).found_by("a_client_may_die_or_pause_while_it_forgets"),
        breaks("forgetting-revives", "4.5: the job's record itself says that it is over, so that forgetting a value revives nothing").edit(
            "client.rs",
            "        match store.swap(&key, Some(&bytes), Some(over.encode())).await? {
            Swap::Done => Ok(false),",
            "if $on { return Ok(false); }
            $right",
        ).found_by("a_client_may_die_or_pause_while_it_forgets"),
    ]
}
