//! A message after which nothing runs: the job is over, or the call can not go on yet.

use std::collections::HashSet;
use std::time::Duration;

use super::{Stage, Step};
use crate::error::Result;
use crate::events::State;
use crate::model::{Failure, FailureKind, Millis};
use crate::multi_step::find_cycle;
use crate::ports::Loaded;
use crate::records::{JobRecord, JobState};
use crate::wire::CallRecord;

impl Stage<'_> {
    /// How the job ended. `None`: the job is alive. If the deadline of the job has passed, this ends the job.
    pub(super) async fn ended(&self, job: &JobRecord, now: Millis) -> Result<Option<JobState>> {
        if let Some(end) = job.end {
            return Ok(Some(end.state));
        }
        if !job.is_overdue(now) {
            return Ok(None);
        }
        let failure = overdue(job, &self.task_of(&job.call).await?);
        let job = self.backend().end_job(&self.work.message.job_id, &failure, now).await?;
        Ok(job.and_then(|job| job.end).map(|end| end.state))
    }

    pub(super) async fn abandon(&self, loaded: &Loaded, state: JobState, from: State) -> Result<Step> {
        // This is done for the top call, too. Its outcome was put when the job was ended. The parents that wait for it in other
        // jobs must not take that outcome for theirs.
        self.backend().abandon(&self.work_now()).await?;
        self.report_abandoned(loaded, from, state).await;
        Ok(Step::Abandoned(state))
    }

    /// Handles a message for a call that can not go on yet. Such a message also comes if a call waits for itself.
    pub(super) async fn drop_early(&self, call: &CallRecord, loaded: &Loaded) -> Result<Step> {
        let me = &self.work.message.call;
        if let Some(path) = find_cycle(self.backend().store(), me, HashSet::from([me.clone()])).await? {
            return self.fail_cycle(loaded, call, &path).await;
        }
        // Some outcomes are there, and it is not worth running the call for them yet. This may be the message for that time.
        if let Some(run) = &loaded.run
            && let Some(look) = loaded.look(run)
        {
            let next = if run.until > 0 { look.min(run.until) } else { look };
            return self.nack(Duration::from_millis(next.saturating_sub(self.now()))).await;
        }
        let waiting = loaded.run.as_ref().filter(|run| run.until > 0);
        let deadline = loaded.job.as_ref().map(|job| job.deadline).filter(|at| self.work.ends_job && *at > 0);
        // This may be the message that ends the job at its deadline. A queue whose clock is ahead of ours delivers it too
        // early. A message that comes long before the deadline of a call with a timer is not that message.
        if let Some(deadline) = deadline
            && (waiting.is_none() || !self.is_on_its_way(deadline))
        {
            // A call with a timer has two messages. Whichever of them runs the call, the other one is left for the deadline.
            let next = waiting.map_or(deadline, |run| run.until.min(deadline));
            return self.nack(Duration::from_millis(next.saturating_sub(self.now()))).await;
        }
        if let Some(run) = waiting
            && let Some(step) = self.keep_as_timer(loaded, run).await?
        {
            return Ok(step);
        }
        // A child's outcome may be missing because it was removed after the job was over. Then the job is over by now. If the
        // message were dropped, the records would go on saying that parents wait for this call.
        if let Some(end) = self.job().await?.and_then(|job| job.end) {
            return self.abandon(loaded, end.state, self.before).await;
        }
        self.ack().await?;
        Ok(Step::NotReady)
    }

    pub(super) async fn state_of_job(&self) -> Result<JobState> {
        let job = self.job().await?;
        Ok(job.and_then(|job| job.end).map_or(JobState::Cancelled, |end| end.state))
    }
}

/// The failure of a job's top call after the job's deadline has passed.
#[must_use]
pub fn overdue(job: &JobRecord, task: &str) -> Failure {
    let after = Duration::from_millis(job.deadline.saturating_sub(job.created.max(job.start)));
    Failure::new(FailureKind::Timeout, task, format!("the job did not end within its {after:?}"))
}
