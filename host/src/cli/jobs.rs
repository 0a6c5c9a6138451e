//! `jobs`: lists the jobs of a backend, newest first.

use brrr_protocol::client::Client;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::records::{JobRecord, JobState};
use brrr_worker::job_list::JobList;
use brrr_worker::view::job::{JobView, state_of};
use clap::ValueEnum;
use serde::Serialize;

use super::options::BackendArgs;
use super::output::{self, Format, print_json, print_table, say};
use crate::exit::Exit;
use crate::units::brief;

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
    jobs: Vec<JobView>,
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

pub async fn run(args: JobsCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let list = JobList { backend: &*backend, client: &Client::new(backend.clone()), now: backend.now() };
    let wanted = |job: &JobRecord| args.state.is_none_or(|state| state == Wanted::of(job, list.now));
    let (jobs, more, counts) = if args.counts {
        let mut jobs = list.all().await?;
        jobs.sort_by(|(a_id, a), (b_id, b)| b.created.cmp(&a.created).then_with(|| a_id.cmp(b_id)));
        let counts = Counts::of(&jobs, list.now);
        jobs.retain(|(_, job)| wanted(job));
        let more = jobs.len() > args.limit;
        jobs.truncate(args.limit);
        (jobs, more, Some(counts))
    } else {
        // One job more than will be listed, to find out whether there are more.
        let page = list.page(None, args.limit.saturating_add(1), usize::MAX, wanted).await?;
        let more = page.jobs.len() > args.limit;
        let jobs = page.jobs.into_iter().take(args.limit).map(|listed| (listed.job_id, listed.job)).collect();
        (jobs, more, None)
    };

    let mut rows = Vec::with_capacity(jobs.len());
    for (job_id, job) in &jobs {
        rows.push(JobView::of(&*backend, job_id, job, list.now).await?);
    }
    match format {
        Format::Json => print_json(&JobLine { jobs: rows, more, counts })?,
        Format::Text => {
            if !jobs.is_empty() {
                let shown = jobs.iter().zip(&rows).map(|((_, job), row)| cells(row, job, list.now));
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

/// The row of a job in a table.
fn cells(view: &JobView, job: &JobRecord, now: Millis) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        output::line(&view.job),
        output::line(view.task.as_deref().unwrap_or("?")),
        output::state(state_of(job, now)),
        brief(now.saturating_sub(job.created)),
        view.duration_ms.map_or_else(dash, brief),
        view.messages.map_or_else(dash, |n| n.to_string()),
    ]
}

fn headings() -> Vec<String> {
    ["JOB", "TASK", "STATE", "AGE", "DURATION", "MESSAGES"].map(str::to_owned).to_vec()
}
