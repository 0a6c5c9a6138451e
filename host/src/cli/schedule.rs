//! `schedule`: queues a call and returns at once.

use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, Root};
use brrr_protocol::ports::Scheduled;
use serde::Serialize;

use super::encode::{self, CallArgs};
use super::options::{BackendArgs, TopicArgs, new_root};
use super::output::{Format, print, print_json, say};
use crate::exit::Exit;
use crate::worker::now;

/// Queue a call and return at once: prints the job's id and the call's hash.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host schedule --topic demo fib '{\"n\": 30}'
  brrr-host read --job JOB")]
pub struct Args {
    #[command(flatten)]
    call: CallArgs,

    #[command(flatten)]
    topic: TopicArgs,

    /// Run it again even if its value is there: under a new call hash.
    #[arg(long)]
    fresh: bool,

    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Serialize)]
struct View<'a> {
    /// `queued`, or `done` if the value was there.
    status: &'static str,
    job: &'a str,
    call: &'a str,
}

/// A job that was handed to the backend.
pub struct Job {
    pub root: Root,
    pub hash: CallHash,
    pub scheduled: Scheduled,
}

pub async fn run(args: Args, format: Format) -> anyhow::Result<Exit> {
    let encoded = args.call.encode()?;
    let client = Client::new(args.backend.open_shared()?);
    let job = submit(&client, &args.call, encoded, &args.topic, args.fresh).await?;
    let done = job.scheduled == Scheduled::AlreadyDone;
    match format {
        Format::Json => print_json(&View {
            status: if done { "done" } else { "queued" },
            job: job.root.as_str(),
            call: job.hash.as_str(),
        })?,
        Format::Text => print(format_args!("job  {}\ncall {}", job.root, job.hash))?,
    }
    if done {
        say(format_args!("nothing was queued: the value is there already (--fresh runs the call again)"));
    }
    Ok(Exit::Done)
}

/// Schedules the call as a new job.
pub async fn submit(
    client: &Client,
    call: &CallArgs,
    encoded: encode::Encoded,
    topic: &TopicArgs,
    fresh: bool,
) -> anyhow::Result<Job> {
    let root = new_root()?;
    let hash = if fresh { encode::fresh(&encoded.hash, &root) } else { encoded.hash };
    let call =
        Call { hash: hash.clone(), task: call.task.clone(), payload: encoded.payload, topic: topic.topic.clone() };
    let scheduled = client.schedule(root.clone(), call, now()).await?;
    Ok(Job { root, hash, scheduled })
}
