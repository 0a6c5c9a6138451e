//! A call that waits for a time. Its timer is a delayed message for the call itself: the same bytes as any other message of the
//! call, so a peer that gets it does no harm.
//!
//! The `run` record says when the latest timer message is due (`timer`). A call needs one such message only, so:
//!
//! - A call that begins to wait sends a timer message, unless one is on its way that is due soon enough.
//! - A message that comes too early is replaced by a timer message, unless one is on its way. So the messages of waits that ended
//!   early do not pile up.
//!
//! The clocks of two workers differ a little, and so a message counts as on its way only if it is due more than
//! `Limits::clock_skew` from now. One message too many does no harm. One message too few is a call that sleeps for ever: each
//! order of two accesses here is the one that leaves a message behind when the worker dies between them.

use std::time::Duration;

use super::{Stage, Step, StepJob};
use crate::error::Result;
use crate::model::Millis;
use crate::ports::{Key, Loaded, Outgoing, message_counter};
use crate::records::RunRecord;

impl Stage<'_> {
    /// True if a message that is due at this time is certainly still on its way.
    pub(super) fn is_on_its_way(&self, due: Millis) -> bool {
        due > self.now().saturating_add(self.site.limits.clock_skew.as_millis() as u64)
    }

    /// Makes sure that a message for the call comes when the wait of `run_after` is over, and notes this in `run_after`. This is
    /// done before that record is written. Returns false if the job may not send another message.
    pub(super) async fn arm_timer(&self, job: &StepJob<'_>, run_after: &mut RunRecord) -> Result<bool> {
        let until = run_after.until;
        if until == 0 || self.is_on_its_way(run_after.timer) && run_after.timer <= until {
            return Ok(true);
        }
        let counter = message_counter(&self.work.message.job_id);
        if self.backend().counters().incr(&counter, 1).await? > job.max_messages(self.site.limits) {
            return Ok(false);
        }
        self.send_timer(until).await?;
        run_after.timer = until;
        Ok(true)
    }

    async fn send_timer(&self, until: Millis) -> Result<()> {
        let delay = Duration::from_millis(until.saturating_sub(self.now()));
        let timer = Outgoing { delay, ..Outgoing::now(&self.work.topic, &self.work.message) };
        self.backend().queue().send_many(&[timer]).await
    }

    /// Handles a message for a call that waits for a time which has not come yet. `None`: the message is not needed, because a
    /// timer message is on its way.
    pub(super) async fn keep_as_timer(&self, loaded: &Loaded, run: &RunRecord) -> Result<Option<Step>> {
        if self.is_on_its_way(run.timer) {
            return Ok(None);
        }
        if run.timer == run.until {
            // This may be the timer message itself.
            let left = run.until.saturating_sub(self.now());
            return self.nack(Duration::from_millis(left)).await.map(Some);
        }
        // The record may name a new timer only if the queue has it. This message may have been delivered to another worker
        // meanwhile, so giving it back is not enough.
        self.send_timer(run.until).await?;
        // If another worker has written the record meanwhile, it has seen to a timer of its own.
        let key = Key::run(&self.work.message.call, &self.work.message.job_id);
        let noted = RunRecord { timer: run.until, ..run.clone() };
        self.backend().store().swap(&key, loaded.run_bytes.as_ref(), Some(noted.encode())).await?;
        Ok(None)
    }
}
