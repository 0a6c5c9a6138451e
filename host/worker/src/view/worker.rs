//! A worker as JSON.

use brrr_protocol::model::Millis;
use brrr_protocol::records::{ServedComponent, WorkerInfo};
use serde::Serialize;
use utoipa::ToSchema;

use crate::events::time;

/// A worker of a topic that has said lately that it runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub struct WorkerView {
    /// Tells the worker from all others. A worker that is started again has another id.
    pub worker: String,
    /// The name of its machine.
    pub host: String,
    /// The id of its process on that machine.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// When it was started.
    pub started: String,
    /// When it last said that it runs.
    pub seen: String,
    /// How long ago that was, in milliseconds.
    pub seen_ms_ago: Millis,
    /// How many runs it makes at once, for all its topics.
    pub slots: u32,
    /// How many runs of this topic it was making.
    pub running: u32,
    /// It was asked to stop, and takes no new messages.
    pub stopping: bool,
    /// The components that it was started with. Empty: it runs what is pushed to the topic, or functions of a program.
    pub components: Vec<ServedComponentView>,
}

/// A component that a worker serves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServedComponent)]
pub struct ServedComponentView {
    /// Its name.
    pub name: String,
    /// `sha256:` and its digest.
    pub digest: String,
    /// The place in a registry that it was pulled from, with the digest of its manifest.
    pub from: Option<String>,
    /// The key and the trusted comment of its signature, if the worker runs only what trusted keys have signed.
    pub signed_by: Option<String>,
}

impl WorkerView {
    /// The view of a worker at this time.
    #[must_use]
    pub fn new(id: &str, info: &WorkerInfo, now: Millis) -> Self {
        Self {
            worker: id.to_owned(),
            host: info.host.clone(),
            pid: info.pid,
            version: info.version.clone(),
            started: time(info.started),
            seen: time(info.seen),
            seen_ms_ago: now.saturating_sub(info.seen),
            slots: info.slots,
            running: info.running,
            stopping: info.stopping,
            components: info.components.iter().map(component).collect(),
        }
    }
}

fn component(component: &ServedComponent) -> ServedComponentView {
    let known = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    ServedComponentView {
        name: component.name.clone(),
        digest: component.digest.clone(),
        from: known(&component.from),
        signed_by: known(&component.signed_by),
    }
}
