//! Looks through the parents that wait for calls.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use super::calls::PAGE;
use super::mark::Marks;
use super::{Collector, Plan, Reason};
use crate::doctor::bits;
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, JobId, Topic};
use crate::ports::{Key, Kind, Work};
use crate::records::JobRecord;
use crate::wire::{CallRecord, Message, PendingReturns, Return};

/// Which calls to look at.
#[derive(Clone)]
pub(super) enum WaitedFor {
    /// All calls that a parent waits for. This is one pass over the store.
    All,
    /// Those of these calls that a parent waits for.
    These(Vec<CallHash>),
}

/// What one look has found. Calls and jobs as in `Marks`.
#[derive(Default)]
struct Waiting {
    calls: HashSet<u64>,
    busy: HashSet<u64>,
    topics: BTreeSet<Topic>,
    /// A job of peers that waits.
    peers: Option<JobId>,
    has_abandoned: bool,
}

/// Whose job it is, and whether it waits for anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// It has no record.
    Peers,
    Live,
    Over,
}

/// The jobs whose records were read.
type Jobs = HashMap<JobId, Of>;

impl Collector {
    /// Marks which of `calls` a parent waits for, the parents, and their jobs. Before that it abandons the promises that only jobs
    /// wait for which are over (not in a dry run): a promise has no message, so no worker does it, and the jobs would stay.
    pub(super) async fn mark_waiting(&self, marks: &mut Marks, calls: WaitedFor, plan: &Plan) -> Result<()> {
        let mut waiting = self.look(calls.clone(), plan, !plan.dry_run).await?;
        if waiting.has_abandoned {
            // The parents that were abandoned with a promise may have been seen before.
            waiting = self.look(calls, plan, false).await?;
        }
        let Waiting { calls, busy, topics, peers, .. } = waiting;
        marks.calls.extend(calls);
        marks.busy.extend(busy);
        marks.topics.extend(topics);
        if let Some(job_id) = peers {
            marks.because(Reason::Peers(job_id));
        }
        Ok(())
    }

    async fn look(&self, calls: WaitedFor, plan: &Plan, abandons: bool) -> Result<Waiting> {
        let (mut waiting, mut jobs) = (Waiting::default(), Jobs::new());
        match calls {
            WaitedFor::All => {
                let mut waited_for = Listing::of(self.backend.store(), Kind::PendingReturns);
                while let Some(ids) = waited_for.next().await? {
                    let ids: Vec<CallHash> = ids.into_iter().map(CallHash::from).collect();
                    self.look_at(&ids, &mut waiting, &mut jobs, plan, abandons).await?;
                }
            }
            WaitedFor::These(ids) => self.look_at(&ids, &mut waiting, &mut jobs, plan, abandons).await?,
        }
        Ok(waiting)
    }

    async fn look_at(
        &self,
        calls: &[CallHash],
        waiting: &mut Waiting,
        jobs: &mut Jobs,
        plan: &Plan,
        abandons: bool,
    ) -> Result<()> {
        for page in calls.chunks(PAGE) {
            let entries = self.entries(page, jobs).await?;
            if abandons && self.abandon_promises(&entries, jobs, plan).await? {
                waiting.has_abandoned = true;
            }
            for (call, entries) in entries {
                waiting.calls.insert(bits(call.as_str()));
                for entry in entries {
                    waiting.busy.insert(bits(entry.job_id.as_str()));
                    waiting.calls.insert(bits(entry.parent.as_str()));
                    if waiting.peers.is_none() && jobs.get(&entry.job_id) == Some(&Of::Peers) {
                        waiting.peers = Some(entry.job_id);
                    }
                    waiting.topics.insert(entry.topic);
                }
            }
        }
        Ok(())
    }

    /// The parents that wait for each of these calls. Adds their jobs to `jobs`.
    async fn entries(&self, calls: &[CallHash], jobs: &mut Jobs) -> Result<Vec<(CallHash, Vec<Return>)>> {
        let store = self.backend.store();
        let found = store.get_many(&calls.iter().map(Key::pending_returns).collect::<Vec<_>>()).await?;
        let entries = calls.iter().zip(found).filter_map(|(call, bytes)| {
            // If this record does not decode, nothing else finds its parents either. The call stays.
            let pending = PendingReturns::decode(&bytes?).unwrap_or_default();
            Some((call.clone(), pending.returns.into_iter().collect()))
        });
        let entries: Vec<(CallHash, Vec<Return>)> = entries.collect();
        let named = entries.iter().flat_map(|(_, entries)| entries).map(|entry| &entry.job_id);
        let new: Vec<JobId> =
            named.filter(|job_id| !jobs.contains_key(*job_id)).cloned().collect::<BTreeSet<_>>().into_iter().collect();
        for page in new.chunks(PAGE) {
            let records = store.get_many(&page.iter().map(Key::job).collect::<Vec<_>>()).await?;
            jobs.extend(page.iter().cloned().zip(records).map(|(job_id, record)| {
                let is_over = |record: &[u8]| JobRecord::is_over_in(record).unwrap_or(false);
                let of = record.map_or(Of::Peers, |record| if is_over(&record) { Of::Over } else { Of::Live });
                (job_id, of)
            }));
        }
        Ok(entries)
    }

    /// Abandons those of these calls that are promises and that only jobs wait for which are over. Returns whether there were any.
    async fn abandon_promises(&self, entries: &[(CallHash, Vec<Return>)], jobs: &Jobs, plan: &Plan) -> Result<bool> {
        let is_over = |entry: &Return| jobs.get(&entry.job_id) == Some(&Of::Over);
        let left: Vec<(&CallHash, &Return)> = entries
            .iter()
            .filter(|(_, entries)| entries.iter().all(is_over))
            .filter_map(|(call, entries)| Some((call, entries.first()?)))
            .collect();
        if left.is_empty() {
            return Ok(false);
        }
        let keys: Vec<Key> = left.iter().map(|(call, _)| Key::call(call)).collect();
        let records = self.backend.store().get_many(&keys).await?;
        let is_promise = |record: &Bytes| CallRecord::decode(record).is_ok_and(|call| call.is_promise());
        let mut has_abandoned = false;
        for ((call, entry), _) in
            left.into_iter().zip(records).filter(|(_, record)| record.as_ref().is_some_and(is_promise))
        {
            let message = Message { job_id: entry.job_id.clone(), call: call.clone() };
            let topic = entry.topic.clone();
            let work = Work { message, topic, receipt: None, ends_job: false, now: plan.now, log: None };
            self.backend.abandon(&work).await?;
            has_abandoned = true;
        }
        Ok(has_abandoned)
    }
}
