//! A revision that takes jobs only once every worker of its topic has loaded it. So no call waits for a compiler, and code that a
//! worker can't load takes no jobs.
//!
//! The revision is pushed without jobs, the workers say what became of it, and then it is given its part of the jobs. On a topic
//! without such workers, and on one without revisions, the revision takes its part at once.

use std::time::{Duration, Instant};

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::Topic;
use brrr_protocol::records::{DeployedComponent, DeploymentsRecord, RevisionState, Workers};
use brrr_protocol::shipping::{Change, LEAD, Refusal};
use brrr_protocol::workers::running;
use serde::Serialize;
use utoipa::ToSchema;

/// The time between two looks at what the workers say.
const LOOK: Duration = Duration::from_millis(200);

/// Within this time a worker that could not load a revision has tried again, if it was sent again. Workers look every few seconds.
const TRIED_AGAIN: Duration = Duration::from_secs(8);

/// A push that is under way.
pub struct Rollout<'a> {
    client: &'a Client,
    topic: &'a Topic,
    percent: u8,
    /// The number of the newest revision before the push.
    last: u64,
    /// When a component was sent again, before the push.
    resent: u64,
    has_followers: bool,
    is_staged: bool,
}

/// What became of a push.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PushedRevision)]
pub struct RolledOut {
    /// The topic.
    pub topic: String,
    /// The number of the revision.
    pub revision: u64,
    /// The part of new jobs that it takes now, in percent.
    pub percent: u8,
    /// False: the newest revision has had these components already.
    pub new: bool,
    /// A component that was there has got a signature, or chunks that were missing. Workers that could not load it try again.
    pub resent: bool,
    /// The workers that have loaded the revision.
    pub loaded: Vec<String>,
    /// The workers that can't load it.
    pub failed: Vec<FailedWorker>,
    /// The workers that have not said yet what became of it.
    pub silent: Vec<String>,
}

/// A worker that can't load a revision.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailedWorker {
    /// The worker.
    pub worker: String,
    /// Why.
    pub reason: String,
}

impl RolledOut {
    /// Has every worker loaded it?
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.failed.is_empty() && self.silent.is_empty()
    }
}

impl<'a> Rollout<'a> {
    /// Decides how a revision of these components is pushed that is to take this part of the jobs, in percent.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn plan(
        client: &'a Client,
        topic: &'a Topic,
        components: &[DeployedComponent],
        percent: u8,
    ) -> Result<Rollout<'a>> {
        let before = client.deployments(topic).await?;
        let has_followers = !followers(client, topic).await?.is_empty();
        let newest = before.revisions.last();
        let is_same = newest.is_some_and(|newest| newest.weight() == percent && newest.components == components);
        // A first revision takes all jobs in any case.
        let is_staged = !is_same && has_followers && before.last > 0 && percent > 0;
        let (last, resent) = (before.last, before.resent);
        Ok(Rollout { client, topic, percent, last, resent, has_followers, is_staged })
    }

    /// The part of the jobs with which the revision must be pushed, in percent.
    #[must_use]
    pub fn first_percent(&self) -> u8 {
        if self.is_staged { 0 } else { self.percent }
    }

    /// Waits until the workers have loaded the revision, and gives it its part of the jobs. `record`: the revisions after the push.
    /// If a worker can't load it, or has not done so in this time, the revision stays as it was pushed. Safe to repeat: the same push
    /// and this go on where they were.
    ///
    /// # Errors
    /// When the store fails. `Err` inside: the revision was removed, or its part was changed too often.
    pub async fn finish(
        &self,
        record: &DeploymentsRecord,
        at_most: Duration,
    ) -> Result<std::result::Result<RolledOut, Refusal>> {
        let revision = record.revisions.last().map_or(record.last, |newest| newest.number);
        let mut done = RolledOut {
            topic: self.topic.to_string(),
            revision,
            percent: self.first_percent(),
            new: record.last > self.last,
            resent: record.resent > self.resent,
            loaded: Vec::new(),
            failed: Vec::new(),
            silent: Vec::new(),
        };
        if !self.is_staged {
            until_in_force(self.client, record).await;
        }
        if self.is_staged || (done.new || done.resent) && self.has_followers {
            self.wait_for_workers(&mut done, at_most).await?;
        }
        if self.is_staged && done.is_everywhere() {
            match self.client.ramp(self.topic, revision, self.percent).await? {
                Change::Refused(refusal) => return Ok(Err(refusal)),
                Change::Done(record) | Change::Same(record) => {
                    until_in_force(self.client, &record).await;
                    done.percent = self.percent;
                }
            }
        }
        Ok(Ok(done))
    }

    /// Waits until each worker that runs has loaded the revision, or says that it can't.
    async fn wait_for_workers(&self, done: &mut RolledOut, at_most: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            (done.loaded, done.failed, done.silent) = (Vec::new(), Vec::new(), Vec::new());
            for (worker, info) in followers(self.client, self.topic).await? {
                match info.revisions.get(&done.revision) {
                    Some(RevisionState::Loaded) => done.loaded.push(worker),
                    // This may be what the worker has said of it before it was sent again.
                    Some(RevisionState::Failed(_)) if done.resent && begun.elapsed() < TRIED_AGAIN => {
                        done.silent.push(worker);
                    }
                    Some(RevisionState::Failed(reason)) => {
                        done.failed.push(FailedWorker { worker, reason: reason.clone() });
                    }
                    Some(RevisionState::Loading) | None => done.silent.push(worker),
                }
            }
            if done.silent.is_empty() || begun.elapsed() >= at_most {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// The workers of the topic that load what is pushed.
async fn followers(client: &Client, topic: &Topic) -> Result<Workers> {
    let mut workers = running(client.backend().store(), topic, client.now()).await?;
    workers.retain(|_, worker| worker.follows && !worker.stopping);
    Ok(workers)
}

/// Waits until a change of revisions counts: it counts for jobs that are created a moment after it was written.
pub async fn until_in_force(client: &Client, record: &DeploymentsRecord) {
    let left = Duration::from_millis(record.changed.saturating_sub(client.now()));
    tokio::time::sleep(left.min(LEAD * 2)).await;
}
