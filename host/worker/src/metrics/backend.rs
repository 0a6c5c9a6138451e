//! A backend whose transitions are measured. Its parts are used as they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::model::{CallHash, Failure, JobId, Millis, Outcome};
use brrr_protocol::ports::{
    Backend, BackendParts, Counters, Deferral, Deferred, EventLog, Loaded, NewJob, Queue, Scheduled, Store, Work,
};
use brrr_protocol::records::{JobRecord, JobState};
use bytes::Bytes;

use super::Metrics;

pub(super) struct MeteredBackend {
    inner: Arc<dyn Backend>,
    metrics: Arc<Metrics>,
}

impl MeteredBackend {
    pub fn new(inner: Arc<dyn Backend>, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    async fn measured<T>(&self, operation: &'static str, running: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let result = running.await;
        self.metrics.operated(operation, began.elapsed(), result.as_ref().err());
        result
    }
}

#[async_trait]
impl BackendParts for MeteredBackend {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn store(&self) -> &dyn Store {
        self.inner.store()
    }

    fn queue(&self) -> &dyn Queue {
        self.inner.queue()
    }

    fn counters(&self) -> &dyn Counters {
        self.inner.counters()
    }

    fn now(&self) -> Millis {
        self.inner.now()
    }

    fn events(&self) -> Option<&dyn EventLog> {
        self.inner.events()
    }

    fn is_remote(&self) -> bool {
        self.inner.is_remote()
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.inner.changed(version, at_most).await
    }
}

#[async_trait]
impl Backend for MeteredBackend {
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        self.measured("schedule", self.inner.schedule(job, now)).await
    }

    async fn load(&self, work: &Work) -> Result<Loaded> {
        self.measured("load", self.inner.load(work)).await
    }

    async fn outcomes(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        self.measured("outcomes", self.inner.outcomes(job_id, calls)).await
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred> {
        self.measured("defer", self.inner.defer(deferral)).await
    }

    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        self.measured("complete", self.inner.complete(work, value)).await
    }

    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        self.measured("fail", self.inner.fail(work, failure)).await
    }

    async fn notify_parents(&self, work: &Work, end: JobState) -> Result<()> {
        self.measured("notify", self.inner.notify_parents(work, end)).await
    }

    async fn abandon(&self, work: &Work) -> Result<()> {
        self.measured("abandon", self.inner.abandon(work)).await
    }

    async fn end_job(&self, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        self.measured("end-job", self.inner.end_job(job_id, failure, now)).await
    }

    async fn forget_calls(&self, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        self.measured("forget", self.inner.forget_calls(job_id, calls, had_value)).await
    }
}
