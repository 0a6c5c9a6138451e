//! The record `failure/<job_id>`: how a call failed under one job.

use bytes::Bytes;

use super::{VERSION, blob, int, items, list, optional_bytes, small, string, versioned, write_dict};
use crate::error::{ErrorKind, Result};
use crate::model::{Failure, FailureKind};
use crate::ports::Key;
use crate::wire::{entry, text};

const FAILURE: &str = "a failure record";

/// Encodes the record `failure/<job_id>`: how a call failed under one job.
#[must_use]
pub fn encode_failure(failure: &Failure) -> Bytes {
    let mut fields: Vec<(&[u8], Vec<u8>)> = vec![
        (b"attempts", int(failure.attempts.into())),
        (b"chain", list(failure.chain.iter().map(|line| string(line)))),
        (b"kind", string(failure.kind.as_str())),
        (b"message", string(&failure.message)),
        (b"task", string(&failure.task)),
        (b"v", int(VERSION as u64)),
    ];
    if let Some(details) = &failure.details {
        fields.push((b"details", blob(details)));
    }
    write_dict(fields)
}

/// Decodes the record `failure/<job_id>`.
///
/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_failure(bytes: &[u8]) -> Result<Failure> {
    let value = versioned(FAILURE, bytes)?;
    let field = |key| text(FAILURE, key, entry(FAILURE, &value, key)?).map(str::to_owned);
    Ok(Failure {
        kind: FailureKind::from(field("kind")?.as_str()),
        task: field("task")?,
        message: field("message")?,
        attempts: small(FAILURE, &value, "attempts")?,
        chain: items(FAILURE, &value, "chain")?
            .iter()
            .map(|v| text(FAILURE, "chain", v).map(str::to_owned))
            .collect::<Result<_>>()?,
        details: optional_bytes(FAILURE, &value, "details")?.map(|bytes| bytes[..].into()),
    })
}

/// The failure that a record describes. A damaged record counts as a failure of kind `DeadLetter`: the call has failed for
/// good, and every replay must see the same failure.
///
/// # Errors
/// `NewerRecord` if a newer version wrote the record. A newer worker can read it, and a replay there would see another failure
/// than a guess here.
pub fn read_failure(key: &Key, bytes: &[u8]) -> Result<Failure> {
    decode_failure(bytes).map_err(|error| error.of(key)).or_else(|error| match error.kind {
        ErrorKind::Malformed => Ok(Failure::new(FailureKind::DeadLetter, "?", error.to_string())),
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_record_is_a_failure_and_a_newer_record_is_an_error() {
        let key = Key::failure(&"c".into(), &"r".into());
        let failure = read_failure(&key, b"garbage").unwrap();
        assert_eq!(failure.kind, FailureKind::DeadLetter);
        assert!(failure.message.contains("a failure record (failure/r of c): not bencode"), "{failure}");
        assert_eq!(read_failure(&key, b"d1:vi2ee").unwrap_err().kind, ErrorKind::NewerRecord);
    }

    #[test]
    fn a_failure_round_trips() {
        let failure = Failure::of_parent("p", &Failure::new(FailureKind::Trap, "c", "unreachable"));
        assert_eq!(decode_failure(&encode_failure(&failure)).unwrap(), failure);
        let detailed = Failure { details: Some(b"\xff\x00"[..].into()), ..failure.clone() };
        assert_eq!(decode_failure(&encode_failure(&detailed)).unwrap(), detailed);
        assert_eq!(failure.chain, ["p: a call failed and it was not caught", "c: trap: unreachable"]);
    }
}
