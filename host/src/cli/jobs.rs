//! `jobs`: lists the jobs of a backend, newest first.

use brrr_protocol::client::Client;
use brrr_protocol::events::State;
use brrr_protocol::listing::Listing;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::ports::{Backend, Key, Kind, message_counter};
use brrr_protocol::records::{JobRecord, JobState};
use brrr_protocol::wire::CallRecord;
use brrr_worker::events::time;
use clap::ValueEnum;
use serde::Serialize;

use super::options::BackendArgs;
use super::output::{self, Format, print_json, print_table, say};
use crate::exit::Exit;
use crate::units::brief;

/// How many jobs are read at once.
const PAGE: usize = 500;

/// List jobs, newest first. Jobs that workers of other brrr SDKs scheduled leave no record, and are not listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host jobs
  brrr-host jobs --state failed --limit 1000 --output json
  brrr-host jobs --counts

Only as many jobs are read as are listed; with --state also those in between that are in another state, with --counts all
jobs. DynamoDB keeps no order of jobs, so there all are read each time.")]
pub struct JobsCommand {
    /// Only jobs in this state.
    #[arg(long, value_enum, value_name = "STATE")]
    state: Option<Wanted>,

    /// How many jobs to list.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,

    /// Also count all jobs by state. This reads all of them.
    #[arg(long)]
    counts: bool,

    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Scheduled,
    Running,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl Wanted {
    fn of(job: &JobRecord, now: Millis) -> Self {
        match job.end.map(|end| end.state) {
            None if job.is_delayed(now) => Self::Scheduled,
            None => Self::Running,
            Some(JobState::Completed) => Self::Completed,
            Some(JobState::Failed) => Self::Failed,
            Some(JobState::Cancelled) => Self::Cancelled,
            Some(JobState::TimedOut) => Self::TimedOut,
        }
    }
}

/// The document of `--output json`.
#[derive(Serialize)]
struct JobLine {
    jobs: Vec<Row>,
    /// There are more jobs that could be listed.
    more: bool,
    /// `null`: the counts were not asked for.
    counts: Option<Counts>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Counts {
    scheduled: usize,
    running: usize,
    completed: usize,
    failed: usize,
    cancelled: usize,
    timed_out: usize,
}

/// A job in JSON output: in the list of `jobs`, and at the top of the document of `job`.
#[derive(Serialize)]
pub struct Row {
    pub job: String,
    pub state: &'static str,
    /// `null`: the record of the job's call is no longer in the store.
    pub task: Option<String>,
    pub call: String,
    pub topic: String,
    pub created: String,
    /// When the job starts, if it was to start later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// `null`: the job is running, or its end has no recorded time.
    pub ended: Option<String>,
    /// The time from the job's start to its end, or until now.
    pub duration_ms: Option<Millis>,
    /// The time by which the job must have ended.
    pub deadline: Option<String>,
    /// The job that this job retries.
    pub retry_of: Option<String>,
    /// The number of messages sent for the job. `null`: the backend could not be asked.
    pub messages: Option<u64>,
}

pub async fn run(args: JobsCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let look = Look { backend: &*backend, client: &Client::new(backend.clone()), now: backend.now() };
    let wanted = |job: &JobRecord| args.state.is_none_or(|state| state == Wanted::of(job, look.now));
    // One job more than will be listed, to find out whether there are more.
    let enough = args.limit.saturating_add(1);
    let newest = if args.counts { None } else { look.newest(wanted, enough).await? };
    let (mut jobs, counts) = match newest {
        Some(jobs) => (jobs, None),
        None => {
            let mut jobs = look.all().await?;
            jobs.sort_by(|(a_id, a), (b_id, b)| b.created.cmp(&a.created).then_with(|| a_id.cmp(b_id)));
            let counts = args.counts.then(|| Counts::of(&jobs, look.now));
            jobs.retain(|(_, job)| wanted(job));
            (jobs, counts)
        }
    };
    let more = jobs.len() > args.limit;
    jobs.truncate(args.limit);

    let mut rows = Vec::with_capacity(jobs.len());
    for (job_id, job) in &jobs {
        rows.push(Row::of(&*backend, job_id, job, look.now).await?);
    }
    match format {
        Format::Json => print_json(&JobLine { jobs: rows, more, counts })?,
        Format::Text => {
            if !jobs.is_empty() {
                let shown = jobs.iter().zip(&rows).map(|((_, job), row)| row.cells(job, look.now));
                print_table(&std::iter::once(headings()).chain(shown).collect::<Vec<_>>())?;
            }
            if let Some(Counts { scheduled, running, completed, failed, cancelled, timed_out }) = counts {
                say(format_args!(
                    "{scheduled} scheduled, {running} running, {completed} completed, {failed} failed, {cancelled} cancelled, {timed_out} \
                     timed out"
                ));
            } else if jobs.is_empty() {
                say(format_args!("no jobs"));
            }
            if more {
                say(format_args!(
                    "there are more jobs; list them with --limit {}",
                    args.limit.saturating_mul(2).max(1)
                ));
            }
        }
    }
    Ok(Exit::Done)
}

impl Counts {
    fn of(jobs: &[(JobId, JobRecord)], now: Millis) -> Self {
        let mut counts = Self::default();
        for (_, job) in jobs {
            *match Wanted::of(job, now) {
                Wanted::Scheduled => &mut counts.scheduled,
                Wanted::Running => &mut counts.running,
                Wanted::Completed => &mut counts.completed,
                Wanted::Failed => &mut counts.failed,
                Wanted::Cancelled => &mut counts.cancelled,
                Wanted::TimedOut => &mut counts.timed_out,
            } += 1;
        }
        counts
    }
}

/// The jobs of a backend at one moment.
struct Look<'a> {
    backend: &'a dyn Backend,
    client: &'a Client,
    now: Millis,
}

impl Look<'_> {
    /// The newest jobs in the wanted state, at most `enough`. `None`: the store keeps no order of jobs.
    async fn newest(
        &self,
        wanted: impl Fn(&JobRecord) -> bool,
        enough: usize,
    ) -> anyhow::Result<Option<Vec<(JobId, JobRecord)>>> {
        let (mut jobs, mut before) = (Vec::new(), None);
        let page = enough.min(PAGE);
        while jobs.len() < enough {
            let Some(found) = self.backend.store().newest_jobs(before, page).await? else { return Ok(None) };
            let Some(last) = found.last() else { break };
            before = Some(last.position);
            let job_ids: Vec<JobId> = found.into_iter().map(|job| job.job_id).collect();
            jobs.extend(self.read(&job_ids).await?.into_iter().filter(|(_, job)| wanted(job)));
        }
        jobs.truncate(enough);
        Ok(Some(jobs))
    }

    async fn all(&self) -> anyhow::Result<Vec<(JobId, JobRecord)>> {
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
    async fn read(&self, job_ids: &[JobId]) -> anyhow::Result<Vec<(JobId, JobRecord)>> {
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
                    Err(error) => return Err(error.into()),
                },
                Ok(None) => {}
                Err(error) => tracing::warn!("job {job_id} is left out: {error}"),
            }
        }
        Ok(jobs)
    }
}

pub fn state_of(job: &JobRecord, now: Millis) -> State {
    match job.end {
        Some(end) => end.state.into(),
        None if job.is_delayed(now) => State::Scheduled,
        None => State::Running,
    }
}

impl Row {
    pub async fn of(backend: &dyn Backend, job_id: &JobId, job: &JobRecord, now: Millis) -> anyhow::Result<Self> {
        let call = backend.store().get(&Key::call(&job.call)).await?;
        // An end that was recorded only later has no time.
        let ended = job.end.map(|end| end.at).filter(|at| *at > 0);
        let until = if job.is_over() { ended } else { Some(now) };
        Ok(Self {
            job: job_id.to_string(),
            state: state_of(job, now).as_str(),
            task: call.as_ref().and_then(|bytes| CallRecord::decode(bytes).ok()).map(|call| call.task),
            call: job.call.to_string(),
            topic: job.topic.to_string(),
            created: time(job.created),
            starts: (job.start > 0).then(|| time(job.start)),
            ended: ended.map(time),
            duration_ms: until.map(|at| at.saturating_sub(job.created.max(job.start))),
            deadline: (job.deadline > 0).then(|| time(job.deadline)),
            retry_of: job.retry_of.as_ref().map(JobId::to_string),
            // Increasing by 0 is a write. If the backend is read-only, jobs can still be listed.
            messages: backend.counters().incr(&message_counter(job_id), 0).await.ok(),
        })
    }

    fn cells(&self, job: &JobRecord, now: Millis) -> Vec<String> {
        let dash = || "-".to_owned();
        vec![
            output::line(&self.job),
            output::line(self.task.as_deref().unwrap_or("?")),
            output::state(state_of(job, now)),
            brief(now.saturating_sub(job.created)),
            self.duration_ms.map_or_else(dash, brief),
            self.messages.map_or_else(dash, |n| n.to_string()),
        ]
    }
}

fn headings() -> Vec<String> {
    ["JOB", "TASK", "STATE", "AGE", "DURATION", "MESSAGES"].map(str::to_owned).to_vec()
}
