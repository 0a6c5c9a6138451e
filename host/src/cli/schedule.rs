//! `schedule`: queues a call and returns at once.

use brrr_protocol::client::Client;
use serde::Serialize;

use super::output::{Format, print, print_json, say};
use super::submit::{Accepted, Job, SubmitArgs};
use crate::exit::Exit;

/// Queue a call and return at once. Prints the job's id and the call's hash.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host schedule --topic demo fib '{\"n\": 30}' --timeout 1h
  brrr-host read --job JOB
  brrr-host schedule --topic demo send_mail '{\"to\": \"john\"}' --id order-17 --delay 5m

What is of the job can also be in the environment (BRRR_JOB_TIMEOUT, BRRR_JOB_MAX_RETRIES, …) and under [job] in brrr.toml.")]
pub struct ScheduleCommand {
    #[command(flatten)]
    submit: SubmitArgs,
}

#[derive(Serialize)]
struct ScheduledDocument<'a> {
    /// `queued`; `done` if the value was in the store already; `existing` if the key has started the job before.
    status: &'static str,
    job: &'a str,
    call: &'a str,
}

pub async fn run(args: ScheduleCommand, format: Format) -> anyhow::Result<Exit> {
    let request = args.submit.request()?;
    let client = Client::new(args.submit.backend.open_shared().await?);
    let request = client.with_task_scope(request).await?;
    let job = args.submit.submit(&client, request).await?;
    show(&job, format)?;
    if job.state == Accepted::Done {
        say(format_args!("--fresh runs the call again"));
    }
    Ok(Exit::Done)
}

/// Shows a job that the backend has accepted.
///
/// # Errors
/// When stdout can't be written.
pub fn show(job: &Job, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => print_json(&ScheduledDocument {
            status: job.state.as_str(),
            job: job.job_id.as_str(),
            call: job.hash.as_str(),
        })?,
        Format::Text => print(format_args!("job  {}\ncall {}", job.job_id, job.hash))?,
    }
    match job.state {
        Accepted::Queued => {}
        Accepted::Done => say(format_args!("nothing was queued: the value is there already")),
        Accepted::Existing => say(format_args!("this key has started the job before")),
    }
    Ok(())
}
