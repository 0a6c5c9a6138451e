//! A message that nothing can come of: its call fails, and it goes to the dead letters.

use std::sync::Arc;

use super::{Stage, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Failure, FailureKind};
use crate::ports::{Backend, Delivery, Key, Outgoing, Work};
use crate::wire::{Message, PendingReturns};

impl Stage<'_> {
    /// Will the message never come to anything, because of this error?
    pub(super) fn is_hopeless(&self, error: &Error) -> bool {
        match error.kind {
            // What a backend can't hold, it can't hold the next time either: a call with too long a name, say.
            ErrorKind::Malformed | ErrorKind::Limit => true,
            // A newer worker may be the next to get it. It comes back with its lease, which counts as a delivery.
            ErrorKind::NewerRecord | ErrorKind::Internal => self.delivery.receives > self.site.limits.max_deliveries,
            _ => false,
        }
    }

    /// Fails the call, so that nobody waits for it in vain, and sets the message aside.
    pub(super) async fn bury(&self, task: &str, reason: &str) -> Result<Step> {
        // Looked at anew: what does not decode may have kept us from knowing, or may be the job's own record by now.
        let is_top = self.job().await?.is_some_and(|job| job.call == self.work.message.call);
        let ends_job = is_top.then(|| self.now());
        let work = Work { receipt: None, ends_job, ..self.work.clone() };
        let failure = Failure::new(FailureKind::DeadLetter, task, reason);
        match self.backend().fail(&work, &failure).await {
            Ok(()) => set_aside(self.backend(), self.delivery, reason.to_owned()).await,
            Err(error) if error.is_unreadable() || error.kind == ErrorKind::Limit => {
                self.end_untold(&failure).await?;
                let error = error.to_string();
                let reason = if reason == error { error } else { format!("{reason}; {error}") };
                set_aside(self.backend(), self.delivery, reason).await
            }
            Err(error) => Err(error),
        }
    }

    /// The record of who waits for the call is damaged, so nobody can tell them that it has ended. Its job ends instead,
    /// because one of its calls would wait for ever. Whom the record still names is woken: in this job to be let go, in
    /// another one to find out.
    pub(super) async fn end_untold(&self, failure: &Failure) -> Result<()> {
        let Message { root, call } = &self.work.message;
        if let Some(job) = self.job().await? {
            let top = match job.call == *call {
                true => failure.clone(),
                false => Failure::of_parent(&self.task_of(&job.call).await?, failure),
            };
            match self.backend().end_job(root, &top, self.now()).await {
                Err(error) if error.is_unreadable() => {}
                ended => drop(ended?),
            }
        }
        let bytes = self.if_readable(&Key::pending_returns(call)).await?;
        let waiting = bytes.map(|bytes| PendingReturns::salvage(&bytes)).unwrap_or_default();
        let wake: Vec<Outgoing> = waiting.iter().map(|entry| Outgoing::now(&entry.topic, &entry.message())).collect();
        match self.backend().queue().send_many(&wake).await {
            // All others were sent.
            Err(error) if error.kind == ErrorKind::Limit => Ok(()),
            sent => sent,
        }
    }
}

pub(super) async fn set_aside(backend: &Arc<dyn Backend>, delivery: &Delivery, reason: String) -> Result<Step> {
    backend.queue().set_aside(delivery, &reason).await?;
    Ok(Step::SetAside(reason))
}
