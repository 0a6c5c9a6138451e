//! What goes.

use bytes::Bytes;

use super::calls::{Job, PAGE, TOGETHER};
use super::mark::Marks;
use super::{Collected, Collector, Plan, Reason};
use crate::concurrent::{self, Access};
use crate::doctor::bits;
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, Root};
use crate::ports::{Key, Kind, spawn_counter};
use crate::records::{JobRecord, Latest};
use crate::wire::PendingReturns;

/// Jobs that are removed at least before it is looked again which have begun meanwhile.
const BATCH: usize = 500;

/// Where such a look lists all jobs, because the store keeps no order of them, one job is removed for so many that are
/// listed: so the looks never cost more than the removal.
const LISTED_FOR_ONE: usize = 8;

impl Collector {
    /// Removes what is not needed any more. `progress` is told of jobs: how many are done of how many.
    ///
    /// # Errors
    /// When the backend fails; what is left is taken up by the next collection.
    pub async fn collect(&self, plan: &Plan, mut progress: impl FnMut(u64, u64)) -> Result<Collected> {
        if !plan.dry_run {
            self.forget_unnotified().await?;
        }
        let mut marks = self.mark(plan).await?;
        let old = std::mem::take(&mut marks.old);
        let (mut collected, mut done) = (Collected::default(), 0);
        while done < old.len() {
            let listed = self.mark_new(&mut marks).await?;
            if marks.keep_all() {
                break;
            }
            let batch = BATCH.max(listed / LISTED_FOR_ONE).min(old.len() - done);
            for jobs in old[done..done + batch].chunks(TOGETHER) {
                let is_free = |job: &&Job| !marks.busy.contains(&bits(job.root.as_str()));
                let free: Vec<Job> = jobs.iter().filter(is_free).cloned().collect();
                collected.left += (jobs.len() - free.len()) as u64;
                self.remove_jobs(&free, &mut marks, plan, &mut collected).await?;
                done += jobs.len();
                progress(done as u64, old.len() as u64);
            }
        }
        if collected.jobs > 0 && !plan.dry_run {
            self.backend.store().compact().await?;
        }
        collected.values_stay = marks.reason;
        Ok(collected)
    }

    async fn remove_jobs(&self, jobs: &[Job], marks: &mut Marks, plan: &Plan, collected: &mut Collected) -> Result<()> {
        let calls = self.calls(jobs).await?;
        if !matches!(marks.reason, Some(Reason::Peers(_))) {
            for (job, calls) in jobs.iter().zip(&calls) {
                self.forget_calls(job, &calls.all, marks, plan, collected).await?;
            }
        }
        collected.jobs += jobs.len() as u64;
        if plan.dry_run {
            return Ok(());
        }
        let store = self.backend.store();
        let calls: Vec<(&Job, CallHash)> = jobs
            .iter()
            .zip(calls)
            .flat_map(|(job, calls)| calls.all.into_iter().map(move |call| (job, call)))
            .collect();
        // From the leaves up: what names others goes after them.
        let mut records = Vec::with_capacity(2 * PAGE);
        for page in calls.rchunks(PAGE) {
            records.clear();
            let of = |(job, call): &(&Job, CallHash)| [Key::run(call, &job.root), Key::failure(call, &job.root)];
            records.extend(page.iter().rev().flat_map(of));
            store.remove_many(&records).await?;
        }
        self.forget_latest(jobs).await?;
        let counters: Vec<String> = jobs.iter().map(|job| spawn_counter(&job.root)).collect();
        self.backend.cache().forget(&counters).await?;
        store.remove_many(&jobs.iter().map(|job| Key::job(&job.root)).collect::<Vec<_>>()).await
    }

    /// Removes those of a job's calls that nobody else needs.
    async fn forget_calls(
        &self,
        job: &Job,
        calls: &[CallHash],
        marks: &mut Marks,
        plan: &Plan,
        collected: &mut Collected,
    ) -> Result<()> {
        let free = calls.iter().filter(|call| !marks.calls.contains(&bits(call.as_str()))).cloned();
        let (had_value, others): (Vec<CallHash>, Vec<CallHash>) =
            free.partition(|call| marks.removable.contains(&bits(call.as_str())));
        for page in had_value.chunks(PAGE) {
            let gone = match plan.dry_run {
                true => vec![true; page.len()],
                false => self.backend.forget_calls(&job.root, page, true).await?,
            };
            for (call, _) in page.iter().zip(gone).filter(|(_, gone)| *gone) {
                // Once: if it gets its value again, that is somebody's who is not marked.
                marks.removable.remove(&bits(call.as_str()));
                collected.calls += 1;
            }
        }
        for page in others.chunks(PAGE).filter(|_| !plan.dry_run) {
            self.backend.forget_calls(&job.root, page, false).await?;
        }
        Ok(())
    }

    /// Forgets the parents of jobs that are over among those that no failure notifies.
    async fn forget_unnotified(&self) -> Result<()> {
        let store = self.backend.store();
        let mut calls = Listing::of(store, Kind::Unnotified);
        while let Some(ids) = calls.next().await? {
            for id in ids {
                let key = Key::new(&id, Kind::Unnotified);
                let Some(bytes) = store.get(&key).await? else { continue };
                let Ok(pending) = PendingReturns::decode(&bytes) else { continue };
                let roots: Vec<Root> = pending.returns.iter().map(|entry| entry.root.clone()).collect();
                let jobs = store.get_many(&roots.iter().map(Key::job).collect::<Vec<_>>()).await?;
                let is_over = |job: Option<Bytes>| job.is_some_and(|job| JobRecord::is_over_in(&job).unwrap_or(false));
                let parents = pending.returns.into_iter().zip(jobs).filter(|(_, job)| !is_over(job.clone()));
                let left = PendingReturns { returns: parents.map(|(entry, _)| entry).collect(), scheduled_at: None };
                let new = (!left.returns.is_empty()).then(|| left.encode());
                if new.as_ref() != Some(&bytes) {
                    // Changed meanwhile: the next collection looks again.
                    store.swap(&key, Some(&bytes), new).await?;
                }
            }
        }
        Ok(())
    }

    /// Of calls that stay: that one of these jobs asked for them last.
    async fn forget_latest(&self, jobs: &[Job]) -> Result<()> {
        let store = self.backend.store();
        let keys: Vec<Key> = jobs.iter().map(|job| Key::latest(&job.top)).collect();
        let found = store.get_many(&keys).await?;
        let mut removals: Vec<Access<'_, ()>> = Vec::new();
        for ((job, key), bytes) in jobs.iter().zip(&keys).zip(found) {
            if let Some(bytes) = bytes
                && Latest::decode(&bytes).is_ok_and(|latest| latest.root == job.root)
            {
                removals.push(Box::pin(async move { store.swap(key, Some(&bytes), None).await.map(drop) }));
            }
        }
        concurrent::all(removals).await.map(drop)
    }
}
