//! JSON by default, in the Python worker's form, so that calls share their hashes, and thereby their results, with it.

// The host's own codec, to the byte: one file for both, taken in by path rather than as a dependency so that a guest
// builds without the rest of the protocol crate.
#[path = "../../../../host/protocol/src/codec/python.rs"]
#[allow(dead_code, reason = "the host uses more of it")]
mod python;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

pub(crate) use python::{call_hash_of_payload, payload};

/// Arguments as a JSON value.
pub(crate) fn to_value(arguments: &impl Serialize) -> serde_json::Result<Value> {
    serde_json::to_value(arguments)
}

/// A task's arguments out of its payload: `[{…}]` (by name, the form of both existing workers), `[…]` (by position, as
/// TypeScript may call), `[]`, or a bare `{…}`.
///
/// # Errors
/// A permanent error, as the same payload will not decode next time either.
pub fn arguments<T: DeserializeOwned>(payload: &[u8]) -> crate::Result<T> {
    let text = payload.trim_ascii();
    let list = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")).map(<[u8]>::trim_ascii);
    let decoded = match list {
        Some(b"") => serde_json::from_slice(b"{}"),
        Some(inner @ [b'{', ..]) => {
            // Two objects in the list fail as one; then it is a list by position, or the first message is the better.
            serde_json::from_slice(inner).or_else(|error| serde_json::from_slice(text).map_err(|_| error))
        }
        _ => serde_json::from_slice(text),
    };
    decoded.map_err(|error| Error::permanent(format!("the arguments do not fit: {error}")))
}
