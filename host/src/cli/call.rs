//! `call`: schedules a call, waits for it and prints its result.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use brrr_protocol::client::{Client, Known};
use brrr_protocol::model::{Outcome, Topic};
use brrr_protocol::ports::{Backend, Key};
use brrr_protocol::records::decode_tasks;

use super::encode::CallArgs;
use super::options::{BackendArgs, TopicArgs, duration};
use super::outcome::Show;
use super::output::Format;
use super::progress::Spinner;
use super::schedule::{Job, submit};
use crate::exit::Exit;

/// Schedule a call, wait for it, and print its result. A value that is there already is printed at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host call --topic demo fib '{\"n\": 30}'
  brrr-host call --topic demo hello '{\"greetee\": \"John\"}' --timeout 10s --output json
  brrr-host call --topic demo thumbnail @photo.jpg --codec raw > small.jpg")]
pub struct Args {
    #[command(flatten)]
    call: CallArgs,

    #[command(flatten)]
    topic: TopicArgs,

    /// Run it again even if its value is there: under a new call hash.
    #[arg(long)]
    fresh: bool,

    /// Stop waiting after this time; the job goes on. None: wait as long as it takes.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    backend: BackendArgs,
}

/// How the waiting ended.
enum Ended {
    Outcome(Outcome),
    Timeout(Duration),
    Signal(Exit),
}

pub async fn run(args: Args, format: Format) -> anyhow::Result<Exit> {
    let encoded = args.call.encode()?;
    let backend = args.backend.open_shared()?;
    let client = Client::new(backend.clone());
    let codec = args.call.codec;
    if !args.fresh
        && let Known::Value(value) = client.read(&encoded.hash).await?
    {
        return Show { format, codec, job: None, call: &encoded.hash }.value(&value);
    }
    let Job { root, hash, .. } = submit(&client, &args.call, encoded, &args.topic, args.fresh).await?;
    let show = Show { format, codec, job: Some(&root), call: &hash };
    let waiting = Waiting { backend: &*backend, topic: &args.topic.topic, task: &args.call.task };

    let ended = tokio::select! {
        outcome = client.wait(&root, &hash) => Ended::Outcome(outcome?),
        () = sleep(args.timeout) => Ended::Timeout(args.timeout.unwrap_or_default()),
        exit = interrupted() => Ended::Signal(exit?),
        never = waiting.show() => match never {},
    };
    let goes_on = format!("job {root} goes on; `brrr-host read --job {root}` shows its result");
    match ended {
        Ended::Outcome(Ok(value)) => show.value(&value),
        Ended::Outcome(Err(failure)) => show.failure(&failure),
        Ended::Timeout(time) => {
            let why = waiting.why().await;
            show.pending(Exit::WaitedTooLong, &format!("no result within {time:?} ({why}); {goes_on}"))
        }
        Ended::Signal(exit) => show.pending(exit, &goes_on),
    }
}

/// What a person who waits wants to know.
struct Waiting<'a> {
    backend: &'a dyn Backend,
    topic: &'a Topic,
    task: &'a str,
}

impl Waiting<'_> {
    /// Tells on a terminal what is being waited for. Never returns.
    async fn show(&self) -> Infallible {
        // Most calls are answered before anybody wonders.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let spinner = Spinner::after(Duration::ZERO, format!("waiting for {}", self.task));
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            spinner.say(self.why().await);
        }
    }

    /// The likely reason, as far as the records tell.
    async fn why(&self) -> String {
        let (task, topic) = (self.task, self.topic);
        let found = self.backend.store().get(&Key::tasks(topic)).await;
        match found.ok().flatten().map(|bytes| decode_tasks(&bytes)) {
            None => format!(
                "waiting for {task}; no worker has served topic {topic} yet, start one with \
                 `brrr-host run --topic {topic} GUEST.wasm`"
            ),
            Some(Ok(tasks)) if !tasks.contains(task) => {
                format!("waiting for {task}; no worker of topic {topic} has announced this task")
            }
            Some(_) => format!("waiting for {task} on topic {topic}"),
        }
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => pending().await,
    }
}

async fn interrupted() -> std::io::Result<Exit> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(Exit::Interrupted),
        _ = terminate.recv() => Ok(Exit::Terminated),
    }
}
