//! `cancel`: ends a job before its time.

use brrr_protocol::client::{Cancelled, Client};
use brrr_protocol::model::Root;
use serde_json::json;

use super::Told;
use super::options::{BackendArgs, root};
use super::output::{Format, print_json, say};
use crate::exit::Exit;

/// End a job now: its running handlers are stopped within 2 s on every worker, and what it has queued is dropped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host cancel JOB

What another live job waits for as well goes on under that job. Exits with 42 if the job is over already.")]
pub struct Args {
    /// The job, by its id.
    #[arg(value_name = "JOB", value_parser = root)]
    job: Root,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: Args, format: Format) -> anyhow::Result<Exit> {
    let root = &args.job;
    let client = Client::new(args.backend.open_existing().await?);
    let (exit, status, state, text) = match client.cancel(root, client.now()).await? {
        Cancelled::Done => {
            (Exit::Done, "cancelled", "cancelled", format!("job {root} is cancelled; what runs is being stopped"))
        }
        Cancelled::Already(state) => {
            let text = format!("job {root} is over already: {}; nothing was done", state.as_str());
            (Exit::Refused, "refused", state.as_str(), text)
        }
        Cancelled::Unknown => return Err(no_such_job(root)),
    };
    if format == Format::Json {
        print_json(&json!({"status": status, "job": root.as_str(), "state": state}))?;
    }
    say(format_args!("{text}"));
    Ok(exit)
}

/// The error of every command that is given a job of which nothing is known.
pub fn no_such_job(root: &Root) -> anyhow::Error {
    Told::new(Exit::NotThere, format!("there is no job {root} in this backend; `brrr-host jobs` lists them")).into()
}
