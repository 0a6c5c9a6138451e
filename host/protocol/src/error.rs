//! The one error of everything behind a port.

use std::error::Error as StdError;
use std::fmt;

use crate::model::brief;
use crate::ports::Key;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The backend can't be reached or is busy. The outcome of a write is unknown; trying again may help.
    Unavailable,
    /// The backend has no room left (a full disk, a memory limit). Somebody must make room.
    Full,
    /// The backend may be read but not written.
    ReadOnly,
    /// What is there is not a store of ours, or is damaged.
    Corrupt,
    /// The store was written by a newer version of this program.
    NewerSchema,
    /// A URL, option or name that this backend can't take, or credentials that it does not accept.
    Config,
    /// A table or queue is not there. Somebody must make it: `brrr-host setup`.
    NotSetUp,
    /// A record or message that does not decode.
    Malformed,
    /// A record that a newer version of this program wrote.
    NewerRecord,
    /// Something is larger than the backend can hold, or a topic can't take messages: it has a name that the backend has no
    /// queue for, or another program has put something else there. It concerns what was asked for, not the whole backend.
    Limit,
    /// A call was asked for under a call hash that stands for another task or payload. Nothing was changed.
    Conflict,
    /// None of the above: a fault of this program, or of the backend.
    Internal,
}

/// An operation on a backend that failed. On a write: *outcome unknown*; every transition is safe to repeat.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    /// `memory`, `sqlite`, …, or `protocol` for what was read.
    pub backend: &'static str,
    /// What was being done, in words: "open the database at .brrr/state.db".
    pub operation: String,
    /// Why it failed, in words.
    pub reason: String,
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of an operation behind a port.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        backend: &'static str,
        operation: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { kind, backend, operation: operation.into(), reason: reason.into(), source: None }
    }

    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Bytes that do not decode: `what` names the record or message, `reason` says what is wrong with it and where.
    #[must_use]
    pub fn malformed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, "protocol", format!("read {}", what.into()), reason)
    }

    /// The error of a decoder, about this record.
    #[must_use]
    pub fn of(mut self, key: &Key) -> Self {
        self.operation = format!("{} ({} of {})", self.operation, brief(&key.kind.name()), brief(&key.id));
        self
    }

    /// Is there a record that can't be read? Then every attempt finds the same.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.kind, ErrorKind::Malformed | ErrorKind::NewerRecord)
    }

    /// May the same operation succeed if it is simply tried again?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Unavailable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: could not {}: {}", self.backend, self.operation, self.reason)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
