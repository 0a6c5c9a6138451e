//! Bencode, messages and records.

use arbitrary::Unstructured;
use brrr_protocol::bencode::{self, Encoder, Reader};
use brrr_protocol::options::Options;
use brrr_protocol::records::{
    JobRecord, LatestJob, RunRecord, SchedulesRecord, Waiting, dead_letter_id, dead_letter_time, decode_dead_letter,
    decode_failure, decode_tasks, encode_dead_letter, encode_failure, encode_tasks, is_dead_letter_of,
};
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};
use bytes::Bytes;

use crate::generate;
use crate::properties::{keeps_unknown_keys, refused, round_trip, text};

/// Each value has exactly one encoding. The code that skips values accepts whatever the code that decodes them accepts.
pub fn bencode(data: &[u8]) {
    let decoded = bencode::decode(data);
    match &decoded {
        Ok(value) => {
            let mut encoder = Encoder::new();
            encoder.value(value);
            assert_eq!(encoder.finish(), data, "the one encoding of {value:?}");
        }
        Err(error) => assert!(error.offset <= data.len(), "{error}"),
    }
    let Ok(mut reader) = Reader::dict(data) else {
        assert!(!matches!(decoded, Ok(bencode::Value::Dict(_))));
        return;
    };
    let mut keys = Vec::new();
    let read = loop {
        match reader.key() {
            Ok(Some(key)) => keys.push(key),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if let Err(error) = reader.skip() {
            break Err(error);
        }
    };
    if let Ok(bencode::Value::Dict(entries)) = decoded {
        read.expect("a record that can be decoded can be skipped");
        assert_eq!(keys, entries.iter().map(|(key, _)| *key).collect::<Vec<_>>());
    }
}

pub fn message(data: &[u8]) {
    let encode = |message: &Message| message.encode().into_bytes();
    let decoded = round_trip(data, Message::decode, encode);
    if let Some((_, encoded)) = decoded {
        assert_eq!(encoded, data, "there is one encoding");
    }
}

pub fn call(data: &[u8]) {
    let decode = |bytes: &[u8]| CallRecord::decode(&Bytes::copy_from_slice(bytes));
    round_trip(data, decode, |call| CallRecord::encode(&call.task, &call.payload).to_vec());
}

/// Also checks that `salvage`, which reads damaged records, finds at least the parents that `decode` finds.
pub fn pending_returns(data: &[u8]) {
    let found = PendingReturns::salvage(data);
    if let Some((pending, encoded)) = round_trip(data, PendingReturns::decode, |p| p.encode().to_vec()) {
        assert!(pending.returns.is_subset(&found), "{found:?} is less than {pending:?}");
        assert!(pending.returns.is_subset(&PendingReturns::salvage(&encoded)));
        let me = Return { job_id: "r".into(), parent: "p".into(), topic: "t".into() };
        let _ = pending.only_in_other_jobs(&me);
    }
    assert!(found.len() <= data.len() / 10, "an entry has ten bytes at least");
}

const RUN: [&str; 22] = [
    "attempt",
    "clock",
    "decisions",
    "digest",
    "fast",
    "first",
    "last_failure",
    "look",
    "named",
    "need",
    "not_before",
    "options",
    "pace",
    "printed",
    "stopped",
    "timer",
    "total",
    "unknown_since",
    "until",
    "v",
    "waits",
    "was_asked",
];

/// Also checks `Waiting`, which decides whether a call is worth running again. It must accept the same records as `RunRecord`.
pub fn run(data: &[u8]) {
    let decoded = round_trip(data, RunRecord::decode, |run| run.encode().to_vec());
    if let Some((run, encoded)) = &decoded {
        keeps_unknown_keys(data, encoded, &RUN);
        assert_eq!(names(encoded).expect("it can be decoded"), run.sample.len());
    }
    if let Err(error) = names(data) {
        refused(&error);
        assert!(decoded.is_none(), "refused by one alone: {error}");
    }
}

/// How many calls are looked at if none has an outcome and all may be missing.
fn names(data: &[u8]) -> brrr_protocol::Result<usize> {
    let mut waiting = Waiting::decode(data)?;
    let mut looks = 0;
    while waiting.next_call()?.is_some() {
        looks += 1;
        waiting.found(true);
    }
    // If all calls have outcomes, the call is ready, unless it needs more outcomes than there are. So the answer is open.
    let _ = waiting.ready();
    Ok(looks.max(RunRecord::decode(data).map_or(0, |run| run.sample.len())))
}

pub fn failure(data: &[u8]) {
    round_trip(data, decode_failure, |failure| encode_failure(failure).to_vec());
}

const JOB: [&str; 11] =
    ["call", "created", "deadline", "ended", "options", "retry_of", "max_messages", "scope", "state", "topic", "v"];

/// Also checks that the quick test whether a job is over agrees with the whole record.
pub fn job(data: &[u8]) {
    if let Some((job, encoded)) = round_trip(data, JobRecord::decode, |job| job.encode().to_vec()) {
        keeps_unknown_keys(data, &encoded, &JOB);
        for bytes in [data, &encoded] {
            assert_eq!(JobRecord::is_over_in(bytes).expect("it can be decoded"), job.is_over());
        }
    } else if let Err(error) = JobRecord::is_over_in(data) {
        refused(&error);
    }
}

pub fn latest_job(data: &[u8]) {
    round_trip(data, LatestJob::decode, |latest| latest.encode().to_vec());
}

pub fn tasks(data: &[u8]) {
    round_trip(data, decode_tasks, |tasks| encode_tasks(tasks).to_vec());
}

const SCHEDULES: [&str; 2] = ["schedules", "v"];

/// Also looks for the next tick of each schedule.
pub fn schedules(data: &[u8]) {
    // (A record without schedules is not written.)
    let encode =
        |record: &SchedulesRecord| record.encode().map_or_else(|| b"d9:schedulesde1:vi1ee".to_vec(), Vec::from);
    let Some((record, encoded)) = round_trip(data, SchedulesRecord::decode, encode) else { return };
    keeps_unknown_keys(data, &encoded, &SCHEDULES);
    for schedule in record.schedules.values() {
        let next = schedule.next(1_774_700_000_000);
        assert!(next.is_none_or(|next| next > schedule.decided.max(1_774_700_000_000)));
    }
}

/// The record of a dead letter, and the ids under which such records are stored.
pub fn dead_letter(data: &[u8]) {
    round_trip(
        data,
        |bytes| decode_dead_letter("t/1-m", bytes),
        |dead_letter| encode_dead_letter(dead_letter).to_vec(),
    );
    let Some((topic, unique)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    let id = dead_letter_id(&topic.into(), data.len() as u64, unique);
    assert!(is_dead_letter_of(&topic.into(), &id));
    assert!(!is_dead_letter_of(&format!("{topic}/").as_str().into(), &id), "of that topic alone");
    assert_eq!(dead_letter_time(&id), Some(data.len() as u64 / 1000));
    let _ = (is_dead_letter_of(&topic.into(), unique), dead_letter_time(unique));
}

/// The input is a list of line pairs: name and value.
pub fn options(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let pairs = || lines.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let Ok(options) = Options::parse(pairs()) else { return };
    let written = options.pairs();
    assert_eq!(Options::parse(written.iter().map(|(k, v)| (*k, v.as_str()))).as_ref(), Ok(&options));
    assert_eq!(options.over(&Options::default()), options);
    for attempt in [1, 2, u32::MAX] {
        let _ = options.retry_after(attempt, &"r".into(), &"c".into());
    }
}

/// A valid record is decoded as it was encoded, whatever its contents are.
pub fn built(data: &[u8]) {
    let u = &mut Unstructured::new(data);
    let _ = build(u);
}

fn build(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    match u.int_in_range(0..=4)? {
        0 => {
            let run = generate::run(u)?;
            assert_eq!(RunRecord::decode(&run.encode()).expect("a run record"), run);
        }
        1 => {
            let job = generate::job(u)?;
            assert_eq!(JobRecord::decode(&job.encode()).expect("a job record"), job);
        }
        2 => {
            let failure = generate::failure(u)?;
            assert_eq!(decode_failure(&encode_failure(&failure)).expect("a failure"), failure);
            let _ = failure.bounded();
        }
        3 => {
            let pending = generate::pending_returns(u)?;
            assert_eq!(PendingReturns::decode(&pending.encode()).expect("a pending_returns record"), pending);
        }
        _ => {
            let dead_letter = generate::dead_letter(u)?;
            assert_eq!(
                decode_dead_letter(&dead_letter.id, &encode_dead_letter(&dead_letter)).expect("a dead letter"),
                dead_letter
            );
        }
    }
    Ok(())
}
