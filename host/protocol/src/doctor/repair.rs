//! Repairs what was found.

use super::{Doctor, Finding, Lost, Repaired, Why};
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::model::{CallHash, Failure, FailureKind, JobId, Millis, Topic};
use crate::multi_step::leave;
use crate::ports::{Key, Outgoing, Swap, Work, message_counter};
use crate::records::RunRecord;
use crate::wire::Message;

impl Doctor {
    /// Repairs one finding. Safe to repeat. If the problem has disappeared meanwhile, the repair costs one message at most.
    pub async fn repair(&self, finding: &Finding, now: Millis) -> Result<Repaired> {
        let client = || Client::new(self.backend.clone());
        match finding {
            Finding::Lost(lost) => return self.queue_again(lost).await,
            Finding::Unnotified { call, job_id, topic, end } => {
                // If it is the job's own call, the job ends with it. A job that has joined its call has no message of its own, and
                // its entry is removed next.
                if matches!(client().job(job_id).await, Ok(Some(job)) if job.call == *call) {
                    client().is_alive(job_id, now).await?;
                }
                self.backend.notify_parents(&work(call, job_id, topic, now), *end).await?;
            }
            Finding::Abandoned { call, job_id, topic } => self.backend.abandon(&work(call, job_id, topic, now)).await?,
            Finding::Cycle { calls, job_id, topic } => return self.fail_cycle(calls, job_id, topic, now).await,
            Finding::Overdue { job_id } => drop(client().end_if_overdue(job_id, now).await?),
            Finding::Unended { job_id } => drop(client().is_alive(job_id, now).await?),
            Finding::Unloadable { .. } | Finding::Damaged { .. } => return Ok(Repaired::LeftAlone),
        }
        Ok(Repaired::Done)
    }

    /// Fails the first call of a cycle, in one job that waits for the call. The other calls of the cycle then fail in that job
    /// too.
    async fn fail_cycle(&self, calls: &[CallHash], job_id: &JobId, topic: &Topic, now: Millis) -> Result<Repaired> {
        let stands = self.cycle_stands(calls).await?.is_some_and(|(found, _)| found == *job_id);
        let (Some(first), true) = (calls.first(), stands) else { return Ok(Repaired::LeftAlone) };
        let client = Client::new(self.backend.clone());
        let mut names = Vec::new();
        for call in calls.iter().take(NAMED).chain([first]) {
            names.push(format!("{} ({})", client.task_of(call).await?, call.short()));
        }
        if let Some(more) = calls.len().checked_sub(NAMED).filter(|more| *more > 0) {
            names.insert(NAMED, format!("{more} more"));
        }
        let text = format!("the call waits for itself: {}", names.join(" -> "));
        let failure = Failure::new(FailureKind::Cycle, &client.task_of(first).await?, text);
        let is_top = client.job(job_id).await?.is_some_and(|job| job.call == *first);
        let work = Work { ends_job: is_top, ..work(first, job_id, topic, now) };
        self.backend.fail(&work, &failure).await?;
        Ok(Repaired::Done)
    }

    async fn queue_again(&self, lost: &Lost) -> Result<Repaired> {
        let Some(topic) = &lost.topic else { return Ok(Repaired::LeftAlone) };
        if lost.why == Why::NotNotified && !self.make_ready(&lost.call, &lost.job_id).await? {
            return Ok(Repaired::LeftAlone);
        }
        let message = Message { job_id: lost.job_id.clone(), call: lost.call.clone() };
        self.backend.counters().incr(&message_counter(&lost.job_id), 1).await?;
        match self.backend.queue().send_many(&[Outgoing::now(topic, &message)]).await {
            Err(error) if error.kind == ErrorKind::Limit => return Ok(Repaired::LeftAlone),
            sent => sent?,
        }
        leave(self.backend.store(), &lost.job_id, &lost.call).await?;
        Ok(Repaired::Done)
    }

    /// Changes the `run` record so that the call runs at its next message, whatever it waits for. Some of the calls that it
    /// waits for may not list it as a parent any more. The run registers with them again. Returns false if another run has
    /// changed the record.
    async fn make_ready(&self, call: &CallHash, job_id: &JobId) -> Result<bool> {
        let (store, key) = (self.backend.store(), Key::run(call, job_id));
        let Some(bytes) = store.get(&key).await? else { return Ok(true) };
        let run = RunRecord::decode(&bytes)?;
        let ready = RunRecord { need: 0, ..run };
        Ok(store.swap(&key, Some(&bytes), Some(ready.encode())).await? == Swap::Done)
    }
}

/// A failure names at most this number of calls of a cycle.
const NAMED: usize = 20;

/// The work of a message that was never sent.
fn work(call: &CallHash, job_id: &JobId, topic: &Topic, now: Millis) -> Work {
    let message = Message { job_id: job_id.clone(), call: call.clone() };
    Work { message, topic: topic.clone(), receipt: None, ends_job: false, now, log: None }
}
