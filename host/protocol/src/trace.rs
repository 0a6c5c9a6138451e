//! The span of a call, for traces: one for each call of a traced job, however often the call was run, made by the worker that
//! ends the call.
//!
//! What other workers must know for it stands among the options of records ([`Options::trace`](crate::options::Options)):
//!
//! - in the `run` record of a call: its first parent, when that parent queued it, and what its runs were ([`Story`])
//! - in the `job` record: the `traceparent` of the request that started the job
//!
//! Only calls of traced jobs have this. Without tracing, the records are as ever, and nothing is read or written for it.

use std::fmt;

use crate::model::{CallHash, Failure, JobId, Millis, Topic};
use crate::records::JobState;
use crate::wire::PendingReturns;

/// A record tells at most so many events of a call. A call that waits more often than this still has one span.
const MOST_EVENTS: usize = 64;

/// A span links at most so many other jobs.
const MOST_LINKS: usize = 32;

/// The span of a call that has ended.
#[derive(Clone, Debug)]
pub struct CallSpan<'a> {
    /// The job that the call was run for.
    pub job_id: &'a JobId,
    /// The call.
    pub call: &'a CallHash,
    /// The call that queued it. `None`: it is its job's top call.
    pub parent: Option<CallHash>,
    /// The calls of other jobs that waited for it.
    pub links: Vec<(JobId, CallHash)>,
    /// The `traceparent` of the request that started the job, for its top call.
    pub traceparent: Option<&'a str>,
    /// The name of the call's task.
    pub task: &'a str,
    /// The topic of the call's message.
    pub topic: &'a Topic,
    /// The name to show for the call, if its options set one.
    pub label: Option<&'a str>,
    /// When the call was queued, in milliseconds since the Unix epoch.
    pub start: Millis,
    /// When the call ended, in milliseconds since the Unix epoch.
    pub end: Millis,
    /// What happened meanwhile, in the order of time.
    pub events: Vec<SpanEvent>,
    /// The number of its last attempt, from 1.
    pub attempt: u32,
    /// How it ended.
    pub state: JobState,
    /// Why it failed.
    pub failure: Option<&'a Failure>,
}

/// Something that happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanEvent {
    /// When, in milliseconds since the Unix epoch.
    pub at: Millis,
    /// What happened.
    pub what: SpanEventKind,
}

/// What can happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanEventKind {
    /// A run of the handler began.
    Run,
    /// The call began to wait for other calls or for a time.
    Wait,
    /// An attempt failed, and is tried again.
    Failure,
}

/// What the records of a traced call tell, as one text: `PARENT QUEUED r1700000000000 w1700000000100 …`. `-` and `0` stand for what
/// is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// The parent that queued the call.
    pub parent: Option<CallHash>,
    /// When the parent queued it. 0: not known.
    pub queued: Millis,
    /// What happened until now.
    pub events: Vec<SpanEvent>,
}

impl Story {
    /// Reads the text. A damaged text tells nothing: a trace is not worth the failure of a call.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        let mut words = text.unwrap_or_default().split(' ');
        let parent = words.next().filter(|parent| !parent.is_empty() && *parent != "-").map(CallHash::from);
        let queued = words.next().and_then(|at| at.parse().ok()).unwrap_or(0);
        let event = |word: &str| {
            let what = match word.get(..1)? {
                "r" => SpanEventKind::Run,
                "w" => SpanEventKind::Wait,
                "f" => SpanEventKind::Failure,
                _ => return None,
            };
            Some(SpanEvent { at: word.get(1..)?.parse().ok()?, what })
        };
        Self { parent, queued, events: words.filter_map(event).collect() }
    }

    /// Adds an event, if there is room.
    pub fn add(&mut self, what: SpanEventKind, at: Millis) {
        if self.events.len() < MOST_EVENTS {
            self.events.push(SpanEvent { at, what });
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A peer may choose a hash with a space in it. Then the parent is not known.
        let parent = self.parent.as_ref().map(CallHash::as_str).filter(|parent| !parent.contains(' '));
        write!(f, "{} {}", parent.unwrap_or("-"), self.queued)?;
        for SpanEvent { at, what } in &self.events {
            let word = match what {
                SpanEventKind::Run => 'r',
                SpanEventKind::Wait => 'w',
                SpanEventKind::Failure => 'f',
            };
            write!(f, " {word}{at}")?;
        }
        Ok(())
    }
}

/// The first parent of a call in this job, and the parents in other jobs.
pub(crate) fn parents(
    pending: &PendingReturns,
    job_id: &JobId,
    call: &CallHash,
) -> (Option<CallHash>, Vec<(JobId, CallHash)>) {
    let own = pending.returns.iter().find(|of| of.job_id == *job_id && of.parent != *call);
    let others = pending.returns.iter().filter(|of| of.job_id != *job_id).take(MOST_LINKS);
    (own.map(|of| of.parent.clone()), others.map(|of| (of.job_id.clone(), of.parent.clone())).collect())
}

/// The parts of a `traceparent` (W3C Trace Context): trace id, span id and flags. `None`: it is none.
#[must_use]
pub fn parse_traceparent(text: &str) -> Option<(u128, u64, u8)> {
    let fields: Vec<&str> = text.split('-').collect();
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let [version, trace, span, flags, ref more @ ..] = fields[..] else { return None };
    let known = is_hex(version, 2) && version != "ff" && (more.is_empty() || version != "00");
    if !known || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    (trace != 0 && span != 0).then_some((trace, span, u8::from_str_radix(flags, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_round_trips() {
        let mut story = Story { parent: Some("abc".into()), queued: 7, events: Vec::new() };
        for (n, what) in [SpanEventKind::Run, SpanEventKind::Wait, SpanEventKind::Failure].into_iter().enumerate() {
            story.add(what, n as Millis);
        }
        assert_eq!(story.to_string(), "abc 7 r0 w1 f2");
        assert_eq!(Story::read(Some(&story.to_string())), story);
        assert_eq!(Story::read(Some(&Story::default().to_string())), Story::default());
        assert_eq!(Story::read(Some("damaged")).events, []);
        for n in 0..1_000 {
            story.add(SpanEventKind::Run, n);
        }
        assert_eq!(story.events.len(), MOST_EVENTS);
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            parse_traceparent(good),
            Some((0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331, 1))
        );
        assert!(parse_traceparent(&good.replacen("00", "01", 1)).is_some());
        for bad in ["", "00", &good.to_uppercase(), &format!("{good}-x"), &good.replacen("00", "ff", 1)] {
            assert_eq!(parse_traceparent(bad), None, "{bad}");
        }
        assert_eq!(parse_traceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
    }
}
