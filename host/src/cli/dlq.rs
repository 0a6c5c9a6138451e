//! `dlq`: commands for the dead-letter queue.

use brrr_protocol::client::Client;
use brrr_protocol::model::Millis;
use brrr_protocol::ports::{Backend, DeadLetter, Scheduled};
use brrr_worker::dead_letters::{DeadLetterWithCall, Sent};
use clap::Subcommand;
use serde_json::json;

use super::ExitError;
use super::options::{BackendArgs, TopicArgs};
use super::output::{self, Format, print, print_json, print_table, say};
use crate::exit::Exit;
use crate::units::brief;

/// Dead letters, the messages that no worker could process: list, show, send again or drop them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host dlq list --topic demo
  brrr-host dlq show --topic demo 7
  brrr-host dlq send --topic demo 7
  brrr-host dlq drop --topic demo --all

A message whose call has failed in its job is sent again as a new job for that call; any other one as it is. It is taken
off the list after that: a crash in between may send it twice, never lose it.")]
pub struct DlqCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List dead letters, oldest first.
    List(ListArgs),
    /// Show one dead letter, with its call.
    Show(ShowArgs),
    /// Send one dead letter, or all, again.
    Send(TakeArgs),
    /// Drop one dead letter, or all.
    Drop(TakeArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// How many dead letters to list.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,

    #[command(flatten)]
    dlq: DlqArgs,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The id of the message, as `list` prints it.
    id: String,

    #[command(flatten)]
    dlq: DlqArgs,
}

#[derive(Debug, clap::Args)]
struct TakeArgs {
    /// The id of the message, as `list` prints it.
    #[arg(required_unless_present = "all")]
    id: Option<String>,

    /// Take every dead letter of the topic.
    #[arg(long, conflicts_with = "id")]
    all: bool,

    #[command(flatten)]
    dlq: DlqArgs,
}

#[derive(Debug, clap::Args)]
struct DlqArgs {
    #[command(flatten)]
    topic: TopicArgs,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: DlqCommand, format: Format) -> anyhow::Result<Exit> {
    match args.action {
        Action::List(args) => list(&args, format).await,
        Action::Show(args) => show(&args, format).await,
        Action::Send(args) => send(&args, format).await,
        Action::Drop(args) => drop_dead_letters(&args, format).await,
    }
}

async fn list(args: &ListArgs, format: Format) -> anyhow::Result<Exit> {
    let backend = args.dlq.backend.open_existing().await?;
    let topic = &args.dlq.topic.topic;
    let mut dead_letters = Vec::new();
    for dead_letter in backend.queue().dead_letters(topic, args.limit).await? {
        dead_letters.push(DeadLetterWithCall::read(&*backend, dead_letter).await?);
    }
    match format {
        Format::Json => {
            let views: Vec<_> = dead_letters.iter().map(|dead_letter| dead_letter.view(false)).collect();
            print_json(&json!({"dead-letters": views}))?;
        }
        Format::Text => {
            let now = backend.now();
            if !dead_letters.is_empty() {
                let rows = dead_letters.iter().map(|dead_letter| cells(dead_letter, now));
                let headings = ["ID", "AGE", "TASK", "CALL", "JOB", "REASON"].map(str::to_owned).to_vec();
                print_table(&std::iter::once(headings).chain(rows).collect::<Vec<_>>())?;
            }
            let more = if dead_letters.len() == args.limit { "; there may be more, see --limit" } else { "" };
            say(format_args!("{} dead letters of topic {topic}{more}", dead_letters.len()));
        }
    }
    Ok(Exit::Done)
}

async fn show(args: &ShowArgs, format: Format) -> anyhow::Result<Exit> {
    let backend = args.dlq.backend.open_existing().await?;
    let dead_letter = DeadLetterWithCall::read(&*backend, find(&*backend, &args.dlq, &args.id).await?).await?;
    let view = dead_letter.view(true);
    if format == Format::Json {
        print_json(&view)?;
        return Ok(Exit::Done);
    }
    let unknown = || "-".to_owned();
    let put = |what: &str, text: String| print(format_args!("{what:<8} {text}"));
    put("id", output::line(view.id))?;
    put("set", view.at.clone())?;
    put("reason", output::line(view.reason))?;
    put("job", view.job.map_or_else(unknown, output::line))?;
    put("call", view.call.map_or_else(unknown, output::line))?;
    put("task", view.task.map_or_else(unknown, output::line))?;
    put("payload", view.payload.as_deref().map_or_else(unknown, |text| text.escape_debug().to_string()))?;
    if let Some(failure) = &dead_letter.failure {
        put("failure", output::line(&failure.to_string()))?;
    }
    put("body", view.body.escape_debug().to_string())?;
    Ok(Exit::Done)
}

async fn send(args: &TakeArgs, format: Format) -> anyhow::Result<Exit> {
    let backend = args.dlq.backend.open_existing().await?;
    let client = Client::new(backend.clone());
    let (mut sent, mut refused) = (Vec::new(), 0);
    for dead_letter in chosen(&*backend, args).await? {
        let id = dead_letter.id.clone();
        match send_again(&*backend, &client, dead_letter).await? {
            Sent::AsNewJob(job, _) => sent.push(json!({"id": id, "job": job.as_str()})),
            Sent::AsItIs => sent.push(json!({"id": id, "job": null})),
            Sent::NotDescribed => refused += 1,
        }
    }
    if format == Format::Json {
        print_json(&json!({"sent": sent, "refused": refused}))?;
    }
    Ok(if refused > 0 { Exit::Refused } else { Exit::Done })
}

/// Sends one dead letter again, returns the result, and removes the dead letter from the queue.
pub(super) async fn send_again(
    backend: &dyn Backend,
    client: &Client,
    dead_letter: DeadLetter,
) -> anyhow::Result<Sent> {
    let dead_letter = DeadLetterWithCall::read(backend, dead_letter).await?;
    let id = output::line(&dead_letter.dead_letter.id);
    let sent = dead_letter.send(backend, client).await?;
    match &sent {
        Sent::AsNewJob(_, Scheduled::AlreadyDone) => {
            say(format_args!("{id}: the value of its call is there; nothing was sent"));
        }
        Sent::AsNewJob(job, _) => say(format_args!("{id}: sent as job {job}")),
        Sent::AsItIs => say(format_args!("{id}: sent again as it is")),
        Sent::NotDescribed => {
            say(format_args!(
                "{id}: its call has failed and no record describes it: there is nothing to send; drop it"
            ));
            return Ok(sent);
        }
    }
    backend.queue().take_dead_letter(&dead_letter.dead_letter.topic, &dead_letter.dead_letter.id).await?;
    Ok(sent)
}

async fn drop_dead_letters(args: &TakeArgs, format: Format) -> anyhow::Result<Exit> {
    let backend = args.dlq.backend.open_existing().await?;
    let mut dropped = Vec::new();
    for dead_letter in chosen(&*backend, args).await? {
        backend.queue().take_dead_letter(&dead_letter.topic, &dead_letter.id).await?;
        say(format_args!("{}: dropped", output::line(&dead_letter.id)));
        dropped.push(dead_letter.id);
    }
    if format == Format::Json {
        print_json(&json!({"dropped": dropped}))?;
    }
    Ok(Exit::Done)
}

/// The dead letters that the arguments select.
async fn chosen(backend: &dyn Backend, args: &TakeArgs) -> anyhow::Result<Vec<DeadLetter>> {
    match &args.id {
        Some(id) => Ok(vec![find(backend, &args.dlq, id).await?]),
        None => Ok(backend.queue().dead_letters(&args.dlq.topic.topic, usize::MAX).await?),
    }
}

async fn find(backend: &dyn Backend, dlq: &DlqArgs, id: &str) -> anyhow::Result<DeadLetter> {
    let topic = &dlq.topic.topic;
    let all = backend.queue().dead_letters(topic, usize::MAX).await?;
    all.into_iter().find(|dead_letter| dead_letter.id == id).ok_or_else(|| {
        let text = format!("topic {topic} has no dead letter {id}; `brrr-host dlq list --topic {topic}` lists them");
        ExitError::new(Exit::NotThere, text).into()
    })
}

/// The row of a dead letter in a table.
fn cells(letter: &DeadLetterWithCall, now: Millis) -> Vec<String> {
    let or_dash = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), output::line);
    vec![
        output::line(&letter.dead_letter.id),
        brief(now.saturating_sub(letter.dead_letter.at)),
        or_dash(letter.call.as_ref().map(|call| call.task.as_str())),
        or_dash(letter.message.as_ref().map(|message| message.call.short())),
        or_dash(letter.message.as_ref().map(|message| message.job_id.as_str())),
        output::line(&letter.dead_letter.reason),
    ]
}
