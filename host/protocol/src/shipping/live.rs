//! The jobs that are alive, with what decides which revision runs them.

use crate::error::Result;
use crate::listing::JobListing;
use crate::model::{CallHash, JobId, Millis};
use crate::ports::{IndexedJob, IndexedState, JobFilter, JobOrder, Store};
use crate::records::JobRecord;

/// A live job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveJob {
    /// Its id.
    pub job_id: JobId,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created: Millis,
    /// Its top call.
    pub call: CallHash,
}

/// The live jobs of a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveJobs {
    /// The jobs, in no order.
    pub jobs: Vec<LiveJob>,
    /// A job whose record can't be read. What it needs is not known, so everything must stay.
    pub unreadable: Option<JobId>,
}

impl LiveJobs {
    /// Reads the jobs that are alive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(store: &dyn Store) -> Result<Self> {
        let mut live = Self::default();
        let alive = JobFilter { state: Some(IndexedState::Alive), ..JobFilter::default() };
        let mut jobs = JobListing::of(store, alive, JobOrder::OldestFirst);
        while let Some(page) = jobs.next().await? {
            for IndexedJob { job_id, record, .. } in page {
                match JobRecord::decode(&record) {
                    Ok(job) if job.is_over() => {}
                    Ok(job) => live.jobs.push(LiveJob { job_id, created: job.created, call: job.call }),
                    Err(_) => live.unreadable = Some(job_id),
                }
            }
        }
        Ok(live)
    }
}
