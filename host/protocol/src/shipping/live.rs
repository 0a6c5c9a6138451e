//! The jobs that are alive, with what decides which revision runs them.

use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, JobId, Millis};
use crate::ports::{Key, Kind, Store};
use crate::records::JobRecord;

/// The number of records that are read at once.
const PAGE: usize = 200;

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
    /// Reads all jobs. This costs one pass over the records of the store, so only people's commands do it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(store: &dyn Store) -> Result<Self> {
        let mut live = Self::default();
        let mut ids = Listing::of(store, Kind::Job);
        while let Some(page) = ids.next().await? {
            for ids in page.chunks(PAGE) {
                let keys: Vec<Key> = ids.iter().map(|id| Key::new(id, Kind::Job)).collect();
                for (id, bytes) in ids.iter().zip(store.get_many(&keys).await?) {
                    let Some(bytes) = bytes else { continue };
                    let job_id = JobId::from(id.as_str());
                    match JobRecord::decode(&bytes) {
                        Ok(job) if job.is_over() => {}
                        Ok(job) => live.jobs.push(LiveJob { job_id, created: job.created, call: job.call }),
                        Err(_) => live.unreadable = Some(job_id),
                    }
                }
            }
        }
        Ok(live)
    }
}
