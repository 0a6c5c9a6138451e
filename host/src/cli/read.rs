//! `read`: shows what is known of a call or a job, without asking for anything to be done.

use brrr_protocol::client::{Client, Known};
use brrr_protocol::model::{CallHash, Root};

use super::Told;
use super::encode::{CallArgs, Codec, Encoded};
use super::options::{BackendArgs, call_hash, root};
use super::outcome::Show;
use super::output::Format;
use crate::exit::Exit;

/// Print the result of a call or a job if it is there; never queues anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host read fib '{\"n\": 30}'
  brrr-host read --job JOB --output json
  brrr-host read --call HASH

Exits with 40 while there is nothing, and with 30 to 33 if the call failed.")]
pub struct Args {
    #[command(flatten)]
    subject: Subject,

    /// The job, by its id.
    #[arg(long, value_name = "ID", value_parser = root, conflicts_with_all = ["task", "hash"])]
    job: Option<Root>,

    #[command(flatten)]
    backend: BackendArgs,
}

/// A call, by its task and payload or by its hash.
#[derive(Debug, clap::Args)]
pub struct Subject {
    /// The task.
    #[arg(required_unless_present_any = ["hash", "job"])]
    task: Option<String>,

    /// Its arguments: JSON, `@FILE`, or `-` for stdin. None: no arguments.
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    payload: Option<String>,

    /// How the arguments and the result are written.
    #[arg(long, value_enum, default_value_t)]
    pub codec: Codec,

    /// The call, by its hash.
    #[arg(long = "call", id = "hash", value_name = "HASH", value_parser = call_hash, conflicts_with = "task")]
    hash: Option<CallHash>,
}

impl Subject {
    /// The hash of the call that is meant; `None`: none was named.
    ///
    /// # Errors
    /// When the payload can't be read or is not what the codec takes.
    pub fn hash(&self) -> anyhow::Result<Option<CallHash>> {
        if self.hash.is_some() {
            return Ok(self.hash.clone());
        }
        Ok(self.named()?.map(|(_, call)| call.hash))
    }

    /// The task that was named, and the call as it is encoded.
    fn named(&self) -> anyhow::Result<Option<(String, Encoded)>> {
        let Some(task) = self.task.clone() else { return Ok(None) };
        let call = CallArgs { task: task.clone(), payload: self.payload.clone(), codec: self.codec };
        Ok(Some((task, call.encode()?)))
    }
}

pub async fn run(args: Args, format: Format) -> anyhow::Result<Exit> {
    // Once: the payload may come from stdin.
    let named = args.subject.named()?;
    let hash = args.subject.hash.clone().or_else(|| named.as_ref().map(|(_, call)| call.hash.clone()));
    let client = Client::new(args.backend.open_existing().await?);
    let codec = args.subject.codec;
    match (args.job, hash) {
        (Some(root), _) => read_job(&client, &root, codec, format).await,
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
        // clap has refused that already.
        (None, None) => Err(Told::new(Exit::Usage, "name a task, --call or --job").into()),
    }
}

async fn read_job(client: &Client, root: &Root, codec: Codec, format: Format) -> anyhow::Result<Exit> {
    let Some(job) = client.job(root).await? else {
        return Err(Told::new(Exit::NotThere, format!("there is no job {root} in this backend")).into());
    };
    let job = client.as_it_is(root, job, client.now()).await?;
    let show = Show { format, codec, job: Some(root), call: &job.call };
    match client.outcome(root, &job.call).await? {
        Some(Ok(value)) => show.value(&value),
        Some(Err(failure)) => show.failure(&failure),
        None if job.is_over() => {
            show.pending(Exit::NotThere, &format!("job {root} is done, and its value was forgotten"))
        }
        None => show.pending(Exit::NotThere, &format!("job {root} has not ended yet")),
    }
}
