//! A revision of a topic's code as JSON.

use std::collections::BTreeMap;

use brrr_protocol::model::Topic;
use brrr_protocol::records::{Revision, RevisionState, Workers};
use serde::Serialize;
use utoipa::ToSchema;

use crate::events::time;

/// A revision of the code of a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revision)]
pub struct RevisionView {
    /// The topic.
    pub topic: String,
    /// The number of the revision.
    pub revision: u64,
    /// When it was pushed.
    pub from: String,
    /// The part of new jobs that it takes, in percent.
    pub percent: u8,
    /// Each change of that part.
    pub steps: Vec<StepView>,
    /// The components, which have all tasks of the topic.
    pub components: Vec<ComponentView>,
    /// What is new, as the person who pushed it says.
    pub note: String,
    /// Who pushed it, as that person says.
    pub by: String,
    /// The revision whose code it has, after a rollback.
    pub restores: Option<u64>,
    /// What has become of it on the workers that run: `loading`, `loaded`, or `{"failed": reason}`.
    #[schema(value_type = Object)]
    pub workers: BTreeMap<String, RevisionState>,
}

/// From some time on, a revision takes a part of the jobs that are created.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevisionStep)]
pub struct StepView {
    /// Since when.
    pub from: String,
    /// The part, in percent.
    pub percent: u8,
}

/// A component of a revision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RevisionComponent)]
pub struct ComponentView {
    /// Its name, for people.
    pub name: String,
    /// `sha256:` and its digest.
    pub digest: String,
}

impl RevisionView {
    /// The view of a revision. `workers`: the workers of the topic that run.
    #[must_use]
    pub fn new(topic: &Topic, revision: &Revision, workers: &Workers) -> Self {
        let states = workers.iter().filter_map(|(id, worker)| {
            let state = worker.revisions.get(&revision.number)?;
            Some((id.clone(), state.clone()))
        });
        let components = revision.components.iter();
        Self {
            topic: topic.to_string(),
            revision: revision.number,
            from: time(revision.from()),
            percent: revision.weight(),
            steps: revision.steps.iter().map(|s| StepView { from: time(s.from), percent: s.weight }).collect(),
            components: components
                .map(|part| ComponentView { name: part.name.clone(), digest: format!("sha256:{}", part.digest) })
                .collect(),
            note: revision.note.clone(),
            by: revision.by.clone(),
            restores: (revision.restores > 0).then_some(revision.restores),
            workers: states.collect(),
        }
    }
}
