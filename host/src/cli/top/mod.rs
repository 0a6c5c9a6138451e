//! `top`: shows what a fleet does, live.
//!
//! - `activity`: what the tasks do, by the events of workers
//! - `screen`: draws it

mod activity;
mod screen;

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use brrr_protocol::Error;
use brrr_protocol::model::Millis;
use brrr_protocol::ports::Backend;
use brrr_protocol::workers::running;
use brrr_worker::events::time;
use brrr_worker::view::worker::WorkerView;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde::Serialize;
use tokio::sync::mpsc;

use self::activity::{Activity, Change, TaskActivity};
use super::options::BackendArgs;
use super::output::{Format, print, print_json};
use super::topics::known;
use crate::exit::Exit;

/// How often everything is read.
const REFRESH: Duration = Duration::from_secs(1);

/// How many events are read at once.
const EVENTS: usize = 1_000;

/// Dead letters of a topic are counted up to this number.
const DEAD_LETTERS: usize = 100;

/// Show what a fleet does, live: topics, workers and tasks. If stdout is no terminal, prints it once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host top
  brrr-host top --output json

Keys: q, Esc or Ctrl-C quits; r, f, t and n sort the tasks by runs, failures, time or name; p pauses.

OLDEST says for how long the oldest message of a topic waits for a worker; queues on Redis and SQS tell it by the events
of workers only. All about tasks comes from the events of workers that run with --publish-events or --http. Workers of
other brrr SDKs publish none. Per task in the last minute: NOW are calls that run; DONE, FAILED and RETRIED are runs by their end; WAITS are runs that ended because they
wait for other calls; MEAN and MAX are the times of runs.")]
pub struct TopCommand {
    #[command(flatten)]
    backend: BackendArgs,
}

/// What is shown.
#[derive(Default, Serialize)]
struct Snapshot {
    #[serde(skip)]
    head: String,
    topics: Vec<TopicLine>,
    workers: Vec<WorkerLine>,
    tasks: Vec<TaskLine>,
}

#[derive(Serialize)]
struct TopicLine {
    topic: String,
    /// The number of messages that wait for a worker.
    ready: u64,
    /// The number of messages whose time has not come.
    delayed: u64,
    /// For how long the oldest message waits. `None`: none waits, or neither the queue nor the events of workers tell.
    oldest_ms: Option<Millis>,
    workers: usize,
    running: u32,
    slots: u32,
    dead_letters: usize,
}

#[derive(Serialize)]
struct WorkerLine {
    topic: String,
    #[serde(flatten)]
    worker: WorkerView,
}

#[derive(Serialize)]
struct TaskLine {
    task: String,
    running: u32,
    completed: u32,
    failed: u32,
    retried: u32,
    waits: u32,
    mean_ms: Option<Millis>,
    slowest_ms: Millis,
    last_failure: Option<String>,
}

impl TaskLine {
    fn of(task: String, activity: TaskActivity) -> Self {
        Self {
            task,
            running: activity.running,
            completed: activity.completed,
            failed: activity.failed,
            retried: activity.retried,
            waits: activity.waits,
            mean_ms: activity.mean(),
            slowest_ms: activity.slowest,
            last_failure: activity.last_failure,
        }
    }

    fn runs(&self) -> u32 {
        self.running + self.completed + self.failed + self.retried + self.waits
    }
}

/// The order of the tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Runs,
    Failures,
    Time,
    Name,
}

impl Order {
    fn sort(self, tasks: &mut [TaskLine]) {
        // The tasks come sorted by name, and these sorts keep that order.
        match self {
            Self::Runs => tasks.sort_by_key(|task| std::cmp::Reverse(task.runs())),
            Self::Failures => tasks.sort_by_key(|task| std::cmp::Reverse(task.failed + task.retried)),
            Self::Time => tasks.sort_by_key(|task| std::cmp::Reverse(task.slowest_ms)),
            Self::Name => tasks.sort_by(|a, b| a.task.cmp(&b.task)),
        }
    }

    /// The column of this order.
    fn column(self) -> usize {
        match self {
            Self::Name => 0,
            Self::Runs => 2,
            Self::Failures => 3,
            Self::Time => 7,
        }
    }
}

pub async fn run(args: TopCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let mut fleet = Fleet { backend: &*backend, activity: Activity::default(), position: 0 };
    if format == Format::Json || !io::stdout().is_terminal() {
        let snapshot = fleet.read(Order::default()).await?;
        match format {
            Format::Json => print_json(&snapshot)?,
            Format::Text => print(screen::text(&snapshot)?.trim_end())?,
        }
        return Ok(Exit::Done);
    }
    // Also restores the terminal when this panics.
    let mut terminal = ratatui::try_init()?;
    let ended = fleet.show(&mut terminal).await;
    ratatui::try_restore()?;
    ended
}

/// Reads a fleet again and again.
struct Fleet<'a> {
    backend: &'a dyn Backend,
    activity: Activity,
    /// The last event that was read.
    position: u64,
}

impl Fleet<'_> {
    async fn read(&mut self, order: Order) -> anyhow::Result<Snapshot> {
        let backend = self.backend;
        if let Some(log) = backend.events() {
            loop {
                let events = log.events(self.position, EVENTS).await?;
                let Some((last, _)) = events.last() else { break };
                self.position = *last;
                let changes = events.iter().filter_map(|(_, event)| serde_json::from_slice::<Change>(event).ok());
                changes.for_each(|change| self.activity.note(change));
            }
        }
        let now = backend.now();
        let mut snapshot = Snapshot { head: format!("{}  {}", backend.name(), time(now)), ..Snapshot::default() };
        for topic in known(backend).await? {
            // A list that can't be read counts as no list.
            let workers = running(backend.store(), &topic, now).await.unwrap_or_default();
            let backlog = backend.queue().backlog(&topic).await?;
            let oldest = backlog.oldest.map(|since| now.saturating_sub(since));
            snapshot.topics.push(TopicLine {
                ready: backlog.ready,
                delayed: backlog.delayed,
                oldest_ms: oldest.or_else(|| self.activity.oldest(topic.as_str(), now)),
                workers: workers.len(),
                running: workers.values().map(|worker| worker.running).sum(),
                slots: workers.values().map(|worker| worker.slots).sum(),
                dead_letters: backend.queue().dead_letters(&topic, DEAD_LETTERS).await?.len(),
                topic: topic.to_string(),
            });
            let lines = workers.iter().map(|(id, info)| WorkerView::new(id, info, now));
            snapshot.workers.extend(lines.map(|worker| WorkerLine { topic: topic.to_string(), worker }));
        }
        snapshot.tasks = self.activity.tasks(now).into_iter().map(|(task, of)| TaskLine::of(task, of)).collect();
        order.sort(&mut snapshot.tasks);
        Ok(snapshot)
    }

    /// Shows the fleet until the user quits.
    async fn show(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<Exit> {
        let mut input = input();
        let (mut order, mut is_paused) = (Order::default(), false);
        let mut snapshot = self.read(order).await?;
        let mut failed = None;
        let mut refresh = tokio::time::interval(REFRESH);
        let stop = super::wait::interrupted();
        tokio::pin!(stop);
        loop {
            let state = match (&failed, is_paused) {
                (Some(error), _) => format!("{error}"),
                (None, true) => "paused".to_owned(),
                (None, false) => String::new(),
            };
            terminal.draw(|frame| screen::draw(frame, &snapshot, order, &state))?;
            tokio::select! {
                event = input.recv() => match event.map(|event| key(&event)) {
                    None | Some(Some(Key::Quit)) => return Ok(Exit::Done),
                    Some(Some(Key::Sort(by))) => {
                        order = by;
                        order.sort(&mut snapshot.tasks);
                    }
                    Some(Some(Key::Pause)) => is_paused = !is_paused,
                    // The terminal has another size, perhaps.
                    Some(None) => {}
                },
                _ = refresh.tick(), if !is_paused => match self.read(order).await {
                    Ok(read) => (snapshot, failed) = (read, None),
                    // The backend may be there again at the next look.
                    Err(error) if error.downcast_ref().is_some_and(Error::is_transient) => failed = Some(error),
                    Err(error) => return Err(error),
                },
                exit = &mut stop => return Ok(exit?),
            }
        }
    }
}

/// What a key asks for.
enum Key {
    Quit,
    Sort(Order),
    Pause,
}

fn key(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return None };
    let with_control = modifiers.contains(KeyModifiers::CONTROL);
    match code {
        KeyCode::Char('c') if with_control => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('r') => Some(Key::Sort(Order::Runs)),
        KeyCode::Char('f') => Some(Key::Sort(Order::Failures)),
        KeyCode::Char('t') => Some(Key::Sort(Order::Time)),
        KeyCode::Char('n') => Some(Key::Sort(Order::Name)),
        KeyCode::Char('p') => Some(Key::Pause),
        _ => None,
    }
}

/// The events of the terminal, which a thread reads: reading blocks. The channel closes when they can't be read.
fn input() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                break;
            }
        }
    });
    events
}
