//! `push`: sends components to the workers of a topic, as its new revision.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;
use brrr_protocol::records::{RevisionState, TaskAbout, Workers};
use brrr_protocol::shipping::{
    About, Change, Component, ComponentToPush, PushOptions, Pushed, Sending, get_component, put_component, task_at,
};
use brrr_protocol::workers::running;
use brrr_worker::signatures::TrustedKeys;
use brrr_worker::verify::{Silent, Verified, Verifier};
use brrr_worker::wasm::{Engine, EngineOptions, Guest, Overrides, RunLimits, Task, WasmHandler};
use bytes::Bytes;
use bytesize::ByteSize;
use serde::Serialize;
use serde_json::json;

use super::ExitError;
use super::deploy::{person, refused, until_in_force};
use super::options::{BackendArgs, TopicArgs, duration};
use super::output::{Format, line, print_json, say};
use super::progress::{Spinner, load_signed};
use super::source;

use crate::exit::Exit;

/// Send components to the workers of a topic, as a new revision of its code.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host push --topic demo hello
  brrr-host push --topic demo a.wasm b.wasm --ramp 20 --note 'new prices'

A revision has all components of the topic. Workers that were started without components (`brrr-host run --topic demo`)
load it. It takes jobs that are created after every worker has loaded it; a job under way ends with the code it began
with. Chunks that are in the store already are not sent again.")]
pub struct PushCommand {
    /// The components: files, folders of projects, which are built first, or oci://REGISTRY/NAME:TAG.
    #[arg(value_name = "GUEST.WASM|DIR|OCI", required = true)]
    guests: Vec<PathBuf>,

    /// A signature of the component, as `minisign -S` writes it. The one in the file beside the component (app.wasm.minisig)
    /// is sent anyway. A signature can be added later: push the component again.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,

    #[command(flatten)]
    topic: TopicArgs,

    /// The part of new jobs that the revision takes, in percent. `deploy ramp` changes it later.
    #[arg(long, default_value_t = 100, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    ramp: u8,

    /// What is new, for people.
    #[arg(long, default_value = "", value_name = "TEXT")]
    note: String,

    /// How many of the newest revisions stay even if no job needs them. Not given: as before, 10 at first.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    keep: Option<u32>,

    /// Which revision runs a job: the one of the job's creation (`pinned`), or always the `newest`. Not given: as before,
    /// `pinned` at first.
    #[arg(long, value_name = "RULE")]
    follow: Option<Follow>,

    /// How long to wait until the workers have loaded the revision.
    #[arg(long, default_value = "2m", value_name = "TIME", value_parser = duration)]
    wait: Duration,

    /// First replay so many of the latest calls with the new code, in memory. If it asks for other calls or gives another
    /// value, it is not pushed.
    #[arg(long, value_name = "N")]
    verify: Option<usize>,

    /// Push even if `--verify` has found differences.
    #[arg(long, requires = "verify")]
    force: bool,

    /// Send chunks that are in the store as well: repairs damaged ones.
    #[arg(long)]
    all_chunks: bool,

    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Follow {
    Pinned,
    Newest,
}

/// The document of `--output json`.
#[derive(Serialize)]
struct PushDocument {
    topic: String,
    revision: u64,
    /// The part of new jobs that it takes now, in percent.
    percent: u8,
    /// False: the newest revision was the same already.
    new: bool,
    /// A component that was there has got a signature, or chunks that were missing. Workers that could not load it try again.
    resent: bool,
    components: Vec<ComponentDocument>,
    /// The workers that have loaded the revision.
    loaded: Vec<String>,
    /// The workers that can't load it, with the reasons.
    failed: Vec<FailedWorker>,
    /// The workers that have not said what became of it.
    silent: Vec<String>,
}

#[derive(Serialize)]
struct ComponentDocument {
    name: String,
    digest: String,
    size: u64,
    chunks: usize,
    new_chunks: usize,
    /// The bytes that were sent.
    new_bytes: u64,
}

#[derive(Clone, Serialize)]
struct FailedWorker {
    worker: String,
    reason: String,
}

pub async fn run(args: PushCommand, format: Format) -> anyhow::Result<Exit> {
    let topic = &args.topic.topic;
    if args.signature.is_some() && args.guests.len() > 1 {
        let text = "--signature is of one component; put the signatures of several beside them (app.wasm.minisig)";
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    let signature = args.signature.as_deref().map(source::signature).transpose()?;
    let engine = Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() })?;
    let (components, guests): (Vec<_>, Vec<_>) =
        components(&engine, &args.guests, signature).await?.into_iter().unzip();
    let backend = args.backend.open_shared().await?;
    let client = Client::new(backend.clone());
    let verified = match args.verify {
        Some(most) => {
            let before = deployed(&engine, &client, topic).await?;
            Some(verify(&backend, topic, guests, before.as_ref(), most).await?)
        }
        None => None,
    };
    if let Some(verified) = &verified
        && !verified.differences.is_empty()
        && !args.force
    {
        return not_verified(topic, verified, format);
    }
    let before = client.deployments(topic).await?;
    let followers = followers(&client, topic).await?;
    let is_same = before.revisions.last().is_some_and(|newest| {
        let is_theirs = newest.components.iter().cloned().eq(components.iter().map(ComponentToPush::deployed));
        newest.weight() == args.ramp && is_theirs
    });
    // A first revision takes all jobs in any case.
    let is_staged = !is_same && !followers.is_empty() && before.last > 0 && args.ramp > 0;
    let options = PushOptions {
        percent: if is_staged { 0 } else { args.ramp },
        note: args.note.clone(),
        by: person(),
        keep: args.keep,
        follow_newest: args.follow.map(|follow| follow == Follow::Newest),
        sending: if args.all_chunks { Sending::All } else { Sending::Absent },
    };
    let spinner = Spinner::after(Duration::from_millis(300), format!("sending to topic {topic}"));
    let pushed = client.push(topic, &components, &options).await?;
    drop(spinner);
    let record = match pushed.change {
        Change::Done(record) | Change::Same(record) => record,
        Change::Refused(refusal) => return Err(refused(&refusal)),
    };
    let new = record.last > before.last;
    let resent = record.resent > before.resent;
    let revision = record.revisions.last().map_or(record.last, |revision| revision.number);
    let mut document = PushDocument {
        topic: topic.to_string(),
        revision,
        percent: options.percent,
        new,
        resent,
        components: components.iter().zip(&pushed.components).map(component_document).collect(),
        loaded: Vec::new(),
        failed: Vec::new(),
        silent: Vec::new(),
    };
    if let Some(Verified { compared, unknown, differences }) = &verified {
        let (found, removed) = (
            differences.len(),
            match unknown {
                0 => String::new(),
                n => format!("; {n} more could not be compared, because values were removed"),
            },
        );
        say(format_args!("{compared} calls replayed, {found} of them answered in another way{removed}"));
    }
    if format == Format::Text {
        document.components.iter().for_each(show);
    }
    let mut exit = Exit::Done;
    if new && !is_staged {
        until_in_force(&client, &record).await;
    }
    if new && !followers.is_empty() {
        wait_for_workers(&client, topic, &mut document, args.wait).await?;
        if !document.failed.is_empty() || !document.silent.is_empty() {
            exit = if document.failed.is_empty() { Exit::WaitedTooLong } else { Exit::Refused };
        } else if is_staged {
            match client.ramp(topic, revision, args.ramp).await? {
                Change::Refused(refusal) => return Err(refused(&refusal)),
                Change::Done(record) | Change::Same(record) => {
                    until_in_force(&client, &record).await;
                    document.percent = args.ramp;
                }
            }
        }
    }
    match format {
        Format::Json => print_json(&document)?,
        Format::Text => tell(&document, &args),
    }
    Ok(exit)
}

/// Builds and loads the components, all on one engine.
async fn components(
    engine: &Arc<Engine>,
    paths: &[PathBuf],
    signature: Option<String>,
) -> anyhow::Result<Vec<(ComponentToPush, Guest)>> {
    let mut components = Vec::with_capacity(paths.len());
    for path in paths {
        let mut component = component(engine, path).await?;
        component.0.about.signatures.extend(signature.clone());
        components.push(component);
    }
    Ok(components)
}

/// Builds and loads a component. One that this program can't load is refused here.
async fn component(engine: &Arc<Engine>, path: &Path) -> anyhow::Result<(ComponentToPush, Guest)> {
    let source = source::read(path, None).await?;
    let (name, bytes, signatures) = (source.name.clone(), Bytes::from(source.bytes.clone()), source.signatures.clone());
    // Whom the workers trust is theirs to say.
    let guest = source.load(engine, &TrustedKeys::default()).await?;
    // Cutting takes the processor for a while.
    let component = tokio::task::spawn_blocking(move || Component::cut(bytes)).await??;
    let about = About { tasks: guest.tasks.iter().map(about).collect(), sdk: sdk(&guest), signatures };
    Ok((ComponentToPush { name, component, about }, guest))
}

/// The code that runs new jobs of the topic now. `None`: nothing was pushed, or this host can't load it.
async fn deployed(engine: &Arc<Engine>, client: &Client, topic: &Topic) -> anyhow::Result<Option<WasmHandler>> {
    let record = client.deployments(topic).await?;
    let Some(revision) = record.revisions.iter().rev().find(|revision| revision.weight() > 0) else { return Ok(None) };
    let mut guests = Vec::new();
    for part in &revision.components {
        let Some(bytes) = get_component(client.backend().store(), &part.digest).await? else { return Ok(None) };
        // It was checked by whoever served it, and nothing is granted to it here.
        let trust = (&TrustedKeys::default(), Vec::new());
        match load_signed(engine, Path::new(&part.name), bytes.into(), trust).await {
            Ok(guest) => guests.push(guest),
            Err(error) => {
                let number = revision.number;
                say(format_args!(
                    "the calls are compared with their records alone: revision {number} can't be loaded: {error}"
                ));
                return Ok(None);
            }
        }
    }
    Ok(Some(replaying(guests)?))
}

/// Code that is only replayed. Nothing is granted to it, and what it prints was printed before.
fn replaying(guests: Vec<Guest>) -> anyhow::Result<WasmHandler> {
    Ok(WasmHandler::new(guests, RunLimits::default(), &Overrides::default(), Arc::new(Silent))?)
}

/// Replays the latest calls of the topic with the new code.
async fn verify(
    backend: &Arc<dyn Backend>,
    topic: &Topic,
    guests: Vec<Guest>,
    before: Option<&WasmHandler>,
    most: usize,
) -> anyhow::Result<Verified> {
    let handler = replaying(guests)?;
    let _spinner = Spinner::after(Duration::from_millis(300), "replaying calls with the new code".to_owned());
    Ok(Verifier { backend: backend.clone(), handler: &handler, before, topic: topic.clone() }.verify(most).await?)
}

/// Shows what the new code does in another way. Nothing is pushed.
fn not_verified(topic: &Topic, verified: &Verified, format: Format) -> anyhow::Result<Exit> {
    const SHOWN: usize = 10;
    let Verified { compared, differences, .. } = verified;
    if format == Format::Json {
        let differences: Vec<_> = differences
            .iter()
            .map(|found| {
                json!({
                    "job": found.job_id.as_str(), "call": found.call.as_str(), "what": found.what,
                    "before": found.before, "now": found.now,
                })
            })
            .collect();
        print_json(&json!({"compared": compared, "unknown": verified.unknown, "differences": differences}))?;
    } else {
        for found in differences.iter().take(SHOWN) {
            say(format_args!("{} (call {} of job {})", found.what, found.call.short(), found.job_id));
            say(format_args!("- before: {}\n+ now:    {}", found.before, found.now));
        }
    }
    say(format_args!(
        "nothing is pushed to topic {topic}: {} of {compared} calls are answered in another way; --force pushes \
         nevertheless",
        differences.len()
    ));
    Ok(Exit::Refused)
}

/// Sends a component that is called by its digest. Returns the name of the task in it.
///
/// # Errors
/// When the component can't be built or loaded, it has no such task, or the store fails.
pub async fn bring(client: &Client, path: &Path, task: &str) -> anyhow::Result<String> {
    let engine = Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() })?;
    let (pushed, _) = component(&engine, path).await?;
    if !pushed.about.tasks.contains_key(task) {
        let known: Vec<_> = pushed.about.tasks.keys().map(|name| line(name)).collect();
        let text = format!("{} has no task {}; it has {}", path.display(), line(task), known.join(", "));
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    let store = client.backend().store();
    let sent = put_component(store, &pushed.component, &pushed.about, Sending::Absent).await?;
    if sent.new_chunks > 0 {
        show(&component_document((&pushed, &sent)));
    }
    Ok(task_at(task, &sent.digest))
}

fn sdk(guest: &Guest) -> String {
    format!("{} {}", guest.sdk, guest.sdk_version).trim().to_owned()
}

fn about(task: &Task) -> (String, TaskAbout) {
    let options = task.options.pairs().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    (task.name.clone(), TaskAbout { info: task.info(), options })
}

fn component_document((pushed, sent): (&ComponentToPush, &Pushed)) -> ComponentDocument {
    ComponentDocument {
        name: pushed.name.clone(),
        digest: format!("sha256:{}", sent.digest),
        size: pushed.component.bytes().len() as u64,
        chunks: sent.chunks,
        new_chunks: sent.new_chunks,
        new_bytes: sent.new_bytes,
    }
}

fn show(component: &ComponentDocument) {
    let ComponentDocument { name, size, chunks, new_chunks, new_bytes, .. } = component;
    let size = ByteSize(*size);
    let sent = match new_chunks {
        0 => "nothing to send".to_owned(),
        _ => format!("{} sent, {new_chunks} of {chunks} chunks", ByteSize(*new_bytes)),
    };
    say(format_args!("{}: {size}, {sent}", line(name)));
}

/// The workers of the topic that load what is pushed.
async fn followers(client: &Client, topic: &Topic) -> anyhow::Result<Workers> {
    let mut workers = running(client.backend().store(), topic, client.now()).await?;
    workers.retain(|_, worker| worker.follows && !worker.stopping);
    Ok(workers)
}

/// Waits until each worker that runs has loaded the revision, or says that it can't.
async fn wait_for_workers(
    client: &Client,
    topic: &Topic,
    document: &mut PushDocument,
    at_most: Duration,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let _spinner = Spinner::after(Duration::from_millis(300), "waiting for the workers to load it".to_owned());
    loop {
        let workers = followers(client, topic).await?;
        (document.loaded, document.failed, document.silent) = (Vec::new(), Vec::new(), Vec::new());
        for (id, worker) in &workers {
            match worker.revisions.get(&document.revision) {
                Some(RevisionState::Loaded) => document.loaded.push(id.clone()),
                Some(RevisionState::Failed(reason)) => {
                    document.failed.push(FailedWorker { worker: id.clone(), reason: reason.clone() });
                }
                Some(RevisionState::Loading) | None => document.silent.push(id.clone()),
            }
        }
        if document.silent.is_empty() || begun.elapsed() >= at_most {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn tell(document: &PushDocument, args: &PushCommand) {
    let PushDocument { topic, revision, percent, new, resent, loaded, failed, silent, .. } = document;
    if !new && *resent {
        say(format_args!(
            "revision {revision} of topic {topic} has the same components; workers that could not load them try again"
        ));
    }
    if !new {
        say(format_args!("revision {revision} of topic {topic} is the same already; it takes {percent} % of new jobs"));
        return;
    }
    for FailedWorker { worker, reason } in failed {
        say(format_args!("worker {worker} can't load revision {revision}: {}", line(reason)));
    }
    if !failed.is_empty() || !silent.is_empty() {
        let left = silent.len();
        if left > 0 {
            say(format_args!("{left} workers have not loaded revision {revision} within {:?}", args.wait));
        }
        if *percent > 0 {
            say(format_args!("revision {revision} of topic {topic} takes {percent} % of new jobs, where it is loaded"));
            return;
        }
        say(format_args!(
            "revision {revision} of topic {topic} takes no jobs yet; `brrr-host deploy ramp --topic {topic} {revision} {}` \
             lets it, `deploy remove` removes it",
            args.ramp
        ));
        return;
    }
    let who = match loaded.len() {
        0 => "no worker runs that loads it now".to_owned(),
        1 => "one worker has loaded it".to_owned(),
        n => format!("{n} workers have loaded it"),
    };
    say(format_args!("revision {revision} of topic {topic} takes {percent} % of new jobs; {who}"));
}
