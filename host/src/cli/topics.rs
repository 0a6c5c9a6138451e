//! `topics` and `workers`: which topics there are, how long their queues are, and who works on them.

use std::collections::BTreeSet;

use brrr_protocol::listing::Listing;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Key, Kind};
use brrr_protocol::records::decode_tasks;
use brrr_protocol::workers::running;
use brrr_worker::view::worker::{ServedComponentView, WorkerView};
use serde::Serialize;

use super::options::{BackendArgs, topic};
use super::output::{Format, line, print_json, print_table, say};
use crate::exit::Exit;
use crate::units::brief;

/// List topics, with the lengths of their queues, their tasks, and how many workers run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host topics
  brrr-host topics --output json

A topic is listed once a worker has announced its tasks. The depth counts waiting and leased messages.")]
pub struct TopicsCommand {
    #[command(flatten)]
    backend: BackendArgs,
}

/// List the workers that run: each says so every ten seconds, and is listed for 35 seconds after that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host workers
  brrr-host workers --topic demo --output json

Workers of other brrr SDKs don't say that they run.")]
pub struct WorkersCommand {
    /// Only workers of this topic.
    #[arg(long, value_parser = topic, value_name = "TOPIC")]
    topic: Option<Topic>,

    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Serialize)]
struct TopicLine {
    topic: String,
    /// The number of messages, both waiting and leased.
    depth: u64,
    tasks: Vec<String>,
    workers: usize,
}

#[derive(Serialize)]
struct WorkerLine {
    topic: String,
    #[serde(flatten)]
    worker: WorkerView,
}

pub async fn topics(args: TopicsCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let mut lines = Vec::new();
    for topic in known(&*backend).await? {
        let tasks = backend.store().get(&Key::tasks(&topic)).await?;
        // A list that this version can't read counts as no list.
        let tasks = tasks.and_then(|bytes| decode_tasks(&bytes).ok()).unwrap_or_default();
        lines.push(TopicLine {
            depth: backend.queue().depth(&topic).await?,
            tasks: tasks.into_iter().collect(),
            workers: running(backend.store(), &topic, backend.now()).await?.len(),
            topic: topic.to_string(),
        });
    }
    match format {
        Format::Json => print_json(&lines)?,
        Format::Text if lines.is_empty() => {
            say(format_args!("no topics; a topic is listed once a worker has served it"))
        }
        Format::Text => {
            let headings = ["TOPIC", "DEPTH", "WORKERS", "TASKS"].map(str::to_owned).to_vec();
            let cells = |line: &TopicLine| {
                vec![line.topic.clone(), line.depth.to_string(), line.workers.to_string(), line.tasks.join(", ")]
            };
            print_table(&std::iter::once(headings).chain(lines.iter().map(cells)).collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Done)
}

pub async fn workers(args: WorkersCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let topics = match args.topic {
        Some(topic) => vec![topic],
        None => known(&*backend).await?.into_iter().collect(),
    };
    let now = backend.now();
    let mut lines = Vec::new();
    for topic in topics {
        for (id, info) in running(backend.store(), &topic, now).await? {
            lines.push(WorkerLine { topic: topic.to_string(), worker: WorkerView::new(&id, &info, now) });
        }
    }
    match format {
        Format::Json => print_json(&lines)?,
        Format::Text if lines.is_empty() => say(format_args!("no workers run")),
        Format::Text => {
            let headings = ["TOPIC", "WORKER", "HOST", "PID", "VERSION", "RUNNING", "SEEN", "COMPONENTS"]
                .map(str::to_owned)
                .to_vec();
            let rows = std::iter::once(headings).chain(lines.iter().map(cells)).collect::<Vec<_>>();
            print_table(&rows)?;
        }
    }
    Ok(Exit::Done)
}

fn cells(WorkerLine { topic, worker }: &WorkerLine) -> Vec<String> {
    let running = format!("{} of {}", worker.running, worker.slots);
    let running = if worker.stopping { format!("{running}, stopping") } else { running };
    let seen = format!("{} ago", brief(worker.seen_ms_ago));
    vec![
        topic.clone(),
        worker.worker.clone(),
        worker.host.clone(),
        worker.pid.to_string(),
        worker.version.clone(),
        running,
        seen,
        worker.components.iter().map(component).collect::<Vec<_>>().join(", "),
    ]
}

/// A component with the first digits of its digest.
fn component(component: &ServedComponentView) -> String {
    let digest: String = component.digest.chars().take("sha256:".len() + 12).collect();
    line(&format!("{}@{digest}", component.name))
}

/// The topics whose tasks were announced.
pub async fn known(backend: &dyn Backend) -> anyhow::Result<BTreeSet<Topic>> {
    let mut topics = BTreeSet::new();
    let mut listing = Listing::of(backend.store(), Kind::Tasks);
    while let Some(page) = listing.next().await? {
        topics.extend(page.into_iter().map(Topic::from));
    }
    Ok(topics)
}
