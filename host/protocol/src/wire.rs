//! What peers write and read: the message and the records `call` and `pending_returns`, byte for byte.
//!
//! Nothing may be added to these: the Python peer drops unknown keys and crashes on a longer tuple. What we need beyond
//! is in records of kinds of our own (`records.rs`).

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::bencode::{self, Encoder, Reader, Value};
use crate::error::{Error, Result};
use crate::model::{CallHash, Root, Topic};

/// Tag of a message's tuple.
const MESSAGE_TAG: i64 = 2;
/// Tag of an entry of `pending_returns`.
const RETURN_TAG: i64 = 1;

/// The one message: run this call, or wake it up, on behalf of this job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    pub root: Root,
    pub call: CallHash,
}

impl Message {
    /// `[2, root id, call hash]`, as the UTF-8 text that queues carry.
    #[must_use]
    pub fn encode(&self) -> String {
        let (root, call) = (self.root.as_str(), self.call.as_str());
        format!("li{MESSAGE_TAG}e{}:{root}{}:{call}e", root.len(), call.len())
    }

    /// # Errors
    /// `Malformed`, with what is wrong and where.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let what = "a message";
        match &parse(what, body)? {
            Value::List(items) => match items.as_slice() {
                [Value::Int(MESSAGE_TAG), root, call] => Ok(Self {
                    root: text(what, "the root id", root)?.into(),
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

/// The record `call`: what is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    pub task: String,
    pub payload: Bytes,
}

impl CallRecord {
    #[must_use]
    pub fn encode(task: &str, payload: &[u8]) -> Bytes {
        let mut e = Encoder::new();
        e.dict().str("payload").bytes(payload).str("task_name").str(task).end();
        e.finish().into()
    }

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

/// One parent that waits for a call: under this job, this parent, which listens on this topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Return {
    pub root: Root,
    pub parent: CallHash,
    pub topic: Topic,
}

impl Return {
    /// The message that wakes the parent.
    #[must_use]
    pub fn message(&self) -> Message {
        Message { root: self.root.clone(), call: self.parent.clone() }
    }
}

/// The record `pending_returns`: who waits for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingReturns {
    /// Written sorted by code points, as Python does. TypeScript sorts otherwise, so a record may only be compared and
    /// swapped by the very bytes that were read.
    pub returns: BTreeSet<Return>,
    /// Unix seconds at which the call's message was known to be sent. `None` (Python writes 0 as none): nobody can tell
    /// whether it was, so who comes next sends again (rule R4).
    pub scheduled_at: Option<u64>,
}

impl PendingReturns {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut e = Encoder::new();
        e.dict().str("returns").list();
        for r in &self.returns {
            e.list().int(RETURN_TAG).str(r.root.as_str()).str(r.parent.as_str()).str(r.topic.as_str()).end();
        }
        e.end();
        if let Some(at) = self.scheduled_at {
            e.str("scheduled_at").int(at as i64);
        }
        e.end();
        e.finish().into()
    }

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

    /// The record with these entries as well.
    #[must_use]
    pub fn and(mut self, parents: &[Return]) -> Self {
        self.returns.extend(parents.iter().cloned());
        self
    }

    /// Who waits, as far as a record that does not decode still says so: whatever looks like an entry. Who does not wait at
    /// all can be woken without harm.
    #[must_use]
    pub fn salvage(bytes: &[u8]) -> BTreeSet<Return> {
        let mut found = BTreeSet::new();
        let tag = format!("li{RETURN_TAG}e").into_bytes();
        let mut at = 0;
        while let Some(start) = bytes[at..].windows(tag.len()).position(|window| window == tag) {
            at += start + tag.len();
            let mut reader = Reader::within(&bytes[at..]);
            let mut field = || reader.next_string().ok().flatten().and_then(|text| std::str::from_utf8(text).ok());
            if let (Some(root), Some(parent), Some(topic)) = (field(), field(), field()) {
                found.insert(Return { root: root.into(), parent: parent.into(), topic: topic.into() });
            }
        }
        found
    }

    /// Of parents in order, the one under whose job a call that failed under `root` is tried next: jobs take turns, or one
    /// could be overtaken for ever by new ones whose ids come before its own.
    #[must_use]
    pub fn next_in_turn<'a>(kept: &'a [Return], root: &Root) -> Option<&'a Return> {
        kept.iter().find(|entry| entry.root > *root).or(kept.first())
    }

    /// Has this parent registered, but only under other jobs? Then its call is being tried again under a new job, and
    /// the child's message may have left with the old one.
    #[must_use]
    pub fn only_under_other_roots(&self, me: &Return) -> bool {
        !self.returns.contains(me) && self.returns.iter().any(|r| r.parent == me.parent && r.topic == me.topic)
    }
}

fn decode_return(what: &str, n: usize, item: &Value<'_>) -> Result<Return> {
    let Value::List(fields) = item else {
        return Err(Error::malformed(what, format!("`returns[{n}]` is {}, not a list", item.kind())));
    };
    match fields.as_slice() {
        [Value::Int(RETURN_TAG), root, parent, topic] => Ok(Return {
            root: text(what, "a root id", root)?.into(),
            parent: text(what, "a parent hash", parent)?.into(),
            topic: text(what, "a topic", topic)?.into(),
        }),
        [Value::Int(RETURN_TAG), ..] => Err(Error::malformed(
            what,
            format!("`returns[{n}]` has {} items; expected 4: [1, root, parent, topic]", fields.len()),
        )),
        [] => Err(Error::malformed(what, format!("`returns[{n}]` is an empty list"))),
        [tag, ..] => Err(wrong_tag(what, tag, RETURN_TAG)),
    }
}

/// What a store returns in place of a record that it can't have, because another program has put something else where it
/// would be: this byte, which no record of ours or of peers begins with, and what is there in words. It does not decode, so that
/// it costs whoever needs the record, like any damage, and nobody else. (No value: a value is not decoded.)
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
