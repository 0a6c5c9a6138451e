//! The detached jobs that a run has asked for.

use super::{Stage, Step, StepJob};
use crate::error::Result;
use crate::model::{Call, Failure, FailureKind, brief};
use crate::ports::{Key, NewJob, Scheduled, message_counter};
use crate::records::JobRecord;
use crate::replay::{Detached, Replay, Wait};
use crate::starting::is_job_of;

impl Stage<'_> {
    /// Starts the detached jobs of a run. This comes before anything says how the run ended. A run that is repeated starts them
    /// again, under the same ids, which changes nothing. `Some`: the call can't go on, and this is its step.
    pub(super) async fn start_detached(&self, job: &StepJob<'_>, replay: &mut Replay) -> Result<Option<Step>> {
        let jobs = replay.take_detached();
        if jobs.is_empty() {
            return Ok(None);
        }
        let mut record = replay.record(&Wait::default(), job.task.digest.clone());
        // None of these jobs has been started yet.
        record.detached = job.loaded.run.as_ref().map_or(0, |run| run.detached);
        let calls: Vec<_> = jobs.iter().map(|new| &new.job.call).collect();
        if let Some(step) = self.check_topics(job, &calls, &record).await? {
            return Ok(Some(step));
        }
        // Each of them counts as a message of this job. So a call can't start jobs without end.
        let (max_messages, counter) = (job.max_messages(self.site.limits), message_counter(&self.work.message.job_id));
        if self.backend().counters().incr(&counter, jobs.len() as u64).await? > max_messages {
            return self.fail_job(job, max_messages).await.map(Some);
        }
        for new in &jobs {
            match self.backend().schedule(&new.job, self.now()).await {
                Ok(Scheduled::Queued | Scheduled::AlreadyDone) => {}
                Ok(Scheduled::Taken) if self.is_started(new).await? => {}
                Ok(Scheduled::Taken) => {
                    let text = format!(
                        "it starts a detached job of {} where an earlier attempt started another one; start the same jobs, in the \
                         same order, in each attempt",
                        brief(&new.job.call.task)
                    );
                    let failure = Failure::new(FailureKind::Nondeterminism, &job.call.task, text);
                    return self.fail(job.loaded, failure).await.map(Some);
                }
                Err(error) => return self.limit(job, error).await.map(Some),
            }
        }
        Ok(None)
    }

    /// Has an earlier attempt started this job, in another period of its scope?
    async fn is_started(&self, new: &Detached) -> Result<bool> {
        let NewJob { job_id, call, options, .. } = &new.job;
        let key = Key::job(job_id);
        let Some(bytes) = self.backend().store().get(&key).await? else { return Ok(true) };
        let found = JobRecord::decode(&bytes).map_err(|error| error.of(&key))?;
        let asked = Call { hash: new.hash.clone(), ..call.clone() };
        is_job_of(&**self.backend(), job_id, &found, &asked, options.scope.unwrap_or_default()).await
    }
}
