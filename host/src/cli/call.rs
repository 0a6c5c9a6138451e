//! `call`: schedules a call, waits for it and prints its result.

use std::path::PathBuf;
use std::time::Duration;

use brrr_protocol::client::{Client, Known};

use super::options::duration;
use super::outcome::Show;
use super::output::Format;
use super::push::bring;
use super::submit::{Job, SubmitArgs};
use super::wait::Waiting;
use crate::exit::Exit;

/// Schedule a call, wait for it, and print its result. A value that is in the store already is printed at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host call --topic demo fib '{\"n\": 30}'
  brrr-host call --topic demo hello '{\"greetee\": \"John\"}' --timeout 10s --max-retries 3 --output json
  brrr-host call --topic demo thumbnail @photo.jpg --codec raw > small.jpg
  brrr-host call --topic any --with hello fib '{\"n\": 30}'

A job that times out is over (exit code 32); one that is only not waited for any longer goes on (41).
What is of the job can also be in the environment (BRRR_JOB_TIMEOUT, BRRR_JOB_MAX_RETRIES, …) and under [job] in brrr.toml.")]
pub struct CallCommand {
    /// Stop waiting after this time; the job goes on. Not given: wait without a limit.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,

    /// Bring the code along: the component, the folder of a project, or oci://REGISTRY/NAME:TAG, in which the task is. A
    /// worker with `--accept-code` runs it. Calls with the same code share their results, and code that is in the store is
    /// not sent again.
    #[arg(long, value_name = "GUEST.WASM|DIR|OCI")]
    with: Option<PathBuf>,

    #[command(flatten)]
    submit: SubmitArgs,
}

pub async fn run(args: CallCommand, format: Format) -> anyhow::Result<Exit> {
    let mut args = args;
    let (backend, request) = match &args.with {
        None => {
            let request = args.submit.request()?;
            (args.submit.backend.open_shared().await?, request)
        }
        Some(path) => {
            let backend = args.submit.backend.open_shared().await?;
            // The hash of the call follows from the name of the task, which has the component in it.
            args.submit.call.task = bring(&Client::new(backend.clone()), path, &args.submit.call.task).await?;
            let request = args.submit.request()?;
            (backend, request)
        }
    };
    let client = Client::new(backend.clone());
    let submit = &args.submit;
    let request = client.with_task_scope(request).await?;
    let codec = submit.call.codec;
    if SubmitArgs::is_answered_by_any_value(&request)
        && let Known::Value(value) = client.read(&request.hash).await?
    {
        return Show { format, codec, job: None, call: &request.hash }.value(&value);
    }
    let Job { job_id, hash, .. } = submit.submit(&client, request).await?;
    let waiting = Waiting {
        backend: &*backend,
        client: &client,
        job_id: &job_id,
        topic: &submit.topic.topic,
        task: &submit.call.task,
        at_most: args.wait,
    };
    waiting.show(&Show { format, codec, job: Some(&job_id), call: &hash }).await
}
