//! Sets going again what was found.

use super::{Doctor, Finding, Lost, Repaired, Why};
use crate::client::Client;
use crate::error::{ErrorKind, Result};
use crate::model::{CallHash, Millis, Root, Topic};
use crate::ports::{Key, Outgoing, Swap, Work, spawn_counter};
use crate::records::RunRecord;
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
            Finding::Overdue { root } => drop(client().end_if_overdue(root, now).await?),
            Finding::Unended { root } => drop(client().is_alive(root, now).await?),
            Finding::Damaged { .. } => return Ok(Repaired::LeftAlone),
        }
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
            Err(error) if error.kind == ErrorKind::Limit => Ok(Repaired::LeftAlone),
            sent => sent.map(|()| Repaired::Done),
        }
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

/// A message that nobody has sent.
fn work(call: &CallHash, root: &Root, topic: &Topic) -> Work {
    let message = Message { root: root.clone(), call: call.clone() };
    Work { message, topic: topic.clone(), receipt: None, ends_job: None }
}
