//! What is told to those who watch.

use super::{Job, Stage};
use crate::events::{Event, State, Subject};
use crate::ports::Loaded;
use crate::records::JobState;
use crate::replay::Wait;

impl Stage<'_> {
    pub(super) fn tell<'e>(
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
            root: &self.work.message.root,
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

    /// The first run of a job's top call is also the first that is seen of the job.
    pub(super) fn tell_running(&self, job: &Job<'_>) {
        let loaded = job.loaded;
        if self.work.ends_job.is_some() && loaded.run.is_none() && self.delivery.receives <= 1 {
            let created = loaded.job.as_ref().map_or(0, |job| job.created);
            self.tell(loaded, Subject::Job, State::Unscheduled, State::Ready, |event| event.at = created);
            self.tell(loaded, Subject::Task, State::Unscheduled, State::Ready, |event| event.at = created);
            self.tell(loaded, Subject::Job, State::Ready, State::Running, |_| {});
        }
        self.tell(loaded, Subject::Task, self.before, State::Running, |_| {});
    }

    pub(super) fn tell_deferred(&self, loaded: &Loaded, wait: &Wait, queued: &[usize]) {
        if self.site.observer.is_none() {
            return;
        }
        self.tell(loaded, Subject::Task, State::Running, State::Deferred, |event| {
            event.waiting = Some(wait.calls.len());
        });
        for call in queued.iter().filter_map(|place| wait.calls.get(*place)) {
            self.tell(loaded, Subject::Task, State::Unscheduled, State::Ready, |event| {
                event.call = &call.hash;
                event.task = &call.task;
                event.topic = &call.topic;
                event.label = call.options.label.as_deref();
                event.attempt = 1;
            });
        }
    }

    /// The job's top call has ended, and the job with it.
    pub(super) fn tell_ended(&self, loaded: &Loaded, state: JobState) {
        if self.work.ends_job.is_some() && loaded.job.as_ref().is_some_and(|job| !job.is_over()) {
            self.tell(loaded, Subject::Job, State::Running, state.into(), |_| {});
        }
    }

    /// The call was let go, because its job is over.
    pub(super) async fn tell_dropped(&self, loaded: &Loaded, from: State, state: JobState) {
        // To a job that completed or failed without it, it is cancelled.
        let to = if state == JobState::TimedOut { State::TimedOut } else { State::Cancelled };
        let early = matches!(state, JobState::Cancelled | JobState::TimedOut);
        if early || self.work.ends_job.is_none() {
            self.tell(loaded, Subject::Task, from, to, |_| {});
        }
        if early {
            self.tell_job_over(loaded, state).await;
        }
    }

    /// The job was ended before its top call was. Every worker tells that has something of the job; who watches hears it
    /// several times.
    pub(super) async fn tell_job_over(&self, loaded: &Loaded, state: JobState) {
        if let (Some(job), Some(_)) = (&loaded.job, self.site.observer) {
            // Only for who watches: no reason to fail.
            let task = self.task_of(&job.call).await.unwrap_or_else(|_| "?".to_owned());
            self.tell(loaded, Subject::Job, State::Running, state.into(), |event| {
                (event.call, event.topic, event.task) = (&job.call, &job.topic, &task);
                (event.attempt, event.label) = (1, None);
            });
        }
    }
}
