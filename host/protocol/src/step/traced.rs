//! What a step does for the trace of its job: nothing, if the job is not traced.
//!
//! A call has one span in each job for which it was run. The `run` record says what the span has to tell. Whoever takes that out of
//! the record reports the span: the worker whose run has ended the call, or else the one that meets a message of a call that has
//! ended without it. That is a worker of another job that has run the call too, or the one after a worker that died.

use bytes::Bytes;

use super::Stage;
use crate::model::{Call, CallHash, Failure, FailureKind, Millis};
use crate::ports::{Key, Loaded, Swap};
use crate::records::{JobRecord, JobState, RunRecord};
use crate::trace::{CallSpan, SpanEventKind, Story, parents};
use crate::wire::{CallRecord, Message, PendingReturns};

/// How often a record is read again that others change at the same time.
const TRIES: usize = 5;

/// Who waits for a call that is about to end. It is read before, because the end removes it. `None`: the job is not traced.
pub(super) type BeforeEnd = Option<PendingReturns>;

impl Stage<'_> {
    /// Reports the span of a call whose message is a dead letter. What it loaded may be what was damaged, so it is read again.
    pub(super) async fn report_span_of_dead_letter(
        &self,
        job: Option<JobRecord>,
        before: BeforeEnd,
        failure: &Failure,
    ) {
        if before.is_none() {
            return;
        }
        let Message { job_id, call } = &self.work.message;
        let run_bytes = self.if_readable(&Key::run(call, job_id)).await.ok().flatten();
        let record = self.if_readable(&Key::call(call)).await.ok().flatten();
        let loaded = Loaded {
            call: record.and_then(|bytes| CallRecord::decode(&bytes).ok()),
            job: job.map(Box::new),
            run: run_bytes.as_ref().and_then(|bytes| RunRecord::decode(bytes).ok()),
            run_bytes,
            ..Loaded::default()
        };
        self.report_span(&loaded, before, Some(failure)).await;
    }

    pub(super) fn is_traced(&self) -> bool {
        self.site.observer.is_some_and(|observer| observer.traces(&self.work.message.job_id))
    }

    /// The calls that a run waits for, each with the story that begins now.
    pub(super) fn traced_calls(&self, calls: &[Call]) -> Vec<Call> {
        let story = Story { parent: Some(self.work.message.call.clone()), queued: self.now(), ..Story::default() };
        let text = story.to_string();
        let mut calls = calls.to_vec();
        for call in &mut calls {
            call.options.trace = Some(text.clone());
        }
        calls
    }

    /// Adds to the record that a run has begun, and how it ended.
    pub(super) fn note(&self, record: &mut RunRecord, what: SpanEventKind) {
        let mut story = Story::read(record.options.trace.as_deref());
        story.add(SpanEventKind::Run, self.work.now);
        story.add(what, self.now());
        record.options.trace = Some(story.to_string());
    }

    /// Reads who waits for the call, which is about to end.
    pub(super) async fn before_end(&self) -> BeforeEnd {
        if !self.is_traced() {
            return None;
        }
        // What can't be read is not worth a failure.
        let key = Key::pending_returns(&self.work.message.call);
        let bytes = self.backend().store().get(&key).await.ok().flatten();
        Some(bytes.and_then(|bytes| PendingReturns::decode(&bytes).ok()).unwrap_or_default())
    }

    /// Reports the span of the call, which this worker has ended.
    pub(super) async fn report_span(&self, loaded: &Loaded, before: BeforeEnd, failure: Option<&Failure>) {
        let Some(pending) = before else { return };
        let is_told = |bytes: &Bytes| loaded.run_bytes.as_ref() != Some(bytes) || tells(loaded.run.as_ref());
        // A call without a record has run once. One whose record tells nothing was queued by a peer.
        let (mut story, is_newer) = match self.run_bytes(loaded).await.filter(is_told) {
            None => (Story::default(), false),
            Some(bytes) => match self.take_story(&self.work.message, bytes).await {
                Some((story, is_newer)) => (story, is_newer || loaded.run_bytes.is_none()),
                None => return,
            },
        };
        // A record that was written meanwhile may tell of this run already.
        if self.ran && !is_newer {
            story.add(SpanEventKind::Run, self.work.now);
        }
        let state = JobState::of(failure.map_or(Ok(()), |failure| Err::<_, &FailureKind>(&failure.kind)));
        self.send_span(&self.work.message, loaded, &pending, story, (state, failure));
    }

    /// Reports the span of a call that has ended without this worker, unless somebody has reported it. `first`: the call ends its
    /// job, and was not run for it.
    pub(super) async fn report_span_of_ended(
        &self,
        loaded: &Loaded,
        (state, failure): (JobState, Option<&Failure>),
        first: bool,
    ) {
        if !self.is_traced() {
            return;
        }
        let story = match self.run_bytes(loaded).await {
            Some(bytes) => self.take_story(&self.work.message, bytes).await.map(|(story, _)| story),
            None => first.then(Story::default),
        };
        // A call that was dropped before it was run has nothing to tell.
        if let Some(story) = story.filter(|story| first || !story.events.is_empty()) {
            self.send_span(&self.work.message, loaded, &PendingReturns::default(), story, (state, failure));
        }
    }

    /// Reports the spans of a call that was abandoned, and of those that were abandoned with it.
    pub(super) async fn report_spans_of_abandoned(&self, loaded: &Loaded, state: JobState) {
        if !self.is_traced() {
            return;
        }
        let told = loaded.run.as_ref().and_then(|run| run.options.trace.as_deref());
        let above = Story::read(told).parent;
        self.report_span_of_ended(loaded, (state, None), false).await;
        if let Ok(Some(job)) = self.job().await {
            self.report_spans_above(&job, above, state).await;
        }
    }

    /// Reports the spans of the calls above one that was abandoned. They are abandoned with it, and no worker gets a message for
    /// them.
    async fn report_spans_above(&self, job: &JobRecord, mut above: Option<CallHash>, state: JobState) {
        while let Some(call) = above.take() {
            let message = Message { call, job_id: self.work.message.job_id.clone() };
            let key = Key::run(&message.call, &message.job_id);
            let Some(bytes) = self.if_readable(&key).await.ok().flatten() else { return };
            let run = RunRecord::decode(&bytes).ok();
            let record = self.if_readable(&Key::call(&message.call)).await.ok().flatten();
            // From here on nobody else reports the span, so nothing is awaited any more.
            let Some((story, _)) = self.take_story(&message, bytes).await else { return };
            above = story.parent.clone();
            let call = record.and_then(|bytes| CallRecord::decode(&bytes).ok());
            let loaded = Loaded { call, job: Some(Box::new(job.clone())), run, ..Loaded::default() };
            let state = job.end.filter(|_| job.call == message.call).map_or(state, |end| end.state);
            self.send_span(&message, &loaded, &PendingReturns::default(), story, (state, None));
        }
    }

    /// The call's `run` record. If it was not there when the call was loaded, it is read again: another worker may have run the call
    /// meanwhile.
    async fn run_bytes(&self, loaded: &Loaded) -> Option<Bytes> {
        let Message { job_id, call } = &self.work.message;
        match &loaded.run_bytes {
            Some(bytes) => Some(bytes.clone()),
            None => self.if_readable(&Key::run(call, job_id)).await.ok().flatten(),
        }
    }

    /// Takes the story out of the `run` record of a call, and returns it with whether the record was changed since it was read.
    /// `None`: somebody else has taken it.
    async fn take_story(&self, Message { job_id, call }: &Message, mut bytes: Bytes) -> Option<(Story, bool)> {
        let key = Key::run(call, job_id);
        for n in 0..TRIES {
            let mut record = RunRecord::decode(&bytes).ok()?;
            let text = record.options.trace.take()?;
            match self.backend().store().swap(&key, Some(&bytes), Some(record.encode())).await {
                // Without an answer, a span that comes twice is better than none.
                Ok(Swap::Done) | Err(_) => return Some((Story::read(Some(&text)), n > 0)),
                Ok(Swap::Mismatch(found)) => bytes = found?,
            }
        }
        None
    }

    fn send_span(
        &self,
        Message { job_id, call }: &Message,
        loaded: &Loaded,
        pending: &PendingReturns,
        story: Story,
        (state, failure): (JobState, Option<&Failure>),
    ) {
        let Some(observer) = self.site.observer else { return };
        let (run, job) = (loaded.run.as_ref(), loaded.job.as_deref());
        let first: Millis = story.events.first().map_or(self.work.now, |event| event.at);
        let (waiting, links) = parents(pending, job_id, call);
        let top = job.filter(|job| job.call == *call);
        // A call that was queued for this job because another one failed has no parent here. So it belongs to the top call.
        let parent = story.parent.or(waiting).or_else(|| job.map(|job| job.call.clone()));
        let created = job.map_or(0, |job| job.created.max(job.start));
        let queued = match (top, story.queued) {
            (Some(_), _) => created,
            // Peers write seconds.
            (None, 0) => pending.scheduled_at.map_or(first, |at| at.saturating_mul(1000)).max(created),
            (None, queued) => queued,
        };
        let end = self.now();
        observer.span(&CallSpan {
            job_id,
            call,
            parent: parent.filter(|_| top.is_none()),
            links,
            traceparent: top.and_then(|job| job.options.trace.as_deref()),
            task: loaded.call.as_ref().map_or("?", |call| &call.task),
            topic: &self.work.topic,
            label: run.and_then(|run| run.options.label.as_deref()),
            start: queued.min(first).min(end),
            end,
            events: story.events,
            attempt: run.map_or(1, |run| run.attempt.max(1)),
            state,
            failure,
        });
    }
}

/// Does the record have a story?
fn tells(run: Option<&RunRecord>) -> bool {
    run.is_some_and(|run| run.options.trace.is_some())
}
