//! `read`: shows what the store knows about a call or a job, and queues nothing.

use brrr_protocol::client::{Client, Known};
use brrr_protocol::model::{CallHash, JobId};

use super::ExitError;
use super::encode::{CallArgs, Codec, Encoded};
use super::options::{BackendArgs, call_hash, job_id};
use super::outcome::Show;
use super::output::Format;
use crate::exit::Exit;

/// Print the result of a call or a job if it exists. Never queues anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host read fib '{\"n\": 30}'
  brrr-host read --job JOB --output json
  brrr-host read --call HASH

Exits with 40 while there is nothing, and with 30 to 33 if the call failed.")]
pub struct ReadCommand {
    #[command(flatten)]
    subject: Subject,

    /// The id of the job.
    #[arg(long, value_name = "ID", value_parser = job_id, conflicts_with_all = ["task", "hash"])]
    job: Option<JobId>,

    #[command(flatten)]
    backend: BackendArgs,
}

/// A call, named by its task and payload, or by its hash.
#[derive(Debug, clap::Args)]
pub struct Subject {
    /// The task.
    #[arg(required_unless_present_any = ["hash", "job"])]
    task: Option<String>,

    /// The arguments of the task: JSON, `@FILE`, or `-` for stdin. Not given: no arguments.
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    payload: Option<String>,

    /// How the arguments and the result are encoded.
    #[arg(long, value_enum, default_value_t)]
    pub codec: Codec,

    /// The hash of the call.
    #[arg(long = "call", id = "hash", value_name = "HASH", value_parser = call_hash, conflicts_with = "task")]
    hash: Option<CallHash>,
}

impl Subject {
    /// The hash of the call that the arguments name. `None`: they name no call.
    ///
    /// # Errors
    /// When the payload can't be read, or the codec does not accept it.
    pub fn hash(&self) -> anyhow::Result<Option<CallHash>> {
        if self.hash.is_some() {
            return Ok(self.hash.clone());
        }
        Ok(self.named()?.map(|(_, call)| call.hash))
    }

    /// The named task, and its encoded call.
    fn named(&self) -> anyhow::Result<Option<(String, Encoded)>> {
        let Some(task) = self.task.clone() else { return Ok(None) };
        let call = CallArgs { task: task.clone(), payload: self.payload.clone(), codec: self.codec };
        Ok(Some((task, call.encode()?)))
    }
}

pub async fn run(args: ReadCommand, format: Format) -> anyhow::Result<Exit> {
    // This is called only once, because the payload may come from stdin.
    let named = args.subject.named()?;
    let hash = args.subject.hash.clone().or_else(|| named.as_ref().map(|(_, call)| call.hash.clone()));
    let client = Client::new(args.backend.open_existing().await?);
    let codec = args.subject.codec;
    match (args.job, hash) {
        (Some(job_id), _) => read_job(&client, &job_id, codec, format).await,
        (None, Some(hash)) => {
            let show = Show { format, codec, job: None, call: &hash };
            let known = client.read(&hash).await?;
            if let (Some((task, call)), true) = (&named, known != Known::Nothing) {
                client.compare(&hash, task, &call.payload).await?;
            }
            match known {
                Known::Value(value) => show.value(&value),
                Known::Failed(failure) => show.failure(&failure),
                Known::Nothing => show.pending(
                    Exit::NotThere,
                    &format!("nothing is known of call {}: not ended, or never asked for", hash.short()),
                ),
            }
        }
        // clap has refused this case already.
        (None, None) => Err(ExitError::new(Exit::Usage, "name a task, --call or --job").into()),
    }
}

async fn read_job(client: &Client, job_id: &JobId, codec: Codec, format: Format) -> anyhow::Result<Exit> {
    let Some(job) = client.job(job_id).await? else {
        return Err(ExitError::new(Exit::NotThere, format!("there is no job {job_id} in this backend")).into());
    };
    let job = client.as_it_is(job_id, job, client.now()).await?;
    let show = Show { format, codec, job: Some(job_id), call: &job.call };
    match client.outcome(job_id, &job.call).await? {
        Some(Ok(value)) => show.value(&value),
        Some(Err(failure)) => show.failure(&failure),
        None if job.is_over() => {
            show.pending(Exit::NotThere, &format!("job {job_id} is done, and its value was forgotten"))
        }
        None => show.pending(Exit::NotThere, &format!("job {job_id} has not ended yet")),
    }
}
