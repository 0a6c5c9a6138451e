//! `deploy`: looks at the revisions of a topic, and changes which of them take jobs.

use std::path::Path;
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::model::Topic;
use brrr_protocol::records::{DeployedComponent, DeploymentsRecord, Revision, RevisionState};
use brrr_protocol::shipping::{Change, LEAD, Refusal, get_manifest, read_component, to_roll_back_to};
use brrr_protocol::workers::running;
use brrr_worker::signatures::TrustedKeys;
use brrr_worker::text::shortened;
use brrr_worker::view::deployment::RevisionView;
use brrr_worker::wasm::{Engine, EngineOptions, Guest};
use bytes::Bytes;
use bytesize::ByteSize;
use clap::Subcommand;
use serde::Serialize;

use super::ExitError;
use super::diff::{Differences, Outside};
use super::options::{BackendArgs, TopicArgs};
use super::output::{Format, line, print, print_json, print_table, say};
use super::progress::load_signed;
use super::source::said;
use crate::exit::Exit;
use crate::units::brief;

/// The revisions of a topic's code: list and show them, and choose which take new jobs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host deploy list --topic demo
  brrr-host deploy show --topic demo 3
  brrr-host deploy rollback --topic demo
  brrr-host deploy ramp --topic demo 3 50
  brrr-host deploy diff --topic demo 2 3

No command moves a job that is under way, but `remove`: jobs of a removed revision go on with the next newer one.")]
pub struct DeployCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the revisions, newest first.
    List(ListArgs),
    /// Show a revision: its components, and which workers have loaded it.
    Show(OneArgs),
    /// Let the code of an earlier revision take all new jobs, as a new revision.
    Rollback(RollbackArgs),
    /// Change the part of new jobs that a revision takes.
    Ramp(RampArgs),
    /// Remove a revision.
    Remove(OneArgs),
    /// Compare the tasks of two revisions, their options and schemas, and what they import.
    Diff(DiffArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    on: OnArgs,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The number of the revision, as `list` prints it.
    #[arg(value_name = "REVISION")]
    revision: u64,

    #[command(flatten)]
    on: OnArgs,
}

#[derive(Debug, clap::Args)]
struct RollbackArgs {
    /// The number of the revision whose code is wanted. Not given: the one before the newest.
    #[arg(value_name = "REVISION")]
    revision: Option<u64>,

    /// Why, for people.
    #[arg(long, default_value = "", value_name = "TEXT")]
    note: String,

    #[command(flatten)]
    on: OnArgs,
}

#[derive(Debug, clap::Args)]
struct DiffArgs {
    /// The number of the older revision.
    #[arg(value_name = "OLD")]
    old: u64,

    /// The number of the newer revision.
    #[arg(value_name = "NEW")]
    new: u64,

    #[command(flatten)]
    on: OnArgs,
}

#[derive(Debug, clap::Args)]
struct RampArgs {
    /// The number of the revision, as `list` prints it.
    #[arg(value_name = "REVISION")]
    revision: u64,

    /// The part of new jobs, in percent. The revisions before it take the rest.
    #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: u8,

    #[command(flatten)]
    on: OnArgs,
}

#[derive(Debug, clap::Args)]
struct OnArgs {
    #[command(flatten)]
    topic: TopicArgs,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: DeployCommand, format: Format) -> anyhow::Result<Exit> {
    match args.action {
        Action::List(ListArgs { on }) => list(&on, format).await,
        Action::Show(OneArgs { revision, on }) => show(revision, &on, format).await,
        Action::Rollback(RollbackArgs { revision, note, on }) => {
            let client = on.client().await?;
            let topic = &on.topic.topic;
            // The number is fixed here. A repeated rollback to "the one before" would undo the first.
            let to = match revision {
                Some(number) => number,
                None => to_roll_back_to(&client.deployments(topic).await?).map_err(|refusal| refused(&refusal))?,
            };
            let change = client.rollback(topic, Some(to), &note, &person()).await?;
            let what = |record: &DeploymentsRecord| {
                let newest = record.revisions.last();
                let (number, old) = newest.map_or((0, 0), |newest| (newest.number, newest.restores));
                format!("revision {number} has the code of revision {old}, and takes all new jobs")
            };
            done(&client, change, &on.topic.topic, what).await
        }
        Action::Ramp(RampArgs { revision, percent, on }) => {
            let client = on.client().await?;
            let change = client.ramp(&on.topic.topic, revision, percent).await?;
            let what = |_: &DeploymentsRecord| format!("revision {revision} takes {percent} % of new jobs");
            done(&client, change, &on.topic.topic, what).await
        }
        Action::Remove(OneArgs { revision, on }) => {
            let client = on.client().await?;
            let change = client.remove_revision(&on.topic.topic, revision).await?;
            done(&client, change, &on.topic.topic, |_| format!("revision {revision} is removed")).await
        }
        Action::Diff(DiffArgs { old, new, on }) => {
            let (client, topic) = (on.client().await?, &on.topic.topic);
            let record = client.deployments(topic).await?;
            let mut sides = [Outside::default(), Outside::default()];
            for (side, number) in sides.iter_mut().zip([old, new]) {
                for (guest, _) in guests(&client, find(&record, Some(number))?, &TrustedKeys::default()).await? {
                    side.add(&guest);
                }
            }
            let differences = Differences::between(&sides[0], &sides[1]);
            match format {
                Format::Json => print_json(&differences)?,
                Format::Text => differences.print()?,
            }
            Ok(Exit::Done)
        }
    }
}

impl OnArgs {
    async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(self.backend.open_existing().await?))
    }
}

/// Who runs this command, as the system says. Empty: it does not say.
pub fn person() -> String {
    std::env::var("USER").unwrap_or_default()
}

/// The error of a change that is not possible.
pub fn refused(refusal: &Refusal) -> anyhow::Error {
    let exit = match refusal {
        Refusal::NoRevision(_) | Refusal::NothingBefore => Exit::NotThere,
        Refusal::Percent(_) | Refusal::Components(_) | Refusal::Twice(_) | Refusal::TooLong { .. } => Exit::Usage,
        Refusal::TooManySteps(_) | Refusal::TooManyRevisions | Refusal::TooLarge(_) => Exit::Refused,
    };
    ExitError::new(exit, refusal.to_string()).into()
}

/// Waits until a change counts: it counts for jobs that are created a moment after it was written.
pub async fn until_in_force(client: &Client, record: &DeploymentsRecord) {
    let left = Duration::from_millis(record.changed.saturating_sub(client.now()));
    tokio::time::sleep(left.min(LEAD * 2)).await;
}

async fn done(
    client: &Client,
    change: Change,
    topic: &Topic,
    what: impl Fn(&DeploymentsRecord) -> String,
) -> anyhow::Result<Exit> {
    match change {
        Change::Done(record) => {
            until_in_force(client, &record).await;
            say(format_args!("topic {topic}: {}", what(&record)));
        }
        Change::Same(record) => say(format_args!("topic {topic}: {}; it was so before", what(&record))),
        Change::Refused(refusal) => return Err(refused(&refusal)),
    }
    Ok(Exit::Done)
}

async fn list(on: &OnArgs, format: Format) -> anyhow::Result<Exit> {
    let (client, topic) = (on.client().await?, &on.topic.topic);
    let record = client.deployments(topic).await?;
    let now = client.now();
    let workers = running(client.backend().store(), topic, now).await?;
    let documents: Vec<_> = record.revisions.iter().rev().map(|one| RevisionView::new(topic, one, &workers)).collect();
    match format {
        Format::Json => print_json(&documents)?,
        Format::Text if documents.is_empty() => say(format_args!("nothing is deployed on topic {topic}")),
        Format::Text => {
            let headings = ["REVISION", "PUSHED", "JOBS", "LOADED", "COMPONENTS", "BY", "NOTE"];
            let rows = record.revisions.iter().rev().zip(&documents).map(|(revision, document)| {
                let loaded = document.workers.values().filter(|state| **state == RevisionState::Loaded).count();
                let names: Vec<_> = document.components.iter().map(|part| line(&part.name)).collect();
                let pushed = format!("{} ago", brief(now.saturating_sub(revision.from())));
                let jobs = format!("{} %", document.percent);
                let note = match document.restores {
                    Some(old) if document.note.is_empty() => format!("rollback to {old}"),
                    _ => line(&document.note),
                };
                let (number, by) = (document.revision.to_string(), line(&document.by));
                vec![number, pushed, jobs, loaded.to_string(), names.join(", "), by, note]
            });
            let rows: Vec<_> = std::iter::once(headings.map(str::to_owned).to_vec()).chain(rows).collect();
            print_table(&rows)?;
        }
    }
    Ok(Exit::Done)
}

async fn show(number: u64, on: &OnArgs, format: Format) -> anyhow::Result<Exit> {
    let (client, topic) = (on.client().await?, &on.topic.topic);
    let record = client.deployments(topic).await?;
    let revision = find(&record, Some(number))?;
    let workers = running(client.backend().store(), topic, client.now()).await?;
    let document = RevisionView::new(topic, revision, &workers);
    let mut components = Vec::with_capacity(revision.components.len());
    for part in &revision.components {
        components.push(about(&client, part).await?);
    }
    if format == Format::Json {
        let mut document = serde_json::to_value(&document)?;
        document["components"] = serde_json::to_value(&components)?;
        print_json(&document)?;
        return Ok(Exit::Done);
    }
    print(format_args!("revision    {} of topic {topic}", document.revision))?;
    print(format_args!("takes       {} % of new jobs", document.percent))?;
    for step in &document.steps {
        print(format_args!("            {} %  since {}", step.percent, step.from))?;
    }
    for StoredView { name, digest, size, signed_by, problem } in &components {
        let size = size.map(|size| format!("  {}", ByteSize(size))).unwrap_or_default();
        print(format_args!("component   {}  {digest}{size}", line(name)))?;
        for signer in signed_by {
            print(format_args!("            signed by {signer}, as the signature says"))?;
        }
        if let Some(problem) = problem {
            print(format_args!("            can't be loaded: {}", line(problem)))?;
        }
    }
    for (what, value) in [("note", &document.note), ("by", &document.by)] {
        if !value.is_empty() {
            print(format_args!("{what:<10}  {}", line(value)))?;
        }
    }
    for (worker, state) in &document.workers {
        let state = match state {
            RevisionState::Loaded => "has loaded it".to_owned(),
            RevisionState::Loading => "is loading it".to_owned(),
            RevisionState::Failed(reason) => format!("can't load it: {}", line(reason)),
        };
        print(format_args!("worker      {worker} {state}"))?;
    }
    Ok(Exit::Done)
}

/// The revision of this number, or the newest.
///
/// # Errors
/// When there is none.
pub fn find(record: &DeploymentsRecord, number: Option<u64>) -> anyhow::Result<&Revision> {
    let found = match number {
        Some(number) => record.revisions.iter().find(|revision| revision.number == number),
        None => record.revisions.last(),
    };
    found.ok_or_else(|| match number {
        Some(number) => refused(&Refusal::NoRevision(number)),
        None => ExitError::new(Exit::NotThere, "nothing is deployed on this topic").into(),
    })
}

/// Loads the components of a revision from the store, each with its signatures.
///
/// # Errors
/// When one is not there, can't be loaded, or has no signature of a trusted key.
pub async fn guests(
    client: &Client,
    revision: &Revision,
    keys: &TrustedKeys,
) -> anyhow::Result<Vec<(Guest, Vec<String>)>> {
    let engine = Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() })?;
    let mut guests = Vec::with_capacity(revision.components.len());
    for part in &revision.components {
        let (bytes, signatures) = component(client, part).await?;
        let name = shortened(&part.name, 100);
        let guest = load_signed(&engine, Path::new(&name), bytes.into(), (keys, signatures.clone())).await?;
        guests.push((guest, signatures));
    }
    Ok(guests)
}

/// A component of a revision, with its signatures.
///
/// # Errors
/// When it is not there, or is damaged.
pub async fn component(client: &Client, part: &DeployedComponent) -> anyhow::Result<(Bytes, Vec<String>)> {
    let store = client.backend().store();
    let Some(manifest) = get_manifest(store, &part.digest).await? else {
        let text = format!("component {} (sha256:{}) is not in the store", line(&part.name), part.digest);
        return Err(ExitError::new(Exit::NotThere, text).into());
    };
    Ok((read_component(store, &manifest).await?, manifest.signatures))
}

/// What the store says of a component: its size and who says to have signed it; or why it can't be loaded.
async fn about(client: &Client, part: &DeployedComponent) -> anyhow::Result<StoredView> {
    let (size, signed, problem) = match get_manifest(client.backend().store(), &part.digest).await {
        Ok(Some(manifest)) => (Some(manifest.size), said(&manifest.signatures), None),
        Ok(None) => (None, Vec::new(), Some("it is not in the store".to_owned())),
        Err(error) if error.is_unreadable() => (None, Vec::new(), Some(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let signed_by = signed.iter().map(ToString::to_string).collect();
    Ok(StoredView { digest: format!("sha256:{}", part.digest), name: part.name.clone(), size, signed_by, problem })
}

/// A component of a revision, with what the store says of it.
#[derive(Serialize)]
struct StoredView {
    digest: String,
    name: String,
    size: Option<u64>,
    /// The keys and trusted comments of its signatures, as these say. They are not verified: the workers do that.
    signed_by: Vec<String>,
    /// Why no worker can load it.
    problem: Option<String>,
}
