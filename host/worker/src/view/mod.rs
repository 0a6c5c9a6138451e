//! The documents that both the command line and the gateway show.

pub mod deployment;
pub mod job;
pub mod log;
pub mod tree;
pub mod worker;

use brrr_protocol::doctor::{Finding, Lost, Why};
use brrr_protocol::model::Failure;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A failure as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView<'a> {
    /// The kind of the failure, as a word: `error`, `trap`, `timeout`, `limit`, …
    pub kind: &'a str,
    /// The task of the failed call.
    pub task: &'a str,
    /// The message of the first cause.
    pub message: &'a str,
    /// How often the handler was run for the call.
    pub attempts: u32,
    /// One line for each call, from this call down to the first cause.
    pub chain: &'a [String],
    /// What the handler attached to its error, if it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value, required = false)]
    pub details: Option<Value>,
}

impl<'a> From<&'a Failure> for FailureView<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            kind: failure.kind.as_str(),
            task: &failure.task,
            message: &failure.message,
            attempts: failure.attempts,
            chain: &failure.chain,
            details: failure.details.as_ref().and_then(|details| serde_json::from_slice(details).ok()),
        }
    }
}

/// A finding as one line of text.
#[must_use]
pub fn finding_text(finding: &Finding) -> String {
    match finding {
        Finding::Lost(Lost { topic: None, why: Why::NotQueued, .. }) => {
            "it is waited for and has no message, and no record tells its topic; make its job anew".to_owned()
        }
        Finding::Lost(lost) => {
            let maybe = if lost.certain { "" } else { ", as far as can be seen" };
            match lost.why {
                Why::NotQueued => format!("it is waited for, and has no message{maybe}"),
                Why::NotNotified => format!("the calls that it waits for will not notify it{maybe}"),
            }
        }
        Finding::Unnotified { .. } => "it has ended, and a waiting parent was not notified".to_owned(),
        Finding::Abandoned { .. } => "only jobs that are over wait for it".to_owned(),
        Finding::Cycle { calls, .. } => format!("it waits for itself, through {} calls", calls.len()),
        Finding::Overdue { .. } => "its deadline has passed, and nobody has ended it".to_owned(),
        Finding::Unended { .. } => "its call has ended, and its record says that it runs".to_owned(),
        Finding::Unloadable { topic, revision, component, reason } => format!(
            "revision {revision} of topic {topic} can't be loaded: {reason} (component sha256:{component}); push it again"
        ),
        Finding::Damaged { key, reason } => {
            format!("the record `{}` of {} is damaged: {reason}", key.kind.name(), key.id)
        }
    }
}

/// A finding as JSON.
#[must_use]
pub fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::Lost(lost) => json!({
            "kind": match lost.why { Why::NotQueued => "not-queued", Why::NotNotified => "not-notified" },
            "certain": lost.certain, "call": lost.call.as_str(), "job": lost.job_id.as_str(), "task": lost.task,
            "topic": lost.topic.as_ref().map(brrr_protocol::model::Topic::as_str),
        }),
        Finding::Unnotified { call, job_id, .. } => {
            json!({"kind": "unnotified", "call": call.as_str(), "job": job_id.as_str()})
        }
        Finding::Abandoned { call, job_id, .. } => {
            json!({"kind": "abandoned", "call": call.as_str(), "job": job_id.as_str()})
        }
        Finding::Cycle { calls, job_id, .. } => {
            let calls: Vec<&str> = calls.iter().map(brrr_protocol::model::CallHash::as_str).collect();
            json!({"kind": "cycle", "calls": calls, "job": job_id.as_str()})
        }
        Finding::Overdue { job_id } => json!({"kind": "overdue", "job": job_id.as_str()}),
        Finding::Unended { job_id } => json!({"kind": "unended", "job": job_id.as_str()}),
        Finding::Unloadable { topic, revision, component, reason } => json!({
            "kind": "unloadable", "topic": topic.as_str(), "revision": revision,
            "component": format!("sha256:{component}"), "reason": reason,
        }),
        Finding::Damaged { key, reason } => {
            json!({"kind": "damaged", "record": key.kind.name(), "id": &*key.id, "reason": reason})
        }
    }
}
