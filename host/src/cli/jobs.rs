//! `jobs`: lists the jobs of a backend, newest first.

use brrr_protocol::client::Client;
use brrr_protocol::events::State;
use brrr_protocol::model::Millis;
use brrr_protocol::ports::is_job_cursor;
use brrr_protocol::records::JobRecord;
use brrr_worker::job_list::{JobList, WantedJobs};
use brrr_worker::view::job::{JobView, state_of};
use clap::ValueEnum;
use serde::Serialize;

use super::options::BackendArgs;
use super::output::{self, Format, print_json, print_table, say};
use crate::exit::Exit;
use crate::units::{Time, brief, time};

/// List jobs, newest first. Jobs that workers of other brrr SDKs scheduled leave no record, and are not listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host jobs
  brrr-host jobs --state failed --since 1h --limit 1000 --output json
  brrr-host jobs --topic kitchen --task bake --label tuesday
  brrr-host jobs --counts

Jobs are found by an index of their times, so a list costs the same however many jobs there are. For filters that leave out most
jobs, the entries in between are looked at as well.")]
pub struct JobsCommand {
    /// Only jobs in this state.
    #[arg(long, value_enum, value_name = "STATE")]
    state: Option<Wanted>,

    /// Only jobs whose call is on this topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,

    /// Only jobs whose call has this task.
    #[arg(long, value_name = "TASK")]
    task: Option<String>,

    /// Only jobs with this label.
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,

    /// Only jobs that were accepted at this time or later: a moment (RFC 3339), or how long ago it was (1h).
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Time>,

    /// Only jobs that were accepted before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Time>,

    /// How many jobs to list.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,

    /// Go on after the last job of an earlier list. The list says which cursor this is.
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    cursor: Option<String>,

    /// Also count all jobs by state. This reads all of them.
    #[arg(long)]
    counts: bool,

    #[command(flatten)]
    backend: BackendArgs,
}

fn cursor(text: &str) -> Result<String, String> {
    if is_job_cursor(text) { Ok(text.to_owned()) } else { Err("not a cursor that a list has named".to_owned()) }
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
    fn state(self) -> State {
        match self {
            Self::Scheduled => State::Scheduled,
            Self::Running => State::Running,
            Self::Completed => State::Completed,
            Self::Failed => State::Failed,
            Self::Cancelled => State::Cancelled,
            Self::TimedOut => State::TimedOut,
        }
    }
}

/// The document of `--output json`.
#[derive(Serialize)]
struct JobLine {
    jobs: Vec<JobView>,
    /// The cursor with which the list goes on. `null`: there are no more jobs.
    next: Option<String>,
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
    let counts = if args.counts {
        let mut counts = Counts::default();
        list.visit_all(|listed| counts.add(&listed.job, list.now)).await?;
        Some(counts)
    } else {
        None
    };
    let wanted = WantedJobs {
        state: args.state.map(Wanted::state),
        topic: args.topic,
        task: args.task,
        label: args.label,
        since: args.since.map(|time| time.at(list.now)),
        until: args.until.map(|time| time.at(list.now)),
    };
    // One job more than will be listed, to find out whether there are more.
    let page = list.page(&wanted, args.cursor, args.limit.saturating_add(1), usize::MAX).await?;
    let mut jobs = page.jobs;
    let more = jobs.len() > args.limit;
    jobs.truncate(args.limit);
    let next = jobs.last().filter(|_| more).map(|listed| listed.cursor.clone());

    let rows = JobView::of_all(&*backend, &jobs, list.now).await;
    match format {
        Format::Json => print_json(&JobLine { jobs: rows, next, counts })?,
        Format::Text => {
            if !jobs.is_empty() {
                let shown = jobs.iter().zip(&rows).map(|(listed, row)| cells(row, &listed.job, list.now));
                print_table(&std::iter::once(headings()).chain(shown).collect::<Vec<_>>())?;
            }
            if let Some(Counts { scheduled, running, completed, failed, cancelled, timed_out }) = counts {
                say(format_args!(
                    "{scheduled} scheduled, {running} running, {completed} completed, {failed} failed, {cancelled} cancelled, {timed_out} \
                     timed out"
                ));
            } else if jobs.is_empty() && !more {
                say(format_args!("no jobs"));
            }
            if let Some(next) = next {
                say(format_args!("there are more jobs; list them with --cursor {next}"));
            }
        }
    }
    Ok(Exit::Done)
}

impl Counts {
    fn add(&mut self, job: &JobRecord, now: Millis) {
        *match state_of(job, now) {
            State::Scheduled => &mut self.scheduled,
            State::Completed => &mut self.completed,
            State::Failed => &mut self.failed,
            State::Cancelled => &mut self.cancelled,
            State::TimedOut => &mut self.timed_out,
            _ => &mut self.running,
        } += 1;
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
