//! What a parent that registers with a call needs to know of the call's `pending_returns`, and the record with that parent
//! added.
//!
//! Each parent of a call registers, and the record grows with the number of parents. So the record is read only once, it is not
//! decoded into a list, and the new entry is inserted between its bytes.

use std::cmp::Ordering;

use bytes::Bytes;

use crate::bencode::Encoder;
use crate::error::{Error, Result};
use crate::wire::{PendingReturns, Return};

/// A call's `pending_returns`, as a registering parent sees it.
#[derive(Debug)]
pub struct Registered {
    facts: Facts,
    /// The record as we write it. The record in the store may be in another order. Empty if the parents are kept one by one.
    bytes: Bytes,
    list: List,
}

/// What a parent that registers needs to know of the other parents.
#[derive(Debug, Default)]
pub struct Facts {
    /// The parent itself is in the record, under its job.
    pub has_me: bool,
    /// The parent is in the record under another job.
    pub elsewhere: bool,
    /// A parent in the same job is in the record.
    pub in_job: bool,
    /// A parent in another job is in the record.
    pub in_other_jobs: bool,
    /// See `PendingReturns::scheduled_at`.
    pub scheduled_at: Option<u64>,
}

/// The list of parents in the bytes of the record.
#[derive(Debug, Default)]
struct List {
    /// The number of parents.
    count: usize,
    /// The offset at which the parent's entry belongs.
    insert_at: usize,
    /// The offset of the end of the list.
    end: usize,
}

impl Registered {
    /// Reads the record for the parent `me`.
    ///
    /// # Errors
    /// `Malformed`, as from `PendingReturns::decode`.
    pub fn read(bytes: &Bytes, me: &Return) -> Result<Self> {
        if let Some((facts, list)) = scan(bytes, me) {
            return Ok(Self { facts, bytes: bytes.clone(), list });
        }
        // The record is damaged, or a peer has written it in another order.
        let bytes = PendingReturns::decode(bytes)?.encode();
        let (facts, list) =
            scan(&bytes, me).ok_or_else(|| Error::malformed("a pending_returns record", "it can't be extended"))?;
        Ok(Self { facts, bytes, list })
    }

    /// What is known of a call whose parents are kept one by one.
    pub(crate) fn one_by_one(facts: Facts) -> Self {
        Self { facts, bytes: Bytes::new(), list: List::default() }
    }

    /// True if the call's parents are kept one by one, see `transaction.rs`. `with` can't extend such a record.
    pub(crate) fn is_one_by_one(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of parents that the record lists.
    pub(crate) fn listed(&self) -> usize {
        self.list.count
    }

    /// True if the record lists the parent itself.
    #[must_use]
    pub fn has_me(&self) -> bool {
        self.facts.has_me
    }

    /// See `PendingReturns::scheduled_at`.
    #[must_use]
    pub fn scheduled_at(&self) -> Option<u64> {
        self.facts.scheduled_at
    }

    /// True if a parent in the same job waits for the call.
    #[must_use]
    pub fn is_awaited_in_job(&self) -> bool {
        self.facts.in_job
    }

    /// True if a parent in another job waits for the call.
    #[must_use]
    pub fn is_awaited_in_other_jobs(&self) -> bool {
        self.facts.in_other_jobs
    }

    /// See `PendingReturns::only_in_other_jobs`.
    #[must_use]
    pub fn only_in_other_jobs(&self) -> bool {
        self.facts.elsewhere && !self.facts.has_me
    }

    /// The record with the parent `me` added. The record must have been read for `me`.
    #[must_use]
    pub fn with(&self, me: &Return, scheduled_at: Option<u64>) -> Bytes {
        let mut entry = Encoder::new();
        if !self.facts.has_me {
            entry.list().int(1).str(me.job_id.as_str()).str(me.parent.as_str()).str(me.topic.as_str()).end();
        }
        let mut rest = Encoder::new();
        if let Some(at) = scheduled_at {
            rest.str("scheduled_at").int(at as i64);
        }
        rest.end();
        let (before, after) = self.bytes[..=self.list.end].split_at(self.list.insert_at);
        [before, &entry.finish(), after, &rest.finish()].concat().into()
    }
}

/// Reads a record that is exactly as we write it. `None`: it is written in another way.
fn scan(bytes: &[u8], me: &Return) -> Option<(Facts, List)> {
    let mut rest = bytes.strip_prefix(b"d7:returnsl")?;
    let at = |rest: &[u8]| bytes.len() - rest.len();
    let mine = [me.job_id.as_str(), me.parent.as_str(), me.topic.as_str()];
    let (mut facts, mut list) = (Facts::default(), List::default());
    let (mut last, mut insert_at) = (None, None);
    while let Some(entry) = rest.strip_prefix(b"li1e") {
        let start = at(rest);
        let (job_id, entry) = text(entry)?;
        let (parent, entry) = text(entry)?;
        let (topic, entry) = text(entry)?;
        let names = [job_id, parent, topic];
        if last.is_some_and(|last| last >= names) {
            return None;
        }
        match names.cmp(&mine) {
            Ordering::Less => {}
            Ordering::Equal => (facts.has_me, insert_at) = (true, insert_at.or(Some(start))),
            Ordering::Greater => insert_at = insert_at.or(Some(start)),
        }
        facts.in_job |= job_id == mine[0];
        facts.in_other_jobs |= job_id != mine[0];
        facts.elsewhere |= names[1..] == mine[1..] && job_id != mine[0];
        list.count += 1;
        (last, rest) = (Some(names), entry.strip_prefix(b"e")?);
    }
    list.end = at(rest);
    list.insert_at = insert_at.unwrap_or(list.end);
    rest = rest.strip_prefix(b"e")?;
    if let Some(time) = rest.strip_prefix(b"12:scheduled_ati") {
        let (time, behind) = number(time)?;
        facts.scheduled_at = Some(time).filter(|time| *time > 0 && i64::try_from(*time).is_ok());
        facts.scheduled_at?;
        rest = behind.strip_prefix(b"e")?;
    }
    (rest == b"e").then_some((facts, list))
}

/// A decimal number, and the bytes after it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = bytes.split_at(bytes.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let has_zero = digits.len() > 1 && digits[0] == b'0';
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (!has_zero).then_some((number, rest))
}

/// A text, and the bytes after it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = number(bytes)?;
    let (text, rest) = rest.strip_prefix(b":")?.split_at_checked(usize::try_from(length).ok()?)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_return(rng: &mut fastrand::Rng) -> Return {
        // Lengths of one and two digits, texts that look like an entry, and texts whose order in UTF-16 is not their order in
        // Unicode.
        let names = ["", "a", "b", "ab", "li1e1:ae", "0123456789", "\u{ff5e}", "😀", "e", "i1e"];
        let mut name = || *rng.choice(&names[..]).unwrap();
        Return { job_id: name().into(), parent: name().into(), topic: name().into() }
    }

    /// `with` gives the same bytes as decoding, adding and encoding, for every record.
    #[test]
    fn a_spliced_record_equals_the_encoded_record() {
        let seed = std::env::var("BRRR_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
        eprintln!("BRRR_SEED={seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..3_000 {
            let returns: std::collections::BTreeSet<_> = (0..rng.usize(..8)).map(|_| some_return(&mut rng)).collect();
            let scheduled_at = rng.bool().then(|| rng.u64(1..1 << 40));
            let pending = PendingReturns { returns, scheduled_at };
            let (me, then) = (some_return(&mut rng), rng.bool().then(|| rng.u64(1..1 << 40)));
            let mut bytes = pending.encode().to_vec();
            match rng.u8(..4) {
                // The order in which TypeScript may sort.
                0 => {
                    let entries = pending.returns.iter().rev();
                    let entry =
                        |r: &Return| PendingReturns { returns: [r.clone()].into(), scheduled_at: None }.encode();
                    let list: Vec<u8> =
                        entries.flat_map(|r| entry(r)[11..].split_last_chunk::<2>().unwrap().0.to_vec()).collect();
                    let time = scheduled_at.map(|at| format!("12:scheduled_ati{at}e")).unwrap_or_default();
                    bytes = [b"d7:returnsl", &list[..], b"e", time.as_bytes(), b"e"].concat();
                    assert_eq!(PendingReturns::decode(&bytes).unwrap(), pending);
                }
                // A damaged record.
                1 => {
                    let index = rng.usize(..bytes.len());
                    bytes[index] = rng.u8(..);
                }
                2 => bytes.truncate(rng.usize(..bytes.len())),
                _ => {}
            }
            let bytes = Bytes::from(bytes);
            let expected = PendingReturns::decode(&bytes).map_err(|error| error.to_string());
            let found = Registered::read(&bytes, &me).map_err(|error| error.to_string());
            let (Ok(expected), Ok(found)) = (&expected, &found) else {
                assert_eq!(expected.map(drop), found.map(drop), "{bytes:?}");
                continue;
            };
            let in_job = expected.returns.iter().any(|r| r.job_id == me.job_id);
            assert_eq!(found.has_me(), expected.returns.contains(&me), "{bytes:?} {me:?}");
            assert_eq!(found.is_awaited_in_job(), in_job, "{bytes:?} {me:?}");
            let in_other_jobs = expected.returns.iter().any(|r| r.job_id != me.job_id);
            assert_eq!(found.is_awaited_in_other_jobs(), in_other_jobs, "{bytes:?} {me:?}");
            assert_eq!(found.only_in_other_jobs(), expected.only_in_other_jobs(&me), "{bytes:?} {me:?}");
            assert_eq!(found.scheduled_at(), expected.scheduled_at);
            assert_eq!(found.listed(), expected.returns.len(), "{bytes:?} {me:?}");
            let mut new = PendingReturns { scheduled_at: then, ..expected.clone() };
            new.returns.insert(me.clone());
            assert_eq!(found.with(&me, then), new.encode(), "{bytes:?} {me:?}");
        }
    }
}
