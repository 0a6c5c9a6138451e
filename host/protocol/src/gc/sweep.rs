//! Removes what is not needed.

use bytes::Bytes;

use super::calls::{Calls, GcJob, PAGE, TOGETHER};
use super::mark::Marks;
use super::waiting::WaitedFor;
use super::{Collected, Collector, Plan, Reason};
use crate::concurrent::{self, Access};
use crate::doctor::bits;
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, JobId};
use crate::ports::{Key, Kind, message_counter};
use crate::records::{JobRecord, LatestJob};
use crate::wire::PendingReturns;

/// At least this number of jobs is removed before the collection looks again for jobs that began meanwhile.
const BATCH: usize = 500;

/// Where a new job can stand among older ones, each such look lists the jobs of the last minutes. Then, for each job that is
/// removed, at most this number of jobs is listed. So the looks never cost more than the removal.
const LISTED_FOR_ONE: usize = 8;

impl Collector {
    /// Removes what is not needed any more. `progress` gets the number of jobs that are done and the number of all old jobs.
    ///
    /// # Errors
    /// When the backend fails. The next collection removes the rest.
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
                let calls = self.calls(jobs).await?;
                if !marks.waiting_seen {
                    let all = calls.iter().flat_map(|calls| &calls.all).cloned().collect();
                    self.mark_waiting(&mut marks, WaitedFor::These(all), plan).await?;
                }
                let is_free = |(job, _): &(&GcJob, Calls)| !marks.busy.contains(&bits(job.job_id.as_str()));
                let free: Vec<(&GcJob, Calls)> = jobs.iter().zip(calls).filter(is_free).collect();
                collected.left += (jobs.len() - free.len()) as u64;
                self.remove_jobs(free, &mut marks, plan, &mut collected).await?;
                done += jobs.len();
                progress(done as u64, old.len() as u64);
            }
        }
        collected.code = self.collect_code(plan).await?;
        if (collected.jobs > 0 || collected.code.chunks > 0) && !plan.dry_run {
            self.backend.store().compact().await?;
        }
        collected.values_stay = marks.reason;
        Ok(collected)
    }

    async fn remove_jobs(
        &self,
        jobs: Vec<(&GcJob, Calls)>,
        marks: &mut Marks,
        plan: &Plan,
        collected: &mut Collected,
    ) -> Result<()> {
        if !matches!(marks.reason, Some(Reason::Peers(_))) {
            for (job, calls) in &jobs {
                self.forget_calls(job, &calls.all, marks, plan, collected).await?;
            }
        }
        collected.jobs += jobs.len() as u64;
        if plan.dry_run {
            return Ok(());
        }
        let store = self.backend.store();
        let (jobs, calls): (Vec<&GcJob>, Vec<Calls>) = jobs.into_iter().unzip();
        let calls: Vec<(&&GcJob, CallHash)> = jobs
            .iter()
            .zip(calls)
            .flat_map(|(job, calls)| calls.all.into_iter().map(move |call| (job, call)))
            .collect();
        // From the leaves up: a record that names other calls is removed after theirs.
        let mut records = Vec::with_capacity(3 * PAGE);
        for page in calls.rchunks(PAGE) {
            records.clear();
            let of = |(job, call): &(&&GcJob, CallHash)| {
                [Key::log(call, &job.job_id), Key::run(call, &job.job_id), Key::failure(call, &job.job_id)]
            };
            records.extend(page.iter().rev().flat_map(of));
            store.remove_many(&records).await?;
        }
        self.forget_latest_jobs(&jobs).await?;
        let counters: Vec<String> = jobs.iter().map(|job| message_counter(&job.job_id)).collect();
        self.backend.counters().forget(&counters).await?;
        store.remove_many(&jobs.iter().map(|job| Key::job(&job.job_id)).collect::<Vec<_>>()).await
    }

    /// Removes those of a job's calls that nothing else needs.
    async fn forget_calls(
        &self,
        job: &GcJob,
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
                false => self.backend.forget_calls(&job.job_id, page, true).await?,
            };
            for (call, _) in page.iter().zip(gone).filter(|(_, gone)| *gone) {
                // Each value is removed once. If the call gets a value again, an unmarked job may have asked for it.
                marks.removable.remove(&bits(call.as_str()));
                collected.calls += 1;
            }
        }
        for page in others.chunks(PAGE).filter(|_| !plan.dry_run) {
            self.backend.forget_calls(&job.job_id, page, false).await?;
        }
        Ok(())
    }

    /// Removes parents of jobs that are over from the `unnotified` records.
    async fn forget_unnotified(&self) -> Result<()> {
        let store = self.backend.store();
        let mut calls = Listing::of(store, Kind::Unnotified);
        while let Some(ids) = calls.next().await? {
            for id in ids {
                let key = Key::new(&id, Kind::Unnotified);
                let Some(bytes) = store.get(&key).await? else { continue };
                let Ok(pending) = PendingReturns::decode(&bytes) else { continue };
                let job_ids: Vec<JobId> = pending.returns.iter().map(|entry| entry.job_id.clone()).collect();
                let jobs = store.get_many(&job_ids.iter().map(Key::job).collect::<Vec<_>>()).await?;
                let is_over = |job: Option<Bytes>| job.is_some_and(|job| JobRecord::is_over_in(&job).unwrap_or(false));
                let parents = pending.returns.into_iter().zip(jobs).filter(|(_, job)| !is_over(job.clone()));
                let left = PendingReturns { returns: parents.map(|(entry, _)| entry).collect(), scheduled_at: None };
                let new = (!left.returns.is_empty()).then(|| left.encode());
                if new.as_ref() != Some(&bytes) {
                    // If the record was changed meanwhile, the next collection looks at it again.
                    store.swap(&key, Some(&bytes), new).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes the `latest_job` records that name one of these jobs, for calls that stay.
    async fn forget_latest_jobs(&self, jobs: &[&GcJob]) -> Result<()> {
        let store = self.backend.store();
        let keys: Vec<Key> = jobs.iter().map(|job| Key::latest_job(&job.top)).collect();
        let found = store.get_many(&keys).await?;
        let mut removals: Vec<Access<'_, ()>> = Vec::new();
        for ((job, key), bytes) in jobs.iter().zip(&keys).zip(found) {
            if let Some(bytes) = bytes
                && LatestJob::decode(&bytes).is_ok_and(|latest| latest.job_id == job.job_id)
            {
                removals.push(Box::pin(async move { store.swap(key, Some(&bytes), None).await.map(drop) }));
            }
        }
        concurrent::all(removals).await.map(drop)
    }
}
