//! The record `workers`, by topic: the workers that have said lately that they run.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{VERSION, blob, int, optional_bytes, versioned, write_dict};
use crate::error::{Error, Result};
use crate::model::Millis;

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// The name of its machine, for people.
    pub host: String,
    /// The id of its process on that machine.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
    /// When it was started, in milliseconds since the Unix epoch.
    pub started: Millis,
    /// When it said this, in milliseconds since the Unix epoch.
    pub seen: Millis,
    /// How many runs it makes at once, for all its topics.
    pub slots: u32,
    /// How many runs of this topic it was making.
    pub running: u32,
    /// It was asked to stop, and takes no new messages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopping: bool,
    /// It serves the revisions that are pushed to the topic, and not code that it was started with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
    /// What has become of the revisions of the topic on this worker, by their numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<u64, RevisionState>,
    /// The components that it was started with, and now serves on the topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ServedComponent>,
    /// Entries that a later version wrote.
    #[serde(flatten)]
    pub extra: Map<String, Json>,
}

/// A component that a worker serves, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedComponent {
    /// Its name: that of its file or of its place in a registry.
    pub name: String,
    /// `sha256:` and its digest.
    pub digest: String,
    /// Where it comes from, if it was pulled from a registry: `oci://REGISTRY/NAME@sha256:…`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Who signed it, if the worker runs only components of trusted keys.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signed_by: String,
}

/// What has become of a revision on a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevisionState {
    /// It is being fetched and compiled.
    Loading,
    /// It is ready to run.
    Loaded,
    /// This worker can't run it, for this reason.
    Failed(String),
}

/// The workers of a topic, by their ids.
pub type Workers = BTreeMap<String, WorkerInfo>;

const WORKERS: &str = "a workers record";

/// Encodes the record `workers`.
#[must_use]
pub fn encode_workers(workers: &Workers) -> Bytes {
    // Texts, numbers and JSON are always JSON.
    let json = serde_json::to_vec(workers).unwrap_or_default();
    write_dict(vec![(b"v", int(VERSION as u64)), (b"workers", blob(&json))])
}

/// Decodes the record `workers`.
///
/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_workers(bytes: &[u8]) -> Result<Workers> {
    let value = versioned(WORKERS, bytes)?;
    let json = optional_bytes(WORKERS, &value, "workers")?.unwrap_or_default();
    serde_json::from_slice(&json).map_err(|error| Error::malformed(WORKERS, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_round_trip_with_what_a_later_version_wrote() {
        let component =
            ServedComponent { name: "c".into(), digest: "d".into(), from: "f".into(), ..ServedComponent::default() };
        let worker =
            WorkerInfo { host: "a".into(), pid: 7, seen: 1_000, components: vec![component], ..WorkerInfo::default() };
        let later = WorkerInfo { extra: Map::from_iter([("new".to_owned(), Json::from(1))]), ..worker.clone() };
        let workers = Workers::from([("x".to_owned(), worker), ("y".to_owned(), later)]);
        assert_eq!(decode_workers(&encode_workers(&workers)).unwrap(), workers);
        assert!(decode_workers(b"d1:vi1e7:workers1:xe").is_err());
    }
}
