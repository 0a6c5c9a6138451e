//! A message that runs nothing: the job is over, or the call can not go on yet.

use std::collections::HashSet;
use std::time::Duration;

use super::{Stage, Step};
use crate::error::Result;
use crate::events::State;
use crate::model::{Failure, FailureKind, Millis};
use crate::ports::Loaded;
use crate::records::{JobRecord, JobState};
use crate::stepwise::find_cycle;
use crate::wire::CallRecord;

impl Stage<'_> {
    /// How the job ended; `None`: it is alive. A job whose deadline has passed is ended here and now.
    pub(super) async fn ended(&self, job: &JobRecord, now: Millis) -> Result<Option<JobState>> {
        if let Some(end) = job.end {
            return Ok(Some(end.state));
        }
        if !job.is_overdue(now) {
            return Ok(None);
        }
        let failure = overdue(job, &self.task_of(&job.call).await?);
        let job = self.backend().end_job(&self.work.message.root, &failure, now).await?;
        Ok(job.and_then(|job| job.end).map(|end| end.state))
    }

    pub(super) async fn release(&self, loaded: &Loaded, state: JobState, from: State) -> Result<Step> {
        // Also of the top call: its outcome was put when the job was ended, and what waits for it in other jobs must not
        // take that for theirs.
        self.backend().release(&self.work).await?;
        self.tell_dropped(loaded, from, state).await;
        Ok(Step::Released(state))
    }

    /// A message for a call that can't go on yet. Such a message also comes where a call waits for itself.
    pub(super) async fn drop_early(&self, call: &CallRecord, loaded: &Loaded) -> Result<Step> {
        let me = &self.work.message.call;
        if let Some(path) = find_cycle(self.backend().store(), me, HashSet::from([me.clone()])).await? {
            return self.fail_cycle(loaded, call, &path).await;
        }
        // It may be the one that ends the job at its deadline, brought by a queue whose clock is ahead of ours.
        let deadline = loaded.job.as_ref().map(|job| job.deadline).filter(|at| self.work.ends_job.is_some() && *at > 0);
        if let Some(deadline) = deadline {
            return self.give_back(Duration::from_millis(deadline.saturating_sub(self.now()))).await;
        }
        // What it waits for may be missing because it was there and is forgotten, and then the job is over by now. A message that is
        // dropped would leave the call behind as one that is still waited for.
        if let Some(end) = self.job().await?.and_then(|job| job.end) {
            return self.release(loaded, end.state, self.before).await;
        }
        self.ack().await?;
        Ok(Step::NotReady)
    }

    pub(super) async fn state_of_job(&self) -> Result<JobState> {
        let job = self.job().await?;
        Ok(job.and_then(|job| job.end).map_or(JobState::Cancelled, |end| end.state))
    }
}

/// The failure of a job's top call whose deadline has passed.
#[must_use]
pub fn overdue(job: &JobRecord, task: &str) -> Failure {
    let after = Duration::from_millis(job.deadline.saturating_sub(job.created));
    Failure::new(FailureKind::Timeout, task, format!("the job did not end within its {after:?}"))
}
