//! `retry`: retries an ended job, as a new job.

use std::time::Duration;

use brrr_protocol::client::{Client, Retried};
use brrr_protocol::model::JobId;

use super::ExitError;
use super::cancel::no_such_job;
use super::encode::Codec;
use super::options::{BackendArgs, duration, job_id, new_job_id};
use super::outcome::Show;
use super::output::{Format, say};
use super::schedule;
use super::submit::{Job, persist};
use super::wait::Waiting;
use crate::exit::Exit;

/// Retry a job that is over, as a new job. Calls that succeeded are not run again. Prints the new job's id.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host retry JOB
  brrr-host retry JOB --wait
  brrr-host retry JOB --wait 30s --output json

The new job has the conditions of the old one, and as much time. Exits with 42 while the old one is alive.")]
pub struct RetryCommand {
    /// The id of the job.
    #[arg(value_name = "JOB", value_parser = job_id)]
    job: JobId,

    /// Wait for the new job, at most this time if given, and print its result as `call` does.
    #[arg(long, value_name = "TIME", num_args = 0..=1, value_parser = duration)]
    #[allow(clippy::option_option, reason = "clap's form of a flag that may have a value")]
    wait: Option<Option<Duration>>,

    /// How the result is encoded.
    #[arg(long, value_enum, default_value_t, requires = "wait")]
    codec: Codec,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: RetryCommand, format: Format) -> anyhow::Result<Exit> {
    let (old, new) = (&args.job, new_job_id()?);
    let backend = args.backend.open_existing().await?;
    let client = Client::new(backend.clone());
    let (call, scheduled) = match persist(&new, || Box::pin(client.retry(old, new.clone(), client.now()))).await? {
        Retried::As(call, scheduled) => (call, scheduled),
        Retried::Alive => {
            let text = format!("job {old} is not over yet; `brrr-host cancel {old}` ends it");
            return Err(ExitError::new(Exit::Refused, text).into());
        }
        Retried::Unknown => return Err(no_such_job(old)),
    };
    let Some(at_most) = args.wait else {
        schedule::show(&Job { job_id: new, hash: call.hash, state: scheduled.into() }, format)?;
        return Ok(Exit::Done);
    };
    say(format_args!("job {new} tries job {old} again"));
    let waiting =
        Waiting { backend: &*backend, client: &client, job_id: &new, topic: &call.topic, task: &call.task, at_most };
    waiting.show(&Show { format, codec: args.codec, job: Some(&new), call: &call.hash }).await
}
