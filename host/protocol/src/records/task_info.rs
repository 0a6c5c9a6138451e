//! The record `task_info`, by topic: what the tasks of the topic are, for people and for applications that call them.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{VERSION, blob, int, optional_bytes, versioned, write_dict};
use crate::error::{Error, Result};

/// What a task is, as its component and its worker say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// What the task does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Json>,
    /// The JSON Schema of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Json>,
    /// Who shares the outcome of a call of the task: `job` or a duration. `None`: nothing says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The tasks of a topic, by their names.
pub type TaskInfos = BTreeMap<String, TaskInfo>;

const TASK_INFO: &str = "a task_info record";

/// Encodes the record `task_info`.
#[must_use]
pub fn encode_task_infos(infos: &TaskInfos) -> Bytes {
    // Texts and JSON are always JSON.
    let json = serde_json::to_vec(infos).unwrap_or_default();
    write_dict(vec![(b"tasks", blob(&json)), (b"v", int(VERSION as u64))])
}

/// Decodes the record `task_info`.
///
/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_task_infos(bytes: &[u8]) -> Result<TaskInfos> {
    let value = versioned(TASK_INFO, bytes)?;
    let json = optional_bytes(TASK_INFO, &value, "tasks")?.unwrap_or_default();
    serde_json::from_slice(&json).map_err(|error| Error::malformed(TASK_INFO, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_infos_of_tasks_round_trip() {
        let info = TaskInfo {
            description: Some("Adds.".to_owned()),
            input_schema: Some(serde_json::json!({"type": "object"})),
            scope: Some("1h".to_owned()),
            ..TaskInfo::default()
        };
        let infos = TaskInfos::from([("add".to_owned(), info), ("sub".to_owned(), TaskInfo::default())]);
        assert_eq!(decode_task_infos(&encode_task_infos(&infos)).unwrap(), infos);
        assert!(decode_task_infos(b"d5:tasks1:x1:vi1ee").is_err());
    }
}
