//! Runs the handler, and makes the transition that follows from the end of the run.

use std::time::Duration;

use super::{Stage, Step, StepJob};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{State, Subject};
use crate::model::{Call, CallHash, Failure, FailureKind};
use crate::ports::{Ended, Key, Request};
use crate::records::JobState;
use crate::replay::Replay;
use crate::wire::CallRecord;

impl Stage<'_> {
    pub(super) async fn run_handler(&self, job: &StepJob<'_>, running: Box<dyn Send>) -> Result<Step> {
        let StepJob { call, loaded, .. } = *job;
        let before = loaded.run.as_ref();
        let now = self.now();
        let deadline = loaded.job.as_ref().map_or(0, |job| job.deadline);
        let left = (deadline > 0).then(|| Duration::from_millis(deadline.saturating_sub(now)));
        let request = Request {
            task: call.task.clone(),
            payload: call.payload.clone(),
            call: self.work.message.call.clone(),
            job_id: self.work.message.job_id.clone(),
            topic: self.work.topic.clone(),
            attempt: job.attempt(),
            deadline,
            timeout: job.options.timeout.into_iter().chain(left).min(),
            memory: job.options.memory,
        };
        self.report_running(job);
        let known = before.map(|run| self.site.outcomes.take(&self.work.message, run)).unwrap_or_default();
        let replay = Replay::new(self.backend().clone(), &self.work, loaded, now).with_known(known);
        self.site.log.begin(job.attempt(), self.site.limits.keep_logs);
        let replay = replay.with_scopes(job.handler.scopes()).with_log(self.site.log.clone());
        let ran = job.handler.run(request, replay).await;
        // The rest is work for the backend. So another guest may run meanwhile.
        drop(running);
        let (ended, mut replay) = match ran {
            Err(error) if error.kind == ErrorKind::Conflict => return self.limit(job, error).await,
            ran => ran?,
        };

        if !matches!(ended, Ended::Failed { .. })
            && let Some((old, new)) = replay.first_difference()
        {
            let text = self.difference(old, new).await?;
            // A new version of the component may ask for other calls. That is no error.
            if before.is_some_and(|run| run.digest == job.task.digest) {
                return self.fail(loaded, Failure::new(FailureKind::Nondeterminism, &call.task, text)).await;
            }
            tracing::warn!(task = call.task, "a new version of the component asks for other calls: {text}");
        }
        if let Some(step) = self.start_detached(job, &mut replay).await? {
            return Ok(step);
        }
        match ended {
            Ended::Completed(value) => {
                let before_end = self.before_end().await;
                match self.backend().complete(&self.work_now(), value.clone()).await {
                    // The record of the waiting parents is damaged, so they can't be notified. `dead_letter` then ends the job. The value
                    // is stored nevertheless, because the call has computed it.
                    Err(error) if error.is_unreadable() => {
                        let key = Key::value(&self.work.message.call);
                        self.backend().store().swap(&key, None, Some(value)).await?;
                        Err(error)
                    }
                    Ok(()) => {
                        self.report_span(loaded, before_end, None).await;
                        self.report(loaded, Subject::Task, State::Running, State::Completed, |_| {});
                        self.report_ended(loaded, JobState::Completed);
                        Ok(Step::Completed)
                    }
                    Err(error) => self.limit(job, error).await,
                }
            }
            Ended::Failed { failure, retryable } => self.try_again_or_fail(job, &replay, failure, retryable).await,
            Ended::Suspended => match replay.take_wait() {
                Some(wait) => {
                    let record = replay.record(&wait, job.task.digest.clone());
                    self.defer(job, &wait, record, replay.into_known()).await
                }
                None => Err(Error::new(
                    ErrorKind::Internal,
                    "protocol",
                    format!("defer a run of {}", call.task),
                    "the handler says that it is suspended, but it has not polled",
                )),
            },
        }
    }

    pub(super) async fn difference(&self, old: &CallHash, new: Option<&Call>) -> Result<String> {
        let bytes = self.if_readable(&Key::call(old)).await?;
        let old = match bytes.and_then(|bytes| CallRecord::decode(&bytes).ok()) {
            Some(record) => describe(&record.task, &record.payload, old),
            None => format!("a call that no record describes ({})", old.short()),
        };
        let new = new.map_or_else(
            || "no call that it had not asked for before".to_owned(),
            |call| describe(&call.task, &call.payload, &call.hash),
        );
        Ok(format!(
            "a replay did not ask again for a call that the run before waits for\n- before: {old}\n+ now:    {new}"
        ))
    }
}

/// A call's task, the first 120 characters of its payload, and its hash.
fn describe(task: &str, payload: &[u8], call: &CallHash) -> String {
    let payload: String = String::from_utf8_lossy(payload).chars().take(120).collect();
    format!("{task} {payload} ({})", call.short())
}
