//! The conditions that must hold after a history.

use std::collections::{BTreeMap, BTreeSet};
use std::result::Result;

use brrr_protocol::model::{Failure, FailureKind, JobId};
use brrr_protocol::ports::{Key, Kind};
use brrr_protocol::records::{JobRecord, JobState, decode_failure};
use brrr_protocol::wire::{Message, PendingReturns};
use bytes::Bytes;

use crate::graph::{Graph, Node};
use crate::run::History;

impl History {
    /// Every job has ended with the right outcome, and nothing is left behind.
    pub fn check(&self, graph: &Graph) -> Result<(), String> {
        self.check_queue()?;
        let jobs = self.world.state().watch.jobs.clone();
        let accepted = self.world.state().watch.accepted.clone();
        for job_id in &accepted {
            let job = jobs.get(job_id).ok_or_else(|| format!("job {job_id} was accepted and has no record"))?;
            self.check_job(graph, job_id, job).map_err(|e| format!("job {job_id} ({}): {e}", job.call))?;
        }
        self.check_waiting()?;
        self.check_attempts(graph)
    }

    /// The jobs that were accepted and have not ended.
    pub fn unended(&self) -> usize {
        let state = self.world.state();
        let has = |key| state.records.contains_key(&key);
        let ended = |job_id: &JobId, job: &JobRecord| {
            job.is_over() || has(Key::value(&job.call)) || has(Key::failure(&job.call, job_id))
        };
        let accepted = state.watch.accepted.iter().filter_map(|job_id| Some((job_id, state.watch.jobs.get(job_id)?)));
        accepted.filter(|(job_id, job)| !ended(job_id, job)).count()
    }

    fn check_queue(&self) -> Result<(), String> {
        let state = self.world.state();
        if let Some(wrong) = &state.watch.wrong {
            return Err(wrong.clone());
        }
        if !state.in_flight.is_empty() {
            return Err(format!("{} messages were never settled", state.in_flight.len()));
        }
        if !state.dead_letters.is_empty() && !self.may.with_dead_letters {
            return Err(format!("dead letters: {:?}", state.dead_letters));
        }
        // A call with a dead letter has failed or has its value, so no parent waits for it.
        for (body, reason) in &state.dead_letters {
            let Ok(Message { job_id, call }) = Message::decode(body.as_bytes()) else { continue };
            let has_outcome =
                [Key::value(&call), Key::failure(&call, &job_id)].iter().any(|k| state.records.contains_key(k));
            // The call had a value when its message became a dead letter, and a client has forgotten the value since.
            let is_forgotten = self.may.with_removals && state.watch.jobs.get(&job_id).is_some_and(JobRecord::is_over);
            if !has_outcome && !is_forgotten {
                return Err(format!("{call} of {job_id} became a dead letter ({reason}), and has no outcome"));
            }
        }
        Ok(())
    }

    /// In a live job no parent waits for a call that has an outcome in that job: no message would notify the parent.
    fn check_waiting(&self) -> Result<(), String> {
        let state = self.world.state();
        for (key, bytes) in state.records.iter().filter(|(key, _)| key.kind == Kind::PendingReturns) {
            if state.records.contains_key(&Key::new(&key.id, Kind::Value)) {
                continue;
            }
            for entry in PendingReturns::decode(bytes).map_err(|e| e.to_string())?.returns {
                let is_over = state.watch.jobs.get(&entry.job_id).is_some_and(JobRecord::is_over);
                let failed = state.records.contains_key(&Key::new(&key.id, Kind::Failure(entry.job_id.clone())));
                let accepted = state.watch.accepted.contains(&entry.job_id);
                let unnotified = unnotified(&state.records, &entry.job_id).contains(&*key.id);
                if accepted && !is_over && !failed && !unnotified {
                    return Err(format!("{entry:?} waits for {}, which no worker will run", key.id));
                }
            }
        }
        Ok(())
    }

    /// A failure as recorded under a job.
    pub fn failure(&self, job_id: &JobId, name: &str) -> Option<Failure> {
        let state = self.world.state();
        state.records.get(&Key::failure(&name.into(), job_id)).map(|bytes| decode_failure(bytes).unwrap())
    }

    pub fn check_job(&self, graph: &Graph, job_id: &JobId, job: &JobRecord) -> Result<(), String> {
        let name = job.call.as_str();
        let failure = self.failure(job_id, name);
        let state = self.world.state();
        if self.may.with_removals && job.is_over() {
            // The outcome of the other call was checked when it was written. It may be removed by now.
            return Ok(());
        }
        let value = state.records.get(&Key::value(&job.call));
        let ended = match (value, &failure) {
            (_, Some(failure)) => Err(failure),
            (Some(value), None) => Ok(String::from_utf8_lossy(value).into_owned()),
            // A peer runs a parent of a call that failed. The peer sees no failures, and nothing can notify it.
            (None, None) if unnotified(&state.records, job_id).contains(name) => return Ok(()),
            (None, None) => return Err("it is stuck: its call has no outcome".to_owned()),
        };
        let expected = graph.expected(name);
        let is_right = match &ended {
            Ok(value) if self.may.with_dead_letters && value.contains("failed") => true,
            Ok(value) => expected.contains(&Some(value.clone())),
            Err(failure) => match failure.kind {
                FailureKind::Cancelled => self.cancelled.contains(job_id),
                FailureKind::Timeout => job.deadline > 0,
                FailureKind::Limit => job.max_messages > 0,
                FailureKind::Error | FailureKind::Rejected | FailureKind::Cycle | FailureKind::Conflict => {
                    expected.contains(&None)
                }
                FailureKind::DeadLetter | FailureKind::UnknownTask => self.may.with_dead_letters,
                _ => false,
            },
        };
        if !is_right {
            return Err(format!("it came to {ended:?}, expected one of {expected:?}"));
        }
        let end = JobState::of(ended.as_ref().map(|_| ()).map_err(|failure| &failure.kind));
        match job.end {
            Some(found) if found.state == end => Ok(()),
            None if self.may.with_peers => Ok(()),
            found => Err(format!("its call came to {ended:?}, and its record says {found:?}")),
        }
    }

    /// A call that failed for good was tried as often as its options require. Its record does not claim more attempts than were
    /// made.
    fn check_attempts(&self, graph: &Graph) -> Result<(), String> {
        let state = self.world.state();
        for (key, bytes) in &state.records {
            let Kind::Failure(job_id) = &key.kind else { continue };
            if !graph.has_call(&key.id) {
                continue;
            }
            let Node::Flaky(times, _) = graph.node(&key.id) else { continue };
            let failure = decode_failure(bytes).map_err(|e| e.to_string())?;
            if failure.kind != FailureKind::Error || *times <= graph.retries {
                continue;
            }
            let runs = state.runs.get(&(job_id.clone(), key.id.to_string())).copied().unwrap_or(0);
            if failure.attempts != graph.retries + 1 || runs < failure.attempts {
                return Err(format!(
                    "{} failed after {} attempts and {runs} runs: {failure:?}",
                    key.id, failure.attempts
                ));
            }
        }
        Ok(())
    }
}

/// The calls of a job that wait without end. A peer runs a parent of a call that failed in the job: the peer sees no failures,
/// and nothing can notify it. Calls that wait for such a parent wait without end too.
fn unnotified(records: &BTreeMap<Key, Bytes>, job_id: &JobId) -> BTreeSet<String> {
    let parents = |kind: Kind, of: &dyn Fn(&str) -> bool| -> Vec<String> {
        let those = records.iter().filter(|(key, _)| key.kind == kind && of(&key.id));
        let entries = those.flat_map(|(_, record)| PendingReturns::decode(record).unwrap_or_default().returns);
        entries.filter(|entry| entry.job_id == *job_id).map(|entry| entry.parent.to_string()).collect()
    };
    let no_value = |call: &str| !records.contains_key(&Key::new(call, Kind::Value));
    let mut found = BTreeSet::from_iter(parents(Kind::Unnotified, &no_value));
    let mut count = 0;
    while count < found.len() {
        count = found.len();
        let more = parents(Kind::PendingReturns, &|call| found.contains(call));
        found.extend(more);
    }
    found
}
