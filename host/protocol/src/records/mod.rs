//! Our own records, which peers never read. They are bencoded dictionaries with a version `v`. Keys that this version does not
//! know are kept when a record is written again.
//!
//! - `run`: how far a call has come in a job; `waiting`: the part of that record that says whether to run the call again
//! - `job`: a job and its end; `failure`: how a call failed in a job
//! - `task_info`: what the tasks of a topic are; `workers`: the workers of a topic that run
//! - `dead_letter`: a dead letter; `latest_job`: the job that was last started for a call
//! - `log`: what the runs of a call have logged and printed in a job
//! - `schedules`: the schedules of a topic, and their ticks that are decided
//! - `deployments`: the revisions of the code of a topic; `manifest`, `chunk`: a component and its parts

mod chunk;
mod dead_letter;
mod deployments;
mod failure;
mod job;
mod log;
mod manifest;
mod run;
mod schedules;
mod task_info;
mod waiting;
mod workers;

use bytes::Bytes;

use crate::bencode::{Encoder, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::model::JobId;
use crate::options::Options;
use crate::wire::{dict, entry, text, wrong_type};

pub use chunk::ChunkRecord;
pub use dead_letter::{
    dead_letter_id, dead_letter_ids_of, dead_letter_time, decode_dead_letter, encode_dead_letter, is_dead_letter_of,
};
pub use deployments::{DeployedComponent, DeploymentsRecord, Gone, Revision, Step};
pub use failure::{decode_failure, encode_failure, read_failure};
pub use job::{JobEnd, JobRecord, JobState};
pub use log::{LogLevel, LogLine, LogRecord, LogSource, MOST_KEPT, NewLines, RunLog};
pub use manifest::{ChunkEntry, ManifestRecord, TaskAbout, UploadRecord};
pub use run::{ClockMove, Decision, RunRecord, SAMPLE};
pub use schedules::{Overlap, Schedule, ScheduleSpec, SchedulesRecord, Starting};
pub use task_info::{TaskInfo, TaskInfos, decode_task_infos, encode_task_infos};
pub use waiting::{ChildEnd, Readiness, Waiting, is_waiting};
pub use workers::{RevisionState, ServedComponent, WorkerInfo, Workers, decode_workers, encode_workers};

/// The version of all these records. A reader refuses a record with a higher version.
const VERSION: i64 = 1;

const TASKS: &str = "a tasks record";

/// Encodes the record `tasks` of a topic: the tasks that its workers handle. Gateways without a worker of their own read it.
#[must_use]
pub fn encode_tasks(tasks: &std::collections::BTreeSet<String>) -> Bytes {
    write_dict(vec![(b"tasks", list(tasks.iter().map(|t| string(t)))), (b"v", int(VERSION as u64))])
}

/// Decodes the record `tasks` of a topic.
///
/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_tasks(bytes: &[u8]) -> Result<std::collections::BTreeSet<String>> {
    let value = versioned(TASKS, bytes)?;
    items(TASKS, &value, "tasks")?.iter().map(|v| text(TASKS, "tasks", v).map(str::to_owned)).collect()
}

/// The record `latest_job` of a call: the job that was last started for the call. With it the job's failure can be found by the
/// call hash, and other jobs can join the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatestJob {
    /// The job that was last started for the call.
    pub job_id: JobId,
    /// True if the job's message is known to be sent, or if the job has joined the call. Other jobs may join this one.
    pub is_on_its_way: bool,
    /// True if the job's message is known to be sent, and was due later. No other job may join this one.
    pub is_delayed: bool,
}

impl LatestJob {
    /// The record before the job's message is sent.
    #[must_use]
    pub fn unsent(job_id: JobId) -> Self {
        Self { job_id, is_on_its_way: false, is_delayed: false }
    }

    /// The record after the job's message was sent.
    #[must_use]
    pub fn sent(job_id: JobId, is_delayed: bool) -> Self {
        Self { job_id, is_on_its_way: !is_delayed, is_delayed }
    }

    /// True if the encoded record says that the message of this job was sent, or that the job has joined its call.
    #[must_use]
    pub fn says_sent(record: Option<&[u8]>, job_id: &JobId) -> bool {
        let latest = record.and_then(|bytes| Self::decode(bytes).ok());
        latest.is_some_and(|latest| latest.job_id == *job_id && (latest.is_on_its_way || latest.is_delayed))
    }

    /// The record in bencode.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut fields: Vec<(&[u8], Vec<u8>)> =
            vec![(b"job", string(self.job_id.as_str())), (b"v", int(VERSION as u64))];
        if self.is_on_its_way {
            fields.push((b"sent", int(1)));
        }
        if self.is_delayed {
            fields.push((b"later", int(1)));
        }
        write_dict(fields)
    }

    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "a latest-job record";
        let value = versioned(what, bytes)?;
        let job_id = text(what, "job", entry(what, &value, "job")?)?.into();
        let is_set = |key| unsigned(what, &value, key).map(|number| number > 0);
        Ok(Self { job_id, is_on_its_way: is_set("sent")?, is_delayed: is_set("later")? })
    }
}

/// The key of `Options::trace`. It sorts after the keys of all other options, and guests can't set it.
const TRACE: &str = "trace";

/// Options as a dictionary of texts.
fn encode_options(options: &Options) -> Vec<u8> {
    let mut e = Encoder::new();
    e.dict();
    for (key, value) in options.pairs() {
        e.str(key).str(&value);
    }
    if let Some(trace) = &options.trace {
        e.str(TRACE).str(trace);
    }
    e.end();
    e.finish()
}

fn decode_options(what: &str, value: &Value<'_>) -> Result<Options> {
    let pairs = match value.get("options") {
        None => return Ok(Options::default()),
        Some(Value::Dict(entries)) => entries
            .iter()
            .map(|(key, value)| {
                let key = std::str::from_utf8(key).map_err(|_| Error::malformed(what, "an option is not UTF-8"))?;
                Ok((key, text(what, key, value)?))
            })
            .collect::<Result<Vec<_>>>()?,
        Some(other) => return Err(wrong_type(what, "options", other, "a dictionary")),
    };
    // Unknown options were written by a later version, and only later versions need them.
    let known = pairs.iter().copied().filter(|(key, _)| Options::knows(key));
    let options = Options::parse(known).map_err(|reason| Error::malformed(what, reason))?;
    let trace = pairs.iter().find(|(key, _)| *key == TRACE).map(|(_, trace)| (*trace).to_owned());
    Ok(Options { trace, ..options })
}

fn versioned<'a>(what: &str, bytes: &'a [u8]) -> Result<Value<'a>> {
    let value = dict(what, bytes)?;
    match entry(what, &value, "v")? {
        Value::Int(v) if (1..=VERSION).contains(v) => Ok(value),
        Value::Int(v) => Err(other_version(what, *v)),
        other => Err(wrong_type(what, "v", other, "an integer")),
    }
}

/// The error for a record with an unknown version. Only its `v` can be relied on.
fn other_version(what: &str, v: i64) -> Error {
    let kind = if v > VERSION { ErrorKind::NewerRecord } else { ErrorKind::Malformed };
    let reason = format!("its version is {v}; this program knows {VERSION}");
    Error { kind, ..Error::malformed(what, reason) }
}

/// A number of 32 bits. A missing key counts as 0.
fn small(what: &str, value: &Value<'_>, key: &str) -> Result<u32> {
    let number = unsigned(what, value, key)?;
    u32::try_from(number).map_err(|_| Error::malformed(what, format!("`{key}` is {number}, beyond 32 bits")))
}

/// A number. A missing key counts as 0.
fn unsigned(what: &str, value: &Value<'_>, key: &str) -> Result<u64> {
    match value.get(key) {
        None => Ok(0),
        Some(Value::Int(n)) => {
            u64::try_from(*n).map_err(|_| Error::malformed(what, format!("`{key}` is negative: {n}")))
        }
        Some(other) => Err(wrong_type(what, key, other, "an integer")),
    }
}

/// A text. A missing key counts as an empty text.
fn optional_text(what: &str, value: &Value<'_>, key: &str) -> Result<String> {
    value.get(key).map_or_else(|| Ok(String::new()), |found| text(what, key, found).map(str::to_owned))
}

/// Bytes. `None`: the key is missing.
fn optional_bytes(what: &str, value: &Value<'_>, key: &str) -> Result<Option<Bytes>> {
    match value.get(key) {
        None => Ok(None),
        Some(Value::Bytes(found)) => Ok(Some(Bytes::copy_from_slice(found))),
        Some(other) => Err(wrong_type(what, key, other, "a string")),
    }
}

/// A list. A missing key counts as an empty list.
fn items<'v, 'a>(what: &str, value: &'v Value<'a>, key: &str) -> Result<&'v [Value<'a>]> {
    match value.get(key) {
        None => Ok(&[]),
        Some(Value::List(items)) => Ok(items),
        Some(other) => Err(wrong_type(what, key, other, "a list")),
    }
}

fn unknown_entries(value: &Value<'_>, known: &[&str]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Value::Dict(entries) = value else { return Vec::new() };
    entries
        .iter()
        .filter(|(key, _)| !known.iter().any(|k| k.as_bytes() == *key))
        .map(|(key, v)| {
            let mut e = Encoder::new();
            e.value(v);
            (key.to_vec(), e.finish())
        })
        .collect()
}

/// A dictionary from its entries. The values are already bencoded. The entries may be in any order.
fn write_dict(mut fields: Vec<(&[u8], Vec<u8>)>) -> Bytes {
    fields.sort_by_key(|(key, _)| *key);
    let mut out = Encoder::new();
    out.dict();
    let mut bytes = out.finish();
    for (key, value) in fields {
        let mut e = Encoder::new();
        e.bytes(key);
        bytes.extend_from_slice(&e.finish());
        bytes.extend_from_slice(&value);
    }
    bytes.push(b'e');
    bytes.into()
}

fn int(n: u64) -> Vec<u8> {
    let mut e = Encoder::new();
    e.int(i64::try_from(n).unwrap_or(i64::MAX));
    e.finish()
}

fn string(s: &str) -> Vec<u8> {
    let mut e = Encoder::new();
    e.str(s);
    e.finish()
}

fn blob(bytes: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.bytes(bytes);
    e.finish()
}

fn list(items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = vec![b'l'];
    items.for_each(|item| out.extend_from_slice(&item));
    out.push(b'e');
    out
}
