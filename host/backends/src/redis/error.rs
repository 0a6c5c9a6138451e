//! The errors of Redis, translated into kinds that the callers can act on.

use brrr_protocol::error::{Error, ErrorKind};
use redis::{ErrorKind as Theirs, RedisError, ServerErrorKind as Server};

/// The prefix by which a script says that a record does not decode; see `lua/lib.lua`.
const MALFORMED: &str = "MALFORMED ";

/// The prefix by which a script says that a key has the wrong type; see `lua/lib.lua`.
const WRONG_KEY: &str = "WRONGKEY ";

/// The advice about a key that holds foreign data. The scripts give the same advice (`OF_OTHERS` in `lua/lib.lua`).
pub(super) const OF_OTHERS: &str = "another program has put something else there; look at it, and delete the key";

/// Did a command find a key of the wrong type?
pub(super) fn is_wrong_type(error: &impl std::fmt::Display) -> bool {
    error.to_string().contains("WRONGTYPE")
}

/// Did a command find a value that can't be incremented?
pub(super) fn is_no_number(error: &RedisError) -> bool {
    let text = error.to_string();
    ["WRONGTYPE", "not an integer", "overflow"].iter().any(|said| text.contains(said))
}

/// The error for a key that holds foreign data. A key that everyone shares affects the whole backend (`Corrupt`). A key
/// of a topic affects only the users of that topic (`Limit`).
pub(super) fn of_wrong_key(key: &str, operation: &str) -> Error {
    let shared = ["brrr:leases", "brrr:deliveries", "brrr:dead-letters", "brrr:events"];
    let prefixes = ["brrr:held:", "brrr:ids:"];
    let is_shared = shared.iter().any(|name| key.ends_with(name)) || prefixes.iter().any(|prefix| key.contains(prefix));
    let kind = if is_shared { ErrorKind::Corrupt } else { ErrorKind::Limit };
    Error::new(kind, "redis", operation, format!("the key {key} can't be used: {OF_OTHERS}"))
}

pub(super) fn of(error: &RedisError, operation: &str, name: &str) -> Error {
    // Of several commands, the first one that failed says what is wrong. (The error of a transaction says only that nothing of
    // it was done.)
    let first: Option<RedisError> =
        error.clone().into_server_errors().and_then(|errors| Some(errors.first()?.1.clone().into()));
    let error: &RedisError = first.as_ref().unwrap_or(error);
    let text = error.to_string();
    let operation = format!("{operation}{name}");
    if let Some((_, detail)) = text.split_once(MALFORMED) {
        // The server appends the name of the script to the reason.
        let detail = detail.split(" script: ").next().unwrap_or(detail);
        let (what, reason) = detail.split_once(": ").unwrap_or(("a record", detail));
        return Error::malformed(what, reason);
    }
    if let Some((_, detail)) = text.split_once(WRONG_KEY) {
        return of_wrong_key(detail.split(" script: ").next().unwrap_or(detail), &operation);
    }
    let (kind, reason) = match error.kind() {
        Theirs::AuthenticationFailed => (ErrorKind::Config, "the server refuses the user or the password".to_owned()),
        Theirs::InvalidClientConfig => (ErrorKind::Config, text),
        Theirs::Io => (ErrorKind::Unavailable, text),
        Theirs::Server(Server::Moved | Server::Ask | Server::CrossSlot | Server::ClusterDown) => {
            let reason = "it is a Redis Cluster, whose nodes each hold a part of the keys; brrr-host needs one primary that \
                          holds all of them (with replicas, if you like)";
            (ErrorKind::Config, reason.to_owned())
        }
        Theirs::Server(Server::BusyLoading | Server::NoScript | Server::TryAgain | Server::MasterDown) => {
            (ErrorKind::Unavailable, text)
        }
        Theirs::Server(Server::ReadOnly) => (ErrorKind::ReadOnly, replica(&text)),
        Theirs::Server(Server::NoPerm) => (ErrorKind::Config, format!("the server forbids it to this user: {text}")),
        _ => match error.code() {
            Some("OOM") => (ErrorKind::Full, "the server is at its `maxmemory`".to_owned()),
            Some("MISCONF") => (ErrorKind::Full, format!("the server can't save to its disk: {text}")),
            Some("NOAUTH" | "WRONGPASS") => {
                (ErrorKind::Config, "the server wants a password: redis://:PASSWORD@HOST, best in REDIS_URL".to_owned())
            }
            Some("WRONGTYPE") => (ErrorKind::Corrupt, format!("a key of that name is of another program: {text}")),
            Some("BUSY") => (ErrorKind::Unavailable, text),
            // If a command fails inside a script, the error code stands inside the text.
            _ if text.contains("OOM command") => (ErrorKind::Full, "the server is at its `maxmemory`".to_owned()),
            _ if text.contains("MISCONF") => (ErrorKind::Full, format!("the server can't save to its disk: {text}")),
            _ if text.contains("READONLY") => (ErrorKind::ReadOnly, replica(&text)),
            _ if text.contains("WRONGTYPE") => {
                (ErrorKind::Corrupt, format!("a key of that name is of another program: {text}"))
            }
            _ if text.contains("unknown command") => {
                (ErrorKind::Config, format!("Redis 6.2 or newer, or Valkey, is needed: {text}"))
            }
            _ => (ErrorKind::Internal, text),
        },
    };
    Error::new(kind, "redis", operation, reason).with_source(error.clone())
}

fn replica(text: &str) -> String {
    format!("the server is a replica, which takes no writes; during a failover that passes: {text}")
}

/// Does the server say that it refuses writes? After a failover, the connection may still lead to the old primary.
pub(super) fn is_read_only(error: &RedisError) -> bool {
    error.kind() == Theirs::Server(Server::ReadOnly) || error.to_string().contains("READONLY")
}

/// Does the server say that this user may not run the command?
pub(super) fn is_forbidden(error: &RedisError) -> bool {
    error.kind() == Theirs::Server(Server::NoPerm) || error.to_string().contains("unknown command")
}
