//! The expected end of a case.

use brrr_protocol::model::{Failure, Outcome};
use serde::Deserialize;

use super::values::{Value, show};

/// The expected end of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    Result(Value),
    /// One of these values. The order of arrival decides which.
    AnyOf(Vec<Value>),
    /// Any result, but no failure.
    Anything,
    Error(ExpectedError),
}

/// The expected failure: a text that its message contains, or several conditions.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ExpectedError {
    Text(String),
    Parts(Parts),
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// The kind as `brrr-host job` prints it: `error`, `trap`, `timeout`, …
    pub kind: Option<String>,
    /// The task that failed first.
    pub task: Option<String>,
    /// A part of its message.
    pub message: Option<String>,
}

impl Expected {
    pub fn is(&self, end: &Outcome) -> bool {
        match (self, end) {
            (Self::Result(value), Ok(bytes)) => value.is(bytes),
            (Self::AnyOf(values), Ok(bytes)) => values.iter().any(|value| value.is(bytes)),
            (Self::Anything, Ok(_)) => true,
            (Self::Error(error), Err(failure)) => error.is(failure),
            _ => false,
        }
    }

    pub fn show(&self) -> String {
        match self {
            Self::Result(value) => value.show(),
            Self::AnyOf(values) => {
                format!("one of {}", values.iter().map(Value::show).collect::<Vec<_>>().join(", "))
            }
            Self::Anything => "any result".to_owned(),
            Self::Error(error) => format!("an error {}", error.show()),
        }
    }
}

impl ExpectedError {
    pub fn is(&self, failure: &Failure) -> bool {
        let in_message = |text: &String| failure.message.contains(text.as_str());
        match self {
            Self::Text(text) => in_message(text),
            Self::Parts(Parts { kind, task, message }) => {
                // The failure began in the last call of the chain.
                let began = failure.chain.last().is_none_or(|link| {
                    task.as_ref()
                        .is_none_or(|task| link.strip_prefix(task.as_str()).is_some_and(|l| l.starts_with(':')))
                });
                kind.as_ref().is_none_or(|kind| kind == failure.kind.as_str())
                    && began
                    && message.as_ref().is_none_or(in_message)
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text(text) => format!("with {text:?} in its message"),
            Self::Parts(Parts { kind, task, message }) => [("kind", kind), ("task", task), ("message", message)]
                .into_iter()
                .filter_map(|(name, part)| Some(format!("{name} {:?}", part.as_ref()?)))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// The end of a call as text.
pub fn show_end(end: &Outcome) -> String {
    match end {
        Ok(bytes) => show(bytes),
        Err(failure) => format!("a failure: {}", show_failure(failure)),
    }
}

/// A failure in several lines: the failure itself, and below it the calls that it passed through.
pub fn show_failure(failure: &Failure) -> String {
    let mut text = format!("{}: {}", failure.kind, failure.message.trim_end());
    if failure.chain.len() > 1 {
        for link in &failure.chain {
            text.push_str("\n  ");
            text.push_str(link);
        }
    }
    text
}
