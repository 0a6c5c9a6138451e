//! Waits for a job, and shows its outcome.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use brrr_protocol::Error;
use brrr_protocol::client::Client;
use brrr_protocol::model::{JobId, Outcome, Topic};
use brrr_protocol::ports::{Backend, Key};
use brrr_protocol::records::decode_tasks;

use super::outcome::Show;
use super::output::say;
use super::progress::Spinner;
use crate::exit::Exit;

/// A job to wait for.
pub struct Waiting<'a> {
    pub backend: &'a dyn Backend,
    pub client: &'a Client,
    pub job_id: &'a JobId,
    pub topic: &'a Topic,
    pub task: &'a str,
    /// The longest time to wait. The job goes on after it.
    pub at_most: Option<Duration>,
}

/// How the waiting ended.
enum Ended {
    Outcome(Outcome),
    Timeout(Duration),
    Signal(Exit),
    /// The backend could not be read.
    Lost(Error),
}

impl Waiting<'_> {
    /// Waits, and shows the outcome, or why there is none.
    ///
    /// # Errors
    /// When the backend can't be read, or stdout can't be written.
    pub async fn show(&self, show: &Show<'_>) -> anyhow::Result<Exit> {
        let ended = tokio::select! {
            outcome = self.client.wait(self.job_id, show.call, || self.client.now()) => outcome.map_or_else(Ended::Lost, Ended::Outcome),
            () = sleep(self.at_most) => Ended::Timeout(self.at_most.unwrap_or_default()),
            exit = interrupted() => Ended::Signal(exit?),
            never = self.entertain() => match never {},
        };
        let job_id = self.job_id;
        let goes_on = format!(
            "job {job_id} goes on; `brrr-host read --job {job_id}` shows its result, `brrr-host cancel {job_id}` stops it"
        );
        match ended {
            Ended::Outcome(Ok(value)) => show.value(&value),
            Ended::Outcome(Err(failure)) => show.failure(&failure),
            Ended::Timeout(time) => {
                let why = self.why().await;
                show.pending(Exit::WaitedTooLong, &format!("no result within {time:?} ({why}); {goes_on}"))
            }
            Ended::Signal(exit) => show.pending(exit, &goes_on),
            Ended::Lost(error) => {
                say(format_args!("{goes_on}"));
                Err(error.into())
            }
        }
    }

    /// Shows on a terminal what the command waits for. Never returns.
    async fn entertain(&self) -> Infallible {
        // Most calls end within a second, and need no progress.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let spinner = Spinner::after(Duration::ZERO, format!("waiting for {}", self.task));
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            spinner.say(self.why().await);
        }
    }

    /// The probable reason why there is no outcome, from the records.
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

/// Waits for SIGINT or SIGTERM.
pub async fn interrupted() -> std::io::Result<Exit> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok(Exit::Interrupted),
        _ = terminate.recv() => Ok(Exit::Terminated),
    }
}
