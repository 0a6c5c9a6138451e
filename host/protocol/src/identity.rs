//! Checks that a call hash stands for one task with one payload.
//!
//! Guests and clients may choose call hashes. If a call used the hash of another call, it would get that call's value, or would
//! store its own value in that call's place, for every job and forever. So each caller that registers, schedules or reads a
//! call compares the call with the `call` record that is there.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{CallHash, brief};
use crate::wire::CallRecord;

/// The result of a comparison that gives no reason to refuse a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Described {
    /// The record describes this same call.
    Same,
    /// The record does not decode, so it describes no call.
    Unreadable,
}

/// Compares a call with the `call` record `found` under its hash. The decoded fields are compared, because peers may encode the
/// same call in other bytes.
///
/// # Errors
/// `Conflict` if the record describes another task or another payload.
pub fn compare(hash: &CallHash, task: &str, payload: &[u8], found: &Bytes) -> Result<Described> {
    match CallRecord::decode(found) {
        Ok(there) if there.task == task && there.payload == payload => Ok(Described::Same),
        Ok(there) => Err(conflict(hash, task, &there.task)),
        Err(_) => Ok(Described::Unreadable),
    }
}

/// The error of a caller that asks for `task` under a hash that stands for a call of the task `there`. It does not show the
/// payload of the other call, because the caller may not be allowed to see it.
#[must_use]
pub fn conflict(hash: &CallHash, task: &str, there: &str) -> Error {
    let other = if there == task { "another payload" } else { "another task" };
    let reason = format!(
        "this call hash stands for {other} already, in a call of task {:?}; use another call hash, or give none so that the host \
         derives it",
        brief(there)
    );
    of(hash, task, reason)
}

/// The error of a run that asks for two different calls under one hash.
#[must_use]
pub(crate) fn conflict_in_run(hash: &CallHash, task: &str) -> Error {
    of(
        hash,
        task,
        "the same run has asked for another task or payload under this call hash; use a hash for each call".to_owned(),
    )
}

fn of(hash: &CallHash, task: &str, reason: String) -> Error {
    let operation = format!("ask for a call of task {:?} under the call hash {:?}", brief(task), brief(hash.as_str()));
    Error::new(ErrorKind::Conflict, "protocol", operation, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_compared_by_their_fields() {
        let hash = CallHash::from("h");
        let ours = CallRecord::encode("t", b"p");
        // A peer may add a key of its own to the record.
        let theirs = Bytes::from_static(b"d1:ai1e7:payload1:p9:task_name1:te");
        for found in [&ours, &theirs] {
            assert_eq!(compare(&hash, "t", b"p", found).unwrap(), Described::Same);
        }
        assert_eq!(compare(&hash, "t", b"p", &Bytes::from_static(b"le")).unwrap(), Described::Unreadable);
        for (task, payload, why) in [("t", &b"q"[..], "another payload"), ("u", b"p", "another task")] {
            let error = compare(&hash, task, payload, &ours).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
            let text = error.to_string();
            assert!(text.contains(why) && text.contains("task \"t\"") && text.contains("\"h\""), "{text}");
        }
    }
}
