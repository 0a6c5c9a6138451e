//! What peers write and read: the message, and the records `call` and `pending_returns`, byte for byte.
//!
//! Nothing may be added to these formats: the Python peer drops unknown keys and crashes if a tuple has more items. Whatever
//! else we need is in our own kinds of record (`records`).

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::bencode::{self, Encoder, Reader, Value};
use crate::error::{Error, Result};
use crate::model::{CallHash, JobId, PROMISE, Topic};

/// The tag of a message's tuple.
const MESSAGE_TAG: i64 = 2;
/// The tag of an entry of `pending_returns`.
const RETURN_TAG: i64 = 1;

/// The only kind of message: run this call on behalf of this job, for the first time or again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The job that the call is run for: the root id of peers.
    pub job_id: JobId,
    /// The call to run.
    pub call: CallHash,
}

impl Message {
    /// `[2, root id, call hash]`, as the UTF-8 text that queues carry.
    #[must_use]
    pub fn encode(&self) -> String {
        let (job_id, call) = (self.job_id.as_str(), self.call.as_str());
        format!("li{MESSAGE_TAG}e{}:{job_id}{}:{call}e", job_id.len(), call.len())
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong and where.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let what = "a message";
        match &parse(what, body)? {
            Value::List(items) => match items.as_slice() {
                [Value::Int(MESSAGE_TAG), job_id, call] => Ok(Self {
                    job_id: text(what, "the root id", job_id)?.into(),
                    call: text(what, "the call hash", call)?.into(),
                }),
                [] => Err(Error::malformed(what, "an empty list; expected [2, root id, call hash]")),
                [Value::Int(MESSAGE_TAG), ..] => {
                    Err(Error::malformed(what, format!("{} items; expected 3: [2, root id, call hash]", items.len())))
                }
                [tag, ..] => Err(wrong_tag(what, tag, MESSAGE_TAG)),
            },
            other => {
                Err(Error::malformed(what, format!("{} instead of the list [2, root id, call hash]", other.kind())))
            }
        }
    }
}

/// The record `call`: the task and payload of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The name of the task that the call runs.
    pub task: String,
    /// The arguments, as the codec of the caller encoded them.
    pub payload: Bytes,
}

impl CallRecord {
    /// The record in bencode, byte for byte as peers write it.
    #[must_use]
    pub fn encode(task: &str, payload: &[u8]) -> Bytes {
        let mut e = Encoder::new();
        e.dict().str("payload").bytes(payload).str("task_name").str(task).end();
        e.finish().into()
    }

    /// Is the call a promise? Then no worker runs it.
    #[must_use]
    pub fn is_promise(&self) -> bool {
        self.task == PROMISE
    }

    /// Decodes the record `call`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong and where.
    pub fn decode(bytes: &Bytes) -> Result<Self> {
        let what = "a call record";
        let value = dict(what, bytes)?;
        Ok(Self {
            task: text(what, "task_name", entry(what, &value, "task_name")?)?.to_owned(),
            payload: match entry(what, &value, "payload")? {
                Value::Bytes(payload) => bytes.slice_ref(payload),
                other => return Err(wrong_type(what, "payload", other, "a string")),
            },
        })
    }
}

/// One parent that waits for a call: its job, its call hash, and the topic that its messages go to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Return {
    /// The job in which the parent waits: the root id of peers.
    pub job_id: JobId,
    /// The call hash of the parent.
    pub parent: CallHash,
    /// The topic that the message for the parent is sent to.
    pub topic: Topic,
}

impl Return {
    /// The message that notifies the parent.
    #[must_use]
    pub fn message(&self) -> Message {
        Message { job_id: self.job_id.clone(), call: self.parent.clone() }
    }
}

/// The record `pending_returns`: the parents that wait for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingReturns {
    /// The parents, sorted by code points, as Python writes them. TypeScript sorts in another way. So a compare-and-swap must
    /// use exactly the bytes that were read.
    pub returns: BTreeSet<Return>,
    /// When the call's message was known to be sent, in seconds since the Unix epoch. `None` (Python writes 0 for it): it is
    /// not known whether the message was sent, so the next parent that registers sends it again (rule R4).
    pub scheduled_at: Option<u64>,
}

impl PendingReturns {
    /// The record in bencode, byte for byte as the Python peer writes it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut e = Encoder::new();
        e.dict().str("returns").list();
        for r in &self.returns {
            e.list().int(RETURN_TAG).str(r.job_id.as_str()).str(r.parent.as_str()).str(r.topic.as_str()).end();
        }
        e.end();
        if let Some(at) = self.scheduled_at {
            e.str("scheduled_at").int(at as i64);
        }
        e.end();
        e.finish().into()
    }

    /// Decodes the record `pending_returns`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong and where.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "a pending_returns record";
        let value = dict(what, bytes)?;
        let Value::List(items) = entry(what, &value, "returns")? else {
            return Err(Error::malformed(what, "`returns` is not a list"));
        };
        let mut returns = BTreeSet::new();
        for (n, item) in items.iter().enumerate() {
            if !returns.insert(decode_return(what, n, item)?) {
                return Err(Error::malformed(what, format!("`returns[{n}]` stands there twice")));
            }
        }
        let scheduled_at = match value.get("scheduled_at") {
            None | Some(Value::Int(0)) => None,
            Some(Value::Int(at)) => Some(
                u64::try_from(*at)
                    .map_err(|_| Error::malformed(what, format!("`scheduled_at` is {at}, before 1970")))?,
            ),
            Some(other) => return Err(wrong_type(what, "scheduled_at", other, "an integer")),
        };
        Ok(Self { returns, scheduled_at })
    }

    /// The record with these parents added.
    #[must_use]
    pub fn and(mut self, parents: &[Return]) -> Self {
        self.returns.extend(parents.iter().cloned());
        self
    }

    /// The parents that can still be read from a record that does not decode: everything in it that looks like an entry. It
    /// does no harm to notify a parent that does not wait.
    #[must_use]
    pub fn salvage(bytes: &[u8]) -> BTreeSet<Return> {
        let mut found = BTreeSet::new();
        let tag = format!("li{RETURN_TAG}e").into_bytes();
        let mut at = 0;
        while let Some(start) = bytes[at..].windows(tag.len()).position(|window| window == tag) {
            at += start + tag.len();
            let mut reader = Reader::within(&bytes[at..]);
            let mut field = || reader.next_string().ok().flatten().and_then(|text| std::str::from_utf8(text).ok());
            if let (Some(job_id), Some(parent), Some(topic)) = (field(), field(), field()) {
                found.insert(Return { job_id: job_id.into(), parent: parent.into(), topic: topic.into() });
            }
        }
        found
    }

    /// The entry under whose job the call is tried next after it failed under `job_id`. `kept`: the other entries, in order.
    /// Jobs take turns. Otherwise new jobs with smaller ids could overtake a job again and again.
    #[must_use]
    pub fn next_in_turn<'a>(kept: &'a [Return], job_id: &JobId) -> Option<&'a Return> {
        kept.iter().find(|entry| entry.job_id > *job_id).or(kept.first())
    }

    /// True if this parent has registered, but only under other jobs. Then its call is being tried again under a new job, and
    /// the child's message may have been dropped with the old job.
    #[must_use]
    pub fn only_in_other_jobs(&self, me: &Return) -> bool {
        !self.returns.contains(me) && self.returns.iter().any(|r| r.parent == me.parent && r.topic == me.topic)
    }
}

fn decode_return(what: &str, n: usize, item: &Value<'_>) -> Result<Return> {
    let Value::List(fields) = item else {
        return Err(Error::malformed(what, format!("`returns[{n}]` is {}, not a list", item.kind())));
    };
    match fields.as_slice() {
        [Value::Int(RETURN_TAG), job_id, parent, topic] => Ok(Return {
            job_id: text(what, "a root id", job_id)?.into(),
            parent: text(what, "a parent hash", parent)?.into(),
            topic: text(what, "a topic", topic)?.into(),
        }),
        [Value::Int(RETURN_TAG), ..] => Err(Error::malformed(
            what,
            format!("`returns[{n}]` has {} items; expected 4: [1, job_id, parent, topic]", fields.len()),
        )),
        [] => Err(Error::malformed(what, format!("`returns[{n}]` is an empty list"))),
        [tag, ..] => Err(wrong_tag(what, tag, RETURN_TAG)),
    }
}

/// The first byte of a text that a store returns in place of a record, if another program has put something else at the
/// record's key. The rest of the text says in words what is there. No record of ours or of peers begins with this byte, so the
/// text does not decode. So it fails only those that need this record, as any damage does. (A store never returns it for a
/// value, because a value is not decoded.)
pub const FOREIGN: u8 = 0xff;

pub(crate) fn parse<'a>(what: &str, bytes: &'a [u8]) -> Result<Value<'a>> {
    if let [FOREIGN, words @ ..] = bytes {
        return Err(Error::malformed(what, String::from_utf8_lossy(words)));
    }
    bencode::decode(bytes).map_err(|e| Error::malformed(what, e.to_string()))
}

pub(crate) fn dict<'a>(what: &str, bytes: &'a [u8]) -> Result<Value<'a>> {
    match parse(what, bytes)? {
        value @ Value::Dict(_) => Ok(value),
        other => Err(Error::malformed(what, format!("{} instead of a dictionary", other.kind()))),
    }
}

pub(crate) fn entry<'v, 'a>(what: &str, value: &'v Value<'a>, key: &str) -> Result<&'v Value<'a>> {
    value.get(key).ok_or_else(|| Error::malformed(what, format!("the key `{key}` is missing")))
}

pub(crate) fn text<'a>(what: &str, key: &str, value: &Value<'a>) -> Result<&'a str> {
    match value {
        Value::Bytes(b) => std::str::from_utf8(b)
            .map_err(|e| Error::malformed(what, format!("{key} is not UTF-8 behind byte {}", e.valid_up_to()))),
        other => Err(wrong_type(what, key, other, "a string")),
    }
}

pub(crate) fn wrong_type(what: &str, key: &str, found: &Value<'_>, expected: &str) -> Error {
    Error::malformed(what, format!("`{key}` is {} instead of {expected}", found.kind()))
}

fn wrong_tag(what: &str, found: &Value<'_>, expected: i64) -> Error {
    let found = match found {
        Value::Int(n) => n.to_string(),
        other => other.kind().to_owned(),
    };
    Error::malformed(what, format!("the tag is {found}; expected {expected}"))
}
