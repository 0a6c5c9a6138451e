//! Decides from a call's records whether something waits for the call, and whether the call will be run.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use super::cycles::Waits;
use super::homes::Homes;
use super::queued::Queued;
use super::{Doctor, Finding, Look, Lost, Why};
use crate::error::Result;
use crate::joining::has_joined;
use crate::model::{CallHash, JobId, Millis, Topic};
use crate::ports::Key;
use crate::records::{JobRecord, JobState, RunRecord, decode_failure};
use crate::wire::{CallRecord, PendingReturns, Return};

/// A call that a parent or a job waits for.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub call: CallHash,
    /// The live jobs that have this call as their own call, with their topic and the time at which they began.
    pub tops: Vec<(JobId, Topic, Millis)>,
}

impl Case {
    pub fn new(call: CallHash) -> Self {
        Self { call, tops: Vec::new() }
    }
}

/// The content of a case's records.
struct CallFacts {
    case: Case,
    pending: PendingReturns,
    has_value: bool,
    /// When the call's message was sent, in milliseconds since the Unix epoch. 0: not known.
    since: Millis,
    live: Vec<JobId>,
    /// True if the call waits, in a live job that is not in `live`, for a call that failed there. See `Unnotified`.
    is_held: bool,
    /// How the call failed, and its `run` record, in each of the jobs of `live`, in the same order.
    failures: Vec<Option<JobState>>,
    runs: Vec<Option<RunRecord>>,
}

/// Reads records and decides about calls. Remembers which jobs are alive.
pub(super) struct Judge<'a> {
    doctor: &'a Doctor,
    look: &'a Look,
    homes: Homes,
    alive: HashMap<JobId, bool>,
    /// The jobs of other SDKs.
    pub peers: HashSet<JobId>,
    /// The calls that wait for a failed call and that will not be notified, see `Unnotified`.
    pub held: HashSet<(JobId, CallHash)>,
    pub damaged: Vec<Finding>,
    /// The waiting parents of the calls that were looked at and have no message.
    pub waits: Waits,
}

impl<'a> Judge<'a> {
    pub fn new(doctor: &'a Doctor, look: &'a Look, homes: Homes) -> Self {
        let (alive, peers, held) = (HashMap::new(), HashSet::new(), HashSet::new());
        Self { doctor, look, homes, alive, peers, held, damaged: Vec::new(), waits: Waits::default() }
    }

    /// Those of `cases` that look wrong and have no message.
    pub async fn suspects(
        &mut self,
        cases: Vec<Case>,
        queued: &Queued,
        topics: &mut BTreeSet<Topic>,
    ) -> Result<Vec<Case>> {
        let mut suspects = Vec::new();
        for facts in self.facts(cases).await? {
            topics.extend(facts.pending.returns.iter().map(|entry| entry.topic.clone()));
            if queued.holds(&facts.case.call) {
                continue;
            }
            if !facts.has_value && !self.is_young(&facts) {
                let ended = facts.live.iter().zip(&facts.failures).filter(|(_, failure)| failure.is_some());
                let ended: HashSet<&JobId> = ended.map(|(job_id, _)| job_id).collect();
                // A job that has joined its call is no parent. (For a peer's job such an entry means that the call waits for
                // itself.)
                let joined =
                    |entry: &Return| has_joined(entry, &facts.case.call) && !self.peers.contains(&entry.job_id);
                let waits =
                    |entry: &&Return| self.is_alive(&entry.job_id) && !ended.contains(&entry.job_id) && !joined(entry);
                let parents = facts.pending.returns.iter().filter(waits).map(|entry| entry.parent.clone());
                self.waits.add(&facts.case.call, parents.collect::<Vec<_>>().iter());
            }
            if self.finding(&facts, false).await?.is_some() {
                suspects.push(facts.case);
            }
        }
        Ok(suspects)
    }

    /// What is wrong with `cases`. The caller knows of no message for them.
    pub async fn findings(&mut self, cases: Vec<Case>, may_be_queued: bool) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        // Damaged records were already reported by the first look.
        let damaged = self.damaged.len();
        for facts in self.facts(cases).await? {
            findings.extend(self.finding(&facts, may_be_queued).await?);
        }
        self.damaged.truncate(damaged);
        Ok(findings)
    }

    pub async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        self.doctor.backend.store().get_many(keys).await
    }

    /// Decodes a record. If it is damaged, adds that to `damaged`.
    pub fn decode<T>(&mut self, key: &Key, bytes: Option<&Bytes>, decode: impl Fn(&[u8]) -> Result<T>) -> Option<T> {
        match decode(bytes?) {
            Ok(record) => Some(record),
            Err(error) => {
                self.damaged.push(Finding::Damaged { key: key.clone(), reason: error.reason });
                None
            }
        }
    }

    async fn facts(&mut self, cases: Vec<Case>) -> Result<Vec<CallFacts>> {
        let keys: Vec<Key> = cases.iter().map(|case| Key::pending_returns(&case.call)).collect();
        let values: Vec<Key> = cases.iter().map(|case| Key::value(&case.call)).collect();
        let (found, values) = (self.get_many(&keys).await?, self.doctor.backend.store().has_many(&values).await?);
        let mut all = Vec::with_capacity(cases.len());
        for (((case, record), key), has_value) in cases.into_iter().zip(found).zip(&keys).zip(values) {
            let pending = self.decode(key, record.as_ref(), PendingReturns::decode);
            let is_damaged = pending.is_none() && record.is_some();
            if is_damaged || (pending.is_none() && case.tops.is_empty()) {
                continue;
            }
            let pending = pending.unwrap_or_default();
            let created = case.tops.iter().map(|(.., created)| *created).max();
            let since = pending.scheduled_at.map(|at| at * 1000).into_iter().chain(created).max().unwrap_or(0);
            let (live, failures, runs) = (Vec::new(), Vec::new(), Vec::new());
            all.push(CallFacts { case, pending, has_value, since, live, is_held: false, failures, runs });
        }
        let job_ids = |f: &CallFacts| {
            let entries = f.pending.returns.iter().map(|entry| entry.job_id.clone());
            entries.chain(f.case.tops.iter().map(|(job_id, ..)| job_id.clone())).collect::<Vec<_>>()
        };
        self.read_jobs(all.iter().flat_map(job_ids).collect()).await?;
        for facts in &mut all {
            let job_ids = facts.pending.returns.iter().map(|entry| &entry.job_id);
            let job_ids: BTreeSet<&JobId> = job_ids.chain(facts.case.tops.iter().map(|(job_id, ..)| job_id)).collect();
            let alive = job_ids.into_iter().filter(|job_id| self.is_alive(job_id)).cloned();
            let (held, live) = alive.partition(|job_id| self.held.contains(&(job_id.clone(), facts.case.call.clone())));
            (facts.is_held, facts.live) = (!Vec::is_empty(&held), live);
        }
        let keys: Vec<Key> = all
            .iter()
            .flat_map(|f| {
                f.live.iter().flat_map(|job_id| [Key::failure(&f.case.call, job_id), Key::run(&f.case.call, job_id)])
            })
            .collect();
        let mut found = self.get_many(&keys).await?.into_iter().zip(keys);
        for facts in &mut all {
            for _ in 0..facts.live.len() {
                let (Some((failure, of_failure)), Some((run, of_run))) = (found.next(), found.next()) else { break };
                let end = |bytes: &[u8]| decode_failure(bytes).map(|failure| JobState::of(Err(&failure.kind)));
                facts.failures.push(self.decode(&of_failure, failure.as_ref(), end));
                facts.runs.push(self.decode(&of_run, run.as_ref(), RunRecord::decode));
            }
        }
        Ok(all)
    }

    /// Finds out which of these jobs are alive.
    pub async fn read_jobs(&mut self, job_ids: BTreeSet<JobId>) -> Result<()> {
        let unknown: Vec<JobId> = job_ids.into_iter().filter(|job_id| !self.alive.contains_key(job_id)).collect();
        let jobs = self.get_many(&unknown.iter().map(Key::job).collect::<Vec<_>>()).await?;
        for (job_id, bytes) in unknown.into_iter().zip(jobs) {
            // A job without a record is a peer's job, and is alive. A record that does not decode is reported where jobs are
            // listed.
            if bytes.is_none() {
                self.peers.insert(job_id.clone());
            }
            let alive = bytes.is_none_or(|bytes| JobRecord::decode(&bytes).is_ok_and(|job| !job.is_over()));
            self.alive.insert(job_id, alive);
        }
        Ok(())
    }

    pub fn is_alive(&self, job_id: &JobId) -> bool {
        self.alive.get(job_id).copied().unwrap_or(false)
    }

    fn is_young(&self, facts: &CallFacts) -> bool {
        self.look.now.saturating_sub(facts.since) < self.look.older_than.as_millis() as u64
    }

    /// What is wrong with a call that has no message.
    async fn finding(&mut self, facts: &CallFacts, may_be_queued: bool) -> Result<Option<Finding>> {
        let call = &facts.case.call;
        if self.is_young(facts) {
            return Ok(None);
        }
        let topics: BTreeSet<Topic> = facts.pending.returns.iter().map(|entry| entry.topic.clone()).collect();
        // The jobs that waited for a promise may end without it. No message reaches it then, and `gc` abandons it.
        if facts.live.is_empty() && self.is_promise(call).await? {
            return Ok(None);
        }
        let any_topic = facts.case.tops.first().map(|(_, topic, _)| topic).or(topics.first()).cloned();
        let entry_of = |job_id: &JobId| facts.pending.returns.iter().any(|entry| entry.job_id == *job_id);
        let (Some(topic), first) = (any_topic, facts.pending.returns.first()) else { return Ok(None) };
        if facts.has_value {
            if let Some(entry) = first {
                let job_id = entry.job_id.clone();
                return Ok(Some(Finding::Unnotified { call: call.clone(), job_id, topic, end: JobState::Completed }));
            }
            return Ok(facts.case.tops.first().map(|(job_id, ..)| Finding::Unended { job_id: job_id.clone() }));
        }
        for (job_id, end) in facts.live.iter().zip(&facts.failures) {
            match end {
                Some(end) if entry_of(job_id) => {
                    let topic = self.home(call, &topics).await?.1.unwrap_or(topic);
                    return Ok(Some(Finding::Unnotified {
                        call: call.clone(),
                        job_id: job_id.clone(),
                        topic,
                        end: *end,
                    }));
                }
                Some(_) if facts.case.tops.iter().any(|(top, ..)| top == job_id) => {
                    return Ok(Some(Finding::Unended { job_id: job_id.clone() }));
                }
                _ => {}
            }
        }
        let Some(job_id) = facts.live.first() else {
            if facts.is_held {
                return Ok(None);
            }
            let job_id = first.map(|entry| entry.job_id.clone());
            let topic = self.home(call, &topics).await?.1.unwrap_or(topic);
            return Ok(job_id.map(|job_id| Finding::Abandoned { call: call.clone(), job_id, topic }));
        };
        for (job_id, run) in facts.live.iter().zip(&facts.runs) {
            let Some(run) = run.as_ref().filter(|run| run.is_waiting()) else { continue };
            let is_late = [run.until, run.look].iter().any(|at| *at > 0 && *at <= self.look.now);
            let only_sleeps = run.total == 0;
            if !is_late && (only_sleeps || self.will_be_notified(call, job_id, run).await?) {
                return Ok(None);
            }
            return self.lost(facts, job_id, &topics, Why::NotNotified, !may_be_queued).await.map(Some);
        }
        // A promise has no message: somebody outside gives its outcome.
        if self.is_promise(call).await? {
            return Ok(None);
        }
        self.lost(facts, job_id, &topics, Why::NotQueued, !may_be_queued).await.map(Some)
    }

    async fn lost(
        &mut self,
        facts: &CallFacts,
        job_id: &JobId,
        topics: &BTreeSet<Topic>,
        why: Why,
        certain: bool,
    ) -> Result<Finding> {
        let call = &facts.case.call;
        let own = facts.case.tops.iter().find(|(top, ..)| top == job_id).or(facts.case.tops.first());
        let (task, home) = self.home(call, topics).await?;
        let topic = own.map(|(_, topic, _)| topic.clone()).or(home);
        Ok(Finding::Lost(Lost { call: call.clone(), job_id: job_id.clone(), task, topic, why, certain }))
    }

    async fn is_promise(&self, call: &CallHash) -> Result<bool> {
        let bytes = self.doctor.backend.store().get(&Key::call(call)).await?;
        Ok(bytes.is_some_and(|bytes| CallRecord::decode(&bytes).is_ok_and(|record| record.is_promise())))
    }

    /// A call's task, and the topic on which the call is run.
    async fn home(&self, call: &CallHash, topics: &BTreeSet<Topic>) -> Result<(Option<String>, Option<Topic>)> {
        let bytes = self.doctor.backend.store().get(&Key::call(call)).await?;
        let Some(record) = bytes.and_then(|bytes| CallRecord::decode(&bytes).ok()) else { return Ok((None, None)) };
        let home = self.homes.of(&record.task, topics);
        Ok((Some(record.task), home))
    }

    /// True if enough of the calls that this call waits for list it as a parent and have not ended yet. Then one of them will
    /// notify it.
    async fn will_be_notified(&mut self, call: &CallHash, job_id: &JobId, run: &RunRecord) -> Result<bool> {
        let waits_here = |entry: &Return| entry.job_id == *job_id && entry.parent == *call;
        let mut knows = 0_usize;
        for page in run.sample.chunks(super::survey::PAGE) {
            let keys: Vec<Key> = page.iter().map(Key::pending_returns).collect();
            for (key, bytes) in keys.iter().zip(self.get_many(&keys).await?) {
                let pending = self.decode(key, bytes.as_ref(), PendingReturns::decode);
                knows += usize::from(pending.is_some_and(|pending| pending.returns.iter().any(waits_here)));
            }
        }
        // As in `Loaded::ready`, a call that the record does not name counts as ended.
        let there = u64::from(run.total).saturating_sub(knows as u64);
        Ok(there < u64::from(run.need))
    }
}
