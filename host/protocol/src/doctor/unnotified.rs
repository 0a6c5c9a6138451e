//! Parents that wait for a call that has failed in their job, and that are not notified of the failure.

use std::collections::BTreeSet;

use super::judge::Judge;
use super::survey::PAGE;
use super::{Doctor, Finding, Survey, Unnotified};
use crate::error::Result;
use crate::listing::Listing;
use crate::model::CallHash;
use crate::ports::{Key, Kind};
use crate::records::{JobState, RunRecord};
use crate::wire::{PendingReturns, Return};

impl Doctor {
    /// Finds the parents that are not notified of failures. They are not stuck: if they were queued again, they would only ask
    /// for the same call again. They are stuck only if the call has its value by now, because a worker of another SDK has
    /// computed it.
    pub(super) async fn unnotified(&self, judge: &mut Judge<'_>, survey: &mut Survey) -> Result<()> {
        let mut calls = Listing::of(self.backend.store(), Kind::Unnotified);
        while let Some(ids) = calls.next().await? {
            for page in ids.chunks(PAGE) {
                let calls: Vec<CallHash> = page.iter().map(|id| CallHash::from(id.as_str())).collect();
                self.unnotified_of(&calls, judge, survey).await?;
            }
        }
        Ok(())
    }

    async fn unnotified_of(&self, calls: &[CallHash], judge: &mut Judge<'_>, survey: &mut Survey) -> Result<()> {
        let keys: Vec<Key> = calls.iter().map(Key::unnotified).collect();
        let records = judge.get_many(&keys).await?;
        let has_value = self.backend.store().has_many(&calls.iter().map(Key::value).collect::<Vec<_>>()).await?;
        let mut entries: Vec<(&CallHash, Return)> = Vec::new();
        for (((call, key), bytes), has_value) in calls.iter().zip(&keys).zip(records).zip(has_value) {
            let Some(pending) = judge.decode(key, bytes.as_ref(), PendingReturns::decode) else { continue };
            let Some(first) = pending.returns.first() else { continue };
            if has_value {
                let (job_id, topic, end) = (first.job_id.clone(), first.topic.clone(), JobState::Completed);
                survey.findings.push(Finding::Unnotified { call: call.clone(), job_id, topic, end });
                // The repair of this finding notifies all of them.
                judge.held.extend(pending.returns.into_iter().map(|entry| (entry.job_id, entry.parent)));
                continue;
            }
            entries.extend(pending.returns.into_iter().map(|entry| (call, entry)));
        }
        judge.read_jobs(entries.iter().map(|(_, entry)| entry.job_id.clone()).collect::<BTreeSet<_>>()).await?;
        entries.retain(|(_, entry)| judge.is_alive(&entry.job_id));
        let runs: Vec<Key> = entries.iter().map(|(_, entry)| Key::run(&entry.parent, &entry.job_id)).collect();
        for ((call, entry), run) in entries.into_iter().zip(judge.get_many(&runs).await?) {
            // If a run of ours has begun to wait, it has looked for the failure itself.
            let looks_itself = run.is_some_and(|run| RunRecord::decode(&run).is_ok_and(|run| !run.was_never_run()));
            if !looks_itself {
                judge.held.insert((entry.job_id.clone(), entry.parent.clone()));
                let Return { job_id, parent, .. } = entry;
                survey.unnotified.push(Unnotified { call: call.clone(), parent, job_id });
            }
        }
        Ok(())
    }
}
