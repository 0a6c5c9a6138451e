//! The record `job` of a root: what was scheduled, and how it ended.

use bytes::Bytes;

use super::{VERSION, decode_options, encode_options, int, string, unknown_entries, unsigned, versioned, write_dict};
use crate::bencode::Reader;
use crate::error::{Error, Result};
use crate::model::{CallHash, FailureKind, Millis, Outcome, Root, Topic};
use crate::options::Options;
use crate::wire::{entry, text};

/// The record `job` of a root: what was scheduled, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    pub call: CallHash,
    pub topic: Topic,
    pub created: Millis,
    /// By when it must have ended; 0: whenever.
    pub deadline: Millis,
    /// Messages that it may send; 0: as many as its workers allow.
    pub spawn_limit: u64,
    /// How its calls are run, whatever their tasks say.
    pub options: Options,
    /// The job that it tries again.
    pub retry_of: Option<Root>,
    /// `None`: it is alive. Once it is over it stays so, even if its value is forgotten.
    pub end: Option<JobEnd>,
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How and when a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobEnd {
    pub state: JobState,
    pub at: Millis,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl JobState {
    /// How a job ends whose top call comes to this.
    #[must_use]
    pub fn of(outcome: std::result::Result<(), &FailureKind>) -> Self {
        match outcome {
            Ok(()) => Self::Completed,
            Err(FailureKind::Cancelled) => Self::Cancelled,
            Err(FailureKind::Timeout) => Self::TimedOut,
            Err(_) => Self::Failed,
        }
    }

    /// As `of`, of an outcome.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Self {
        Self::of(outcome.as_ref().map(|_| ()).map_err(|failure| &failure.kind))
    }

    /// The word that stands for it in records, events and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
        }
    }

    fn parse(word: &str) -> Result<Self> {
        [Self::Completed, Self::Failed, Self::Cancelled, Self::TimedOut]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| Error::malformed(JOB, format!("there is no state {word:?}")))
    }
}

const JOB: &str = "a job record";
const JOB_KEYS: [&str; 10] =
    ["call", "created", "deadline", "ended", "options", "retry_of", "spawn_limit", "state", "topic", "v"];

impl JobRecord {
    /// One that has just begun.
    #[must_use]
    pub fn new(call: CallHash, topic: Topic, created: Millis) -> Self {
        let (deadline, spawn_limit, options) = (0, 0, Options::default());
        Self { call, topic, created, deadline, spawn_limit, options, retry_of: None, end: None, extra: Vec::new() }
    }

    /// Is it over? A deadline that has passed ends a job only once somebody has written that down.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Is the job over whose record these are? Reads no more of it than that.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn is_over_in(bytes: &[u8]) -> Result<bool> {
        let damaged = |error: crate::bencode::SyntaxError| Error::malformed(JOB, error.to_string());
        let mut reader = Reader::dict(bytes).map_err(damaged)?;
        while let Some(key) = reader.key().map_err(damaged)? {
            if key == b"state" {
                return Ok(true);
            }
            reader.skip().map_err(damaged)?;
        }
        Ok(false)
    }

    /// Is it alive although its deadline has passed? Then whoever sees it ends it.
    #[must_use]
    pub fn is_overdue(&self, now: Millis) -> bool {
        self.end.is_none() && self.deadline > 0 && self.deadline <= now
    }

    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"call", string(self.call.as_str())),
            (b"created", int(self.created)),
            (b"topic", string(self.topic.as_str())),
            (b"v", int(VERSION as u64)),
        ];
        if self.deadline > 0 {
            fields.push((b"deadline", int(self.deadline)));
        }
        if self.spawn_limit > 0 {
            fields.push((b"spawn_limit", int(self.spawn_limit)));
        }
        if !self.options.is_empty() {
            fields.push((b"options", encode_options(&self.options)));
        }
        if let Some(root) = &self.retry_of {
            fields.push((b"retry_of", string(root.as_str())));
        }
        if let Some(JobEnd { state, at }) = self.end {
            fields.push((b"state", string(state.as_str())));
            fields.push((b"ended", int(at)));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields)
    }

    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(JOB, bytes)?;
        let end = match value.get("state") {
            None => None,
            Some(state) => {
                let state = JobState::parse(text(JOB, "state", state)?)?;
                Some(JobEnd { state, at: unsigned(JOB, &value, "ended")? })
            }
        };
        Ok(Self {
            call: text(JOB, "call", entry(JOB, &value, "call")?)?.into(),
            topic: text(JOB, "topic", entry(JOB, &value, "topic")?)?.into(),
            created: unsigned(JOB, &value, "created")?,
            deadline: unsigned(JOB, &value, "deadline")?,
            spawn_limit: unsigned(JOB, &value, "spawn_limit")?,
            options: decode_options(JOB, &value)?,
            retry_of: value.get("retry_of").map(|v| text(JOB, "retry_of", v).map(Root::from)).transpose()?,
            end,
            extra: unknown_entries(&value, &JOB_KEYS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_record_round_trips() {
        let plain = JobRecord::new("c".into(), "t".into(), 5);
        assert_eq!(plain.encode(), &b"d4:call1:c7:createdi5e5:topic1:t1:vi1ee"[..]);
        let full = JobRecord {
            deadline: 9,
            spawn_limit: 7,
            options: Options { max_retries: Some(2), label: Some("x".into()), ..Options::default() },
            retry_of: Some("r".into()),
            end: Some(JobEnd { state: JobState::TimedOut, at: 8 }),
            extra: vec![(b"zzz".to_vec(), b"i7e".to_vec())],
            ..plain.clone()
        };
        for job in [plain, full] {
            assert_eq!(JobRecord::decode(&job.encode()).unwrap(), job);
            assert_eq!(JobRecord::is_over_in(&job.encode()).unwrap(), job.is_over());
        }
    }
}
