//! The detached jobs that a run has asked for.

use super::{Stage, Step, StepJob};
use crate::error::Result;
use crate::model::{Failure, FailureKind, brief};
use crate::ports::{Scheduled, message_counter};
use crate::replay::{Replay, Wait};

impl Stage<'_> {
    /// Starts the detached jobs of a run. This comes before anything says how the run ended. A run that is repeated starts them
    /// again, under the same ids, which changes nothing. `Some`: the call can't go on, and this is its step.
    pub(super) async fn start_detached(&self, job: &StepJob<'_>, replay: &mut Replay) -> Result<Option<Step>> {
        let jobs = replay.take_detached();
        if jobs.is_empty() {
            return Ok(None);
        }
        let record = replay.record(&Wait::default(), job.task.digest.clone());
        let calls: Vec<_> = jobs.iter().map(|new| &new.call).collect();
        if let Some(step) = self.check_topics(job, &calls, &record).await? {
            return Ok(Some(step));
        }
        // Each of them counts as a message of this job. So a call can't start jobs without end.
        let (max_messages, counter) = (job.max_messages(self.site.limits), message_counter(&self.work.message.job_id));
        if self.backend().counters().incr(&counter, jobs.len() as u64).await? > max_messages {
            return self.fail_job(job, max_messages).await.map(Some);
        }
        for new in &jobs {
            match self.backend().schedule(new, self.now()).await {
                Ok(Scheduled::Queued | Scheduled::AlreadyDone) => {}
                Ok(Scheduled::Taken) => {
                    let text = format!(
                        "it starts a detached job of {} where an earlier attempt started another one; start the same jobs, in the \
                         same order, in each attempt",
                        brief(&new.call.task)
                    );
                    let failure = Failure::new(FailureKind::Nondeterminism, &job.call.task, text);
                    return self.fail(job.loaded, failure).await.map(Some);
                }
                Err(error) => return self.limit(job, error).await.map(Some),
            }
        }
        Ok(None)
    }
}
