//! A message that can never be handled: its call fails, and the message goes to the dead-letter queue.

use std::sync::Arc;

use super::{Stage, Step};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Failure, FailureKind};
use crate::ports::{Backend, Delivery, Key, Outgoing, Work};
use crate::wire::{Message, PendingReturns};

impl Stage<'_> {
    /// True if the message can never be handled, because of this error.
    pub(super) fn is_hopeless(&self, error: &Error) -> bool {
        match error.kind {
            // If a backend can't hold something (for example a call with a name that is too long), it can't hold it the next
            // time either.
            ErrorKind::Malformed | ErrorKind::Limit => true,
            // The next delivery may go to a newer worker, which can read the record. The message is delivered again when its
            // lease runs out, and that counts as a delivery.
            ErrorKind::NewerRecord | ErrorKind::Internal => self.delivery.receives > self.site.limits.max_deliveries,
            _ => false,
        }
    }

    /// Fails the call, so that no parent waits for it in vain, and moves the message to the dead-letter queue.
    pub(super) async fn dead_letter(&self, task: &str, reason: &str) -> Result<Step> {
        // The job's record is read again, for two reasons: the error may have prevented the first read, or the job's own record
        // may be the damaged one.
        let job = self.job().await?;
        let ends_job = job.as_ref().is_some_and(|job| job.call == self.work.message.call);
        let work = Work { receipt: None, ends_job, ..self.work_now() };
        let failure = Failure::new(FailureKind::DeadLetter, task, reason);
        let before_end = self.before_end().await;
        match self.backend().fail(&work, &failure).await {
            Ok(()) => {
                self.report_span_of_dead_letter(job, before_end, &failure).await;
                move_to_dlq(self.backend(), self.delivery, reason.to_owned()).await
            }
            Err(error) if error.is_unreadable() || error.kind == ErrorKind::Limit => {
                self.end_job_of_damaged_call(&failure).await?;
                let error = error.to_string();
                let reason = if reason == error { error } else { format!("{reason}; {error}") };
                move_to_dlq(self.backend(), self.delivery, reason).await
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the job of a call whose `pending_returns` record is damaged. The waiting parents can't be notified of the call's
    /// end. So the job ends, because otherwise one of its calls would wait forever. The parents that can still be read from the
    /// damaged record are notified: a parent in this job is then abandoned, and a parent in another job looks at the call
    /// again.
    pub(super) async fn end_job_of_damaged_call(&self, failure: &Failure) -> Result<()> {
        let Message { job_id, call } = &self.work.message;
        if let Some(job) = self.job().await? {
            let top = match job.call == *call {
                true => failure.clone(),
                false => Failure::of_parent(&self.task_of(&job.call).await?, failure),
            };
            match self.backend().end_job(job_id, &top, self.now()).await {
                Err(error) if error.is_unreadable() => {}
                ended => drop(ended?),
            }
        }
        let bytes = self.if_readable(&Key::pending_returns(call)).await?;
        let waiting = bytes.map(|bytes| PendingReturns::salvage(&bytes)).unwrap_or_default();
        let messages: Vec<Outgoing> =
            waiting.iter().map(|entry| Outgoing::now(&entry.topic, &entry.message())).collect();
        match self.backend().queue().send_many(&messages).await {
            // The messages to all other topics were sent.
            Err(error) if error.kind == ErrorKind::Limit => Ok(()),
            sent => sent,
        }
    }
}

pub(super) async fn move_to_dlq(backend: &Arc<dyn Backend>, delivery: &Delivery, reason: String) -> Result<Step> {
    backend.queue().move_to_dlq(delivery, &reason).await?;
    Ok(Step::DeadLettered(reason))
}
