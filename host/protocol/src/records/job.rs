//! The record `job`, by job id: what was scheduled, and how it ended.

use bytes::Bytes;

use super::{VERSION, decode_options, encode_options, int, string, unknown_entries, unsigned, versioned, write_dict};
use crate::bencode::Reader;
use crate::error::{Error, Result};
use crate::model::{CallHash, FailureKind, JobId, Millis, Outcome, Topic};
use crate::options::Options;
use crate::wire::{entry, text};

/// The record `job`, by job id: what was scheduled, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// The job's top call.
    pub call: CallHash,
    /// The task of the top call. Empty: not known.
    pub task: String,
    /// The topic that the top call's message is sent to.
    pub topic: Topic,
    /// When the job was scheduled, in milliseconds since the Unix epoch.
    pub created: Millis,
    /// The time by which the job must have ended, in milliseconds since the Unix epoch. 0: no deadline.
    pub deadline: Millis,
    /// The number of messages that the job may send. 0: the limit of its workers.
    pub max_messages: u64,
    /// How the job's calls are run. These options override those of their tasks.
    pub options: Options,
    /// The job that this job retries.
    pub retry_of: Option<JobId>,
    /// The job whose calls of the scope `job`, and whose promises, this job shares: the first job of those that retry it. `None`:
    /// only its own.
    pub scope: Option<JobId>,
    /// When the job starts, in milliseconds since the Unix epoch. 0: it started when it was scheduled.
    pub start: Millis,
    /// `None`: the job is alive. A job that is over stays over, even if its value is forgotten.
    pub end: Option<JobEnd>,
    /// Entries that a later version wrote. They are kept as they are: key, bencoded value.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How and when a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// How the job ended.
    pub state: JobState,
    /// When the job ended, in milliseconds since the Unix epoch.
    pub at: Millis,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// The top call has a value.
    Completed,
    /// The top call failed.
    Failed,
    /// The job was cancelled before its top call had an outcome.
    Cancelled,
    /// The job did not end by its deadline, or the top call failed because of a time limit.
    TimedOut,
}

impl JobState {
    /// The state of a job whose top call has this outcome.
    #[must_use]
    pub fn of(outcome: std::result::Result<(), &FailureKind>) -> Self {
        match outcome {
            Ok(()) => Self::Completed,
            Err(FailureKind::Cancelled) => Self::Cancelled,
            Err(FailureKind::Timeout) => Self::TimedOut,
            Err(_) => Self::Failed,
        }
    }

    /// The same as `of`, for an outcome.
    #[must_use]
    pub fn of_outcome(outcome: &Outcome) -> Self {
        Self::of(outcome.as_ref().map(|_| ()).map_err(|failure| &failure.kind))
    }

    /// The word for this state in records, events and listings.
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
const JOB_KEYS: [&str; 13] = [
    "call",
    "created",
    "deadline",
    "ended",
    "max_messages",
    "options",
    "retry_of",
    "scope",
    "start",
    "state",
    "task",
    "topic",
    "v",
];

impl JobRecord {
    /// The record of a job that has just begun.
    #[must_use]
    pub fn new(call: CallHash, topic: Topic, created: Millis) -> Self {
        let (deadline, max_messages, options) = (0, 0, Options::default());
        let (retry_of, scope, start, end, extra) = (None, None, 0, None, Vec::new());
        let task = String::new();
        Self { call, task, topic, created, deadline, max_messages, options, retry_of, scope, start, end, extra }
    }

    /// True if the job is over. A job whose deadline has passed is not over until that was written down.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// True if the job has not started yet.
    #[must_use]
    pub fn is_delayed(&self, now: Millis) -> bool {
        self.end.is_none() && self.start > now
    }

    /// True if the job with this encoded record is over. Reads only as much of the record as it needs.
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

    /// True if the job is alive although its deadline has passed. The first worker or client that sees this ends the job.
    #[must_use]
    pub fn is_overdue(&self, now: Millis) -> bool {
        self.end.is_none() && self.deadline > 0 && self.deadline <= now
    }

    /// The record in bencode. Fields that most jobs do not have are left out.
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
        if self.max_messages > 0 {
            fields.push((b"max_messages", int(self.max_messages)));
        }
        if !self.options.is_empty() {
            fields.push((b"options", encode_options(&self.options)));
        }
        if let Some(job_id) = &self.retry_of {
            fields.push((b"retry_of", string(job_id.as_str())));
        }
        if let Some(job_id) = &self.scope {
            fields.push((b"scope", string(job_id.as_str())));
        }
        if self.start > 0 {
            fields.push((b"start", int(self.start)));
        }
        if !self.task.is_empty() {
            fields.push((b"task", string(&self.task)));
        }
        if let Some(JobEnd { state, at }) = self.end {
            fields.push((b"state", string(state.as_str())));
            fields.push((b"ended", int(at)));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields)
    }

    /// Decodes the record `job`.
    ///
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
            task: value.get("task").map_or(Ok(String::new()), |v| text(JOB, "task", v).map(str::to_owned))?,
            topic: text(JOB, "topic", entry(JOB, &value, "topic")?)?.into(),
            created: unsigned(JOB, &value, "created")?,
            deadline: unsigned(JOB, &value, "deadline")?,
            max_messages: unsigned(JOB, &value, "max_messages")?,
            options: decode_options(JOB, &value)?,
            retry_of: value.get("retry_of").map(|v| text(JOB, "retry_of", v).map(JobId::from)).transpose()?,
            scope: value.get("scope").map(|v| text(JOB, "scope", v).map(JobId::from)).transpose()?,
            start: unsigned(JOB, &value, "start")?,
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
            task: "bake".into(),
            deadline: 9,
            max_messages: 7,
            options: Options { max_retries: Some(2), label: Some("x".into()), ..Options::default() },
            retry_of: Some("r".into()),
            scope: Some("first".into()),
            start: 7,
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
