//! Backends that make each transition from their parts, in several steps.

use async_trait::async_trait;
use bytes::Bytes;

use super::Ports;
use crate::error::Result;
use crate::model::{CallHash, Failure, JobId, Millis, Outcome};
use crate::ports::{Backend, BackendParts, Deferral, Deferred, Loaded, NewJob, Scheduled, Work};
use crate::records::{JobRecord, JobState};

/// A backend whose parts do not share a transaction.
#[async_trait]
pub trait MultiStepBackend: BackendParts {
    /// See [`Backend::outcomes`].
    async fn outcomes_from_parts(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        super::outcomes(self.store(), job_id, calls).await
    }
}

fn ports<B: MultiStepBackend + ?Sized>(backend: &B) -> Ports<'_> {
    Ports::of(backend.store(), backend.queue(), backend.counters())
}

#[async_trait]
impl<B: MultiStepBackend> Backend for B {
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        super::schedule(&ports(self), job, now).await
    }

    async fn load(&self, work: &Work) -> Result<Loaded> {
        super::load(self.store(), work).await
    }

    async fn outcomes(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        self.outcomes_from_parts(job_id, calls).await
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred> {
        super::defer(&ports(self), deferral).await
    }

    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        super::complete(&ports(self), work, value).await
    }

    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        super::fail(&ports(self), work, failure).await
    }

    async fn notify_parents(&self, work: &Work, end: JobState) -> Result<()> {
        super::notify_parents(&ports(self), work, end).await
    }

    async fn abandon(&self, work: &Work) -> Result<()> {
        super::abandon(&ports(self), work).await
    }

    async fn end_job(&self, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        super::end_job(self.store(), job_id, failure, now).await
    }

    async fn forget_calls(&self, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        super::forget_calls(self.store(), job_id, calls, had_value).await
    }
}
