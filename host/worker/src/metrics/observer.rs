//! An observer that counts the events before it passes them on.

use std::sync::Arc;

use brrr_protocol::events::{Event, Observer, State, Subject};
use brrr_protocol::model::JobId;
use brrr_protocol::trace::CallSpan;
use opentelemetry::KeyValue;

use super::Metrics;

pub(super) struct MeteredObserver {
    pub inner: Option<Arc<dyn Observer>>,
    pub metrics: Arc<Metrics>,
}

impl Observer for MeteredObserver {
    fn traces(&self, job_id: &JobId) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.traces(job_id))
    }

    fn span(&self, span: &CallSpan<'_>) {
        if let Some(inner) = &self.inner {
            inner.span(span);
        }
    }

    fn observe(&self, event: &Event<'_>) {
        self.metrics.observe(event);
        if let Some(inner) = &self.inner {
            inner.observe(event);
        }
    }
}

impl Metrics {
    fn observe(&self, event: &Event<'_>) {
        let task = || self.tasks.label(event.task);
        let ended = || [task(), KeyValue::new("outcome", event.to.as_str())];
        match (event.subject, event.from, event.to) {
            (Subject::Task, _, State::Completed | State::Failed | State::Cancelled | State::TimedOut) => {
                self.calls.add(1, &ended());
            }
            (Subject::Job, _, State::Completed | State::Failed | State::Cancelled | State::TimedOut) => {
                self.jobs.add(1, &ended());
            }
            (Subject::Task, State::Deferred, State::Running) => self.replays.add(1, &[task()]),
            (Subject::Task, State::Running, State::Ready) if event.failure.is_some() => {
                self.retries.add(1, &[task()]);
            }
            _ => {}
        }
    }
}
