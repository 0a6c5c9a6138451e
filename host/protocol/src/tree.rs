//! The call tree of a job, read from its records. For people only; no transition may depend on it.
//!
//! The tree shows what the records say at about one moment. The children of a call come from its `run` record, which is written
//! when the call begins to wait. So calls that it asked for later are not in the tree.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::events::State;
use crate::model::{CallHash, Failure, FailureKind, JobId, Millis};
use crate::ports::{Backend, Key};
use crate::records::{JobRecord, JobState, RunRecord, decode_failure};
use crate::wire::CallRecord;

/// The number of calls that are read at once.
const PAGE: usize = 64;

/// The limits of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most levels of calls. The job's own call is the first level.
    pub depth: usize,
    /// The most lines. Each call takes a line, and so does each further mention of a call.
    pub lines: usize,
}

/// The calls of a job.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The first call is the job's own. Each call is in the list once, even if several calls ask for it.
    pub calls: Vec<Node>,
}

/// A call of a tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// The call hash of the call.
    pub call: CallHash,
    /// The name of the call's task. `None`: no record describes the call.
    pub task: Option<String>,
    /// The name to show for the call, if its options set one.
    pub label: Option<String>,
    /// The state of the call in this job, as far as the records say.
    pub state: State,
    /// The number of the attempt that the call is in, or in which it ended. From 1.
    pub attempt: u32,
    /// True if the call had its value before the job began.
    pub reused: bool,
    /// When the call was asked for in this job, if the store knows that.
    pub asked: Option<Millis>,
    /// When the call got its outcome, if the store knows that.
    pub ended: Option<Millis>,
    /// The number of calls that the call waits for.
    pub waiting: usize,
    /// The call must not run before this time. 0: it may run at once.
    pub not_before: Millis,
    /// When the call runs again whatever it waits for: the end of its sleep or of its time limit. 0: there is no such time.
    pub until: Millis,
    /// The name of the promise, if the call is one. Nobody runs it; somebody outside answers it.
    pub promise: Option<String>,
    /// Why the previous attempt failed. Empty: there was no previous attempt.
    pub last_failure: String,
    /// How the call failed in this job, if it did.
    pub failure: Option<Failure>,
    /// The calls that the call asked for, in its order, as positions in `Tree::calls`.
    pub children: Vec<usize>,
    /// The number of children that were left out because of the bounds.
    pub left_out: usize,
    /// The number of children that the `run` record does not name, because there are too many.
    pub unnamed: usize,
    /// The number of calls that may stay without an outcome while this call waits. More than 0 in a race.
    spare: usize,
}

/// The records of one call.
#[derive(Default)]
struct Found {
    call: Option<CallRecord>,
    has_value: bool,
    failure: Option<Failure>,
    run: Option<RunRecord>,
    is_awaited: bool,
    /// When the call record, the value and the failure were written.
    written: [Option<Millis>; 3],
}

impl Tree {
    /// Reads the tree of a job, level by level.
    ///
    /// # Errors
    /// When the backend can't be read or a record does not decode.
    pub async fn read(
        backend: &dyn Backend,
        job_id: &JobId,
        job: &JobRecord,
        now: Millis,
        bounds: Bounds,
    ) -> Result<Self> {
        Self::read_below(backend, job_id, job, &job.call, now, bounds).await
    }

    /// Reads the part of a job's tree that begins with this call.
    ///
    /// # Errors
    /// When the backend can't be read or a record does not decode.
    pub async fn read_below(
        backend: &dyn Backend,
        job_id: &JobId,
        job: &JobRecord,
        top: &CallHash,
        now: Millis,
        bounds: Bounds,
    ) -> Result<Self> {
        let mut tree = Self { calls: vec![Node::new(top.clone())] };
        let mut indices = HashMap::from([(top.clone(), 0)]);
        let (mut level, mut lines) = (0..1, 1);
        for depth in 1.. {
            if level.is_empty() {
                break;
            }
            let next = level.end;
            for page in pages(&level) {
                let found = read_page(backend, job_id, &tree.calls[page.clone()]).await?;
                for (index, found) in page.zip(found) {
                    let asked_for = found.children();
                    tree.calls[index].fill(found, job, now);
                    for child in asked_for {
                        if depth == bounds.depth || lines == bounds.lines {
                            tree.calls[index].left_out += 1;
                            continue;
                        }
                        lines += 1;
                        let child = *indices.entry(child).or_insert_with_key(|call| {
                            tree.calls.push(Node::new(call.clone()));
                            tree.calls.len() - 1
                        });
                        tree.calls[index].children.push(child);
                    }
                }
            }
            level = next..tree.calls.len();
        }
        tree.settle_waiting(now);
        Ok(tree)
    }

    /// True if calls were left out because of the bounds.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.calls.iter().any(|node| node.left_out > 0)
    }

    /// Counts, for each waiting call, how many calls it still waits for. If it has enough outcomes, it will run again soon.
    fn settle_waiting(&mut self, now: Millis) {
        for index in 0..self.calls.len() {
            let node = &self.calls[index];
            if node.state != State::Deferred || node.left_out > 0 || node.promise.is_some() {
                continue;
            }
            let missing = node.children.iter().filter(|child| !self.calls[**child].has_ended()).count();
            let node = &mut self.calls[index];
            let only_sleeps = node.waiting == 0;
            node.waiting = missing;
            let is_over = node.until > 0 && node.until <= now;
            if is_over || (!only_sleeps && missing <= node.spare) {
                node.state = State::Ready;
            }
        }
    }
}

impl Node {
    fn new(call: CallHash) -> Self {
        Self {
            call,
            task: None,
            label: None,
            promise: None,
            state: State::Unscheduled,
            attempt: 1,
            reused: false,
            asked: None,
            ended: None,
            waiting: 0,
            not_before: 0,
            until: 0,
            last_failure: String::new(),
            failure: None,
            children: Vec::new(),
            left_out: 0,
            unnamed: 0,
            spare: 0,
        }
    }

    /// True if the call has an outcome, or will never have one.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !matches!(self.state, State::Scheduled | State::Unscheduled | State::Ready | State::Running | State::Deferred)
    }

    /// The time from when the call was asked for until its outcome, in milliseconds, if the store knows it.
    #[must_use]
    pub fn took(&self) -> Option<Millis> {
        (!self.reused).then(|| Some(self.ended?.saturating_sub(self.asked?))).flatten()
    }

    fn fill(&mut self, found: Found, job: &JobRecord, now: Millis) {
        let [called, valued, failed] = found.written;
        self.state = found.state(job, &self.call, now);
        let promise = found.call.as_ref().filter(|call| call.is_promise());
        self.promise = promise.map(|call| String::from_utf8_lossy(&call.payload).into_owned());
        if self.promise.is_some() && self.state == State::Ready {
            self.state = State::Deferred;
        }
        self.task = found.call.map(|call| call.task);
        // The call may be older than the job, if another job asked for it before.
        self.asked = called.map(|at| at.max(job.created));
        self.ended = if found.failure.is_some() { failed } else { valued };
        self.reused = self.state == State::Completed && self.ended.is_some_and(|at| at < job.created);
        if let Some(run) = found.run {
            self.attempt = run.attempt.max(1);
            self.label = run.options.label;
            if !self.has_ended() {
                self.waiting = run.total as usize;
                self.spare = run.total.saturating_sub(run.need) as usize;
                self.not_before = run.not_before;
                self.until = run.until;
                self.last_failure = run.last_failure;
            }
            self.unnamed = (run.total as usize).saturating_sub(run.sample.len());
        }
        if let Some(failure) = &found.failure {
            self.attempt = self.attempt.max(failure.attempts);
        }
        self.failure = found.failure;
    }
}

impl Found {
    /// The calls that the call asked for, in its order, each once.
    fn children(&self) -> Vec<CallHash> {
        let mut seen = HashSet::new();
        let run = self.run.iter();
        run.flat_map(RunRecord::asked_for).filter(|call| seen.insert(*call)).cloned().collect()
    }

    fn state(&self, job: &JobRecord, call: &CallHash, now: Millis) -> State {
        if let Some(failure) = &self.failure {
            return State::of_failure(&failure.kind);
        }
        if self.has_value {
            return State::Completed;
        }
        match (job.end, &self.run) {
            (Some(end), _) if end.state == JobState::TimedOut => State::TimedOut,
            (Some(_), _) => State::Cancelled,
            (None, None) if job.is_delayed(now) && *call == job.call => State::Scheduled,
            (None, Some(run)) if run.not_before > now => State::Ready,
            (None, Some(run)) if run.is_waiting() => State::Deferred,
            // The call is ready or running. The records can't tell which, because a worker writes nothing while it runs a call.
            (None, Some(run)) if run.first > 0 || run.attempt > 1 => State::Ready,
            (None, _) if self.is_awaited || *call == job.call => State::Ready,
            (None, _) => State::Unscheduled,
        }
    }
}

fn pages(level: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = level.end;
    level.clone().step_by(PAGE).map(move |start| start..(start + PAGE).min(end))
}

async fn read_page(backend: &dyn Backend, job_id: &JobId, nodes: &[Node]) -> Result<Vec<Found>> {
    let store = backend.store();
    let dated: Vec<Key> = nodes
        .iter()
        .flat_map(|node| [Key::call(&node.call), Key::value(&node.call), Key::failure(&node.call, job_id)])
        .collect();
    let written = store.written(&dated).await?;
    let keys: Vec<Key> = nodes
        .iter()
        .flat_map(|Node { call, .. }| [Key::call(call), Key::failure(call, job_id), Key::run(call, job_id)])
        .collect();
    let records = store.get_many(&keys).await?;
    // Values and waiting parents may be large, and their content is not needed here.
    let keys = nodes.iter().flat_map(|Node { call, .. }| [Key::value(call), Key::pending_returns(call)]);
    let there = store.has_many(&keys.collect::<Vec<_>>()).await?;
    let mut found = Vec::with_capacity(nodes.len());
    for ((there, records), written) in there.chunks_exact(2).zip(records.chunks_exact(3)).zip(written.chunks_exact(3)) {
        let [call, failure, run] = [0, 1, 2].map(|index| records[index].as_ref());
        found.push(Found {
            // A damaged record must not hide the rest of the tree.
            call: call.and_then(|bytes| CallRecord::decode(bytes).ok()),
            has_value: there[0],
            failure: failure.map(|bytes: &Bytes| decode_failure(bytes).unwrap_or_else(|e| unreadable(&e))),
            run: run.and_then(|bytes: &Bytes| RunRecord::decode(bytes).ok()),
            is_awaited: there[1],
            written: [written[0], written[1], written[2]],
        });
    }
    Ok(found)
}

/// The failure to show for a `failure` record that can't be read.
fn unreadable(error: &Error) -> Failure {
    Failure::new(FailureKind::Other("unreadable".to_owned()), "?", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureKind;
    use crate::records::JobEnd;

    fn job() -> JobRecord {
        JobRecord::new("top".into(), "t".into(), 100)
    }

    fn run(total: u32, sample: &[&str], earlier: &[&str]) -> RunRecord {
        RunRecord {
            first: 1,
            attempt: 1,
            total,
            need: total,
            sample: sample.iter().map(|c| (*c).into()).collect(),
            earlier: earlier.iter().map(|c| (*c).into()).collect(),
            ..RunRecord::default()
        }
    }

    fn state(found: &Found, job: &JobRecord) -> State {
        found.state(job, &"c".into(), 1000)
    }

    #[test]
    fn states_follow_from_the_records() {
        let alive = job();
        assert_eq!(state(&Found::default(), &alive), State::Unscheduled);
        assert_eq!(Found::default().state(&alive, &alive.call, 0), State::Ready);
        assert_eq!(state(&Found { is_awaited: true, ..Found::default() }, &alive), State::Ready);
        assert_eq!(state(&Found { run: Some(run(2, &[], &[])), ..Found::default() }, &alive), State::Deferred);
        let later = RunRecord { not_before: 2000, attempt: 2, ..RunRecord::default() };
        assert_eq!(state(&Found { run: Some(later), ..Found::default() }, &alive), State::Ready);
        let failure = Some(Failure::new(FailureKind::Timeout, "t", "late"));
        assert_eq!(state(&Found { failure, has_value: true, ..Found::default() }, &alive), State::TimedOut);
        for (end, expected) in [(JobState::Failed, State::Cancelled), (JobState::TimedOut, State::TimedOut)] {
            let over = JobRecord { end: Some(JobEnd { state: end, at: 5 }), ..job() };
            assert_eq!(state(&Found { is_awaited: true, ..Found::default() }, &over), expected);
            assert_eq!(state(&Found { has_value: true, ..Found::default() }, &over), State::Completed);
        }
    }

    #[test]
    fn a_call_that_sleeps_is_deferred_until_its_time() {
        for (total, until, now, expected) in [
            (0, 500, 400, State::Deferred),
            (0, 500, 500, State::Ready),
            // The child is unscheduled.
            (1, 500, 400, State::Deferred),
            (1, 500, 501, State::Ready),
            (1, 0, 501, State::Deferred),
        ] {
            let sample: &[&str] = if total == 0 { &[] } else { &["child"] };
            let found = Found { run: Some(RunRecord { until, ..run(total, sample, &[]) }), ..Found::default() };
            let mut tree = Tree { calls: vec![Node::new("c".into()), Node::new("child".into())] };
            tree.calls[0].fill(found, &job(), now);
            tree.calls[0].children.extend((total > 0).then_some(1));
            tree.settle_waiting(now);
            assert_eq!(tree.calls[0].state, expected, "{total} {until} {now}");
        }
    }

    #[test]
    fn children_are_listed_once_in_the_order_of_the_calls() {
        let found = Found { run: Some(run(2, &["c", "b"], &["a", "b"])), ..Found::default() };
        assert_eq!(found.children(), ["a", "b", "c"].map(CallHash::from));
    }

    #[test]
    fn a_value_that_is_older_than_the_job_took_no_time() {
        let mut node = Node::new("c".into());
        let written = [Some(10), Some(20), None];
        node.fill(Found { has_value: true, written, ..Found::default() }, &job(), 0);
        assert!(node.reused && node.took().is_none());
        let written = [Some(10), Some(250), None];
        node.fill(Found { has_value: true, written, ..Found::default() }, &job(), 0);
        assert_eq!((node.reused, node.took()), (false, Some(150)));
    }

    #[test]
    fn pages_cover_a_level() {
        assert_eq!(pages(&(3..3)).count(), 0);
        assert_eq!(pages(&(1..130)).collect::<Vec<_>>(), [1..65, 65..129, 129..130]);
    }
}
