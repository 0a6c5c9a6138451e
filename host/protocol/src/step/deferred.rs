//! A call that waits for other calls.

use std::collections::HashSet;
use std::time::Duration;

use super::{Job, Stage, Step};
use crate::error::Result;
use crate::events::{State, Subject};
use crate::model::{Call, Failure, FailureKind, brief};
use crate::outcome_cache::KnownOutcomes;
use crate::ports::{Deferral, Deferred, Key, Swap};
use crate::records::RunRecord;
use crate::replay::Wait;
use crate::topics::Callable;

impl Stage<'_> {
    pub(super) async fn defer(
        &self,
        job: &Job<'_>,
        wait: &Wait,
        run_after: &RunRecord,
        known: KnownOutcomes,
    ) -> Result<Step> {
        if let Some(step) = self.check_topics(job, wait, run_after).await? {
            return Ok(step);
        }
        let spawn_limit = job.spawn_limit(self.site.limits);
        let deferral = Deferral {
            work: &self.work,
            wait,
            run_before: job.loaded.run_bytes.as_ref(),
            run_after,
            now: self.now(),
            spawn_limit,
        };
        match self.backend().defer(&deferral).await {
            Ok(Deferred::Waiting { queued }) => {
                self.site.outcomes.put(&self.work.message, run_after, known);
                self.tell_deferred(job.loaded, wait, &queued);
                Ok(Step::Deferred { waiting: wait.calls.len() })
            }
            Ok(Deferred::JobOver) => {
                let state = self.state_of_job().await?;
                self.tell_dropped(job.loaded, State::Running, state).await;
                Ok(Step::Released(state))
            }
            Ok(Deferred::OverSpawnLimit) => self.fail_job(job, spawn_limit).await,
            Ok(Deferred::Cycle(path)) => self.fail_cycle(job.loaded, job.call, &path).await,
            Err(error) => self.limit(job, error).await,
        }
    }

    /// A run that asks for a call on a topic that may not be called does not defer. If workers may yet announce the topic (they
    /// start in any order), the run is made again a little later, up to the grace; else it fails.
    pub(super) async fn check_topics(&self, job: &Job<'_>, wait: &Wait, run_after: &RunRecord) -> Result<Option<Step>> {
        let mut checked = HashSet::from([&self.work.topic]);
        for call in &wait.calls {
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

    /// Nobody has announced the topic of a call.
    pub(super) async fn unannounced(&self, job: &Job<'_>, call: &Call, run_after: &RunRecord) -> Result<Step> {
        // A call that has not run yet was waiting for its own task.
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
        // It waits for no call: what it asks for is not registered yet.
        let run = RunRecord { total: 0, need: 0, sample: Vec::new(), unknown_since: since, ..run_after.clone() };
        let key = Key::run(&self.work.message.call, &self.work.message.root);
        let swap = self.backend().store().swap(&key, job.loaded.run_bytes.as_ref(), Some(run.encode())).await?;
        self.tell(job.loaded, Subject::Task, State::Running, State::Ready, |_| {});
        self.give_back(if swap == Swap::Done { delay } else { Duration::ZERO }).await
    }
}
