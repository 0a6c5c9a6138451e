//! The record `schedules`, by topic: all schedules of the topic, with the ticks that are decided.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::{
    VERSION, blob, decode_options, encode_options, int, items, list, optional_bytes, optional_text, string,
    unknown_entries, unsigned, versioned, write_dict,
};
use crate::bencode::Value;
use crate::error::{Error, Result};
use crate::model::{CallHash, JobId, Millis};
use crate::options::Options;
use crate::wire::{entry, text, wrong_type};

/// The record `schedules` of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchedulesRecord {
    /// The schedules by their names.
    pub schedules: BTreeMap<String, Schedule>,
    /// Entries that a later version wrote. They are kept as they are: key, bencoded value.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A schedule: what a person or a `brrr.toml` says of it, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What is started, and when.
    pub spec: ScheduleSpec,
    /// A `brrr.toml` declares the schedule. Otherwise a person has added it.
    pub is_declared: bool,
    /// The ticks of a paused schedule pass without a job.
    pub is_paused: bool,
    /// When the schedule was added, in milliseconds since the Unix epoch. It is part of the ids of the jobs, so a schedule that was
    /// removed and added again starts anew.
    pub created: Millis,
    /// When `spec` was last changed, in milliseconds since the Unix epoch.
    pub changed: Millis,
    /// All ticks up to this moment are decided, in milliseconds since the Unix epoch. It never goes back.
    pub decided: Millis,
    /// The latest tick that was decided: a job was started for it, or the overlap rule has skipped it. 0: none yet.
    pub last: Millis,
    /// The job that was started last.
    pub last_job: Option<JobId>,
    /// The jobs that are decided to start, and of which it is not known yet that they are scheduled. The oldest first. While
    /// there are any, `spec` does not change.
    pub starting: Vec<Starting>,
    /// Entries that a later version wrote.
    pub extra: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What is started, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSpec {
    /// The cron pattern, as it was written.
    pub cron: String,
    /// The name of its time zone.
    pub tz: String,
    /// The task.
    pub task: String,
    /// The arguments, as a codec has encoded them.
    pub payload: Bytes,
    /// The hash of the call in the whole fleet, which the codec derives from task and payload.
    pub call: CallHash,
    /// The options of each job. Without a scope, each job runs its calls anew.
    pub options: Options,
    /// The longest time of each job. `None`: no limit.
    pub timeout: Option<Duration>,
    /// The number of messages that each job may send. 0: the limit of its workers.
    pub max_messages: u64,
    /// What happens to a tick while the job of the tick before is alive.
    pub overlap: Overlap,
    /// How late a tick may be started if no worker was there when it was due.
    pub catch_up: Duration,
}

/// What happens to a tick while the previous job of its schedule is alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// A job is started for each tick.
    #[default]
    Allow,
    /// The tick passes without a job.
    Skip,
    /// The previous job is cancelled, and a job is started for the tick.
    CancelPrevious,
}

impl Overlap {
    /// All rules.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Skip, Self::CancelPrevious];

    /// The word for this rule in records, flags, files and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::CancelPrevious => "cancel-previous",
        }
    }

    /// Reads the word for a rule.
    ///
    /// # Errors
    /// Which words there are.
    pub fn parse(word: &str) -> std::result::Result<Self, String> {
        let known = Self::ALL.into_iter().find(|overlap| overlap.as_str() == word);
        known.ok_or_else(|| format!("overlap is allow, skip or cancel-previous, not \"{}\"", word.escape_debug()))
    }
}

/// A job that is decided to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starting {
    /// The tick, in milliseconds since the Unix epoch; or when a person asked for the job.
    pub tick: Millis,
    /// The id of the job.
    pub job_id: JobId,
    /// The job that is cancelled first.
    pub cancels: Option<JobId>,
    /// When this was decided, in milliseconds since the Unix epoch. The job's time begins here.
    pub since: Millis,
}

const SCHEDULES: &str = "a schedules record";
const RECORD_KEYS: [&str; 2] = ["schedules", "v"];
const KEYS: [&str; 18] = [
    "call",
    "catch_up",
    "changed",
    "created",
    "cron",
    "decided",
    "declared",
    "last",
    "last_job",
    "max_messages",
    "options",
    "overlap",
    "paused",
    "payload",
    "starting",
    "task",
    "timeout",
    "tz",
];

impl SchedulesRecord {
    /// The record in bencode. `None`: there is no schedule, so there is no record either.
    #[must_use]
    pub fn encode(&self) -> Option<Bytes> {
        if self.schedules.is_empty() && self.extra.is_empty() {
            return None;
        }
        let named = self.schedules.iter().map(|(name, schedule)| (name.as_bytes(), schedule.encode())).collect();
        let mut fields: Vec<(&[u8], Vec<u8>)> =
            vec![(b"schedules", write_dict(named).to_vec()), (b"v", int(VERSION as u64))];
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        Some(write_dict(fields))
    }

    /// Decodes the record `schedules`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(SCHEDULES, bytes)?;
        let named = match entry(SCHEDULES, &value, "schedules")? {
            Value::Dict(named) => named,
            other => return Err(wrong_type(SCHEDULES, "schedules", other, "a dictionary")),
        };
        let schedule = |(name, value): &(&[u8], Value<'_>)| {
            let name = std::str::from_utf8(name).map_err(|_| Error::malformed(SCHEDULES, "a name is not UTF-8"))?;
            Ok((name.to_owned(), Schedule::decode(name, value)?))
        };
        Ok(Self {
            schedules: named.iter().map(schedule).collect::<Result<_>>()?,
            extra: unknown_entries(&value, &RECORD_KEYS),
        })
    }
}

impl Schedule {
    fn encode(&self) -> Vec<u8> {
        let Self { spec, .. } = self;
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"call", string(spec.call.as_str())),
            (b"catch_up", int(millis(spec.catch_up))),
            (b"changed", int(self.changed)),
            (b"created", int(self.created)),
            (b"cron", string(&spec.cron)),
            (b"decided", int(self.decided)),
            (b"overlap", string(spec.overlap.as_str())),
            (b"payload", blob(&spec.payload)),
            (b"task", string(&spec.task)),
            (b"tz", string(&spec.tz)),
        ];
        if !spec.options.is_empty() {
            fields.push((b"options", encode_options(&spec.options)));
        }
        let numbers = [
            (&b"declared"[..], u64::from(self.is_declared)),
            (b"last", self.last),
            (b"max_messages", spec.max_messages),
            (b"paused", u64::from(self.is_paused)),
            (b"timeout", spec.timeout.map_or(0, millis)),
        ];
        fields.extend(numbers.into_iter().filter(|(_, n)| *n > 0).map(|(key, n)| (key, int(n))));
        if let Some(job_id) = &self.last_job {
            fields.push((b"last_job", string(job_id.as_str())));
        }
        if !self.starting.is_empty() {
            fields.push((b"starting", list(self.starting.iter().map(Starting::encode))));
        }
        fields.extend(self.extra.iter().map(|(k, v)| (k.as_slice(), v.clone())));
        write_dict(fields).to_vec()
    }

    fn decode(name: &str, value: &Value<'_>) -> Result<Self> {
        let what = &format!("the schedule `{}` in {SCHEDULES}", name.escape_debug());
        let required = |key| text(what, key, entry(what, value, key)?).map(str::to_owned);
        let time = |key| unsigned(what, value, key).map(Duration::from_millis);
        Ok(Self {
            spec: ScheduleSpec {
                cron: required("cron")?,
                tz: required("tz")?,
                task: required("task")?,
                payload: optional_bytes(what, value, "payload")?.unwrap_or_default(),
                call: required("call")?.into(),
                options: decode_options(what, value)?,
                timeout: Some(time("timeout")?).filter(|timeout| !timeout.is_zero()),
                max_messages: unsigned(what, value, "max_messages")?,
                overlap: Overlap::parse(&required("overlap")?).map_err(|reason| Error::malformed(what, reason))?,
                catch_up: time("catch_up")?,
            },
            is_declared: unsigned(what, value, "declared")? > 0,
            is_paused: unsigned(what, value, "paused")? > 0,
            created: unsigned(what, value, "created")?,
            changed: unsigned(what, value, "changed")?,
            decided: unsigned(what, value, "decided")?,
            last: unsigned(what, value, "last")?,
            last_job: Some(optional_text(what, value, "last_job")?).filter(|id| !id.is_empty()).map(JobId::from),
            starting: items(what, value, "starting")?
                .iter()
                .map(|value| Starting::decode(what, value))
                .collect::<Result<_>>()?,
            extra: unknown_entries(value, &KEYS),
        })
    }
}

impl Starting {
    fn encode(&self) -> Vec<u8> {
        let mut fields: Vec<(&[u8], Vec<u8>)> =
            vec![(b"job", string(self.job_id.as_str())), (b"since", int(self.since)), (b"tick", int(self.tick))];
        if let Some(job_id) = &self.cancels {
            fields.push((b"cancels", string(job_id.as_str())));
        }
        write_dict(fields).to_vec()
    }

    fn decode(what: &str, value: &Value<'_>) -> Result<Self> {
        Ok(Self {
            tick: unsigned(what, value, "tick")?,
            job_id: text(what, "job", entry(what, value, "job")?)?.into(),
            cancels: Some(optional_text(what, value, "cancels")?).filter(|id| !id.is_empty()).map(JobId::from),
            since: unsigned(what, value, "since")?,
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            spec: ScheduleSpec {
                cron: "@daily".into(),
                tz: "UTC".into(),
                task: "t".into(),
                payload: Bytes::from_static(b"[{}]"),
                call: "c".into(),
                options: Options::default(),
                timeout: None,
                max_messages: 0,
                overlap: Overlap::Allow,
                catch_up: Duration::from_hours(1),
            },
            is_declared: false,
            is_paused: false,
            created: 5,
            changed: 6,
            decided: 7,
            last: 0,
            last_job: None,
            starting: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_schedules_record_round_trips() {
        let plain = SchedulesRecord { schedules: [("n".to_owned(), schedule())].into(), extra: Vec::new() };
        assert_eq!(
            plain.encode().unwrap(),
            &b"d9:schedulesd1:nd4:call1:c8:catch_upi3600000e7:changedi6e7:createdi5e4:cron6:@daily7:decidedi7e\
               7:overlap5:allow7:payload4:[{}]4:task1:t2:tz3:UTCee1:vi1ee"[..]
        );
        let starting = |tick, cancels| Starting { tick, job_id: "j".into(), cancels, since: tick + 1 };
        let full = Schedule {
            spec: ScheduleSpec {
                options: Options { max_retries: Some(2), ..Options::default() },
                timeout: Some(Duration::from_secs(2)),
                max_messages: 9,
                overlap: Overlap::CancelPrevious,
                ..schedule().spec
            },
            is_declared: true,
            is_paused: true,
            last: 7,
            last_job: Some("j".into()),
            starting: vec![starting(8, None), starting(9, Some("i".into()))],
            extra: vec![(b"zzz".to_vec(), b"i7e".to_vec())],
            ..schedule()
        };
        let full = SchedulesRecord {
            schedules: [("a".to_owned(), full), ("b".to_owned(), schedule())].into(),
            extra: vec![(b"yyy".to_vec(), b"le".to_vec())],
        };
        for record in [plain, full] {
            assert_eq!(SchedulesRecord::decode(&record.encode().unwrap()).unwrap(), record);
        }
        assert_eq!(SchedulesRecord::default().encode(), None);
    }

    #[test]
    fn an_error_names_the_schedule() {
        let record = SchedulesRecord { schedules: [("nightly".to_owned(), schedule())].into(), extra: Vec::new() };
        let text = String::from_utf8(record.encode().unwrap().to_vec()).unwrap();
        for (right, wrong) in [("5:allow", "5:maybe"), ("4:task1:t", "4:tasui1e"), ("7:decidedi7e", "7:decidedi-7e")] {
            let error = SchedulesRecord::decode(text.replace(right, wrong).as_bytes()).unwrap_err();
            assert!(error.to_string().contains("`nightly`") && error.is_unreadable(), "{error}");
        }
        for wrong in [&b""[..], b"d1:vi1ee", b"d9:schedulesle1:vi1ee"] {
            assert!(SchedulesRecord::decode(wrong).is_err());
        }
        assert!(Overlap::parse("sometimes").unwrap_err().contains("cancel-previous"));
    }
}
