//! Documents that the command line and the gateway both show.

use brrr_protocol::model::Failure;
use serde::Serialize;

/// A failure as JSON.
#[derive(Debug, Serialize)]
pub struct FailureView<'a> {
    pub kind: &'a str,
    pub task: &'a str,
    pub message: &'a str,
    pub attempts: u32,
    pub chain: &'a [String],
}

impl<'a> From<&'a Failure> for FailureView<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            kind: failure.kind.as_str(),
            task: &failure.task,
            message: &failure.message,
            attempts: failure.attempts,
            chain: &failure.chain,
        }
    }
}
