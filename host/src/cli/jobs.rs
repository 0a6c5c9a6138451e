//! `jobs`: the jobs of a backend, newest first.

use brrr_protocol::client::Client;
use brrr_protocol::events::State;
use brrr_protocol::listing::Listing;
use brrr_protocol::model::{Millis, Root};
use brrr_protocol::ports::{Backend, Key, Kind, spawn_counter};
use brrr_protocol::records::{JobEnd, JobRecord, JobState};
use brrr_protocol::wire::CallRecord;
use clap::ValueEnum;
use serde::Serialize;

use super::options::BackendArgs;
use super::output::{self, Format, print_json, print_table, say};
use crate::events::time;
use crate::exit::Exit;
use crate::units::brief;
use crate::worker::now;

/// How many jobs are read at once.
const PAGE: usize = 500;

/// List jobs, newest first, and count them by state. Jobs that other kinds of worker scheduled leave no record.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host jobs
  brrr-host jobs --state failed --limit 1000 --output json")]
pub struct Args {
    /// Only jobs in this state.
    #[arg(long, value_enum, value_name = "STATE")]
    state: Option<Wanted>,

    /// How many to list.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,

    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Running,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl Wanted {
    fn of(end: Option<JobEnd>) -> Self {
        match end.map(|end| end.state) {
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
struct View {
    jobs: Vec<Row>,
    counts: Counts,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Counts {
    running: usize,
    completed: usize,
    failed: usize,
    cancelled: usize,
    timed_out: usize,
}

/// A job as documents have it: `jobs`, and `job` at its head.
#[derive(Serialize)]
pub struct Row {
    pub job: String,
    pub state: &'static str,
    /// `null`: no record describes its call any more.
    pub task: Option<String>,
    pub call: String,
    pub topic: String,
    pub created: String,
    /// `null`: it runs, or nobody knows when it ended.
    pub ended: Option<String>,
    /// From its beginning to its end, or till now.
    pub duration_ms: Option<Millis>,
    /// By when it must have ended.
    pub deadline: Option<String>,
    /// The job that it tries again.
    pub retry_of: Option<String>,
    /// Messages sent for it; `null`: nobody could be asked.
    pub messages: Option<u64>,
}

pub async fn run(args: Args, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_shared().await?;
    let now = now();
    let mut jobs = all(&*backend, &Client::new(backend.clone()), now).await?;
    jobs.sort_by(|(a_root, a), (b_root, b)| b.created.cmp(&a.created).then_with(|| a_root.cmp(b_root)));
    let mut counts = Counts::default();
    for (_, job) in &jobs {
        *match Wanted::of(job.end) {
            Wanted::Running => &mut counts.running,
            Wanted::Completed => &mut counts.completed,
            Wanted::Failed => &mut counts.failed,
            Wanted::Cancelled => &mut counts.cancelled,
            Wanted::TimedOut => &mut counts.timed_out,
        } += 1;
    }
    jobs.retain(|(_, job)| args.state.is_none_or(|state| state == Wanted::of(job.end)));
    let matching = jobs.len();
    jobs.truncate(args.limit);

    let mut rows = Vec::with_capacity(jobs.len());
    for (root, job) in &jobs {
        rows.push(Row::of(&*backend, root, job, now).await?);
    }
    match format {
        Format::Json => print_json(&View { jobs: rows, counts })?,
        Format::Text => {
            if !jobs.is_empty() {
                let shown = jobs.iter().zip(&rows).map(|((_, job), row)| row.cells(job, now));
                print_table(&std::iter::once(headings()).chain(shown).collect::<Vec<_>>())?;
            }
            let Counts { running, completed, failed, cancelled, timed_out } = counts;
            let more = matching - jobs.len();
            let more = if more > 0 { format!("; {more} more with --limit {matching}") } else { String::new() };
            say(format_args!(
                "{running} running, {completed} completed, {failed} failed, {cancelled} cancelled, {timed_out} timed \
                 out{more}"
            ));
        }
    }
    Ok(Exit::Done)
}

/// Every job of ours, as it is at this moment.
async fn all(backend: &dyn Backend, client: &Client, now: Millis) -> anyhow::Result<Vec<(Root, JobRecord)>> {
    let store = backend.store();
    let mut jobs = Vec::new();
    let mut listing = Listing::of(store, Kind::Job);
    let mut roots = Vec::new();
    while let Some(ids) = listing.next().await? {
        roots.extend(ids.into_iter().map(Root::from));
    }
    for page in roots.chunks(PAGE) {
        let records = store.get_many(&page.iter().map(Key::job).collect::<Vec<_>>()).await?;
        for (root, bytes) in page.iter().zip(records) {
            // One that can't be read must not hide the others.
            match bytes.map(|bytes| JobRecord::decode(&bytes)).transpose() {
                Ok(Some(job)) => match client.as_it_is(root, job.clone(), now).await {
                    Ok(job) => jobs.push((root.clone(), job)),
                    Err(error) if error.is_unreadable() => {
                        tracing::warn!("job {root} is shown as it was last written: {error}");
                        jobs.push((root.clone(), job));
                    }
                    Err(error) => return Err(error.into()),
                },
                Ok(None) => {}
                Err(error) => tracing::warn!("job {root} is left out: {error}"),
            }
        }
    }
    Ok(jobs)
}

pub fn state_of(job: &JobRecord) -> State {
    job.end.map_or(State::Running, |end| end.state.into())
}

impl Row {
    pub async fn of(backend: &dyn Backend, root: &Root, job: &JobRecord, now: Millis) -> anyhow::Result<Self> {
        let call = backend.store().get(&Key::call(&job.call)).await?;
        // When the end was not seen by anybody it has no time.
        let ended = job.end.map(|end| end.at).filter(|at| *at > 0);
        let until = if job.is_over() { ended } else { Some(now) };
        Ok(Self {
            job: root.to_string(),
            state: state_of(job).as_str(),
            task: call.as_ref().and_then(|bytes| CallRecord::decode(bytes).ok()).map(|call| call.task),
            call: job.call.to_string(),
            topic: job.topic.to_string(),
            created: time(job.created),
            ended: ended.map(time),
            duration_ms: until.map(|at| at.saturating_sub(job.created)),
            deadline: (job.deadline > 0).then(|| time(job.deadline)),
            retry_of: job.retry_of.as_ref().map(Root::to_string),
            // Counting by 0 is a write; a backend that may only be read can still be listed.
            messages: backend.cache().incr(&spawn_counter(root), 0).await.ok(),
        })
    }

    fn cells(&self, job: &JobRecord, now: Millis) -> Vec<String> {
        let dash = || "-".to_owned();
        vec![
            output::line(&self.job),
            output::line(self.task.as_deref().unwrap_or("?")),
            output::state(state_of(job)),
            brief(now.saturating_sub(job.created)),
            self.duration_ms.map_or_else(dash, brief),
            self.messages.map_or_else(dash, |n| n.to_string()),
        ]
    }
}

fn headings() -> Vec<String> {
    ["JOB", "TASK", "STATE", "AGE", "DURATION", "MESSAGES"].map(str::to_owned).to_vec()
}
