//! Lists jobs, newest first, page by page.

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::listing::Listing;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::ports::{Backend, Key, Kind};
use brrr_protocol::records::JobRecord;

/// How many jobs are read at once.
const PAGE: usize = 500;

/// The jobs of a backend at one moment.
pub struct JobList<'a> {
    /// The backend.
    pub backend: &'a dyn Backend,
    /// A client of the same backend.
    pub client: &'a Client,
    /// The moment.
    pub now: Millis,
}

/// A job of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The job's id.
    pub job_id: JobId,
    /// Its record, as it is now.
    pub job: JobRecord,
    /// Its place in the order of the list. A list that goes on after this job begins before this place.
    pub position: u64,
}

/// A part of a list.
#[derive(Debug, Default)]
pub struct JobPage {
    /// The jobs, newest first.
    pub jobs: Vec<Listed>,
    /// Where the list goes on: `before` of the next page. `None`: it is at its end.
    pub next: Option<u64>,
}

impl JobList<'_> {
    /// The newest jobs that are wanted and come before the position `before`, at most `limit`. At most `most` jobs are looked at, so a
    /// page may have fewer jobs although the list goes on.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn page(
        &self,
        before: Option<u64>,
        limit: usize,
        most: usize,
        wanted: impl Fn(&JobRecord) -> bool,
    ) -> Result<JobPage> {
        let mut page = JobPage { jobs: Vec::new(), next: before };
        let mut looked_at = 0;
        while page.jobs.len() < limit && looked_at < most {
            let size = (limit - page.jobs.len()).clamp(1, PAGE).max(if looked_at > 0 { PAGE } else { 1 });
            let Some(found) = self.backend.store().newest_jobs(page.next, size).await? else {
                return self.page_of_all(before, limit, wanted).await;
            };
            if found.is_empty() {
                page.next = None;
                return Ok(page);
            }
            looked_at += found.len();
            let job_ids: Vec<JobId> = found.iter().map(|job| job.job_id.clone()).collect();
            let mut records = self.read(&job_ids).await?.into_iter().peekable();
            for accepted in found {
                if page.jobs.len() == limit {
                    break;
                }
                page.next = Some(accepted.position);
                let Some((job_id, job)) = records.next_if(|(job_id, _)| *job_id == accepted.job_id) else { continue };
                if wanted(&job) {
                    page.jobs.push(Listed { job_id, job, position: accepted.position });
                }
            }
        }
        Ok(page)
    }

    /// The same for a store that keeps no order of jobs. All jobs are read. A position is a job's time in microseconds, and a number
    /// from its id.
    async fn page_of_all(
        &self,
        before: Option<u64>,
        limit: usize,
        wanted: impl Fn(&JobRecord) -> bool,
    ) -> Result<JobPage> {
        let of = |(job_id, job): (JobId, JobRecord)| {
            let within =
                job_id.as_str().bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            Listed { position: job.created.saturating_mul(1_000).saturating_add(within % 1_000), job_id, job }
        };
        let mut jobs: Vec<Listed> = self.all().await?.into_iter().map(of).collect();
        jobs.retain(|listed| before.is_none_or(|before| listed.position < before) && wanted(&listed.job));
        jobs.sort_by(|a, b| b.position.cmp(&a.position).then_with(|| a.job_id.cmp(&b.job_id)));
        let next = jobs.get(limit).and(jobs.get(limit.wrapping_sub(1))).map(|last| last.position);
        jobs.truncate(limit);
        Ok(JobPage { jobs, next })
    }

    /// All jobs, in any order.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn all(&self) -> Result<Vec<(JobId, JobRecord)>> {
        let (mut listing, mut jobs) = (Listing::of(self.backend.store(), Kind::Job), Vec::new());
        while let Some(ids) = listing.next().await? {
            let job_ids: Vec<JobId> = ids.into_iter().map(JobId::from).collect();
            for page in job_ids.chunks(PAGE) {
                jobs.extend(self.read(page).await?);
            }
        }
        Ok(jobs)
    }

    /// Reads the current records of these jobs. A job that can't be read must not hide the others.
    async fn read(&self, job_ids: &[JobId]) -> Result<Vec<(JobId, JobRecord)>> {
        let mut jobs = Vec::with_capacity(job_ids.len());
        let records = self.backend.store().get_many(&job_ids.iter().map(Key::job).collect::<Vec<_>>()).await?;
        for (job_id, bytes) in job_ids.iter().zip(records) {
            match bytes.map(|bytes| JobRecord::decode(&bytes)).transpose() {
                Ok(Some(job)) => match self.client.as_it_is(job_id, job.clone(), self.now).await {
                    Ok(job) => jobs.push((job_id.clone(), job)),
                    Err(error) if error.is_unreadable() => {
                        tracing::warn!("job {job_id} is shown as it was last written: {error}");
                        jobs.push((job_id.clone(), job));
                    }
                    Err(error) => return Err(error),
                },
                Ok(None) => {}
                Err(error) => tracing::warn!("job {job_id} is left out: {error}"),
            }
        }
        Ok(jobs)
    }
}
