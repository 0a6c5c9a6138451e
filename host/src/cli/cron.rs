//! `cron`: schedules, that is, jobs that are started by the clock.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::{Millis, Topic, system_now};
use brrr_protocol::options::{Options, Scope};
use brrr_protocol::ports::Backend;
use brrr_protocol::records::{Schedule, ScheduleSpec};
use brrr_protocol::schedules::{Pattern, Put, Schedules, WasPut, check_schedule_name};
use brrr_worker::events::time;
use brrr_worker::schedule_view::ScheduleView;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

use super::ExitError;
use super::encode::CallArgs;
use super::options::{BackendArgs, TopicArgs, duration, new_job_id};
use super::output::{self, Format, print, print_json, print_table, say};
use super::submit::ConditionArgs;
use crate::config::OverlapWord;
use crate::exit::Exit;
use crate::units::brief;

/// Schedules, the jobs that are started by the clock: add, list, show, pause, resume, remove or run them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host cron add nightly '0 3 * * *' --tz Europe/Berlin --topic demo report '{\"days\": 1}'
  brrr-host cron list --topic demo
  brrr-host cron run-now --topic demo nightly
  brrr-host cron next '30 2 * * *' --tz Europe/Berlin

The workers of the topic start the jobs: each tick has one job, however many workers there are and
whatever is killed. brrr.toml can declare schedules too, under [[schedules]].")]
pub struct CronCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Add(Box<AddArgs>),
    /// List the schedules of a topic.
    List(ListArgs),
    /// Show one schedule.
    Show(OneArgs),
    /// Pause a schedule: its ticks pass without a job, and are not caught up.
    Pause(OneArgs),
    /// End the pause of a schedule.
    Resume(OneArgs),
    /// Remove a schedule. Jobs that it has started go on.
    Remove(OneArgs),
    /// Start a job of a schedule now, beside its ticks, also if it is paused.
    RunNow(OneArgs),
    Next(NextArgs),
}

/// Add a schedule.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host cron add nightly '0 3 * * *' --tz Europe/Berlin --topic demo report '{\"days\": 1}'
  brrr-host cron add poll '*/30 * * * * *' --topic demo poll --overlap skip
  brrr-host cron add weekly @weekly --topic demo report --dry-run

CRON has five fields: minute, hour, day of month, month and day of week ('30 4 * * MON-FRI'). With
six fields the first one is the second. Or it is @hourly, @daily, @weekly, @monthly or @yearly.

When clocks change, a time of day that is skipped runs once, when the clock goes on, and a time of
day that is repeated runs once. A pattern of every hour (`*` for the hour) runs in real time: not in
the hour that is skipped, and twice in the one that is repeated.

Workers notice a new schedule after 10 s at most, and start what it has missed meanwhile.")]
struct AddArgs {
    /// The name of the schedule: letters, digits, `-`, `_` and `.`.
    #[arg(value_parser = name)]
    name: String,

    /// When: a cron pattern, in quotes.
    cron: String,

    #[command(flatten)]
    call: CallArgs,

    #[command(flatten)]
    topic: TopicArgs,

    /// The time zone of the pattern, as in the IANA database: `Europe/Berlin`.
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    tz: String,

    /// What happens to a tick while the job of the tick before is alive.
    #[arg(long, value_enum, default_value_t, value_name = "RULE")]
    overlap: OverlapWord,

    /// How late a tick may be started if no worker was there when it was due. Less than 15s counts as 15s.
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = duration)]
    catch_up: Duration,

    /// Who shares the outcomes of a job's calls for which nothing else says it: `job` (each job runs them anew), `fleet` (all
    /// jobs), or a duration such as `1h` (all jobs, for so long).
    #[arg(long, default_value = "job", value_name = "SCOPE", value_parser = Scope::parse)]
    scope: Scope,

    /// Add it paused.
    #[arg(long)]
    paused: bool,

    /// Replace the schedule of this name, if there is one.
    #[arg(long)]
    replace: bool,

    /// Only check, and print the next 5 ticks. Nothing is written.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    backend: BackendArgs,

    #[command(flatten)]
    conditions: ConditionArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    topic: TopicArgs,

    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The name of the schedule.
    name: String,

    #[command(flatten)]
    topic: TopicArgs,

    #[command(flatten)]
    backend: BackendArgs,
}

/// Print the next ticks of a cron pattern.
#[derive(Debug, clap::Args)]
struct NextArgs {
    /// The cron pattern, in quotes.
    cron: String,

    /// The time zone of the pattern, as in the IANA database: `Europe/Berlin`.
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    tz: String,

    /// How many ticks to print.
    #[arg(long, default_value_t = TICKS, value_name = "N")]
    count: usize,
}

/// The document of `list --output json`.
#[derive(Serialize)]
struct ListDocument<'a> {
    schedules: Vec<ScheduleView<'a>>,
}

/// How many ticks are printed if nothing else is said.
const TICKS: usize = 5;

/// Parses the name of a schedule.
fn name(text: &str) -> Result<String, String> {
    check_schedule_name(text).map(|()| text.to_owned())
}

pub async fn run(args: CronCommand, format: Format) -> anyhow::Result<Exit> {
    match args.action {
        Action::Add(args) => add(*args, format).await,
        Action::List(args) => list(args, format).await,
        Action::Show(args) => {
            let at = At::open(&args).await?;
            let schedule = at.schedules.get(&args.name).await?.ok_or_else(|| at.absent(&args.name))?;
            at.show(&args.name, &schedule, format)
        }
        Action::Pause(args) => {
            let at = At::open(&args).await?;
            let paused = at.schedules.pause(&args.name, at.now).await?.ok_or_else(|| at.absent(&args.name))?;
            at.changed(&args.name, &paused, "is paused: its ticks pass without a job", format)
        }
        Action::Resume(args) => {
            let at = At::open(&args).await?;
            let resumed = at.schedules.resume(&args.name, at.now).await?.ok_or_else(|| at.absent(&args.name))?;
            let next = resumed.next(at.now).map_or_else(|| "never".to_owned(), time);
            at.changed(&args.name, &resumed, &format!("goes on; the next tick is {next}"), format)
        }
        Action::Remove(args) => {
            let at = At::open(&args).await?;
            if !at.schedules.remove(&args.name, at.now).await? {
                return Err(at.absent(&args.name));
            }
            if format == Format::Json {
                print_json(&json!({"status": "removed", "name": args.name, "topic": at.topic.as_str()}))?;
            }
            say(format_args!("schedule {} of topic {} is removed", args.name, at.topic));
            Ok(Exit::Done)
        }
        Action::RunNow(args) => {
            let (at, job_id) = (At::open(&args).await?, new_job_id()?);
            if !at.schedules.run_now(&args.name, &job_id, at.now).await? {
                return Err(at.absent(&args.name));
            }
            match format {
                Format::Json => print_json(&json!({"status": "queued", "name": args.name, "job": job_id.as_str()}))?,
                Format::Text => print(format_args!("job  {job_id}"))?,
            }
            Ok(Exit::Done)
        }
        Action::Next(args) => {
            let pattern = Pattern::parse(&args.cron, &args.tz).map_err(usage)?;
            next_ticks(&pattern, &args.cron, &args.tz, args.count, format)
        }
    }
}

async fn add(args: AddArgs, format: Format) -> anyhow::Result<Exit> {
    let encoded = args.call.encode()?;
    let conditions = args.conditions.parts();
    let spec = ScheduleSpec {
        tz: args.tz,
        // `job` is what a schedule without a scope has.
        options: Options { scope: Some(args.scope).filter(|scope| *scope != Scope::Job), ..conditions.options },
        timeout: conditions.timeout,
        max_messages: conditions.max_messages,
        overlap: args.overlap.into(),
        catch_up: args.catch_up,
        ..ScheduleSpec::new(args.cron, args.call.task, encoded.payload, encoded.hash)
    };
    spec.check().map_err(usage)?;
    if args.dry_run {
        let pattern = Pattern::parse(&spec.cron, &spec.tz).map_err(usage)?;
        return next_ticks(&pattern, &spec.cron, &spec.tz, TICKS, format);
    }
    let at = At::of(args.backend.open_shared().await?, args.topic.topic);
    let put = Put { spec, is_paused: Some(args.paused), is_declared: false, may_replace: args.replace };
    let (schedule, what) = match at.schedules.put(&args.name, &put, at.now).await? {
        WasPut::Added(schedule) => (schedule, "is added"),
        WasPut::Changed(schedule) => (schedule, "is replaced"),
        WasPut::Same(schedule) => (schedule, "was there already, exactly so"),
        WasPut::Exists(_) => {
            let text = format!(
                "topic {} has another schedule {} already; replace it with --replace, or take another name",
                at.topic, args.name
            );
            return Err(ExitError::new(Exit::Refused, text).into());
        }
    };
    let next = schedule
        .next(at.now)
        .map_or_else(|| "it is paused".to_owned(), |next| format!("the next tick is {}", time(next)));
    at.changed(&args.name, &schedule, &format!("{what}; {next}"), format)
}

async fn list(args: ListArgs, format: Format) -> anyhow::Result<Exit> {
    let at = At::of(args.backend.open_existing().await?, args.topic.topic);
    let all = at.schedules.list().await?;
    match format {
        Format::Json => {
            let views = all.iter().map(|(name, one)| ScheduleView::of(&at.topic, name, one, at.now));
            print_json(&ListDocument { schedules: views.collect() })?;
        }
        Format::Text if all.is_empty() => say(format_args!("topic {} has no schedules", at.topic)),
        Format::Text => {
            let headings = ["NAME", "CRON", "ZONE", "TASK", "NEXT", "LAST", "LAST JOB"].map(str::to_owned).to_vec();
            let rows = all.iter().map(|(name, schedule)| at.row(name, schedule));
            print_table(&std::iter::once(headings).chain(rows).collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Done)
}

/// The schedules of a topic, at this moment.
struct At {
    schedules: Schedules,
    topic: Topic,
    now: Millis,
}

impl At {
    async fn open(args: &OneArgs) -> anyhow::Result<Self> {
        Ok(Self::of(args.backend.open_existing().await?, args.topic.topic.clone()))
    }

    fn of(backend: Arc<dyn Backend>, topic: Topic) -> Self {
        let now = backend.now();
        Self { schedules: Schedules::new(backend, topic.clone()), topic, now }
    }

    fn absent(&self, name: &str) -> anyhow::Error {
        let text = format!(
            "topic {} has no schedule {}; `brrr-host cron list --topic {}` lists those that there are",
            self.topic,
            output::line(name),
            self.topic
        );
        ExitError::new(Exit::NotThere, text).into()
    }

    /// Tells what has happened to a schedule, and prints it as JSON if asked for.
    fn changed(&self, name: &str, schedule: &Schedule, what: &str, format: Format) -> anyhow::Result<Exit> {
        if format == Format::Json {
            print_json(&ScheduleView::of(&self.topic, name, schedule, self.now))?;
        }
        say(format_args!("schedule {name} of topic {} {what}", self.topic));
        Ok(Exit::Done)
    }

    fn row(&self, name: &str, schedule: &Schedule) -> Vec<String> {
        let Schedule { spec, last_job, .. } = schedule;
        let next = if schedule.is_paused { "paused".to_owned() } else { self.next(schedule) };
        let last = if schedule.last == 0 { "-".to_owned() } else { time(schedule.last) };
        let job_id = last_job.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let cells = [name, &spec.cron, &spec.tz, &spec.task, &next, &last, &job_id];
        cells.iter().map(|cell| output::line(cell)).collect()
    }

    fn next(&self, schedule: &Schedule) -> String {
        schedule.next(self.now).map_or_else(|| "-".to_owned(), time)
    }

    fn show(&self, name: &str, schedule: &Schedule, format: Format) -> anyhow::Result<Exit> {
        let view = ScheduleView::of(&self.topic, name, schedule, self.now);
        if format == Format::Json {
            print_json(&view)?;
            return Ok(Exit::Done);
        }
        let from = if schedule.is_declared { "brrr.toml" } else { "cron add" };
        let options = serde_json::to_value(&view.options)?;
        let options = options.as_object().into_iter().flatten().map(|(key, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{}={value}", key.replace('_', "-"))
        });
        let input = view.input.as_ref().map(|input| input.get().to_owned());
        let rows = [
            ("name", name.to_owned()),
            ("topic", self.topic.to_string()),
            ("cron", format!("{} ({})", view.cron, view.tz)),
            ("task", view.task.to_owned()),
            ("payload", input.unwrap_or_else(|| format!("{} bytes", schedule.spec.payload.len()))),
            ("options", options.collect::<Vec<_>>().join(" ")),
            ("overlap", view.overlap.to_owned()),
            ("catch-up", view.catch_up.clone()),
            ("from", from.to_owned()),
            ("next", if schedule.is_paused { "paused".to_owned() } else { self.next(schedule) }),
            ("last", view.last.clone().unwrap_or_else(|| "-".to_owned())),
            ("last job", view.last_job.unwrap_or("-").to_owned()),
        ];
        let shown = rows.iter().filter(|(_, value)| !value.is_empty());
        let lines = shown.map(|(key, value)| vec![(*key).to_owned(), output::line(value)]);
        print_table(&lines.collect::<Vec<_>>())?;
        Ok(Exit::Done)
    }
}

/// Prints the next ticks: as the clocks of the zone show them, in UTC, and how long that is.
fn next_ticks(pattern: &Pattern, cron: &str, tz: &str, count: usize, format: Format) -> anyhow::Result<Exit> {
    let now = system_now();
    let ticks: Vec<Millis> = std::iter::successors(pattern.next(now), |tick| pattern.next(*tick)).take(count).collect();
    match format {
        Format::Json => {
            let times: Vec<String> = ticks.iter().map(|tick| time(*tick)).collect();
            print_json(&json!({"cron": cron, "tz": tz, "next": times}))?;
        }
        Format::Text if ticks.is_empty() => say(format_args!("it never comes")),
        Format::Text => {
            let rows = ticks.iter().map(|tick| {
                let distance = format!("in {}", brief(tick.saturating_sub(now)));
                vec![pattern.on_the_clock(*tick), time(*tick), distance]
            });
            print_table(&rows.collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Done)
}

fn usage(text: String) -> ExitError {
    ExitError::new(Exit::Usage, text)
}
