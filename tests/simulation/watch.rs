//! The rules that no write may break, by any participant. They are checked whenever a record changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brrr_protocol::model::JobId;
use brrr_protocol::ports::{Key, Kind, Request};
use brrr_protocol::records::{JobRecord, LogLine, LogRecord, RunRecord};
use brrr_protocol::wire::PendingReturns;
use bytes::Bytes;

use crate::graph::Graph;
use crate::handler::{ENDS, FAILS};

/// The participant that makes an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Participant {
    /// A worker of ours, a client, or a doctor.
    Ours,
    Peer,
    /// A client that forgets values, or a garbage collection, by its index in `Watch::before`.
    Forgetter(usize),
    Collector(usize),
}

pub type Records = BTreeMap<Key, Bytes>;

#[derive(Default)]
pub struct Watch {
    graph: Option<Arc<Graph>>,
    /// The first error that was found.
    pub wrong: Option<String>,
    /// Each job as it was last written.
    pub jobs: BTreeMap<JobId, JobRecord>,
    /// The jobs whose client was informed that they are accepted.
    pub accepted: BTreeSet<JobId>,
    /// The messages that were sent so far.
    pub sent: BTreeSet<String>,
    /// The records that the live jobs needed when a participant began to remove records, by participant.
    before: Vec<BTreeMap<JobId, BTreeSet<String>>>,
    /// The outcomes that the runs of a call received for the calls they asked for: by job, call and poll.
    given: BTreeMap<(JobId, String, String), String>,
    /// Every run records its choice, so that races are decided once.
    pub faultless: bool,
    /// Messages may become dead letters, so calls may fail without need. A parent that catches such a failure computes another
    /// value.
    pub lenient: bool,
    /// What runs log is kept.
    pub logs: bool,
    /// Jobs and values that were removed.
    pub removed: usize,
}

impl Watch {
    pub fn new(graph: &Arc<Graph>) -> Self {
        Self { graph: Some(graph.clone()), ..Self::default() }
    }

    /// Notes the records that are needed now. Returns the index of that note.
    pub fn note(&mut self, records: &Records) -> usize {
        let alive = self.jobs.iter().filter(|(job_id, job)| is_alive(records, job_id, job));
        let needs = alive.map(|(job_id, job)| (job_id.clone(), needed(records, job_id, job))).collect();
        self.before.push(needs);
        self.before.len() - 1
    }

    /// A replay receives the same outcomes as before, and so does another attempt. (For races see `decisions_stay`: if a run
    /// recorded nothing of its choice, another run may choose otherwise.)
    pub fn given(&mut self, request: &Request, poll: String, outcomes: String) {
        // After a value was forgotten, another run may compute another outcome.
        if !self.before.is_empty() {
            return;
        }
        let key = (request.job_id.clone(), request.task.clone(), poll);
        match self.given.get(&key) {
            Some(before) if *before != outcomes => {
                self.wrong.get_or_insert(format!("{key:?} was given {before:?}, and then {outcomes:?}"));
            }
            _ => drop(self.given.insert(key, outcomes)),
        }
    }

    pub fn look(
        &mut self,
        participant: Participant,
        key: &Key,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
        records: &Records,
    ) {
        let wrong = match &key.kind {
            Kind::Value => self.value(participant, key, old, new, records),
            Kind::Failure(job_id) => self.failure(participant, key, job_id, old, new, records),
            Kind::PendingReturns => self.pending(participant, key, old, new, records),
            Kind::Job => self.job(participant, key, old, new),
            Kind::Run(job_id) => self.run(participant, job_id, old, new).and_then(|()| self.logged(key, new, records)),
            Kind::Log(job_id) => self.log(participant, job_id, old, new),
            Kind::Call if old.is_some() && new.is_some() && old != new => {
                Err("a call is described otherwise".to_owned())
            }
            _ => Ok(()),
        };
        if let Err(what) = wrong {
            self.wrong.get_or_insert(format!("{participant:?} wrote {} of {}: {what}", key.kind.name(), key.id));
        }
    }

    /// The first value stays, and every value is correct.
    fn value(
        &self,
        participant: Participant,
        key: &Key,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
        records: &Records,
    ) -> Result<(), String> {
        let Some(new) = new else { return self.removal(participant, key, records) };
        let text = Some(String::from_utf8_lossy(new).into_owned());
        let graph = self.graph.as_ref().ok_or("no graph")?;
        let is_caught = self.lenient && text.as_ref().is_some_and(|text| text.contains("failed"));
        if !is_caught && !graph.expected(&key.id).contains(&text) {
            return Err(format!("{text:?} is none of {:?}", graph.expected(&key.id)));
        }
        match old {
            // A write of the same bytes is not allowed either: another run might have computed other bytes.
            Some(old) if participant != Participant::Peer => Err(format!("{old:?} is replaced by {new:?}")),
            _ if self.logs && participant == Participant::Ours => {
                let logs = records.iter().filter(|(other, _)| other.id == key.id && matches!(other.kind, Kind::Log(_)));
                let has_all =
                    logs.into_iter().any(|(_, log)| lines_of(log).last().is_some_and(|line| line.text == ENDS));
                if has_all { Ok(()) } else { Err("what its run has logged is not kept".to_owned()) }
            }
            _ => Ok(()),
        }
    }

    /// What the runs before this one have logged is kept when a `run` record says how far the call has come.
    fn logged(&self, key: &Key, new: Option<&Bytes>, records: &Records) -> Result<(), String> {
        let (true, Some(new), Kind::Run(job_id)) = (self.logs, new, &key.kind) else { return Ok(()) };
        let run = RunRecord::decode(new).map_err(|e| e.to_string())?;
        if run.was_never_run() {
            return Ok(());
        }
        let log = records.get(&Key::new(&key.id, Kind::Log(job_id.clone())));
        let lines = log.map(lines_of).unwrap_or_default();
        let attempt = run.attempt.max(1);
        let upto = lines.iter().filter(|line| line.attempt == attempt).map(|line| line.end).max().unwrap_or(0);
        let has_failed = |attempt| lines.iter().any(|line| line.attempt == attempt && line.text == FAILS);
        if upto < run.printed || (1..attempt).any(|attempt| !has_failed(attempt)) {
            return Err(format!("what was logged before is not kept: {lines:?}"));
        }
        Ok(())
    }

    /// No line is lost, and none is there twice.
    fn log(
        &self,
        participant: Participant,
        job_id: &JobId,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
    ) -> Result<(), String> {
        let Some(new) = new else { return self.gone_with_its_job(participant, job_id) };
        let (old, new) = (old.map(lines_of).unwrap_or_default(), lines_of(new));
        if !new.starts_with(&old) {
            return Err(format!("{old:?} becomes {new:?}"));
        }
        let mut before = (0, 0);
        for line in &new {
            let (attempt, end) = (line.attempt, line.end);
            let start = end - line.text.len() as u64 - 1;
            if attempt < before.0 || start != if attempt == before.0 { before.1 } else { 0 } {
                return Err(format!("{line:?} does not follow the line before: {new:?}"));
            }
            before = (attempt, end);
        }
        Ok(())
    }

    /// Only forget and garbage collection remove values. They must not remove a value that a job needs, if the job was live when
    /// they began and is still live.
    fn removal(&self, participant: Participant, key: &Key, records: &Records) -> Result<(), String> {
        let (before, is_forgotten) = match participant {
            Participant::Forgetter(n) => (&self.before[n], true),
            Participant::Collector(n) => (&self.before[n], false),
            _ => return Err("it is removed".to_owned()),
        };
        let is_needed = |(job_id, needs): &(&JobId, &BTreeSet<String>)| {
            let lives = self.jobs.get(*job_id).is_some_and(|job| is_alive(records, job_id, job));
            lives && (is_forgotten || needs.contains(&*key.id))
        };
        match before.iter().find(is_needed) {
            Some((job_id, _)) => Err(format!("it is removed, and job {job_id} lives")),
            None => Ok(()),
        }
    }

    /// A failure is written only where there is no value, and it does not change.
    fn failure(
        &self,
        participant: Participant,
        key: &Key,
        job_id: &JobId,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
        records: &Records,
    ) -> Result<(), String> {
        match (old, new) {
            (Some(_), Some(_)) => Err("it is replaced".to_owned()),
            (None, Some(_)) if records.contains_key(&Key::new(&key.id, Kind::Value)) => {
                Err("it is put beside a value".to_owned())
            }
            (_, None) => self.gone_with_its_job(participant, job_id),
            _ => Ok(()),
        }
    }

    /// The decision of a race does not change in that attempt, and the count of attempts only grows.
    fn run(
        &self,
        participant: Participant,
        job_id: &JobId,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
    ) -> Result<(), String> {
        let Some(new) = new else { return self.gone_with_its_job(participant, job_id) };
        let Some(old) = old else { return Ok(()) };
        let decode = |bytes: &Bytes| RunRecord::decode(bytes).map_err(|e| e.to_string());
        let (old, new) = (decode(old)?, decode(new)?);
        let stays = old.decisions.iter().all(|decision| new.decisions.contains(decision));
        if new.attempt < old.attempt || (new.attempt == old.attempt && !stays) {
            return Err(format!("{old:?} becomes {new:?}"));
        }
        Ok(())
    }

    fn gone_with_its_job(&self, participant: Participant, job_id: &JobId) -> Result<(), String> {
        let is_over = self.jobs.get(job_id).is_some_and(JobRecord::is_over);
        match participant {
            Participant::Collector(_) if is_over => Ok(()),
            _ => Err("it is removed".to_owned()),
        }
    }

    /// A job record changes once, when the job ends.
    fn job(
        &mut self,
        participant: Participant,
        key: &Key,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
    ) -> Result<(), String> {
        let job_id = JobId::from(&*key.id);
        let Some(new) = new else { return self.gone_with_its_job(participant, &job_id) };
        let new = JobRecord::decode(new).map_err(|e| e.to_string())?;
        let old = old.map(|old| JobRecord::decode(old)).transpose().map_err(|e| e.to_string())?;
        self.jobs.insert(job_id, new.clone());
        match old {
            Some(old) if old.is_over() && old != new => Err(format!("it was over: {old:?}, and now {new:?}")),
            Some(old) if (JobRecord { end: None, ..new.clone() }) != old => Err(format!("{old:?} became {new:?}")),
            _ => Ok(()),
        }
    }

    /// The entry of a parent in a live job is removed only in two cases. Either the call has its outcome in that job, or the job
    /// had joined the call and the call's message was sent for that job. Our workers also create no record that no worker will
    /// read.
    fn pending(
        &self,
        participant: Participant,
        key: &Key,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
        records: &Records,
    ) -> Result<(), String> {
        let has_value = records.contains_key(&Key::new(&key.id, Kind::Value));
        let Some(old) = old else {
            return if has_value && participant != Participant::Peer {
                Err("it is made beside a value".to_owned())
            } else {
                Ok(())
            };
        };
        // A value that was forgotten meanwhile is no longer visible.
        if has_value || !self.before.is_empty() {
            return Ok(());
        }
        let decode = |bytes: &Bytes| PendingReturns::decode(bytes).map_err(|e| e.to_string());
        let new = new.map(decode).transpose()?.unwrap_or_default();
        for entry in decode(old)?.returns.difference(&new.returns) {
            let lives = self.jobs.get(&entry.job_id).is_none_or(|job| !job.is_over());
            let is_passed_on = *entry.parent.as_str() == *key.id && self.sent.contains(&entry.message().encode());
            if lives && !is_passed_on && !records.contains_key(&Key::new(&key.id, Kind::Failure(entry.job_id.clone())))
            {
                return Err(format!("{entry:?} waits still"));
            }
        }
        Ok(())
    }
}

fn lines_of(log: &Bytes) -> Vec<LogLine> {
    let lines = LogRecord::decode(log).and_then(|record| record.lines()).expect("no log is damaged here");
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Is the job still live, and has the call no outcome in it?
fn is_alive(records: &Records, job_id: &JobId, job: &JobRecord) -> bool {
    let has = |key| records.contains_key(&key);
    !job.is_over() && !has(Key::value(&job.call)) && !has(Key::failure(&job.call, job_id))
}

/// The calls of a job, as its records name them.
fn needed(records: &Records, job_id: &JobId, job: &JobRecord) -> BTreeSet<String> {
    let mut found = BTreeSet::from([job.call.to_string()]);
    let mut unread = vec![job.call.clone()];
    while let Some(call) = unread.pop() {
        let Some(bytes) = records.get(&Key::run(&call, job_id)) else { continue };
        let Ok(run) = RunRecord::decode(bytes) else { continue };
        unread.extend(run.sample.into_iter().chain(run.earlier).filter(|call| found.insert(call.to_string())));
    }
    found
}
