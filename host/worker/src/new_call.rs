//! What a new call or job needs, wherever it is made: its payload and hash from named arguments, and an id.

use brrr_protocol::codec::{python, unfit};
use brrr_protocol::model::{CallHash, JobId};
use brrr_protocol::{Error, ErrorKind, Result};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

/// The payload of a call with named arguments, and its hash, as Python workers and most SDKs write them.
///
/// # Errors
/// What is wrong with the arguments, for the author of the code.
pub(crate) fn with_arguments(task: &str, arguments: &impl Serialize) -> std::result::Result<(Bytes, CallHash), String> {
    // First, as the value would have a null in place of a NaN, and each key once.
    unfit::check(arguments).map_err(|error| error.to_string())?;
    let arguments = match serde_json::to_value(arguments).map_err(|error| error.to_string())? {
        Value::Null => Value::Object(Map::new()),
        named @ Value::Object(_) => named,
        _ => return Err("the arguments have no names; pass a struct, a map or json!({…})".to_owned()),
    };
    let payload = python::payload(&arguments);
    let hash = python::call_hash_of_payload(task, &payload).into();
    Ok((payload.into(), hash))
}

/// A new job's id, from 128 random bits.
///
/// # Errors
/// When the system provides no random bits.
pub fn new_job_id() -> Result<JobId> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)
        .map_err(|error| Error::new(ErrorKind::Internal, "system", "make a job's id", error.to_string()))?;
    Ok(JobId::from_random(u128::from_be_bytes(bits)))
}
