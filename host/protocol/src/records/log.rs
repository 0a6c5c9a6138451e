//! The record `log/<job>` of a call: what its runs in a job have logged and printed.
//!
//! A replay logs again what the runs before it have logged. So each line has its position in the output of its attempt, and the
//! record says up to which position it has the lines of the latest attempt. A line is added only once, whoever adds it and
//! however often.
//!
//! The record is bounded. The newest lines are kept, because the last lines before a failure are the ones that explain it, and
//! the number of lines that were cut off before them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{VERSION, int, items, small, unknown_entries, unsigned, versioned, write_dict};
use crate::bencode::{Encoder, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Millis;
use crate::wire::{dict, entry, text};

/// The most bytes of a record that a worker may be asked to keep. `DynamoDB` takes 400 KB.
pub const MOST_KEPT: u64 = 256 << 10;

/// A longer line is cut, so that one line does not displace all others. A record has room for at least four such lines.
const LONGEST_LINE: u64 = 16 << 10;

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogSource {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// It was logged, at this level.
    Log(LogLevel),
}

/// The level of a logged line, the least severe one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// The least severe level.
    Trace,
    /// For those who look for a mistake.
    Debug,
    /// The level of what happens as it should. Lines of stdout and stderr have it too.
    Info,
    /// Something that may be wrong.
    Warn,
    /// The most severe level.
    Error,
}

impl LogLevel {
    /// All levels, the least severe one first.
    pub const ALL: [Self; 5] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The level's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

impl LogSource {
    /// The name: `stdout`, `stderr`, or the level.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Log(level) => level.as_str(),
        }
    }

    /// The level of the line. What is printed counts as `info`.
    #[must_use]
    pub fn level(self) -> LogLevel {
        match self {
            Self::Stdout | Self::Stderr => LogLevel::Info,
            Self::Log(level) => level,
        }
    }

    fn of_name(name: &str) -> Self {
        match name {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            // A later version may know other sources.
            level => Self::Log(LogLevel::of_name(level).unwrap_or(LogLevel::Info)),
        }
    }
}

/// A line that a run has logged or printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// In which attempt of the call, from 1.
    pub attempt: u32,
    /// The position in the output of the attempt at which the line ends, in bytes.
    pub end: u64,
    /// Where it comes from.
    pub from: LogSource,
    /// The text. It comes from a handler, so it may contain control characters.
    pub text: String,
    /// The fields that were logged with it, in their order.
    pub fields: Vec<(String, String)>,
    /// How many bytes of text and fields were left out, because the line was too long.
    pub left_out: u64,
}

const LOG: &str = "a log record";

impl LogLine {
    /// The line with at most so many bytes of text and fields.
    fn cut_to(mut self, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut left = most;
        if self.text.len() > left {
            let end = self.text.floor_char_boundary(left);
            self.left_out += (self.text.len() - end) as u64;
            self.text.truncate(end);
        }
        left -= self.text.len();
        let mut left_out = 0;
        self.fields.retain(|(name, value)| {
            let size = name.len() + value.len();
            let fits = size <= left;
            left = if fits { left - size } else { 0 };
            left_out += if fits { 0 } else { size as u64 };
            fits
        });
        self.left_out += left_out;
        self
    }

    /// The line in bencode. Fields that most lines do not have are left out.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.dict().str("at").int(signed(self.at)).str("attempt").int(self.attempt.into());
        e.str("end").int(signed(self.end));
        if !self.fields.is_empty() {
            e.str("fields").list();
            for (name, value) in &self.fields {
                e.str(name).str(value);
            }
            e.end();
        }
        e.str("from").str(self.from.as_str());
        if self.left_out > 0 {
            e.str("left_out").int(signed(self.left_out));
        }
        e.str("text").str(&self.text).end();
        e.finish()
    }

    fn of(value: &Value<'_>) -> Result<Self> {
        let fields = items(LOG, value, "fields")?;
        let (pairs, []) = fields.as_chunks::<2>() else {
            return Err(Error::malformed(LOG, "its fields are not [name, value, …]"));
        };
        let field = |[name, value]: &[Value<'_>; 2]| {
            Ok((text(LOG, "fields", name)?.to_owned(), text(LOG, "fields", value)?.to_owned()))
        };
        Ok(Self {
            at: unsigned(LOG, value, "at")?,
            attempt: small(LOG, value, "attempt")?,
            end: unsigned(LOG, value, "end")?,
            from: LogSource::of_name(text(LOG, "from", entry(LOG, value, "from")?)?),
            text: text(LOG, "text", entry(LOG, value, "text")?)?.to_owned(),
            fields: pairs.iter().map(field).collect::<Result<_>>()?,
            left_out: unsigned(LOG, value, "left_out")?,
        })
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The record `log/<job>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRecord {
    /// The latest attempt that has logged something.
    pub attempt: u32,
    /// The position in the output of this attempt up to which its lines were added.
    pub upto: u64,
    /// How many lines were cut off before the first one.
    pub cut: u64,
    /// The lines, the oldest first, each one encoded. A line that a later version wrote stays as it is.
    lines: Vec<Vec<u8>>,
    extra: Vec<(Vec<u8>, Vec<u8>)>,
}

impl LogRecord {
    /// The record in bencode.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut lines = Vec::with_capacity(2 + self.lines.iter().map(Vec::len).sum::<usize>());
        lines.push(b'l');
        self.lines.iter().for_each(|line| lines.extend_from_slice(line));
        lines.push(b'e');
        let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
            (b"attempt", int(self.attempt.into())),
            (b"cut", int(self.cut)),
            (b"lines", lines),
            (b"upto", int(self.upto)),
            (b"v", int(VERSION as u64)),
        ];
        fields.extend(self.extra.iter().map(|(key, value)| (key.as_slice(), value.clone())));
        write_dict(fields)
    }

    /// Decodes the record `log/<job>`.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let value = versioned(LOG, bytes)?;
        let line = |line: &Value<'_>| {
            let mut e = Encoder::new();
            e.value(line);
            e.finish()
        };
        Ok(Self {
            attempt: small(LOG, &value, "attempt")?,
            upto: unsigned(LOG, &value, "upto")?,
            cut: unsigned(LOG, &value, "cut")?,
            lines: items(LOG, &value, "lines")?.iter().map(line).collect(),
            extra: unknown_entries(&value, &["attempt", "cut", "lines", "upto", "v"]),
        })
    }

    /// The lines, the oldest first, each with its number among all lines of the call in the job, from 0.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn lines(&self) -> Result<Vec<(u64, LogLine)>> {
        let line = |raw: &Vec<u8>| {
            let value = dict(LOG, raw)?;
            LogLine::of(&value)
        };
        (self.cut..).zip(&self.lines).map(|(number, raw)| Ok((number, line(raw)?))).collect()
    }
}

/// The lines that a run adds to the record of its call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewLines {
    /// The record as it is if there was none before.
    record: LogRecord,
    /// Where each line ends.
    ends: Vec<u64>,
    /// The most bytes of lines that the record keeps.
    keep: u64,
}

impl NewLines {
    /// The record as it is if there was none before, and the most bytes of its lines. For backends with their own code.
    #[must_use]
    pub fn parts(&self) -> (Bytes, u64) {
        (self.record.encode(), self.keep)
    }

    /// The record that there must be after these lines were added to the record `before`. `None`: nothing changes, because it
    /// has the lines already, or a later version wrote it.
    #[must_use]
    pub fn after(&self, before: Option<&[u8]>) -> Option<Bytes> {
        let Some(before) = before else { return Some(self.record.encode()) };
        let before = match LogRecord::decode(before) {
            Ok(before) => before,
            Err(error) if error.kind == ErrorKind::NewerRecord => return None,
            // A damaged log says nothing. Nobody depends on it.
            Err(_) => return Some(self.record.encode()),
        };
        let seen = if before.attempt == self.record.attempt { before.upto } else { 0 };
        if before.attempt > self.record.attempt || self.record.upto <= seen {
            return None;
        }
        let mut after = LogRecord { attempt: self.record.attempt, upto: self.record.upto, ..before };
        if self.record.cut > 0 {
            // The lines that this run has cut off would be missing in the middle.
            after.cut += after.lines.len() as u64 + self.record.cut;
            after.lines.clear();
        }
        let new = self.record.lines.iter().zip(&self.ends).filter(|(_, end)| **end > seen);
        after.lines.extend(new.map(|(line, _)| line.clone()));
        let mut size = after.lines.iter().map(|line| line.len() as u64).sum::<u64>();
        let too_many = after.lines.iter().take_while(|line| {
            let is_too_much = size > self.keep;
            size -= line.len() as u64;
            is_too_much
        });
        let too_many = too_many.count();
        after.lines.drain(..too_many);
        after.cut += too_many as u64;
        Some(after.encode())
    }
}

/// What a run has logged so far. All clones are the same. It stays when the run is dropped, so the lines of a run that was
/// stopped are not lost.
#[derive(Clone, Debug, Default)]
pub struct RunLog(Arc<Mutex<Logged>>);

#[derive(Debug, Default)]
struct Logged {
    attempt: u32,
    keep: u64,
    upto: u64,
    cut: u64,
    size: u64,
    lines: VecDeque<(u64, Vec<u8>)>,
}

impl RunLog {
    /// Begins a run of this attempt, of which at most so many bytes are kept. 0: nothing.
    pub fn begin(&self, attempt: u32, keep: u64) {
        *self.lock() = Logged { attempt, keep: keep.min(MOST_KEPT), ..Logged::default() };
    }

    /// True if lines are kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lock().keep > 0
    }

    /// Adds a line, and removes the oldest ones if there are too many. The attempt of the line is that of the run.
    pub fn add(&self, line: LogLine) {
        let mut log = self.lock();
        if log.keep == 0 {
            return;
        }
        let line = LogLine { attempt: log.attempt, ..line.cut_to(LONGEST_LINE.min(log.keep / 4)) };
        let raw = line.encode();
        log.upto = log.upto.max(line.end);
        log.size += raw.len() as u64;
        log.lines.push_back((line.end, raw));
        while log.size > log.keep {
            let Some((_, oldest)) = log.lines.pop_front() else { break };
            log.size -= oldest.len() as u64;
            log.cut += 1;
        }
    }

    /// The lines that are to be added to the record. `None`: nothing was logged.
    #[must_use]
    pub fn new_lines(&self) -> Option<Arc<NewLines>> {
        let log = self.lock();
        if log.upto == 0 {
            return None;
        }
        let (ends, lines) = log.lines.iter().cloned().unzip();
        let (attempt, upto, cut) = (log.attempt, log.upto, log.cut);
        let record = LogRecord { attempt, upto, cut, lines, extra: Vec::new() };
        Some(Arc::new(NewLines { record, ends, keep: log.keep }))
    }

    fn lock(&self) -> MutexGuard<'_, Logged> {
        // Each line is added completely or not at all, apart from a panic for want of memory.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
