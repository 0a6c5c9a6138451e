//! A look at everything.

use std::collections::{BTreeSet, HashMap};

use super::homes::Homes;
use super::judge::{Case, Judge};
use super::queued::Queued;
use super::{Doctor, Finding, Look, Survey};
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, Root, Topic};
use crate::ports::{Key, Kind};
use crate::records::{JobRecord, decode_tasks};

/// Records that one look reads.
pub(super) const PAGE: usize = 200;

impl Doctor {
    /// Looks at everything: at what the records say, and whether a message is there for what is to be run.
    ///
    /// Records first, then the queues, then the records of what looks wrong once more: what a worker changes meanwhile is
    /// taken for a finding only if it goes on looking wrong.
    ///
    /// # Errors
    /// When the backend can't be read. What does not decode is a finding.
    pub async fn survey(&self, look: &Look) -> Result<Survey> {
        let mut survey = Survey::default();
        let homes = self.homes(&mut survey).await?;
        let mut topics: BTreeSet<Topic> = homes.0.keys().cloned().collect();
        let tops = self.jobs(look, &mut survey, &mut topics).await?;

        // A first look at the queues, so that most of what waits there is not remembered by name.
        let queued = self.queued(&topics).await?;
        let mut judge = Judge::new(self, look, homes);
        self.unnotified(&mut judge, &mut survey).await?;
        let suspects = self.suspects(tops, &queued, &mut judge, &mut survey, &mut topics).await?;
        survey.findings.extend(self.cycles(std::mem::take(&mut judge.waits), &topics).await?);
        if !suspects.is_empty() {
            // Now that all topics are known, and what was on its way has arrived.
            let queued = self.queued(&topics).await?;
            for page in suspects.chunks(PAGE) {
                let cases: Vec<Case> = page.iter().filter(|case| !queued.holds(&case.call)).cloned().collect();
                survey.findings.extend(judge.findings(cases, queued.may_hold_others).await?);
            }
        }
        survey.findings.append(&mut judge.damaged);
        survey.peer_jobs = judge.peers.len() as u64;
        for topic in &topics {
            survey.topics.extend(self.topic_state(topic).await?);
        }
        Ok(survey)
    }

    /// What the workers of each topic announced.
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

    /// The calls of all live jobs.
    async fn jobs(&self, look: &Look, survey: &mut Survey, topics: &mut BTreeSet<Topic>) -> Result<Vec<Case>> {
        let mut tops: HashMap<CallHash, Case> = HashMap::new();
        let mut jobs = Listing::of(self.backend.store(), Kind::Job);
        while let Some(ids) = jobs.next().await? {
            for page in ids.chunks(PAGE) {
                let roots: Vec<Root> = page.iter().map(|id| Root::from(id.as_str())).collect();
                let keys: Vec<Key> = roots.iter().map(Key::job).collect();
                for (root, bytes) in roots.into_iter().zip(self.backend.store().get_many(&keys).await?) {
                    let Some(bytes) = bytes else { continue };
                    let job = match JobRecord::decode(&bytes) {
                        Ok(job) => job,
                        Err(error) => {
                            let key = Key::job(&root);
                            survey.findings.push(Finding::Damaged { key, reason: error.reason });
                            continue;
                        }
                    };
                    if job.is_over() {
                        continue;
                    }
                    survey.jobs += 1;
                    topics.insert(job.topic.clone());
                    if job.is_overdue(look.now) {
                        survey.findings.push(Finding::Overdue { root });
                    } else {
                        let case = tops.entry(job.call.clone()).or_insert_with(|| Case::new(job.call));
                        case.tops.push((root, job.topic, job.created));
                    }
                }
            }
        }
        Ok(tops.into_values().collect())
    }

    /// What looks wrong, of everything that somebody waits for, and was not queued a moment ago.
    async fn suspects(
        &self,
        tops: Vec<Case>,
        queued: &Queued,
        judge: &mut Judge<'_>,
        survey: &mut Survey,
        topics: &mut BTreeSet<Topic>,
    ) -> Result<Vec<Case>> {
        let mut suspects = Vec::new();
        let mut tops: HashMap<CallHash, Case> = tops.into_iter().map(|case| (case.call.clone(), case)).collect();
        let mut waited_for = Listing::of(self.backend.store(), Kind::PendingReturns);
        while let Some(ids) = waited_for.next().await? {
            survey.waiting += ids.len() as u64;
            for page in ids.chunks(PAGE) {
                let calls = page.iter().map(|id| CallHash::from(id.as_str()));
                let cases = calls.map(|call| tops.remove(&call).unwrap_or_else(|| Case::new(call)));
                suspects.extend(judge.suspects(cases.collect(), queued, topics).await?);
            }
        }
        // The jobs whose own call nobody else waits for.
        let rest: Vec<Case> = tops.into_values().collect();
        for page in rest.chunks(PAGE) {
            suspects.extend(judge.suspects(page.to_vec(), queued, topics).await?);
        }
        Ok(suspects)
    }
}
