//! Reports changes of state to the observer.

use super::{Stage, StepJob};
use crate::events::{Event, State, Subject};
use crate::ports::Loaded;
use crate::records::JobState;
use crate::replay::Wait;

impl Stage<'_> {
    pub(super) fn report<'e>(
        &'e self,
        loaded: &'e Loaded,
        subject: Subject,
        from: State,
        to: State,
        more: impl FnOnce(&mut Event<'e>),
    ) {
        let Some(observer) = self.site.observer else { return };
        let run = loaded.run.as_ref();
        let mut event = Event {
            at: self.now(),
            subject,
            from,
            to,
            job_id: &self.work.message.job_id,
            call: &self.work.message.call,
            task: loaded.call.as_ref().map_or("?", |call| &call.task),
            label: run.and_then(|run| run.options.label.as_deref()),
            topic: &self.work.topic,
            attempt: run.map_or(1, |run| run.attempt.max(1)),
            failure: None,
            retry_in: None,
            waiting: None,
        };
        more(&mut event);
        observer.observe(&event);
    }

    /// Reports that the call runs. The first run of a job's top call is also the first event of the job.
    pub(super) fn report_running(&self, job: &StepJob<'_>) {
        let loaded = job.loaded;
        if self.work.ends_job && loaded.run.is_none() && self.delivery.receives <= 1 {
            let created = loaded.job.as_ref().map_or(0, |job| job.created);
            self.report(loaded, Subject::Job, State::Unscheduled, State::Ready, |event| event.at = created);
            self.report(loaded, Subject::Task, State::Unscheduled, State::Ready, |event| event.at = created);
            self.report(loaded, Subject::Job, State::Ready, State::Running, |_| {});
        }
        self.report(loaded, Subject::Task, self.before, State::Running, |_| {});
    }

    pub(super) fn report_deferred(&self, loaded: &Loaded, wait: &Wait, queued: &[usize]) {
        if self.site.observer.is_none() {
            return;
        }
        self.report(loaded, Subject::Task, State::Running, State::Deferred, |event| {
            event.waiting = Some(wait.calls.len());
        });
        for call in queued.iter().filter_map(|index| wait.calls.get(*index)) {
            self.report(loaded, Subject::Task, State::Unscheduled, State::Ready, |event| {
                event.call = &call.hash;
                event.task = &call.task;
                event.topic = &call.topic;
                event.label = call.options.label.as_deref();
                event.attempt = 1;
            });
        }
    }

    /// Reports the end of the job, if the call that has ended is the job's top call.
    pub(super) fn report_ended(&self, loaded: &Loaded, state: JobState) {
        if self.work.ends_job && loaded.job.as_ref().is_some_and(|job| !job.is_over()) {
            self.report(loaded, Subject::Job, State::Running, state.into(), |_| {});
        }
    }

    /// Reports that the call was abandoned, because its job is over.
    pub(super) async fn report_abandoned(&self, loaded: &Loaded, from: State, state: JobState) {
        // If the job completed or failed without this call, the call counts as cancelled.
        let (to, end) = match state {
            JobState::TimedOut => (State::TimedOut, state),
            _ => (State::Cancelled, JobState::Cancelled),
        };
        self.report_spans_of_abandoned(loaded, end).await;
        let early = matches!(state, JobState::Cancelled | JobState::TimedOut);
        if early || !self.work.ends_job {
            self.report(loaded, Subject::Task, from, to, |_| {});
        }
        if early {
            self.report_job_over(loaded, state).await;
        }
    }

    /// Reports that the job was ended before its top call. Every worker that has a call of the job reports this, so an observer
    /// may see the event several times.
    pub(super) async fn report_job_over(&self, loaded: &Loaded, state: JobState) {
        if let (Some(job), Some(_)) = (&loaded.job, self.site.observer) {
            // The task is only shown to people. A read that fails must not fail the step.
            let task = self.task_of(&job.call).await.unwrap_or_else(|_| "?".to_owned());
            self.report(loaded, Subject::Job, State::Running, state.into(), |event| {
                (event.call, event.topic, event.task) = (&job.call, &job.topic, &task);
                (event.attempt, event.label) = (1, None);
            });
        }
    }
}
