//! A call that has failed: it is tried again, or it fails finally.

use std::time::Duration;

use super::{Stage, Step, StepJob};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{State, Subject};
use crate::model::{CallHash, Failure, FailureKind, brief, first_line};
use crate::multi_step::keep_log;
use crate::ports::{Key, Loaded, Swap};
use crate::records::JobState;
use crate::replay::Replay;
use crate::trace::SpanEventKind;
use crate::wire::{CallRecord, Message};

impl Stage<'_> {
    /// Tries a call again after a failure that may pass, if the options say so. The message is given back to the queue, which
    /// delivers it again after the delay. No worker waits meanwhile.
    pub(super) async fn try_again_or_fail(
        &self,
        job: &StepJob<'_>,
        replay: &Replay,
        mut failure: Failure,
        retryable: bool,
    ) -> Result<Step> {
        let (attempt, now) = (job.attempt(), self.now());
        failure.attempts = attempt;
        if let Some(record) = &job.loaded.job
            && let Some(state) = self.ended(record, now).await?
        {
            return self.abandon(job.loaded, state, State::Running).await;
        }
        let Message { job_id, call } = &self.work.message;
        let Some(after) = job.options.retry_after(attempt, job_id, call).filter(|_| retryable) else {
            return self.fail(job.loaded, failure).await;
        };
        let not_before = now.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        let why = brief(&format!("{}: {}: {}", failure.task, failure.kind, first_line(&failure.message)));
        keep_log(self.backend().store(), &self.work_now()).await?;
        let mut record = replay.next_attempt(job.task.digest.clone(), not_before, why);
        if self.is_traced() {
            self.note(&mut record, SpanEventKind::Failure);
        }
        let swapped = self
            .backend()
            .store()
            .swap(&Key::run(call, job_id), job.loaded.run_bytes.as_ref(), Some(record.encode()))
            .await;
        let swapped = match swapped {
            Ok(swapped) => swapped,
            Err(error) => return self.limit(job, error).await,
        };
        if swapped != Swap::Done {
            // Another run of the call has written the record. It may have lost its lease of this same message. Then this message
            // is the only one for the call. So it is given back at once, and the next delivery reads the other run's record.
            return self.nack(Duration::ZERO).await;
        }
        self.backend().queue().nack(&self.delivery.receipt, after).await?;
        self.report(job.loaded, Subject::Task, State::Running, State::Ready, |event| {
            event.attempt = attempt + 1;
            event.failure = Some(&failure);
            event.retry_in = Some(after);
        });
        Ok(Step::Retried { failure, attempt: attempt + 1, after })
    }

    pub(super) async fn fail(&self, loaded: &Loaded, failure: Failure) -> Result<Step> {
        let before_end = self.before_end().await;
        self.backend().fail(&self.work_now(), &failure).await?;
        self.report_span(loaded, before_end, Some(&failure)).await;
        let to = State::of_failure(&failure.kind);
        self.report(loaded, Subject::Task, State::Running, to, |event| event.failure = Some(&failure));
        self.report_ended(loaded, JobState::of(Err(&failure.kind)));
        Ok(Step::Failed(failure))
    }

    /// Fails the call if the error concerns only this call: the backend can't hold something, or a call hash stands for another
    /// call. Returns any other error.
    pub(super) async fn limit(&self, job: &StepJob<'_>, error: Error) -> Result<Step> {
        let kind = match error.kind {
            ErrorKind::Limit => FailureKind::Limit,
            ErrorKind::Conflict => FailureKind::Conflict,
            _ => return Err(error),
        };
        self.fail(job.loaded, Failure::new(kind, &job.call.task, error.to_string())).await
    }

    pub(super) async fn fail_cycle(&self, loaded: &Loaded, call: &CallRecord, path: &[CallHash]) -> Result<Step> {
        let mut names = Vec::with_capacity(path.len());
        for hash in path {
            names.push(format!("{} ({})", self.task_of(hash).await?, hash.short()));
        }
        let text = format!("the call waits for itself: {}", names.join(" -> "));
        self.fail(loaded, Failure::new(FailureKind::Cycle, &call.task, text)).await
    }

    /// Fails the whole job because it has sent too many messages. It would not be enough to fail the call that happened to send
    /// the last message.
    pub(super) async fn fail_job(&self, job: &StepJob<'_>, max_messages: u64) -> Result<Step> {
        let text = format!("the job has sent its limit of {max_messages} messages");
        let job_id = &self.work.message.job_id;
        let failure = Failure::new(FailureKind::Limit, &job.call.task, text);
        match &job.loaded.job {
            Some(record) if record.call != self.work.message.call => {
                let top = Failure::of_parent(&self.task_of(&record.call).await?, &failure);
                let before_end = self.before_end().await;
                self.backend().end_job(job_id, &top, self.now()).await?;
                self.backend().abandon(&self.work_now()).await?;
                self.report_span(job.loaded, before_end, Some(&failure)).await;
                self.report_spans_of_abandoned(job.loaded, JobState::Failed).await;
                self.report(job.loaded, Subject::Task, State::Running, State::Failed, |e| e.failure = Some(&failure));
                self.report_job_over(job.loaded, JobState::Failed).await;
                Ok(Step::Failed(failure))
            }
            _ => self.fail(job.loaded, failure).await,
        }
    }
}
