//! The record `failure/<root>`: how a call failed under one job.

use bytes::Bytes;

use super::{VERSION, int, items, list, string, unsigned, versioned, write_dict};
use crate::error::Result;
use crate::model::{Failure, FailureKind};
use crate::wire::{entry, text};

const FAILURE: &str = "a failure record";

/// Encodes the record `failure/<root>`: how a call failed under one job.
#[must_use]
pub fn encode_failure(failure: &Failure) -> Bytes {
    write_dict(vec![
        (b"attempts", int(failure.attempts.into())),
        (b"chain", list(failure.chain.iter().map(|line| string(line)))),
        (b"kind", string(failure.kind.as_str())),
        (b"message", string(&failure.message)),
        (b"task", string(&failure.task)),
        (b"v", int(VERSION as u64)),
    ])
}

/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_failure(bytes: &[u8]) -> Result<Failure> {
    let value = versioned(FAILURE, bytes)?;
    let field = |key| text(FAILURE, key, entry(FAILURE, &value, key)?).map(str::to_owned);
    Ok(Failure {
        kind: FailureKind::from(field("kind")?.as_str()),
        task: field("task")?,
        message: field("message")?,
        attempts: unsigned(FAILURE, &value, "attempts")? as u32,
        chain: items(FAILURE, &value, "chain")?
            .iter()
            .map(|v| text(FAILURE, "chain", v).map(str::to_owned))
            .collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_round_trips() {
        let failure = Failure::of_parent("p", &Failure::new(FailureKind::Trap, "c", "unreachable"));
        assert_eq!(decode_failure(&encode_failure(&failure)).unwrap(), failure);
        assert_eq!(failure.chain, ["p: a call failed and it was not caught", "c: trap: unreachable"]);
    }
}
