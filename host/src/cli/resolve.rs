//! `resolve` and `reject`: answer a promise of a job.

use brrr_protocol::client::{Answered, Client};
use brrr_protocol::model::{JobId, check_name};
use bytes::Bytes;
use serde_json::json;

use super::ExitError;
use super::cancel::no_such_job;
use super::options::{BackendArgs, job_id};
use super::output::{Format, print_json, say};
use crate::exit::Exit;

/// Give a job's promise its value. The job waits for it by `promise(NAME)`, or will do so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host resolve JOB approval '{\"ok\": true}'

The first answer stays. Exits with 42 if the promise has another answer, or if the job is over.")]
pub struct ResolveCommand {
    #[command(flatten)]
    promise: PromiseArgs,

    /// The value, as JSON.
    #[arg(value_name = "VALUE", default_value = "null")]
    value: String,

    #[command(flatten)]
    backend: BackendArgs,
}

/// Reject a job's promise. Whoever waits for it gets a failure of the kind `rejected`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host reject JOB approval 'the budget is spent'

The first answer stays. Exits with 42 if the promise has another answer, or if the job is over.")]
pub struct RejectCommand {
    #[command(flatten)]
    promise: PromiseArgs,

    /// Why, for people.
    #[arg(value_name = "REASON")]
    reason: String,

    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, clap::Args)]
struct PromiseArgs {
    /// The id of the job.
    #[arg(value_name = "JOB", value_parser = job_id)]
    job: JobId,

    /// The name of the promise.
    #[arg(value_name = "NAME", value_parser = promise)]
    name: String,
}

fn promise(text: &str) -> Result<String, String> {
    check_name("the promise's name", text).map(|()| text.to_owned())
}

pub async fn resolve(args: ResolveCommand, format: Format) -> anyhow::Result<Exit> {
    serde_json::from_str::<serde::de::IgnoredAny>(&args.value).map_err(|error| {
        ExitError::new(Exit::Usage, format!("the value is not JSON: {error}; a text needs its quotes: '\"text\"'"))
    })?;
    let client = Client::new(args.backend.open_existing().await?);
    let PromiseArgs { job, name } = &args.promise;
    // The text as it is: numbers keep all their digits.
    let value = Bytes::from(args.value.trim().to_owned());
    let answered = client.resolve(job, name, value, client.now()).await?;
    report(&args.promise, answered, "resolved", format)
}

pub async fn reject(args: RejectCommand, format: Format) -> anyhow::Result<Exit> {
    let client = Client::new(args.backend.open_existing().await?);
    let PromiseArgs { job, name } = &args.promise;
    let answered = client.reject(job, name, &args.reason, client.now()).await?;
    report(&args.promise, answered, "rejected", format)
}

fn report(
    PromiseArgs { job, name }: &PromiseArgs,
    answered: Answered,
    done: &str,
    format: Format,
) -> anyhow::Result<Exit> {
    let (exit, status, text) = match answered {
        Answered::Done => (Exit::Done, done, format!("the promise {name} of job {job} is {done}")),
        Answered::Same => {
            (Exit::Done, done, format!("the promise {name} of job {job} was {done} with the same answer already"))
        }
        Answered::Other => {
            (Exit::Refused, "refused", format!("the promise {name} of job {job} has another answer, which stays"))
        }
        Answered::JobOver(state) => {
            let text = format!("job {job} is over: {}; nobody waits for the promise {name}", state.as_str());
            (Exit::Refused, "refused", text)
        }
        Answered::Unknown => return Err(no_such_job(job)),
    };
    if format == Format::Json {
        print_json(&json!({"status": status, "job": job.as_str(), "promise": name}))?;
    }
    say(format_args!("{text}"));
    Ok(exit)
}
