//! A task that no handler of this worker handles.

use std::time::Duration;

use super::{Stage, Step};
use crate::error::Result;
use crate::model::{Failure, FailureKind, Millis};
use crate::ports::{Key, Loaded, Swap};
use crate::wire::CallRecord;

impl Stage<'_> {
    /// A task that nobody here handles: perhaps a new version of this worker is on its way. The first sight of it is
    /// written down, because the next delivery may go to another worker.
    pub(super) async fn unknown_task(&self, call: &CallRecord, loaded: &Loaded) -> Result<Step> {
        let mut run = loaded.run.clone().unwrap_or_default();
        if run.unknown_since == 0 {
            run.unknown_since = self.now();
            let key = Key::run(&self.work.message.call, &self.work.message.root);
            let swap = self.backend().store().swap(&key, loaded.run_bytes.as_ref(), Some(run.encode())).await?;
            if swap != Swap::Done {
                return self.give_back(Duration::ZERO).await;
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
        self.give_back(delay).await
    }

    /// How long until it is looked again for something that has been unknown since then: soon at first, then more and more
    /// rarely, but not past the grace. If the grace is over: how long it took.
    pub(super) fn until_next_look(&self, since: Millis) -> std::result::Result<Duration, Duration> {
        let waited = Duration::from_millis(self.now().saturating_sub(since));
        if waited >= self.site.limits.unknown_task_grace {
            return Err(waited);
        }
        let left = self.site.limits.unknown_task_grace - waited;
        Ok((waited / 2).clamp(Duration::from_millis(200), Duration::from_secs(5)).min(left))
    }
}
