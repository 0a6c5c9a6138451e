//! What a call's records come to: is it waited for, and will it be run?

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use super::cycles::Waits;
use super::homes::Homes;
use super::queued::Queued;
use super::{Doctor, Finding, Look, Lost, Why};
use crate::error::Result;
use crate::joining::has_joined;
use crate::model::{CallHash, Millis, Root, Topic};
use crate::ports::Key;
use crate::records::{JobRecord, JobState, RunRecord, decode_failure};
use crate::wire::{CallRecord, PendingReturns, Return};

/// A call that somebody waits for.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub call: CallHash,
    /// The live jobs whose own call it is, with their topic and when they began.
    pub tops: Vec<(Root, Topic, Millis)>,
}

impl Case {
    pub fn new(call: CallHash) -> Self {
        Self { call, tops: Vec::new() }
    }
}

/// What the records of a case say.
struct Facts {
    case: Case,
    pending: PendingReturns,
    has_value: bool,
    /// When its message was sent, as far as that is known; 0: it is not.
    since: Millis,
    live: Vec<Root>,
    /// In a live job beside these it waits for a call that failed there, see `Unnotified`.
    is_held: bool,
    /// How it failed in a live job, and what it waits for in one: in the order of `live`.
    failures: Vec<Option<JobState>>,
    runs: Vec<Option<RunRecord>>,
}

/// Looks at records. Remembers which jobs are alive.
pub(super) struct Judge<'a> {
    doctor: &'a Doctor,
    look: &'a Look,
    homes: Homes,
    alive: HashMap<Root, bool>,
    /// The jobs of other SDKs.
    pub peers: HashSet<Root>,
    /// The calls that wait for one that failed, and that nobody will notify, see `Unnotified`.
    pub held: HashSet<(Root, CallHash)>,
    pub damaged: Vec<Finding>,
    /// Who waits for the calls that were looked at and have no message.
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
                let ended: HashSet<&Root> = ended.map(|(root, _)| root).collect();
                // A job that has joined its call is no parent. (Of a peer's job it is a call that waits for itself.)
                let joined = |entry: &Return| has_joined(entry, &facts.case.call) && !self.peers.contains(&entry.root);
                let waits =
                    |entry: &&Return| self.is_alive(&entry.root) && !ended.contains(&entry.root) && !joined(entry);
                let parents = facts.pending.returns.iter().filter(waits).map(|entry| entry.parent.clone());
                self.waits.add(&facts.case.call, parents.collect::<Vec<_>>().iter());
            }
            if self.finding(&facts, false).await?.is_some() {
                suspects.push(facts.case);
            }
        }
        Ok(suspects)
    }

    /// What is wrong with `cases`, which have no message that is known of.
    pub async fn findings(&mut self, cases: Vec<Case>, may_be_queued: bool) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        // Damage was found the first time.
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

    /// Reads a record, or notes that it is damaged.
    pub fn decode<T>(&mut self, key: &Key, bytes: Option<&Bytes>, decode: impl Fn(&[u8]) -> Result<T>) -> Option<T> {
        match decode(bytes?) {
            Ok(record) => Some(record),
            Err(error) => {
                self.damaged.push(Finding::Damaged { key: key.clone(), reason: error.reason });
                None
            }
        }
    }

    async fn facts(&mut self, cases: Vec<Case>) -> Result<Vec<Facts>> {
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
            all.push(Facts { case, pending, has_value, since, live, is_held: false, failures, runs });
        }
        let roots = |f: &Facts| {
            let entries = f.pending.returns.iter().map(|entry| entry.root.clone());
            entries.chain(f.case.tops.iter().map(|(root, ..)| root.clone())).collect::<Vec<_>>()
        };
        self.read_jobs(all.iter().flat_map(roots).collect()).await?;
        for facts in &mut all {
            let roots = facts.pending.returns.iter().map(|entry| &entry.root);
            let roots: BTreeSet<&Root> = roots.chain(facts.case.tops.iter().map(|(root, ..)| root)).collect();
            let alive = roots.into_iter().filter(|root| self.is_alive(root)).cloned();
            let (held, live) = alive.partition(|root| self.held.contains(&(root.clone(), facts.case.call.clone())));
            (facts.is_held, facts.live) = (!Vec::is_empty(&held), live);
        }
        let keys: Vec<Key> = all
            .iter()
            .flat_map(|f| {
                f.live.iter().flat_map(|root| [Key::failure(&f.case.call, root), Key::run(&f.case.call, root)])
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

    /// Looks which of these jobs are alive.
    pub async fn read_jobs(&mut self, roots: HashSet<Root>) -> Result<()> {
        let unknown: Vec<Root> = roots.into_iter().filter(|root| !self.alive.contains_key(root)).collect();
        let jobs = self.get_many(&unknown.iter().map(Key::job).collect::<Vec<_>>()).await?;
        for (root, bytes) in unknown.into_iter().zip(jobs) {
            // A root without a record is a peer's job, and alive. One that does not decode is told of where jobs are read.
            if bytes.is_none() {
                self.peers.insert(root.clone());
            }
            let alive = bytes.is_none_or(|bytes| JobRecord::decode(&bytes).is_ok_and(|job| !job.is_over()));
            self.alive.insert(root, alive);
        }
        Ok(())
    }

    pub fn is_alive(&self, root: &Root) -> bool {
        self.alive.get(root).copied().unwrap_or(false)
    }

    fn is_young(&self, facts: &Facts) -> bool {
        self.look.now.saturating_sub(facts.since) < self.look.older_than.as_millis() as u64
    }

    /// What is wrong with a call that has no message.
    async fn finding(&mut self, facts: &Facts, may_be_queued: bool) -> Result<Option<Finding>> {
        let call = &facts.case.call;
        if self.is_young(facts) {
            return Ok(None);
        }
        let topics: BTreeSet<Topic> = facts.pending.returns.iter().map(|entry| entry.topic.clone()).collect();
        let any_topic = facts.case.tops.first().map(|(_, topic, _)| topic).or(topics.first()).cloned();
        let entry_of = |root: &Root| facts.pending.returns.iter().any(|entry| entry.root == *root);
        let (Some(topic), first) = (any_topic, facts.pending.returns.first()) else { return Ok(None) };
        if facts.has_value {
            if let Some(entry) = first {
                let root = entry.root.clone();
                return Ok(Some(Finding::Unwoken { call: call.clone(), root, topic, end: JobState::Completed }));
            }
            return Ok(facts.case.tops.first().map(|(root, ..)| Finding::Unended { root: root.clone() }));
        }
        for (root, end) in facts.live.iter().zip(&facts.failures) {
            match end {
                Some(end) if entry_of(root) => {
                    let topic = self.home(call, &topics).await?.1.unwrap_or(topic);
                    return Ok(Some(Finding::Unwoken { call: call.clone(), root: root.clone(), topic, end: *end }));
                }
                Some(_) if facts.case.tops.iter().any(|(top, ..)| top == root) => {
                    return Ok(Some(Finding::Unended { root: root.clone() }));
                }
                _ => {}
            }
        }
        let Some(root) = facts.live.first() else {
            if facts.is_held {
                return Ok(None);
            }
            let root = first.map(|entry| entry.root.clone());
            let topic = self.home(call, &topics).await?.1.unwrap_or(topic);
            return Ok(root.map(|root| Finding::Abandoned { call: call.clone(), root, topic }));
        };
        for (root, run) in facts.live.iter().zip(&facts.runs) {
            let Some(run) = run.as_ref().filter(|run| run.total > 0) else { continue };
            if self.will_be_woken(call, root, run).await? {
                return Ok(None);
            }
            return self.lost(facts, root, &topics, Why::NotWoken, !may_be_queued).await.map(Some);
        }
        self.lost(facts, root, &topics, Why::NotQueued, !may_be_queued).await.map(Some)
    }

    async fn lost(
        &mut self,
        facts: &Facts,
        root: &Root,
        topics: &BTreeSet<Topic>,
        why: Why,
        certain: bool,
    ) -> Result<Finding> {
        let call = &facts.case.call;
        let own = facts.case.tops.iter().find(|(top, ..)| top == root).or(facts.case.tops.first());
        let (task, home) = self.home(call, topics).await?;
        let topic = own.map(|(_, topic, _)| topic.clone()).or(home);
        Ok(Finding::Lost(Lost { call: call.clone(), root: root.clone(), task, topic, why, certain }))
    }

    /// A call's task, and the topic on which it is run.
    async fn home(&self, call: &CallHash, topics: &BTreeSet<Topic>) -> Result<(Option<String>, Option<Topic>)> {
        let bytes = self.doctor.backend.store().get(&Key::call(call)).await?;
        let Some(record) = bytes.and_then(|bytes| CallRecord::decode(&bytes).ok()) else { return Ok((None, None)) };
        let home = self.homes.of(&record.task, topics);
        Ok((Some(record.task), home))
    }

    /// Do enough of the calls that this one waits for know of it, and have yet to end?
    async fn will_be_woken(&mut self, call: &CallHash, root: &Root, run: &RunRecord) -> Result<bool> {
        let waits_here = |entry: &Return| entry.root == *root && entry.parent == *call;
        let mut knows = 0_usize;
        for page in run.sample.chunks(super::survey::PAGE) {
            let keys: Vec<Key> = page.iter().map(Key::pending_returns).collect();
            for (key, bytes) in keys.iter().zip(self.get_many(&keys).await?) {
                let pending = self.decode(key, bytes.as_ref(), PendingReturns::decode);
                knows += usize::from(pending.is_some_and(|pending| pending.returns.iter().any(waits_here)));
            }
        }
        // As `Loaded::ready`: what the record does not name counts as there.
        let there = u64::from(run.total).saturating_sub(knows as u64);
        Ok(there < u64::from(run.need))
    }
}
