//! Reads all records and queues.

use std::collections::{BTreeMap, BTreeSet};

use super::homes::Homes;
use super::judge::{Case, Judge};
use super::queued::Queued;
use super::{Doctor, Finding, Look, Survey};
use crate::error::Result;
use crate::listing::{JobListing, Listing};
use crate::model::{CallHash, Topic};
use crate::ports::{IndexedJob, IndexedState, JobFilter, JobOrder, Key, Kind};
use crate::records::{JobRecord, SchedulesRecord, decode_tasks};

/// The number of records that are read at once.
pub(super) const PAGE: usize = 200;

impl Doctor {
    /// Reads all records, and looks whether each call that is to be run has a message.
    ///
    /// The records are read first, then the queues, and then again the records of calls that look wrong. So a change that a
    /// worker makes meanwhile becomes a finding only if the call still looks wrong afterwards.
    ///
    /// # Errors
    /// When the backend can't be read. A record that does not decode is a finding, not an error.
    pub async fn survey(&self, look: &Look) -> Result<Survey> {
        let mut survey = Survey::default();
        let homes = self.homes(&mut survey).await?;
        let mut topics: BTreeSet<Topic> = homes.0.keys().cloned().collect();
        let tops = self.jobs(look, &mut survey, &mut topics).await?;

        // The queues are read once before the calls, so that calls with a message need not be remembered by name.
        let queued = self.queued(&topics).await?;
        let mut judge = Judge::new(self, look, homes);
        self.unnotified(&mut judge, &mut survey).await?;
        let suspects = self.suspects(tops, &queued, &mut judge, &mut survey, &mut topics).await?;
        survey.findings.extend(self.cycles(std::mem::take(&mut judge.waits), &topics).await?);
        if !suspects.is_empty() {
            // By now all topics are known, and messages that were on their way have arrived.
            let queued = self.queued(&topics).await?;
            for page in suspects.chunks(PAGE) {
                let cases: Vec<Case> = page.iter().filter(|case| !queued.holds(&case.call)).cloned().collect();
                survey.findings.extend(judge.findings(cases, queued.may_hold_others).await?);
            }
        }
        survey.findings.append(&mut judge.damaged);
        self.schedules(&mut survey).await?;
        survey.peer_jobs = judge.peers.len() as u64;
        for topic in &topics {
            survey.topics.extend(self.topic_state(topic).await?);
        }
        Ok(survey)
    }

    /// The tasks that the workers of each topic announced.
    async fn homes(&self, survey: &mut Survey) -> Result<Homes> {
        let mut homes = Homes::default();
        let mut topics = Listing::of(self.backend.store(), Kind::Tasks);
        while let Some(page) = topics.next().await? {
            for topic in page {
                let key = Key::tasks(&Topic::from(topic.as_str()));
                let Some(bytes) = self.backend.store().get(&key).await? else { continue };
                match decode_tasks(&bytes) {
                    Ok(tasks) => drop(homes.0.insert(topic.into(), tasks)),
                    Err(error) => survey.findings.push(Finding::Damaged { key, reason: error.reason }),
                }
            }
        }
        Ok(homes)
    }

    /// The schedules that no worker can follow.
    async fn schedules(&self, survey: &mut Survey) -> Result<()> {
        let mut topics = Listing::of(self.backend.store(), Kind::Schedules);
        while let Some(page) = topics.next().await? {
            for topic in page {
                let key = Key::schedules(&topic.into());
                let Some(bytes) = self.backend.store().get(&key).await? else { continue };
                let damaged = |reason| Finding::Damaged { key: key.clone(), reason };
                match SchedulesRecord::decode(&bytes) {
                    Ok(record) => survey.findings.extend(record.schedules.iter().filter_map(|(name, schedule)| {
                        let reason = schedule.spec.check().err()?;
                        Some(damaged(format!("the schedule `{}`: {reason}", name.escape_debug())))
                    })),
                    Err(error) => survey.findings.push(damaged(error.reason)),
                }
            }
        }
        Ok(())
    }

    /// The own calls of all live jobs.
    async fn jobs(&self, look: &Look, survey: &mut Survey, topics: &mut BTreeSet<Topic>) -> Result<Vec<Case>> {
        let mut tops: BTreeMap<CallHash, Case> = BTreeMap::new();
        let alive = JobFilter { state: Some(IndexedState::Alive), ..JobFilter::default() };
        let mut jobs = JobListing::of(self.backend.store(), alive, JobOrder::OldestFirst);
        while let Some(page) = jobs.next().await? {
            for IndexedJob { job_id, record, .. } in page {
                let job = match JobRecord::decode(&record) {
                    Ok(job) => job,
                    Err(error) => {
                        let key = Key::job(&job_id);
                        survey.findings.push(Finding::Damaged { key, reason: error.reason });
                        continue;
                    }
                };
                if job.is_over() {
                    continue;
                }
                survey.jobs += 1;
                topics.insert(job.topic.clone());
                // The message of a job that starts later may be where no look reaches.
                if job.is_delayed(look.now) {
                    continue;
                }
                if job.is_overdue(look.now) {
                    survey.findings.push(Finding::Overdue { job_id });
                } else {
                    let case = tops.entry(job.call.clone()).or_insert_with(|| Case::new(job.call));
                    case.tops.push((job_id, job.topic, job.created.max(job.start)));
                }
            }
        }
        Ok(tops.into_values().collect())
    }

    /// The calls that look wrong, among all calls that a parent or a job waits for and that had no message a moment ago.
    async fn suspects(
        &self,
        tops: Vec<Case>,
        queued: &Queued,
        judge: &mut Judge<'_>,
        survey: &mut Survey,
        topics: &mut BTreeSet<Topic>,
    ) -> Result<Vec<Case>> {
        let mut suspects = Vec::new();
        let mut tops: BTreeMap<CallHash, Case> = tops.into_iter().map(|case| (case.call.clone(), case)).collect();
        let mut waited_for = Listing::of(self.backend.store(), Kind::PendingReturns);
        while let Some(ids) = waited_for.next().await? {
            survey.waiting += ids.len() as u64;
            for page in ids.chunks(PAGE) {
                let calls = page.iter().map(|id| CallHash::from(id.as_str()));
                let cases = calls.map(|call| tops.remove(&call).unwrap_or_else(|| Case::new(call)));
                suspects.extend(judge.suspects(cases.collect(), queued, topics).await?);
            }
        }
        // The jobs whose own call no other job waits for.
        let rest: Vec<Case> = tops.into_values().collect();
        for page in rest.chunks(PAGE) {
            suspects.extend(judge.suspects(page.to_vec(), queued, topics).await?);
        }
        Ok(suspects)
    }
}
