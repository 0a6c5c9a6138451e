//! Lines that the calls of a job have logged, as JSON.

use std::collections::BTreeMap;

use brrr_protocol::logs::Place;
use brrr_protocol::records::{LogLine, LogSource};
use serde::Serialize;
use utoipa::ToSchema;

use crate::events::time;

/// A line that a call has logged or printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LogLineView {
    /// When, by the clock of the backend as its worker knew it.
    pub time: String,
    /// `trace`, `debug`, `info`, `warn` or `error`. What was printed to stdout or stderr has `info`.
    pub level: &'static str,
    /// `log`, `stdout` or `stderr`: where the line comes from.
    pub stream: &'static str,
    /// The text. It comes from a handler, so it may have control characters.
    pub text: String,
    /// The fields that were logged with it. Of two fields with one name the last one counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// In which attempt of the call, from 1.
    pub attempt: u32,
    /// The number of the line among all lines of the call in the job, from 0. Numbers that are missing before the first line
    /// are those of lines that are not kept any more.
    pub number: u64,
    /// How many bytes of a long line are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<u64>,
    /// The hash of the call.
    pub call: String,
    /// The task of the call. `null`: no record describes the call.
    pub task: Option<String>,
}

impl LogLineView {
    /// The line at this place, of a call of this task.
    #[must_use]
    pub fn of(place: &Place, line: LogLine, task: Option<&str>) -> Self {
        let stream = if let LogSource::Log(_) = line.from { "log" } else { line.from.as_str() };
        Self {
            time: time(line.at),
            level: line.from.level().as_str(),
            stream,
            text: line.text,
            fields: line.fields.into_iter().collect(),
            attempt: line.attempt,
            number: place.number,
            left_out: Some(line.left_out).filter(|bytes| *bytes > 0),
            call: place.call.as_str().to_owned(),
            task: task.map(str::to_owned),
        }
    }
}
