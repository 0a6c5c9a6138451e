//! Decides whether a call is worth running again. It reads as little of the `run` record, and looks at as few calls, as
//! possible.
//!
//! The record names the calls that the run waits for, the last one first. Calls end in about the order in which they were
//! queued, so the last call is the one that is most likely to be missing. (In the other order, N children would cost N²/2
//! looks.)

use super::run::{RUN, WAITS};
use super::{VERSION, other_version};
use crate::bencode::{Reader, SyntaxError};
use crate::error::{Error, Result};
use crate::model::{CallHash, Millis};

/// What a parent's `run` record says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Enough of the calls that the parent waits for have an outcome.
    Ready,
    /// Too few of these calls have an outcome.
    NotYet,
    /// Too few of these calls have an outcome, and the parent is to be looked at again after so many milliseconds. Nobody has
    /// sent the message for that.
    Look(Millis),
    /// No run has written a record. Either the parent is ours and has yet to write the record (and then looks at its calls
    /// itself), or it is run by a worker of another SDK.
    Unknown,
}

/// How a call ended that a parent is notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEnd {
    /// It has its value.
    Value,
    /// It failed in the parent's job.
    Failure,
}

/// Decides whether a call has enough outcomes.
pub struct Waiting<'a> {
    /// A reader at the beginning of the list of the calls.
    list: Option<Reader<'a>>,
    /// A reader that is inside this list.
    names: Option<Reader<'a>>,
    left: u64,
    /// How many calls the run waits for.
    total: i64,
    /// The list has all of these calls.
    is_complete: bool,
    /// The number of the named calls that may still be missing.
    allowed: i64,
    /// True if a run wrote the record. False if the call's parent wrote it before any run (`RunRecord::was_never_run`).
    was_run: bool,
    /// See `RunRecord`.
    fast: bool,
    pace: Millis,
    look: Millis,
}

impl<'a> Waiting<'a> {
    /// Reads the record up to its list of calls.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        let (mut total, mut need, mut named, mut was_run) = (0, 0, 0, false);
        let (mut fast, mut pace, mut look) = (0, 0, 0);
        let mut reader = Reader::dict(bytes).map_err(damaged)?;
        let mut names = None;
        while let Some(key) = reader.key().map_err(damaged)? {
            match key {
                b"attempt" | b"first" => was_run |= reader.int().map_err(damaged)? != 0,
                b"fast" => fast = reader.int().map_err(damaged)?,
                b"look" => look = reader.int().map_err(damaged)?,
                b"pace" => pace = reader.int().map_err(damaged)?,
                b"named" => named = reader.int().map_err(damaged)?,
                b"need" => need = reader.int().map_err(damaged)?,
                b"total" => total = reader.int().map_err(damaged)?,
                b"v" => {
                    let v = reader.int().map_err(damaged)?;
                    if !(1..=VERSION).contains(&v) {
                        return Err(other_version(RUN, v));
                    }
                }
                _ if key == WAITS.as_bytes() => {
                    reader.enter_list().map_err(damaged)?;
                    names = Some(reader);
                    break;
                }
                _ => reader.skip().map_err(damaged)?,
            }
        }
        if need > total {
            return Err(Error::malformed(RUN, format!("it needs {need} of {total} calls")));
        }
        // A call that is not named counts as ended. One unnecessary run is better than a missing run.
        Ok(Self {
            list: names.clone(),
            names,
            is_complete: named >= total,
            left: u64::try_from(named).unwrap_or(0),
            total,
            allowed: total.saturating_sub(need),
            was_run: was_run || total != 0,
            fast: fast != 0,
            pace: Millis::try_from(pace).unwrap_or(0),
            look: Millis::try_from(look).unwrap_or(0),
        })
    }

    /// The call to look at next. `None`: the decision is made, see `ready`.
    pub fn next_call(&mut self) -> Result<Option<&'a str>> {
        if self.allowed < 0 || i64::try_from(self.left).is_ok_and(|left| left <= self.allowed) {
            return Ok(None);
        }
        let Some(names) = &mut self.names else { return Ok(None) };
        match names.next_string().map_err(damaged)? {
            Some(name) => std::str::from_utf8(name)
                .map(Some)
                .map_err(|_| Error::malformed(RUN, "the name of a call is not UTF-8")),
            None => Ok(None),
        }
    }

    /// Takes the answer for the call that `next_call` returned: has it an outcome?
    pub fn found(&mut self, outcome: bool) {
        self.left = self.left.saturating_sub(1);
        self.allowed -= i64::from(!outcome);
    }

    /// False if too few calls can still have an outcome. True after `next_call` has returned `None`: enough calls have one.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.allowed >= 0
    }

    /// The decision, after `next_call` has returned `None`. `ended` is the call that has ended, and `end` how it ended. `None`:
    /// at least one of the calls that the parent waits for.
    ///
    /// # Errors
    /// `Malformed`, with what is wrong.
    pub fn readiness(&self, ended: Option<&CallHash>, end: ChildEnd) -> Result<Readiness> {
        Ok(if !self.was_run {
            Readiness::Unknown
        } else if self.ready() || self.fast && end == ChildEnd::Failure {
            Readiness::Ready
        } else if self.pace > 0 && self.look == 0 && self.waits_for(ended)? {
            Readiness::Look(self.pace)
        } else {
            Readiness::NotYet
        })
    }

    /// Does the parent still wait for this call? It may have given up on it after a while, and wait for others.
    fn waits_for(&self, ended: Option<&CallHash>) -> Result<bool> {
        // A call that is not named counts as ended, see above.
        let Some(ended) = ended.filter(|_| self.is_complete) else { return Ok(true) };
        let Some(mut names) = self.list.clone() else { return Ok(false) };
        while let Some(name) = names.next_string().map_err(damaged)? {
            if name == ended.as_str().as_bytes() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// True if a `run` record says that its call waits for other calls, and also if the record does not decode.
pub fn is_waiting(bytes: &[u8]) -> bool {
    Waiting::decode(bytes).map_or(true, |waiting| waiting.total > 0)
}

fn damaged(error: SyntaxError) -> Error {
    Error::malformed(RUN, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallHash;
    use crate::records::RunRecord;

    /// Decides from a list that says which calls have an outcome, and counts the looks.
    fn decide(total: u32, need: u32, outcomes: &[bool]) -> (bool, usize) {
        let sample = (0..outcomes.len()).map(|n| CallHash::from(n.to_string())).collect();
        let bytes = RunRecord { total, need, sample, ..RunRecord::default() }.encode();
        let mut waiting = Waiting::decode(&bytes).unwrap();
        let mut looks = 0;
        while let Some(call) = waiting.next_call().unwrap() {
            looks += 1;
            waiting.found(outcomes[call.parse::<usize>().unwrap()]);
        }
        (waiting.ready(), looks)
    }

    #[test]
    fn readiness_agrees_with_its_definition() {
        for bits in 0..32u32 {
            let outcomes: Vec<bool> = (0..5).map(|i| bits & (1 << i) != 0).collect();
            let there = outcomes.iter().filter(|o| **o).count() as u32;
            for total in 5..8 {
                for need in 0..=total {
                    let expected = there + (total - 5) >= need;
                    assert_eq!(decide(total, need, &outcomes).0, expected, "{outcomes:?} {total} {need}");
                }
            }
        }
    }

    #[test]
    fn a_failure_or_a_while_may_suffice() {
        let sample: Vec<CallHash> = ["a", "b"].into_iter().map(CallHash::from).collect();
        let plain = RunRecord { first: 1, total: 2, need: 2, sample, ..RunRecord::default() };
        let decide = |record: &RunRecord, ended: Option<&str>, end| {
            let bytes = record.encode();
            let mut waiting = Waiting::decode(&bytes).unwrap();
            while let Some(call) = waiting.next_call().unwrap() {
                waiting.found(ended == Some(call));
            }
            waiting.readiness(ended.map(CallHash::from).as_ref(), end).unwrap()
        };
        assert_eq!(decide(&plain, Some("a"), ChildEnd::Failure), Readiness::NotYet);
        let fast = RunRecord { fast: true, ..plain.clone() };
        assert_eq!(decide(&fast, Some("a"), ChildEnd::Failure), Readiness::Ready);
        assert_eq!(decide(&fast, Some("a"), ChildEnd::Value), Readiness::NotYet);
        let paced = RunRecord { pace: 1_000, ..plain };
        assert_eq!(decide(&paced, Some("a"), ChildEnd::Value), Readiness::Look(1_000));
        assert_eq!(decide(&paced, Some("given up"), ChildEnd::Value), Readiness::NotYet);
        assert_eq!(
            decide(&RunRecord { total: 3, need: 3, ..paced.clone() }, Some("c"), ChildEnd::Value),
            Readiness::Look(1_000)
        );
        assert_eq!(decide(&RunRecord { look: 7, ..paced }, Some("a"), ChildEnd::Value), Readiness::NotYet);
    }

    #[test]
    fn calls_that_end_in_order_cost_few_lookups() {
        let n = 200;
        let mut outcomes = vec![false; n];
        let mut looks = 0;
        for i in 0..n {
            outcomes[i] = true;
            looks += decide(n as u32, n as u32, &outcomes).1;
        }
        assert!(looks < 3 * n, "{looks}");
    }

    #[test]
    fn damage_is_an_error_when_it_is_read() {
        let bytes =
            RunRecord { total: 2, need: 2, sample: vec!["a".into(), "b".into()], ..RunRecord::default() }.encode();
        for end in 0..bytes.len() {
            let read = Waiting::decode(&bytes[..end]).and_then(|mut waiting| {
                while waiting.next_call()?.is_some() {
                    waiting.found(true);
                }
                Ok(waiting.ready())
            });
            // After the last call nothing is read, so damage there is not noticed.
            assert!(read.is_err() || end > bytes.len() - 4, "{end} of {}", bytes.len());
        }
    }
}
