//! Makes records from arbitrary bytes. The records are valid, with arbitrary contents.

use std::collections::BTreeSet;
use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};
use brrr_protocol::bencode::Encoder;
use brrr_protocol::model::{CallHash, Failure, FailureKind};
use brrr_protocol::options::{Backoff, LONGEST, Options, Scope};
use brrr_protocol::ports::DeadLetter;
use brrr_protocol::records::{ClockMove, Decision, JobEnd, JobRecord, JobState, RunRecord};
use brrr_protocol::wire::{PendingReturns, Return};

/// A time or count as records hold it. Bencode's integers have 63 bits.
fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(u64::arbitrary(u)? & i64::MAX.unsigned_abs())
}

fn texts<T: From<String>>(u: &mut Unstructured<'_>) -> Result<Vec<T>> {
    Ok(Vec::<String>::arbitrary(u)?.into_iter().map(T::from).collect())
}

/// A time in whole milliseconds, as records hold it.
fn time(u: &mut Unstructured<'_>) -> Result<Option<Duration>> {
    Ok(Option::<u64>::arbitrary(u)?.map(|ms| Duration::from_millis(ms).min(LONGEST)))
}

pub fn options(u: &mut Unstructured<'_>) -> Result<Options> {
    Ok(Options {
        timeout: time(u)?,
        max_retries: u.arbitrary()?,
        retry_delay: time(u)?,
        max_retry_delay: time(u)?,
        backoff: Option::<bool>::arbitrary(u)?.map(|fixed| if fixed { Backoff::Fixed } else { Backoff::Exponential }),
        max_running: u.arbitrary()?,
        memory: u.arbitrary()?,
        label: u.arbitrary()?,
        scope: match u.int_in_range(0..=3)? {
            0 => None,
            1 => Some(Scope::Fleet),
            2 => Some(Scope::Job),
            _ => Some(Scope::For(Duration::from_millis(u.int_in_range(1..=1 << 40)?))),
        },
        // It would change what the inputs that fuzzing has found mean. The decoders of records get it as bytes.
        trace: None,
    })
}

/// Entries of a later version. Their keys differ from each other and from our keys.
fn extra(u: &mut Unstructured<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let names: BTreeSet<u8> = u.arbitrary()?;
    let entry = |name: u8| {
        let value = Vec::<u8>::arbitrary(u)?;
        let mut e = Encoder::new();
        e.bytes(&value);
        Ok((vec![b'x', name], e.finish()))
    };
    names.into_iter().map(entry).collect()
}

pub fn run(u: &mut Unstructured<'_>) -> Result<RunRecord> {
    let sample: Vec<CallHash> = texts(u)?;
    let total = u.int_in_range(sample.len() as u32..=u32::MAX)?;
    Ok(RunRecord {
        first: number(u)?,
        attempt: u.arbitrary()?,
        last_failure: u.arbitrary()?,
        options: options(u)?,
        not_before: number(u)?,
        digest: u.arbitrary()?,
        printed: number(u)?,
        total,
        need: u.int_in_range(0..=total)?,
        sample,
        earlier: texts(u)?,
        decisions: Vec::<(u32, Vec<u32>)>::arbitrary(u)?
            .into_iter()
            .map(|(poll, chosen)| Decision { poll, chosen })
            .collect(),
        until: number(u)?,
        fast: u.arbitrary()?,
        pace: number(u)?,
        look: number(u)?,
        timer: number(u)?,
        stopped: u.arbitrary()?,
        moves: moves(u)?,
        detached: u.arbitrary()?,
        unknown_since: number(u)?,
        extra: extra(u)?,
    })
}

/// Polls and times grow from move to move.
fn moves(u: &mut Unstructured<'_>) -> Result<Vec<ClockMove>> {
    let mut last = ClockMove { poll: 0, to: 0 };
    let steps = Vec::<(u16, u32)>::arbitrary(u)?;
    let moved = |(polls, ms): (u16, u32)| {
        last = ClockMove { poll: last.poll + u32::from(polls), to: last.to + u64::from(ms) };
        last
    };
    Ok(steps.into_iter().take(1_000).map(moved).collect())
}

pub fn job(u: &mut Unstructured<'_>) -> Result<JobRecord> {
    let states = [JobState::Completed, JobState::Failed, JobState::Cancelled, JobState::TimedOut];
    let plain = JobRecord::new(u.arbitrary::<String>()?.into(), u.arbitrary::<String>()?.into(), number(u)?);
    Ok(JobRecord {
        deadline: number(u)?,
        max_messages: number(u)?,
        options: options(u)?,
        retry_of: Option::<String>::arbitrary(u)?.map(Into::into),
        scope: Option::<String>::arbitrary(u)?.map(Into::into),
        start: number(u)?,
        end: if u.arbitrary()? { Some(JobEnd { state: *u.choose(&states)?, at: number(u)? }) } else { None },
        extra: extra(u)?,
        ..plain
    })
}

pub fn failure(u: &mut Unstructured<'_>) -> Result<Failure> {
    Ok(Failure {
        kind: FailureKind::from(u.arbitrary::<&str>()?),
        task: u.arbitrary()?,
        message: u.arbitrary()?,
        attempts: u.arbitrary()?,
        chain: u.arbitrary()?,
        details: Option::<Vec<u8>>::arbitrary(u)?.map(Into::into),
    })
}

pub fn pending_returns(u: &mut Unstructured<'_>) -> Result<PendingReturns> {
    let returns = Vec::<(String, String, String)>::arbitrary(u)?.into_iter().map(|(job_id, parent, topic)| Return {
        job_id: job_id.into(),
        parent: parent.into(),
        topic: topic.into(),
    });
    // Writers that don't know the time write 0.
    let scheduled_at = Some(number(u)?).filter(|at| *at > 0);
    Ok(PendingReturns { returns: returns.collect(), scheduled_at })
}

pub fn dead_letter(u: &mut Unstructured<'_>) -> Result<DeadLetter> {
    let (id, topic) = (u.arbitrary()?, u.arbitrary::<String>()?.into());
    Ok(DeadLetter { id, topic, body: u.arbitrary()?, reason: u.arbitrary()?, at: number(u)? })
}
