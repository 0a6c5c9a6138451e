//! What goes.

use bytes::Bytes;

use super::calls::PAGE;
use super::mark::{Marks, Old};
use super::{Collected, Collector, Plan, Reason};
use crate::doctor::bits;
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, Root};
use crate::ports::{Key, Kind, spawn_counter};
use crate::records::{JobRecord, decode_latest};
use crate::wire::PendingReturns;

/// Jobs that are removed before it is looked again which have begun meanwhile.
const BATCH: usize = 500;

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
        for batch in old.chunks(BATCH) {
            self.mark_new(&mut marks).await?;
            if marks.keep_all() {
                break;
            }
            for job in batch {
                done += 1;
                progress(done, old.len() as u64);
                if marks.busy.contains(&bits(job.root.as_str())) {
                    collected.left += 1;
                } else {
                    self.remove_job(job, &mut marks, plan, &mut collected).await?;
                }
            }
        }
        collected.values_stay = marks.reason;
        Ok(collected)
    }

    async fn remove_job(&self, job: &Old, marks: &mut Marks, plan: &Plan, collected: &mut Collected) -> Result<()> {
        let calls = self.calls(&job.root, &job.top).await?.all;
        if !matches!(marks.reason, Some(Reason::Peers(_))) {
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
        }
        collected.jobs += 1;
        if plan.dry_run {
            return Ok(());
        }
        let store = self.backend.store();
        // From the leaves up: what names others goes after them.
        let mut records = Vec::with_capacity(2 * PAGE);
        for page in calls.rchunks(PAGE) {
            records.clear();
            records.extend(page.iter().rev().flat_map(|c| [Key::run(c, &job.root), Key::failure(c, &job.root)]));
            store.remove_many(&records).await?;
        }
        self.forget_latest(&job.root, &job.top).await?;
        self.backend.cache().forget(&[spawn_counter(&job.root)]).await?;
        store.remove_many(&[Key::job(&job.root)]).await
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

    /// Of a call that stays: that this job asked for it last.
    async fn forget_latest(&self, root: &Root, top: &CallHash) -> Result<()> {
        let (store, key) = (self.backend.store(), Key::latest(top));
        if let Some(bytes) = store.get(&key).await?
            && decode_latest(&bytes).is_ok_and(|latest| latest == *root)
        {
            store.swap(&key, Some(&bytes), None).await?;
        }
        Ok(())
    }
}
