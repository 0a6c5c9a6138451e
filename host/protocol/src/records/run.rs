//! The record `run/<job_id>`: how far a call has come under one job.

use bytes::Bytes;

use super::{
    VERSION, decode_options, encode_options, int, items, list, optional_text, small, string, unknown_entries, unsigned,
    versioned, write_dict,
};
use crate::bencode::{Encoder, Value};
use crate::error::{Error, Result};
use crate::model::{CallHash, Millis};
use crate::options::Options;
use crate::wire::text;

/// A `run` record names at most this number of the calls that a run waits for. 1,024 hashes of 64 characters take 68 KB, which
/// is well under the 400 KB that `DynamoDB` allows for an item.
pub const SAMPLE: usize = 1024;

/// The record `run/<job_id>`: how far a call has come under one job. It is written when the call is deferred, when it is to be
/// tried again, and by a parent that sets options for the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRecord {
    /// When this attempt was first run, in milliseconds since the Unix epoch. Each replay of the attempt sees this time. 0: the
    /// attempt was not run yet.
    pub first: Millis,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Why the previous attempt failed, in one line.
    pub last_failure: String,
    /// How the call's parent wants the call to be run.
    pub options: Options,
    /// The call must not run before this time, because of a retry. 0: no such time.
    pub not_before: Millis,
    /// SHA-256 of the component that wrote the record. Another component may ask for other calls.
    pub digest: String,
    /// The number of bytes of output that were shown. A replay shows only the output after these bytes.
    pub printed: u64,
    /// How many calls the run waits for.
    pub total: u32,
    /// The number of these calls that must have an outcome before it is worth running the call again.
    pub need: u32,
    /// The last `SAMPLE` of the calls that the run waits for. They were queued last, so they end last.
    pub sample: Vec<CallHash>,
    /// Calls that the run asked for before it began to wait, at most `SAMPLE`. With this list one access reads all outcomes
    /// that a replay needs.
    pub earlier: Vec<CallHash>,
    /// The choices that were made when more outcomes were there than were needed.
    pub decisions: Vec<Decision>,
    /// The time at which it is worth running the call again whatever is there, in milliseconds since the Unix epoch. 0: there is
    /// no such time.
    pub until: Millis,
    /// The call is also worth running again as soon as one of the calls has failed.
    pub fast: bool,
    /// The call is also worth running again when some outcomes have been there for so long, in milliseconds. 0: it is not.
    pub pace: Millis,
    /// When this is so (see `pace`): the delayed message for the call that makes a worker look at it is due then. 0: none of the
    /// calls has ended, so no such message was sent.
    pub look: Millis,
    /// When the latest delayed message for this call was due, see `step/timer.rs`. 0: no such message was sent.
    pub timer: Millis,
    /// The number of the poll at which the run stopped, from 0.
    pub stopped: u32,
    /// How the clock of the handler has moved at polls.
    pub moves: Vec<ClockMove>,
    /// How many detached jobs the attempt has started.
    pub detached: u32,
    /// When a worker first found no handler for the task, in milliseconds since the Unix epoch. 0: the task has a handler.
    pub unknown_since: Millis,
    /// Entries that a later version wrote. They are kept as they are: key, bencoded value.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The choice of a poll that needs fewer outcomes than it has calls (a race): the calls whose outcomes the guest got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The number of the poll in the run, from 0.
    pub poll: u32,
    /// Positions in the poll's list of calls, ascending.
    pub chosen: Vec<u32>,
}

/// A move of the clock that a handler sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockMove {
    /// The number of the poll in the run, from 0.
    pub poll: u32,
    /// The clock after the poll, in milliseconds since the Unix epoch.
    pub to: Millis,
}

impl RunRecord {
    /// The calls that the run has asked for, in its order, as far as the record names them. A call may be named twice.
    pub fn asked_for(&self) -> impl Iterator<Item = &CallHash> {
        self.earlier.iter().chain(&self.sample)
    }
}

pub(super) const RUN: &str = "a run record";

/// The keys of the lists that may be long. These keys sort last, so a reader that only asks whether a call is worth running
/// again need not read the lists (`waiting`).
pub(super) const WAITS: &str = "waits";
const WAS_ASKED: &str = "was_asked";
const RUN_KEYS: [&str; 23] = [
    "attempt",
    "clock",
    "decisions",
    "detached",
    "digest",
    "fast",
    "first",
    "last_failure",
    "look",
    "named",
    "need",
    "not_before",
    "options",
    "pace",
    "printed",
    "stopped",
    "timer",
    "total",
    "unknown_since",
    "until",
    "v",
    WAITS,
    WAS_ASKED,
];

impl RunRecord {
    /// True if a parent wrote the record with options for a call that was not run yet.
    #[must_use]
    pub fn was_never_run(&self) -> bool {
        self.first == 0 && self.total == 0 && self.attempt == 0
    }

    /// True if the record says that the call waits: for other calls, or for a time.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.total > 0 || self.until > 0
    }

    /// The record in bencode. Fields that most runs do not have are left out.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"attempt", int(self.attempt.into())),
            (b"digest", string(&self.digest)),
            (b"first", int(self.first)),
            (b"named", int(self.sample.len() as u64)),
            (b"need", int(self.need.into())),
            (b"printed", int(self.printed)),
            // The last call comes first, because the calls are looked at in this order.
            (WAITS.as_bytes(), list(self.sample.iter().rev().map(|c| string(c.as_str())))),
            (b"total", int(self.total.into())),
            (b"v", int(VERSION as u64)),
        ];
        // Fields that most runs do not have are left out.
        if self.not_before > 0 {
            fields.push((b"not_before", int(self.not_before)));
        }
        let numbers: [(&[u8], u64); 6] = [
            (b"fast", self.fast.into()),
            (b"look", self.look),
            (b"pace", self.pace),
            (b"stopped", self.stopped.into()),
            (b"timer", self.timer),
            (b"until", self.until),
        ];
        fields.extend(numbers.into_iter().filter(|(_, n)| *n > 0).map(|(key, n)| (key, int(n))));
        if !self.moves.is_empty() {
            fields.push((b"clock", ClockMove::encode_all(&self.moves)));
        }
        if self.detached > 0 {
            fields.push((b"detached", int(self.detached.into())));
        }
        if self.unknown_since > 0 {
            fields.push((b"unknown_since", int(self.unknown_since)));
        }
        if !self.last_failure.is_empty() {
            fields.push((b"last_failure", string(&self.last_failure)));
        }
        if !self.options.is_empty() {
            fields.push((b"options", encode_options(&self.options)));
        }
        if !self.earlier.is_empty() {
            fields.push((WAS_ASKED.as_bytes(), list(self.earlier.iter().map(|c| string(c.as_str())))));
        }
        if !self.decisions.is_empty() {
            fields.push((b"decisions", list(self.decisions.iter().map(Decision::encode))));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields)
    }

    /// Decodes the record `run/<job_id>`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(RUN, bytes)?;
        let record = Self {
            first: unsigned(RUN, &value, "first")?,
            attempt: small(RUN, &value, "attempt")?,
            last_failure: optional_text(RUN, &value, "last_failure")?,
            options: decode_options(RUN, &value)?,
            not_before: unsigned(RUN, &value, "not_before")?,
            digest: optional_text(RUN, &value, "digest")?,
            printed: unsigned(RUN, &value, "printed")?,
            total: small(RUN, &value, "total")?,
            need: small(RUN, &value, "need")?,
            sample: calls(&value, WAITS)?.rev().collect::<Result<_>>()?,
            earlier: calls(&value, WAS_ASKED)?.collect::<Result<_>>()?,
            decisions: items(RUN, &value, "decisions")?.iter().map(Decision::decode).collect::<Result<_>>()?,
            until: unsigned(RUN, &value, "until")?,
            fast: unsigned(RUN, &value, "fast")? > 0,
            pace: unsigned(RUN, &value, "pace")?,
            look: unsigned(RUN, &value, "look")?,
            timer: unsigned(RUN, &value, "timer")?,
            stopped: small(RUN, &value, "stopped")?,
            moves: ClockMove::decode_all(items(RUN, &value, "clock")?)?,
            detached: small(RUN, &value, "detached")?,
            unknown_since: unsigned(RUN, &value, "unknown_since")?,
            extra: unknown_entries(&value, &RUN_KEYS),
        };
        // Such a call would never be run again, or would be run again at once each time, without end.
        let (total, named) = (u64::from(record.total), record.sample.len() as u64);
        if record.need > record.total || named > total || unsigned(RUN, &value, "named")? != named {
            let reason = format!("it needs {} of {total} calls and names {named}", record.need);
            return Err(Error::malformed(RUN, reason));
        }
        Ok(record)
    }
}

/// A list of call hashes.
fn calls<'v>(
    value: &'v Value<'_>,
    key: &'static str,
) -> Result<impl DoubleEndedIterator<Item = Result<CallHash>> + 'v> {
    Ok(items(RUN, value, key)?.iter().map(move |v| text(RUN, key, v).map(CallHash::from)))
}

impl Decision {
    fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.list().int(self.poll.into()).list();
        for index in &self.chosen {
            e.int((*index).into());
        }
        e.end().end();
        e.finish()
    }

    fn decode(value: &Value<'_>) -> Result<Self> {
        let wrong = || Error::malformed(RUN, "a decision is not [poll, [index, …]]");
        let Value::List(fields) = value else { return Err(wrong()) };
        let [Value::Int(poll), Value::List(indices)] = fields.as_slice() else { return Err(wrong()) };
        let index = |v: &Value<'_>| match v {
            Value::Int(n) => u32::try_from(*n).map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        Ok(Self {
            poll: u32::try_from(*poll).map_err(|_| wrong())?,
            chosen: indices.iter().map(index).collect::<Result<_>>()?,
        })
    }
}

impl ClockMove {
    /// A flat list of polls and times, each as the difference from the one before. So a move takes few bytes.
    fn encode_all(moves: &[Self]) -> Vec<u8> {
        let mut before = Self { poll: 0, to: 0 };
        list(moves.iter().flat_map(|moved| {
            let (poll, to) = (moved.poll.saturating_sub(before.poll), moved.to.saturating_sub(before.to));
            before = *moved;
            [int(poll.into()), int(to)]
        }))
    }

    fn decode_all(values: &[Value<'_>]) -> Result<Vec<Self>> {
        let wrong = || Error::malformed(RUN, "its moves of the clock are not [poll, time, …]");
        let mut before = Self { poll: 0, to: 0 };
        let (pairs, []) = values.as_chunks::<2>() else { return Err(wrong()) };
        let decode = |pair: &[Value<'_>; 2]| {
            let [Value::Int(poll), Value::Int(to)] = pair else { return Err(wrong()) };
            let poll = u32::try_from(*poll).ok().and_then(|poll| poll.checked_add(before.poll)).ok_or_else(wrong)?;
            let to = u64::try_from(*to).ok().and_then(|to| to.checked_add(before.to)).ok_or_else(wrong)?;
            before = Self { poll, to };
            Ok(before)
        };
        pairs.iter().map(decode).collect()
    }
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
            until: 1_700_000_009_000,
            fast: true,
            pace: 1_000,
            look: 1_700_000_002_000,
            timer: 1_700_000_005_000,
            stopped: 3,
            moves: vec![ClockMove { poll: 0, to: 1_700_000_000_500 }, ClockMove { poll: 2, to: 1_700_000_001_000 }],
            options: Options { max_retries: Some(1), ..Options::default() },
            last_failure: "no".into(),
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
}
