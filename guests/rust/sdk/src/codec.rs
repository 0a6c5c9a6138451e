//! JSON by default, in the Python worker's form, so that calls share their hashes, and thereby their results, with it.

// The host's own codec, to the byte: the same files for both, taken in by path rather than as a dependency so that a guest
// builds without the rest of the protocol crate.
#[path = "../../../../host/protocol/src/codec/python.rs"]
#[allow(dead_code, reason = "the host uses more of it")]
mod python;
#[path = "../../../../host/protocol/src/codec/unfit.rs"]
mod unfit;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

#[cfg(not(target_family = "wasm"))]
pub(crate) use python::call_hash_of_payload;
pub(crate) use python::payload;

/// Arguments as a JSON value.
///
/// # Errors
/// When JSON can't hold all of them.
pub(crate) fn to_value(arguments: &impl Serialize) -> Result<Value, String> {
    // First, as the value would have a null in place of a NaN, and each key once.
    unfit::check(arguments).map_err(|error| error.to_string())?;
    serde_json::to_value(arguments).map_err(|error| error.to_string())
}

/// A value as JSON.
///
/// # Errors
/// When JSON can't hold all of it.
pub(crate) fn to_vec(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, String> {
    unfit::check(value).map_err(|error| error.to_string())?;
    serde_json::to_vec(value).map_err(|error| error.to_string())
}

/// What a call gave. Some handlers that return nothing give no bytes: that is null.
///
/// # Errors
/// When it is no JSON, or another type.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(if bytes.is_empty() { b"null" } else { bytes })
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
