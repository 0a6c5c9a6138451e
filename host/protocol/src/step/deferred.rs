//! A call that waits for other calls or for a time.

use std::collections::HashSet;
use std::time::Duration;

use super::{Stage, Step, StepJob};
use crate::error::Result;
use crate::events::{State, Subject};
use crate::model::{Call, Failure, FailureKind, brief};
use crate::multi_step::keep_log;
use crate::outcome_cache::KnownOutcomes;
use crate::ports::{Deferral, Deferred, Key, Swap};
use crate::records::RunRecord;
use crate::replay::Wait;
use crate::topics::Callable;
use crate::trace::SpanEventKind;

impl Stage<'_> {
    pub(super) async fn defer(
        &self,
        job: &StepJob<'_>,
        wait: &Wait,
        mut run_after: RunRecord,
        known: KnownOutcomes,
    ) -> Result<Step> {
        if let Some(step) = self.check_topics(job, &wait.calls.iter().collect::<Vec<_>>(), &run_after).await? {
            return Ok(step);
        }
        let max_messages = job.max_messages(self.site.limits);
        if !self.arm_timer(job, &mut run_after).await? {
            return self.fail_job(job, max_messages).await;
        }
        let work = self.work_now();
        let traced = self.is_traced().then(|| {
            self.note(&mut run_after, SpanEventKind::Wait);
            Wait { calls: self.traced_calls(&wait.calls), ..wait.clone() }
        });
        let wait = traced.as_ref().unwrap_or(wait);
        let deferral = Deferral {
            work: &work,
            wait,
            run_before: job.loaded.run_bytes.as_ref(),
            run_after: &run_after,
            max_messages,
        };
        match self.backend().defer(&deferral).await {
            Ok(Deferred::Waiting { queued }) => {
                self.site.outcomes.put(&self.work.message, &run_after, known);
                self.report_deferred(job.loaded, wait, &queued);
                Ok(Step::Deferred { waiting: wait.calls.len() })
            }
            Ok(Deferred::JobOver) => {
                let state = self.state_of_job().await?;
                self.report_abandoned(job.loaded, State::Running, state).await;
                Ok(Step::Abandoned(state))
            }
            Ok(Deferred::TooManyMessages) => self.fail_job(job, max_messages).await,
            Ok(Deferred::Cycle(path)) => self.fail_cycle(job.loaded, job.call, &path).await,
            Err(error) => self.limit(job, error).await,
        }
    }

    /// Checks the topics of the calls that a run asks for. If a topic may not be called, the run does not defer. If workers may
    /// still announce the topic (workers start in any order), the call is run again a little later, until the grace period is
    /// over. Otherwise the call fails.
    pub(super) async fn check_topics(
        &self,
        job: &StepJob<'_>,
        calls: &[&Call],
        run_after: &RunRecord,
    ) -> Result<Option<Step>> {
        let mut checked = HashSet::from([&self.work.topic]);
        for call in calls.iter().copied() {
            if !checked.insert(&call.topic) {
                continue;
            }
            match self.site.limits.call_topics.judge(&**self.backend(), &call.topic).await? {
                Callable::Yes => {}
                Callable::Never(reason) => {
                    let text = format!("its call of {} can't be made: {reason}", brief(&call.task));
                    return self
                        .fail(job.loaded, Failure::new(FailureKind::Limit, &job.call.task, text))
                        .await
                        .map(Some);
                }
                Callable::Unannounced => return self.unannounced(job, call, run_after).await.map(Some),
            }
        }
        Ok(None)
    }

    /// Handles a call whose topic no worker has announced.
    pub(super) async fn unannounced(&self, job: &StepJob<'_>, call: &Call, run_after: &RunRecord) -> Result<Step> {
        // If the call has not run yet, `unknown_since` is about its own task, not about the topic.
        let before = job.loaded.run.as_ref().filter(|run| run.first > 0).map_or(0, |run| run.unknown_since);
        let since = if before > 0 { before } else { self.now() };
        let delay = match self.until_next_look(since) {
            Ok(delay) => delay,
            Err(waited) => {
                let text = format!(
                    "its call of {} can't be made: no worker has announced the topic {:?} for {} s; start one, or name the \
                     topic to this worker: run --call-topic {}",
                    brief(&call.task),
                    call.topic.as_str(),
                    waited.as_secs(),
                    call.topic
                );
                return self.fail(job.loaded, Failure::new(FailureKind::UnknownTask, &job.call.task, text)).await;
            }
        };
        // The record names no calls, because the calls that the run asked for are not registered yet.
        let run = RunRecord {
            total: 0,
            need: 0,
            until: 0,
            pace: 0,
            sample: Vec::new(),
            unknown_since: since,
            ..run_after.clone()
        };
        keep_log(self.backend().store(), &self.work_now()).await?;
        let key = Key::run(&self.work.message.call, &self.work.message.job_id);
        let swap = self.backend().store().swap(&key, job.loaded.run_bytes.as_ref(), Some(run.encode())).await?;
        self.report(job.loaded, Subject::Task, State::Running, State::Ready, |_| {});
        self.nack(if swap == Swap::Done { delay } else { Duration::ZERO }).await
    }
}
