//! `cancel`: ends a job early.

use brrr_protocol::client::{Cancelled, Client};
use brrr_protocol::model::JobId;
use serde_json::json;

use super::ExitError;
use super::options::{BackendArgs, job_id};
use super::output::{Format, print_json, say};
use crate::exit::Exit;

/// End a job now. Every worker stops the job's running handlers within 2 s, and the job's queued messages are dropped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host cancel JOB

What another live job waits for as well goes on under that job. Exits with 42 if the job is over already.")]
pub struct CancelCommand {
    /// The id of the job.
    #[arg(value_name = "JOB", value_parser = job_id)]
    job: JobId,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: CancelCommand, format: Format) -> anyhow::Result<Exit> {
    let job_id = &args.job;
    let client = Client::new(args.backend.open_existing().await?);
    let (exit, status, state, text) = match client.cancel(job_id, client.now()).await? {
        Cancelled::Done => {
            (Exit::Done, "cancelled", "cancelled", format!("job {job_id} is cancelled; what runs is being stopped"))
        }
        Cancelled::Already(state) => {
            let text = format!("job {job_id} is over already: {}; nothing was done", state.as_str());
            (Exit::Refused, "refused", state.as_str(), text)
        }
        Cancelled::Unknown => return Err(no_such_job(job_id)),
    };
    if format == Format::Json {
        print_json(&json!({"status": status, "job": job_id.as_str(), "state": state}))?;
    }
    say(format_args!("{text}"));
    Ok(exit)
}

/// The error of every command whose job is unknown.
pub fn no_such_job(job_id: &JobId) -> anyhow::Error {
    ExitError::new(Exit::NotThere, format!("there is no job {job_id} in this backend; `brrr-host jobs` lists them"))
        .into()
}
