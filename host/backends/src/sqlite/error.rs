//! Translates SQLite's errors: what happened, to which file, and what to do.

use std::path::Path;

use brrr_protocol::error::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// The name of this backend in errors.
pub(super) const BACKEND: &str = "sqlite";

/// Translates an error. `doing`: the operation on the file, for example "write to".
pub(super) fn translate(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    let (kind, reason) = classify(&error);
    Error::new(kind, BACKEND, format!("{doing} {}", path.display()), reason).with_source(error)
}

fn classify(error: &rusqlite::Error) -> (ErrorKind, String) {
    let Some(code) = error.sqlite_error_code() else {
        return (ErrorKind::Internal, error.to_string());
    };
    match code {
        ErrorCode::NotADatabase => {
            (ErrorKind::Corrupt, "the file is not a SQLite database; move it away, or name another file".to_owned())
        }
        ErrorCode::DatabaseCorrupt => (
            ErrorKind::Corrupt,
            format!("the database is damaged ({error}); restore a copy, or move it away to begin anew"),
        ),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => (
            ErrorKind::ReadOnly,
            "this user may not write it or its folder; change the permissions, or name another file".to_owned(),
        ),
        ErrorCode::DiskFull => (
            ErrorKind::Full,
            "there is no room left on its disk; make room, then try again (nothing was lost)".to_owned(),
        ),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            ErrorKind::Unavailable,
            format!(
                "another process has kept it locked for {} s; see who has the file open",
                super::open::BUSY_TRIES / 1000
            ),
        ),
        ErrorCode::TooBig => (ErrorKind::Limit, "a value is larger than SQLite can hold (1 GB)".to_owned()),
        ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed => {
            (ErrorKind::Unavailable, format!("the file can't be reached ({error}); see the disk it is on"))
        }
        ErrorCode::OutOfMemory => (ErrorKind::Unavailable, "there is not enough memory".to_owned()),
        _ => (ErrorKind::Internal, error.to_string()),
    }
}

/// A copy of an error, because one error can hit several callers.
pub(super) fn copy(error: &Error) -> Error {
    Error::new(error.kind, error.backend, error.operation.clone(), error.reason.clone())
}
