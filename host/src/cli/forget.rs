//! `forget`: removes a value, so that the next job for its call runs the call again.

use brrr_protocol::client::{Client, Forgotten};
use serde_json::json;

use super::ExitError;
use super::options::BackendArgs;
use super::output::{Format, print_json, say};
use super::read::Subject;
use crate::exit::Exit;

/// Remove the value of a call, so that the next job for this call runs it again. Refused while any job is alive.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host forget fib '{\"n\": 30}'
  brrr-host forget --call HASH")]
pub struct ForgetCommand {
    #[command(flatten)]
    subject: Subject,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: ForgetCommand, format: Format) -> anyhow::Result<Exit> {
    let Some(hash) = args.subject.hash()? else {
        return Err(ExitError::new(Exit::Usage, "name a task or --call").into());
    };
    let client = Client::new(args.backend.open_existing().await?);
    let call = hash.short();
    let (exit, status, text) = match client.forget(&hash, client.now()).await? {
        Forgotten::Done => (Exit::Done, "forgotten", format!("forgot the value of call {call}")),
        Forgotten::Absent => (Exit::NotThere, "absent", format!("call {call} has no value")),
        Forgotten::InUse(job_id) => (
            Exit::Refused,
            "refused",
            format!("call {call} keeps its value: job {job_id} is alive and may have used it; wait for it to end"),
        ),
    };
    if format == Format::Json {
        print_json(&json!({"status": status, "call": hash.as_str()}))?;
    }
    say(format_args!("{text}"));
    Ok(exit)
}
