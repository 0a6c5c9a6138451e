//! A task for which this worker has no handler.

use std::time::Duration;

use super::{Stage, Step};
use crate::error::Result;
use crate::model::{Failure, FailureKind, Millis};
use crate::ports::{Key, Loaded, Swap};
use crate::wire::CallRecord;

impl Stage<'_> {
    /// Handles a call whose task this worker does not handle. A new version of the worker may be about to start. The time at
    /// which the task was first unknown is written down, because the next delivery may go to another worker.
    pub(super) async fn unknown_task(&self, call: &CallRecord, loaded: &Loaded) -> Result<Step> {
        let mut run = loaded.run.clone().unwrap_or_default();
        if run.unknown_since == 0 {
            run.unknown_since = self.now();
            let key = Key::run(&self.work.message.call, &self.work.message.job_id);
            let swap = self.backend().store().swap(&key, loaded.run_bytes.as_ref(), Some(run.encode())).await?;
            if swap != Swap::Done {
                return self.nack(Duration::ZERO).await;
            }
        }
        let delay = match self.until_next_look(run.unknown_since) {
            Ok(delay) => delay,
            Err(waited) => {
                let text = format!(
                    "no worker of topic {:?} has handled this task for {} s",
                    self.work.topic.as_str(),
                    waited.as_secs()
                );
                return self.fail(loaded, Failure::new(FailureKind::UnknownTask, &call.task, text)).await;
            }
        };
        self.nack(delay).await
    }

    /// How long to wait before the next look for something that has been unknown since `since`. The waits are short at first
    /// and then grow, but they end with the grace period. `Err`: the grace period is over, and this is how long it has been
    /// unknown.
    pub(super) fn until_next_look(&self, since: Millis) -> std::result::Result<Duration, Duration> {
        let waited = Duration::from_millis(self.now().saturating_sub(since));
        if waited >= self.site.limits.unknown_task_grace {
            return Err(waited);
        }
        let left = self.site.limits.unknown_task_grace - waited;
        Ok((waited / 2).clamp(Duration::from_millis(200), Duration::from_secs(5)).min(left))
    }
}
