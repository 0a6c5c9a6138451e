//! `logs`: prints what the calls of a job have logged and printed.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::logs::{self, LoggingCall, Place, Wanted};
use brrr_protocol::model::{CallHash, JobId};
use brrr_protocol::ports::{Backend, EventLog};
use brrr_protocol::records::{JobRecord, LogLevel, LogLine};
use brrr_worker::events::time;
use brrr_worker::text;
use brrr_worker::view::log::LogLineView;
use serde::Deserialize;
use serde_json::json;

use super::ExitError;
use super::cancel::no_such_job;
use super::options::{BackendArgs, job_id};
use super::output::{self, Format, print, print_json, say};
use crate::exit::Exit;

/// How many lines are read at once.
const PAGE: usize = 5_000;

/// How many events are read at once.
const EVENTS: usize = 1_000;

/// The longest sleep before the events are read again. A backend's notification could get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often all records are read while no event of the job has come: its workers may publish none.
const READ_AGAIN: Duration = Duration::from_secs(3);

/// Print what the calls of a job have logged and printed, in the order of time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host logs JOB
  brrr-host logs JOB --follow
  brrr-host logs JOB --call 1a2b3c4d --level warn
  brrr-host logs JOB --output json

A run's lines can be read when the run has ended: when the call has its value or failure, is tried again, or waits for
other calls. A replay logs again what the runs before it have logged; each line is kept once. The newest 64 KiB of each
call are kept (`run --keep-logs`); a line says how many are not.

Each line has the time, the level (or stdout or stderr), the task, the first digits of the call's hash, `#2` if it is of
the second attempt, and the text with its fields. With --output json each line is a JSON object with `time`, `level`,
`stream`, `text`, `fields`, `attempt`, `number`, `left_out`, `call` and `task`, or with `call`, `task` and `cut`: so many
earlier lines of the call are not kept.

What another job has run for this one is in the logs of that job. --follow goes by the events that workers publish (`run
--publish-events`); without them it reads the records every few seconds.")]
pub struct LogsCommand {
    /// The id of the job.
    #[arg(value_name = "JOB", value_parser = job_id)]
    job: JobId,

    /// Only the lines of this call: its hash, or the first digits of it.
    #[arg(long, value_name = "HASH")]
    call: Option<String>,

    /// Only lines of this level or a more severe one. What was printed to stdout or stderr counts as info.
    #[arg(long, value_name = "LEVEL", default_value = "trace", value_parser = level)]
    level: LogLevel,

    /// Print new lines as they arrive, until the job is over.
    #[arg(long, short)]
    follow: bool,

    #[command(flatten)]
    backend: BackendArgs,
}

fn level(name: &str) -> Result<LogLevel, String> {
    LogLevel::of_name(name).ok_or_else(|| format!("the levels are {}", LogLevel::ALL.map(LogLevel::as_str).join(", ")))
}

pub async fn run(args: LogsCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let client = Client::new(backend.clone());
    let Some(job) = client.job(&args.job).await? else { return Err(no_such_job(&args.job)) };
    let mut reader = Reader {
        backend: &*backend,
        args: &args,
        format,
        calls: Vec::new(),
        is_cut: false,
        next: HashMap::new(),
        printed: false,
    };
    if args.follow {
        reader.follow(&client, job).await?;
    } else {
        reader.print_all(&job).await?;
    }
    if reader.is_cut && args.call.is_none() {
        say(format_args!("the job has more calls than its records name; only the lines of those are here"));
    }
    if !reader.printed {
        say(format_args!("no lines; a worker keeps what its tasks log unless it runs with --keep-logs 0"));
    }
    Ok(Exit::Done)
}

/// Reads and prints the lines of a job.
struct Reader<'a> {
    backend: &'a dyn Backend,
    args: &'a LogsCommand,
    format: Format,
    calls: Vec<LoggingCall>,
    is_cut: bool,
    /// For each call, the number of its next line.
    next: HashMap<CallHash, u64>,
    printed: bool,
}

/// The fields of an event that this command needs.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    job: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    call: std::borrow::Cow<'a, str>,
    from: &'a str,
}

impl Reader<'_> {
    /// Prints all lines that were not printed yet.
    async fn print_all(&mut self, job: &JobRecord) -> anyhow::Result<()> {
        let (calls, is_cut) = logs::calls(self.backend, &self.args.job, job, self.backend.now()).await?;
        self.is_cut = is_cut;
        self.calls = match &self.args.call {
            Some(prefix) => vec![self.one(calls, prefix)?],
            None => calls,
        };
        let calls = std::mem::take(&mut self.calls);
        let printed = self.print_calls(&calls).await;
        self.calls = calls;
        printed
    }

    async fn print_calls(&mut self, calls: &[LoggingCall]) -> anyhow::Result<()> {
        let mut after: Option<Place> = None;
        loop {
            let wanted = Wanted { after: after.as_ref(), level: self.args.level, limit: PAGE };
            let page = logs::page(self.backend, &self.args.job, calls, wanted).await?;
            let last = page.lines.last().map(|(place, _)| place.clone());
            for (place, line) in page.lines {
                let of = page.calls.get(&place.call);
                self.print_line(&place, line, of)?;
            }
            if !page.more || last.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    fn print_line(&mut self, place: &Place, line: LogLine, of: Option<&LoggingCall>) -> anyhow::Result<()> {
        let task = of.and_then(|of| of.task.as_deref());
        let (next, cut) = (self.next.get(&place.call).copied().unwrap_or(0), of.map_or(0, |of| of.cut));
        if place.number < next {
            return Ok(());
        }
        if next < cut {
            let count = cut - next;
            match self.format {
                Format::Json => print_json(&json!({"call": place.call.as_str(), "task": task, "cut": count}))?,
                Format::Text => print(format_args!("({count} earlier lines of {} are not kept)", name(place, task)))?,
            }
        }
        self.next.insert(place.call.clone(), place.number + 1);
        self.printed = true;
        match self.format {
            Format::Json => print_json(&LogLineView::of(place, line, task)),
            Format::Text => Ok(print(text_line(place, &line, task))?),
        }
    }

    /// The call whose hash begins like this.
    fn one(&self, calls: Vec<LoggingCall>, prefix: &str) -> anyhow::Result<LoggingCall> {
        let (exact, others): (Vec<_>, Vec<_>) = calls
            .into_iter()
            .filter(|of| of.call.as_str().starts_with(prefix))
            .partition(|of| of.call.as_str() == prefix);
        let mut found = if exact.is_empty() { others } else { exact };
        match (found.pop(), found.is_empty()) {
            (Some(call), true) => Ok(call),
            (Some(_), false) => {
                let text = format!("the hashes of several calls of job {} begin with {prefix}", self.args.job);
                Err(ExitError::new(Exit::Usage, text).into())
            }
            (None, _) => {
                let job = &self.args.job;
                let text =
                    format!("job {job} has no call whose hash begins with {prefix}; `brrr-host job {job}` lists them");
                Err(ExitError::new(Exit::NotThere, text).into())
            }
        }
    }

    /// Prints all lines, and then new ones until the job is over.
    async fn follow(&mut self, client: &Client, mut job: JobRecord) -> anyhow::Result<()> {
        let log = self.backend.events();
        // What happens after this moment brings an event, or is in the records that are read now.
        let mut position = 0;
        if let Some(log) = log {
            while let Some((last, _)) = log.events(position, EVENTS).await?.last() {
                position = *last;
            }
        }
        let (mut version, mut publishes) = (0, false);
        loop {
            job = client.as_it_is(&self.args.job, job, self.backend.now()).await?;
            // The job may end between this look and the next one, so all is read after it.
            let is_over = job.is_over();
            if !publishes || is_over {
                self.print_all(&job).await?;
            }
            if is_over {
                return Ok(());
            }
            let read = Instant::now();
            while read.elapsed() < READ_AGAIN && !job.is_over() {
                version = self.backend.changed(version, LOOK_AGAIN).await;
                if let Some(log) = log {
                    let logged = self.logged(log, &mut position).await?;
                    publishes |= logged.is_some();
                    self.print_new(logged.unwrap_or_default(), &job).await?;
                }
                let id = &self.args.job;
                let Some(now) = client.end_if_overdue(id, self.backend.now()).await? else { return Ok(()) };
                job = client.as_it_is(id, now, self.backend.now()).await?;
            }
        }
    }

    /// The calls of the job that may have logged something, by the events since the position. `None`: the job has no events.
    async fn logged(&self, log: &dyn EventLog, position: &mut u64) -> anyhow::Result<Option<BTreeSet<CallHash>>> {
        let mut calls: Option<BTreeSet<CallHash>> = None;
        loop {
            let events = log.events(*position, EVENTS).await?;
            let Some((last, _)) = events.last() else { return Ok(calls) };
            *position = *last;
            for (_, event) in &events {
                let head = std::str::from_utf8(event).ok().and_then(|text| serde_json::from_str::<Head<'_>>(text).ok());
                let Some(head) = head.filter(|head| self.args.job.as_str() == head.job) else { continue };
                let calls = calls.get_or_insert_default();
                if head.from == "running" {
                    calls.insert(CallHash::from(&*head.call));
                }
            }
        }
    }

    async fn print_new(&mut self, logged: BTreeSet<CallHash>, job: &JobRecord) -> anyhow::Result<()> {
        let is_known = |call: &CallHash| self.calls.iter().any(|known| known.call == *call);
        if self.args.call.is_none() && !logged.iter().all(is_known) {
            // The tree knows the tasks of the new calls.
            self.calls = logs::calls(self.backend, &self.args.job, job, self.backend.now()).await?.0;
        }
        let calls: Vec<LoggingCall> = self.calls.iter().filter(|of| logged.contains(&of.call)).cloned().collect();
        self.print_calls(&calls).await
    }
}

/// A line as text.
fn text_line(place: &Place, line: &LogLine, task: Option<&str>) -> String {
    let attempt = if line.attempt > 1 { format!("#{}", line.attempt) } else { String::new() };
    let body = text::with_fields(&line.text, &line.fields);
    let left_out = match line.left_out {
        0 => String::new(),
        bytes => format!(" … ({bytes} more bytes are not kept)"),
    };
    let (time, from) = (time(line.at), line.from.as_str());
    format!("{time} {from:<6} {}{attempt}  {}{left_out}", name(place, task), text::line(&body))
}

/// The call, for people.
fn name(place: &Place, task: Option<&str>) -> String {
    format!("{} {}", output::line(task.unwrap_or("?")), output::line(place.call.short()))
}
