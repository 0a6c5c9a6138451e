//! Records of our own, which peers never read. Bencoded dictionaries with a version `v`; keys that this version does
//! not know are kept when a record is written again.

use bytes::Bytes;

use crate::bencode::{Encoder, Value};
use crate::error::{Error, Result};
use crate::model::{CallHash, Failure, FailureKind, Millis, Root, Topic};
use crate::wire::{dict, entry, text, wrong_type};

/// Version of every record here; a reader refuses a higher one.
const VERSION: i64 = 1;

/// How many of the calls that a run waits for its `run` record names. 1,024 hashes of 64 characters are 68 KB, well
/// under `DynamoDB`'s 400 KB an item.
pub const SAMPLE: usize = 1024;

/// The record `run/<root>`: how far a call has come under one job. Written when it is deferred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRecord {
    /// When the call was first run: the clock that every replay sees.
    pub first: Millis,
    pub attempt: u32,
    /// Not to be run before this time (0: at once). For retries.
    pub not_before: Millis,
    /// SHA-256 of the component that wrote the record; another one may ask for other calls.
    pub digest: String,
    /// Bytes of output that were shown; a replay shows only what is beyond.
    pub printed: u64,
    /// How many calls the run waits for.
    pub total: u32,
    /// How many of them must have an outcome before running again is worth it.
    pub need: u32,
    /// The last `SAMPLE` of the calls that it waits for. Those are queued last, so they end last.
    pub sample: Vec<CallHash>,
    /// Calls that the run asked for before it came to wait, up to `SAMPLE`: so that one access reads all that a replay
    /// needs.
    pub earlier: Vec<CallHash>,
    /// What was chosen where several outcomes were there.
    pub decisions: Vec<Decision>,
    /// When a worker first found that nobody here handles the task (0: it is handled).
    pub unknown_since: Millis,
    /// Entries of a later version, kept as they are: key, bencoded value.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A race's outcome: which of a poll's calls the guest was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which poll of the run, from 0.
    pub poll: u32,
    /// Places in the poll's list of calls, ascending.
    pub chosen: Vec<u32>,
}

const RUN: &str = "a run record";
const RUN_KEYS: [&str; 12] = [
    "attempt",
    "decisions",
    "digest",
    "earlier",
    "first",
    "need",
    "not_before",
    "printed",
    "sample",
    "total",
    "unknown_since",
    "v",
];

impl RunRecord {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"attempt", int(self.attempt.into())),
            (b"digest", string(&self.digest)),
            (b"first", int(self.first)),
            (b"need", int(self.need.into())),
            (b"printed", int(self.printed)),
            (b"sample", list(self.sample.iter().map(|c| string(c.as_str())))),
            (b"total", int(self.total.into())),
            (b"v", int(VERSION as u64)),
        ];
        // What most runs do not have takes no room in their records.
        if self.not_before > 0 {
            fields.push((b"not_before", int(self.not_before)));
        }
        if self.unknown_since > 0 {
            fields.push((b"unknown_since", int(self.unknown_since)));
        }
        if !self.earlier.is_empty() {
            fields.push((b"earlier", list(self.earlier.iter().map(|c| string(c.as_str())))));
        }
        if !self.decisions.is_empty() {
            fields.push((b"decisions", list(self.decisions.iter().map(Decision::encode))));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields)
    }

    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(RUN, bytes)?;
        let waiting = Waiting::read(&value)?;
        Ok(Self {
            first: unsigned(RUN, &value, "first")?,
            attempt: unsigned(RUN, &value, "attempt")? as u32,
            not_before: unsigned(RUN, &value, "not_before")?,
            digest: match value.get("digest") {
                None => String::new(),
                Some(digest) => text(RUN, "digest", digest)?.to_owned(),
            },
            printed: unsigned(RUN, &value, "printed")?,
            total: waiting.total,
            need: waiting.need,
            sample: waiting.sample.into_iter().map(CallHash::from).collect(),
            earlier: items(RUN, &value, "earlier")?
                .iter()
                .map(|v| text(RUN, "an earlier call", v).map(CallHash::from))
                .collect::<Result<_>>()?,
            decisions: items(RUN, &value, "decisions")?.iter().map(Decision::decode).collect::<Result<_>>()?,
            unknown_since: unsigned(RUN, &value, "unknown_since")?,
            extra: unknown_entries(&value, &RUN_KEYS),
        })
    }
}

impl Decision {
    fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.list().int(self.poll.into()).list();
        for place in &self.chosen {
            e.int((*place).into());
        }
        e.end().end();
        e.finish()
    }

    fn decode(value: &Value<'_>) -> Result<Self> {
        let wrong = || Error::malformed(RUN, "a decision is not [poll, [place, …]]");
        let Value::List(fields) = value else { return Err(wrong()) };
        let [Value::Int(poll), Value::List(places)] = fields.as_slice() else { return Err(wrong()) };
        let place = |v: &Value<'_>| match v {
            Value::Int(n) => u32::try_from(*n).map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        Ok(Self {
            poll: u32::try_from(*poll).map_err(|_| wrong())?,
            chosen: places.iter().map(place).collect::<Result<_>>()?,
        })
    }
}

/// The part of a `run` record that says whether the call is worth running again, without copying it.
#[derive(Debug)]
pub struct Waiting<'a> {
    pub total: u32,
    pub need: u32,
    pub sample: Vec<&'a str>,
}

impl<'a> Waiting<'a> {
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        Self::read(&versioned(RUN, bytes)?)
    }

    fn read(value: &Value<'a>) -> Result<Self> {
        let sample = items(RUN, value, "sample")?;
        Ok(Self {
            total: unsigned(RUN, value, "total")? as u32,
            need: unsigned(RUN, value, "need")? as u32,
            sample: sample.iter().map(|v| text(RUN, "a sampled call", v)).collect::<Result<_>>()?,
        })
    }

    /// Goes through the sample to decide whether enough outcomes are there.
    #[must_use]
    pub fn check(&self) -> Readiness {
        Readiness::new(self.total, self.need, self.sample.len())
    }
}

/// Decides whether enough outcomes are there, from as few reads as it takes: looks at the sample from its end, because
/// calls end in about the order in which they were queued (from its beginning, N children cost N²/2 reads).
#[derive(Debug)]
pub struct Readiness {
    left: usize,
    /// So many of the sample may still be missing.
    allowed: i64,
}

impl Readiness {
    #[must_use]
    pub fn new(total: u32, need: u32, sample: usize) -> Self {
        // What the sample does not name counts as there: better one run too many than one too few.
        Self { left: sample, allowed: i64::from(total) - i64::from(need) }
    }

    /// The place in the sample to look at next; `None`: it is decided, see `ready`.
    #[must_use]
    pub fn next(&self) -> Option<usize> {
        (self.allowed >= 0 && (self.left as i64) > self.allowed).then(|| self.left - 1)
    }

    /// What was found at the place that `next` named.
    pub fn found(&mut self, outcome: bool) {
        self.left -= 1;
        self.allowed -= i64::from(!outcome);
    }

    #[must_use]
    pub fn ready(&self) -> bool {
        self.allowed >= 0
    }
}

const FAILURE: &str = "a failure record";

/// Encodes the record `failure/<root>`: how a call failed under one job.
#[must_use]
pub fn encode_failure(failure: &Failure) -> Bytes {
    write_dict(vec![
        (b"attempts", int(failure.attempts.into())),
        (b"chain", list(failure.chain.iter().map(|line| string(line)))),
        (b"kind", string(failure.kind.as_str())),
        (b"message", string(&failure.message)),
        (b"task", string(&failure.task)),
        (b"v", int(VERSION as u64)),
    ])
}

/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_failure(bytes: &[u8]) -> Result<Failure> {
    let value = versioned(FAILURE, bytes)?;
    let field = |key| text(FAILURE, key, entry(FAILURE, &value, key)?).map(str::to_owned);
    Ok(Failure {
        kind: FailureKind::from(field("kind")?.as_str()),
        task: field("task")?,
        message: field("message")?,
        attempts: unsigned(FAILURE, &value, "attempts")? as u32,
        chain: items(FAILURE, &value, "chain")?
            .iter()
            .map(|v| text(FAILURE, "chain", v).map(str::to_owned))
            .collect::<Result<_>>()?,
    })
}

/// The record `job` of a root: what was scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    pub call: CallHash,
    pub topic: Topic,
    pub created: Millis,
    /// Its top call has had its outcome, even if that was forgotten since.
    pub done: bool,
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

const JOB: &str = "a job record";

impl JobRecord {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"call", string(self.call.as_str())),
            (b"created", int(self.created)),
            (b"topic", string(self.topic.as_str())),
            (b"v", int(VERSION as u64)),
        ];
        if self.done {
            fields.push((b"done", int(1)));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields)
    }

    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(JOB, bytes)?;
        Ok(Self {
            call: text(JOB, "call", entry(JOB, &value, "call")?)?.into(),
            topic: text(JOB, "topic", entry(JOB, &value, "topic")?)?.into(),
            created: unsigned(JOB, &value, "created")?,
            done: unsigned(JOB, &value, "done")? == 1,
            extra: unknown_entries(&value, &["call", "created", "done", "topic", "v"]),
        })
    }
}

const TASKS: &str = "a tasks record";

/// Encodes the record `tasks` of a topic: what its workers handle, for gateways that have no worker beside them.
#[must_use]
pub fn encode_tasks(tasks: &std::collections::BTreeSet<String>) -> Bytes {
    write_dict(vec![(b"tasks", list(tasks.iter().map(|t| string(t)))), (b"v", int(VERSION as u64))])
}

/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_tasks(bytes: &[u8]) -> Result<std::collections::BTreeSet<String>> {
    let value = versioned(TASKS, bytes)?;
    items(TASKS, &value, "tasks")?.iter().map(|v| text(TASKS, "tasks", v).map(str::to_owned)).collect()
}

/// The record `latest` of a call: the job that last scheduled it, so that its failure can be found by the call.
#[must_use]
pub fn encode_latest(root: &Root) -> Bytes {
    write_dict(vec![(b"root", string(root.as_str())), (b"v", int(VERSION as u64))])
}

/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_latest(bytes: &[u8]) -> Result<Root> {
    let what = "a latest-job record";
    let value = versioned(what, bytes)?;
    Ok(text(what, "root", entry(what, &value, "root")?)?.into())
}

fn versioned<'a>(what: &str, bytes: &'a [u8]) -> Result<Value<'a>> {
    let value = dict(what, bytes)?;
    match entry(what, &value, "v")? {
        Value::Int(v) if (1..=VERSION).contains(v) => Ok(value),
        Value::Int(v) => Err(Error::malformed(what, format!("its version is {v}; this program knows {VERSION}"))),
        other => Err(wrong_type(what, "v", other, "an integer")),
    }
}

/// A number that is 0 where the record leaves it out.
fn unsigned(what: &str, value: &Value<'_>, key: &str) -> Result<u64> {
    match value.get(key) {
        None => Ok(0),
        Some(Value::Int(n)) => {
            u64::try_from(*n).map_err(|_| Error::malformed(what, format!("`{key}` is negative: {n}")))
        }
        Some(other) => Err(wrong_type(what, key, other, "an integer")),
    }
}

/// A list that is empty where the record leaves it out.
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

/// A dictionary from its entries, already bencoded, in any order.
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
    e.int(n as i64);
    e.finish()
}

fn string(s: &str) -> Vec<u8> {
    let mut e = Encoder::new();
    e.str(s);
    e.finish()
}

fn list(items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = vec![b'l'];
    items.for_each(|item| out.extend_from_slice(&item));
    out.push(b'e');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunRecord {
        RunRecord {
            first: 1_700_000_000_000,
            attempt: 1,
            digest: "abc".into(),
            printed: 12,
            total: 3,
            need: 2,
            sample: vec!["c1".into(), "c2".into()],
            earlier: vec!["c0".into()],
            decisions: vec![Decision { poll: 0, chosen: vec![1, 4] }],
            ..RunRecord::default()
        }
    }

    #[test]
    fn a_run_record_round_trips() {
        let record = run();
        assert_eq!(RunRecord::decode(&record.encode()).unwrap(), record);
    }

    #[test]
    fn unknown_keys_are_kept_and_newer_versions_refused() {
        let record = RunRecord { extra: vec![(b"zzz".to_vec(), b"i7e".to_vec())], ..run() };
        let again = RunRecord::decode(&record.encode()).unwrap();
        assert_eq!(again.extra, record.extra);
        assert_eq!(again.encode(), record.encode());
        let error = RunRecord::decode(b"d1:vi2ee").unwrap_err();
        assert!(error.to_string().contains("its version is 2"), "{error}");
    }

    #[test]
    fn a_failure_round_trips() {
        let failure = Failure::of_parent("p", &Failure::new(FailureKind::Trap, "c", "unreachable"));
        assert_eq!(decode_failure(&encode_failure(&failure)).unwrap(), failure);
        assert_eq!(failure.chain, ["p: a call failed and it was not caught", "c: trap: unreachable"]);
    }

    /// Decides from the places that have an outcome, and counts the looks.
    fn decide(total: u32, need: u32, outcomes: &[bool]) -> (bool, usize) {
        let mut check = Readiness::new(total, need, outcomes.len());
        let mut looks = 0;
        while let Some(place) = check.next() {
            looks += 1;
            check.found(outcomes[place]);
        }
        (check.ready(), looks)
    }

    #[test]
    fn readiness_agrees_with_its_definition() {
        for bits in 0..32u32 {
            let outcomes: Vec<bool> = (0..5).map(|i| bits & (1 << i) != 0).collect();
            let there = outcomes.iter().filter(|o| **o).count() as u32;
            for total in 5..8 {
                for need in 0..=total {
                    let expected = there + (total - 5) >= need;
                    assert_eq!(decide(total, need, &outcomes).0, expected, "{outcomes:?} {total} {need}");
                }
            }
        }
    }

    #[test]
    fn calls_that_end_in_order_cost_few_looks() {
        let n = 200;
        let mut outcomes = vec![false; n];
        let mut looks = 0;
        for i in 0..n {
            outcomes[i] = true;
            looks += decide(n as u32, n as u32, &outcomes).1;
        }
        assert!(looks < 3 * n, "{looks}");
    }
}
