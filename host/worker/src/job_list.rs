//! Lists jobs, newest first, page by page.

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::events::State;
use brrr_protocol::listing::JobListing;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::ports::{Backend, IndexedJob, IndexedState, JobFilter, JobOrder, JobQuery, Key};
use brrr_protocol::records::{JobRecord, JobState};

use crate::view::job::state_of;

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

/// Which jobs are listed. `None`: all.
#[derive(Clone, Debug, Default)]
pub struct WantedJobs {
    /// Jobs in this state.
    pub state: Option<State>,
    /// Jobs whose call is on this topic.
    pub topic: Option<String>,
    /// Jobs whose call has this task.
    pub task: Option<String>,
    /// Jobs with this label.
    pub label: Option<String>,
    /// Jobs that the backend accepted at this time or later, in milliseconds since the Unix epoch.
    pub since: Option<Millis>,
    /// Jobs that the backend accepted before this time, in milliseconds since the Unix epoch.
    pub until: Option<Millis>,
}

impl WantedJobs {
    fn filter(&self) -> JobFilter {
        let Self { topic, task, label, since, until, .. } = self.clone();
        let state = self.state.map(|state| match state {
            State::Completed => IndexedState::Over(JobState::Completed),
            State::Failed => IndexedState::Over(JobState::Failed),
            State::Cancelled => IndexedState::Over(JobState::Cancelled),
            State::TimedOut => IndexedState::Over(JobState::TimedOut),
            _ => IndexedState::Alive,
        });
        JobFilter { state, topic, task, label, since, until }
    }

    /// Is this job wanted? An index has the beginnings of texts, and it does not tell a job that starts later from one that runs.
    fn has(&self, filter: &JobFilter, job: &JobRecord, now: Millis) -> bool {
        self.state.is_none_or(|state| state == state_of(job, now)) && filter.matches_record(job)
    }
}

/// A job of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The job's id.
    pub job_id: JobId,
    /// Its record, as it is now.
    pub job: JobRecord,
    /// A list goes on after this job with this cursor.
    pub cursor: String,
}

/// A part of a list.
#[derive(Debug, Default)]
pub struct ListedJobs {
    /// The jobs, newest first.
    pub jobs: Vec<Listed>,
    /// The cursor of the next page. `None`: the list is at its end.
    pub next: Option<String>,
}

impl JobList<'_> {
    /// The newest jobs that are wanted and come after the cursor `after`, at most `limit`. The backend is asked at most `queries`
    /// times, and looks at a bounded number of jobs for each. So a page may have fewer jobs although the list goes on.
    ///
    /// # Errors
    /// When the backend can't be read. `Config` if `after` is no cursor.
    pub async fn page(
        &self,
        wanted: &WantedJobs,
        after: Option<String>,
        limit: usize,
        queries: usize,
    ) -> Result<ListedJobs> {
        let filter = wanted.filter();
        if after.is_none() && filter.state.is_some_and(|state| state != IndexedState::Alive) {
            self.note_ends().await?;
        }
        let mut page = ListedJobs { jobs: Vec::new(), next: after };
        for _ in 0..queries {
            if page.jobs.len() >= limit {
                break;
            }
            let (after, limit) = (page.next.take(), (limit - page.jobs.len()).min(PAGE));
            let query = JobQuery { filter: filter.clone(), order: JobOrder::NewestFirst, after, limit };
            let found = self.backend.store().jobs(&query).await?;
            let jobs = self.as_they_are(found.jobs).await?;
            page.jobs.extend(jobs.into_iter().filter(|listed| wanted.has(&filter, &listed.job, self.now)));
            page.next = found.next;
            if page.next.is_none() {
                break;
            }
        }
        Ok(page)
    }

    /// Calls `visit` for each job, newest first.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn visit_all(&self, mut visit: impl FnMut(&Listed)) -> Result<()> {
        let mut jobs = JobListing::of(self.backend.store(), JobFilter::default(), JobOrder::NewestFirst);
        while let Some(page) = jobs.next().await? {
            self.as_they_are(page).await?.iter().for_each(&mut visit);
        }
        Ok(())
    }

    /// Some jobs are over, and nobody has written it down: a worker of another SDK has completed their calls, or their deadlines have
    /// passed and no worker runs. This looks at the newest live jobs, so that a list of ended jobs has those among them that have
    /// ended.
    async fn note_ends(&self) -> Result<()> {
        let filter = JobFilter { state: Some(IndexedState::Alive), ..JobFilter::default() };
        let query = JobQuery { filter, limit: PAGE, ..JobQuery::default() };
        let alive = self.backend.store().jobs(&query).await?.jobs;
        self.as_they_are(alive).await.map(drop)
    }

    /// Decodes jobs, and finds out whether live ones have ended. A job that can't be read must not hide the others.
    async fn as_they_are(&self, found: Vec<IndexedJob>) -> Result<Vec<Listed>> {
        let mut jobs = Vec::with_capacity(found.len());
        for IndexedJob { job_id, record, cursor, .. } in found {
            match JobRecord::decode(&record) {
                Ok(job) => jobs.push(Listed { job_id, job, cursor }),
                Err(error) => tracing::warn!("job {job_id} is left out: {error}"),
            }
        }
        let alive: Vec<usize> = (0..jobs.len()).filter(|n| !jobs[*n].job.is_over()).collect();
        let outcomes: Vec<Key> = alive
            .iter()
            .flat_map(|n| [Key::value(&jobs[*n].job.call), Key::failure(&jobs[*n].job.call, &jobs[*n].job_id)])
            .collect();
        if outcomes.is_empty() {
            return Ok(jobs);
        }
        let has_outcome = self.backend.store().has_many(&outcomes).await?;
        for (n, has_outcome) in alive.into_iter().zip(has_outcome.chunks(2)) {
            let Listed { job_id, job, .. } = &mut jobs[n];
            if !job.is_overdue(self.now) && !has_outcome.contains(&true) {
                continue;
            }
            match self.client.as_it_is(job_id, job.clone(), self.now).await {
                Ok(now) => *job = now,
                Err(error) if error.is_unreadable() => {
                    tracing::warn!("job {job_id} is shown as it was last written: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(jobs)
    }
}
