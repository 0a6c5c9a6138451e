//! The error type of everything behind a port.

use std::error::Error as StdError;
use std::fmt;

use crate::model::brief;
use crate::ports::Key;

/// The kind of an error. Each kind is something that a caller can react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The backend can't be reached or is busy. The outcome of a write is unknown. The operation may succeed if it is tried
    /// again.
    Unavailable,
    /// The backend has no room left (a full disk, a memory limit). A person must make room.
    Full,
    /// The backend can be read but not written.
    ReadOnly,
    /// The file or server does not hold a store of ours, or the store is damaged.
    Corrupt,
    /// The store was written by a newer version of this program.
    NewerSchema,
    /// This backend can't accept a URL, an option, a name or the credentials.
    Config,
    /// A table or queue is missing. A person must create it with `brrr-host setup`.
    NotSetUp,
    /// A record or message that does not decode.
    Malformed,
    /// A newer version of this program wrote the record.
    NewerRecord,
    /// Something is larger than the backend can hold, or a topic can't take messages: the backend can't have a queue of that
    /// name, or another program has put something else there. The error concerns only what was asked for, not the whole
    /// backend.
    Limit,
    /// The caller asked for a call under a call hash that stands for another task or payload. Nothing was changed.
    Conflict,
    /// None of the above: a fault of this program, or of the backend.
    Internal,
}

/// A failed operation on a backend. If it was a write, its *outcome is unknown*. Every transition is safe to repeat.
#[derive(Debug)]
pub struct Error {
    /// The kind, for callers that react to the error.
    pub kind: ErrorKind,
    /// `memory`, `sqlite`, …; or `protocol` if the data that was read is wrong.
    pub backend: &'static str,
    /// What the operation was, in words, for example "open the database at .brrr/state.db".
    pub operation: String,
    /// Why the operation failed, in words.
    pub reason: String,
    /// The error of the backend's own library, if there is one.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of an operation behind a port.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without a source. The arguments are described at the fields of the same names.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        backend: &'static str,
        operation: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { kind, backend, operation: operation.into(), reason: reason.into(), source: None }
    }

    /// Adds the error of the backend's own library.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The error for bytes that do not decode. `what` names the record or message. `reason` says what is wrong with it and
    /// where.
    #[must_use]
    pub fn malformed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, "protocol", format!("read {}", what.into()), reason)
    }

    /// Adds the key of the record to the error of a decoder.
    #[must_use]
    pub fn of(mut self, key: &Key) -> Self {
        self.operation = format!("{} ({} of {})", self.operation, brief(&key.kind.name()), brief(&key.id));
        self
    }

    /// True if the error is about a record that can't be read. Then every further attempt fails in the same way.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.kind, ErrorKind::Malformed | ErrorKind::NewerRecord)
    }

    /// True if the same operation may succeed if it is tried again.
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
