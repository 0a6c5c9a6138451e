//! What no write may do, whoever makes it, looked at whenever a record changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brrr_protocol::model::JobId;
use brrr_protocol::ports::{Key, Kind, Request};
use brrr_protocol::records::{JobRecord, RunRecord};
use brrr_protocol::wire::PendingReturns;
use bytes::Bytes;

use crate::graph::Graph;

/// Who makes an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A worker of ours, a client, a doctor.
    Ours,
    Peer,
    /// A client that forgets values, and who removes what nobody needs: by their place in `Watch::before`.
    Forgetter(usize),
    Collector(usize),
}

pub type Records = BTreeMap<Key, Bytes>;

#[derive(Default)]
pub struct Watch {
    graph: Option<Arc<Graph>>,
    /// The first thing that was wrong.
    pub wrong: Option<String>,
    /// Each job as it was last written.
    pub jobs: BTreeMap<JobId, JobRecord>,
    /// The jobs of which a client was told that they are accepted.
    pub accepted: BTreeSet<JobId>,
    /// The messages that were sent so far.
    pub sent: BTreeSet<String>,
    /// What the jobs that lived needed when somebody began to remove records, by who that is.
    before: Vec<BTreeMap<JobId, BTreeSet<String>>>,
    /// What the runs of a call were told of what they asked for: by job, call and poll.
    told: BTreeMap<(JobId, String, String), String>,
    /// Every run leaves behind what it chose, so that races are decided once.
    pub faultless: bool,
    /// Calls may be dead letters, and so fail that need not: who catches that comes to another value.
    pub lenient: bool,
    /// Jobs and values that were removed.
    pub removed: usize,
}

impl Watch {
    pub fn new(graph: &Arc<Graph>) -> Self {
        Self { graph: Some(graph.clone()), ..Self::default() }
    }

    /// Notes what is needed now; the place of that.
    pub fn note(&mut self, records: &Records) -> usize {
        let alive = self.jobs.iter().filter(|(job_id, job)| is_alive(records, job_id, job));
        let needs = alive.map(|(job_id, job)| (job_id.clone(), needed(records, job_id, job))).collect();
        self.before.push(needs);
        self.before.len() - 1
    }

    /// A replay does not change its mind, nor does another attempt. (For races see `decisions_stay`: what a run chose that
    /// left nothing behind, another one may choose otherwise.)
    pub fn told(&mut self, request: &Request, poll: String, told: String) {
        // Of what is forgotten somebody may come to another end.
        if !self.before.is_empty() {
            return;
        }
        let place = (request.job_id.clone(), request.task.clone(), poll);
        match self.told.get(&place) {
            Some(before) if *before != told => {
                self.wrong.get_or_insert(format!("{place:?} was told {before:?}, and then {told:?}"));
            }
            _ => drop(self.told.insert(place, told)),
        }
    }

    pub fn look(&mut self, who: Who, key: &Key, old: Option<&Bytes>, new: Option<&Bytes>, records: &Records) {
        let wrong = match &key.kind {
            Kind::Value => self.value(who, key, old, new, records),
            Kind::Failure(job_id) => self.failure(who, key, job_id, old, new, records),
            Kind::PendingReturns => self.pending(who, key, old, new, records),
            Kind::Job => self.job(who, key, old, new),
            Kind::Run(job_id) => self.run(who, job_id, old, new),
            Kind::Call if old.is_some() && new.is_some() && old != new => {
                Err("a call is described otherwise".to_owned())
            }
            _ => Ok(()),
        };
        if let Err(what) = wrong {
            self.wrong.get_or_insert(format!("{who:?} wrote {} of {}: {what}", key.kind.name(), key.id));
        }
    }

    /// The first value stays, and every value is right.
    fn value(
        &self,
        who: Who,
        key: &Key,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
        records: &Records,
    ) -> Result<(), String> {
        let Some(new) = new else { return self.removal(who, key, records) };
        let text = Some(String::from_utf8_lossy(new).into_owned());
        let graph = self.graph.as_ref().ok_or("no graph")?;
        let is_caught = self.lenient && text.as_ref().is_some_and(|text| text.contains("failed"));
        if !is_caught && !graph.expected(&key.id).contains(&text) {
            return Err(format!("{text:?} is none of {:?}", graph.expected(&key.id)));
        }
        match old {
            // By the same bytes neither: another run might have come to others.
            Some(old) if who != Who::Peer => Err(format!("{old:?} is replaced by {new:?}")),
            _ => Ok(()),
        }
    }

    /// Only those remove values whose work that is, and not of what a job needs that lived when they began and still does.
    fn removal(&self, who: Who, key: &Key, records: &Records) -> Result<(), String> {
        let (before, is_forgotten) = match who {
            Who::Forgetter(n) => (&self.before[n], true),
            Who::Collector(n) => (&self.before[n], false),
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

    /// A failure is put where there is no value, and stays as it is.
    fn failure(
        &self,
        who: Who,
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
            (_, None) => self.gone_with_its_job(who, job_id),
            _ => Ok(()),
        }
    }

    /// What a race came to stays so in that attempt, and attempts are counted up.
    fn run(&self, who: Who, job_id: &JobId, old: Option<&Bytes>, new: Option<&Bytes>) -> Result<(), String> {
        let Some(new) = new else { return self.gone_with_its_job(who, job_id) };
        let Some(old) = old else { return Ok(()) };
        let decode = |bytes: &Bytes| RunRecord::decode(bytes).map_err(|e| e.to_string());
        let (old, new) = (decode(old)?, decode(new)?);
        let stays = old.decisions.iter().all(|decision| new.decisions.contains(decision));
        if new.attempt < old.attempt || (new.attempt == old.attempt && !stays) {
            return Err(format!("{old:?} becomes {new:?}"));
        }
        Ok(())
    }

    fn gone_with_its_job(&self, who: Who, job_id: &JobId) -> Result<(), String> {
        let is_over = self.jobs.get(job_id).is_some_and(JobRecord::is_over);
        match who {
            Who::Collector(_) if is_over => Ok(()),
            _ => Err("it is removed".to_owned()),
        }
    }

    /// A job changes once, when it ends.
    fn job(&mut self, who: Who, key: &Key, old: Option<&Bytes>, new: Option<&Bytes>) -> Result<(), String> {
        let job_id = JobId::from(&*key.id);
        let Some(new) = new else { return self.gone_with_its_job(who, &job_id) };
        let new = JobRecord::decode(new).map_err(|e| e.to_string())?;
        let old = old.map(|old| JobRecord::decode(old)).transpose().map_err(|e| e.to_string())?;
        self.jobs.insert(job_id, new.clone());
        match old {
            Some(old) if old.is_over() && old != new => Err(format!("it was over: {old:?}, and now {new:?}")),
            Some(old) if (JobRecord { end: None, ..new.clone() }) != old => Err(format!("{old:?} became {new:?}")),
            _ => Ok(()),
        }
    }

    /// Who waits in a live job is forgotten only once the call has its outcome there, or once the call's message was sent for that
    /// job, which had joined the call; and we make no record that nobody will look at.
    fn pending(
        &self,
        who: Who,
        key: &Key,
        old: Option<&Bytes>,
        new: Option<&Bytes>,
        records: &Records,
    ) -> Result<(), String> {
        let has_value = records.contains_key(&Key::new(&key.id, Kind::Value));
        let Some(old) = old else {
            return if has_value && who != Who::Peer { Err("it is made beside a value".to_owned()) } else { Ok(()) };
        };
        // A value that was forgotten meanwhile is no longer to be seen.
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

/// Has the job no end, and its call no outcome in it?
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
