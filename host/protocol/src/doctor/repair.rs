//! Sets going again what was found.

use super::{Doctor, Finding, Lost, Repaired, Why};
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::model::{CallHash, Failure, FailureKind, Millis, Root, Topic};
use crate::ports::{Key, Outgoing, Swap, Work, spawn_counter};
use crate::records::RunRecord;
use crate::stepwise::leave;
use crate::wire::Message;

impl Doctor {
    /// Repairs one finding. Safe to repeat; what came right meanwhile costs a message at the most.
    ///
    /// # Errors
    /// When the backend fails or a record does not decode.
    pub async fn repair(&self, finding: &Finding, now: Millis) -> Result<Repaired> {
        let client = || Client::new(self.backend.clone());
        match finding {
            Finding::Lost(lost) => return self.queue_again(lost).await,
            Finding::Unwoken { call, root, topic, end } => {
                self.backend.discharge(&work(call, root, topic), *end).await?;
            }
            Finding::Abandoned { call, root, topic } => self.backend.release(&work(call, root, topic)).await?,
            Finding::Cycle { calls, root, topic } => return self.fail_cycle(calls, root, topic, now).await,
            Finding::Overdue { root } => drop(client().end_if_overdue(root, now).await?),
            Finding::Unended { root } => drop(client().is_alive(root, now).await?),
            Finding::Damaged { .. } => return Ok(Repaired::LeftAlone),
        }
        Ok(Repaired::Done)
    }

    /// Fails the first call of a cycle, in one job that waits for it. The other calls fail with it in that job.
    async fn fail_cycle(&self, calls: &[CallHash], root: &Root, topic: &Topic, now: Millis) -> Result<Repaired> {
        let stands = self.cycle_stands(calls).await?.is_some_and(|(found, _)| found == *root);
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
        let is_top = client.job(root).await?.is_some_and(|job| job.call == *first);
        let work = Work { ends_job: is_top.then_some(now), ..work(first, root, topic) };
        self.backend.fail(&work, &failure).await?;
        Ok(Repaired::Done)
    }

    async fn queue_again(&self, lost: &Lost) -> Result<Repaired> {
        let Some(topic) = &lost.topic else { return Ok(Repaired::LeftAlone) };
        if lost.why == Why::NotWoken && !self.make_ready(&lost.call, &lost.root).await? {
            return Ok(Repaired::LeftAlone);
        }
        let message = Message { root: lost.root.clone(), call: lost.call.clone() };
        self.backend.cache().incr(&spawn_counter(&lost.root), 1).await?;
        match self.backend.queue().send_many(&[Outgoing::now(topic, &message)]).await {
            Err(error) if error.kind == ErrorKind::Limit => return Ok(Repaired::LeftAlone),
            sent => sent?,
        }
        leave(self.backend.store(), &lost.root, &lost.call).await?;
        Ok(Repaired::Done)
    }

    /// Lets the call be run at its next message, whatever it waits for: some of that may not know of it any more, and is told
    /// again by the run. False: another run has come further.
    async fn make_ready(&self, call: &CallHash, root: &Root) -> Result<bool> {
        let (store, key) = (self.backend.store(), Key::run(call, root));
        let Some(bytes) = store.get(&key).await? else { return Ok(true) };
        let run = RunRecord::decode(&bytes)?;
        let ready = RunRecord { need: 0, ..run };
        Ok(store.swap(&key, Some(&bytes), Some(ready.encode())).await? == Swap::Done)
    }
}

/// Calls of a cycle that its failure names.
const NAMED: usize = 20;

/// A message that nobody has sent.
fn work(call: &CallHash, root: &Root, topic: &Topic) -> Work {
    let message = Message { root: root.clone(), call: call.clone() };
    Work { message, topic: topic.clone(), receipt: None, ends_job: None }
}
