//! The parents of a call that has many parents. Each parent is an entry of its own: see `brrr_protocol::transaction`.

use std::collections::BTreeSet;

use brrr_protocol::model::{CallHash, JobId, Topic};
use brrr_protocol::registration::Facts;
use brrr_protocol::wire::Return;

#[derive(Default)]
pub(super) struct Parents {
    by_job: BTreeSet<Return>,
    by_parent: BTreeSet<(CallHash, Topic, JobId)>,
}

impl Parents {
    pub fn all(&self) -> BTreeSet<Return> {
        self.by_job.clone()
    }

    pub fn add(&mut self, parent: &Return) {
        self.by_job.insert(parent.clone());
        self.by_parent.insert(in_other_order(parent));
    }

    pub fn remove(&mut self, parent: &Return) {
        self.by_job.remove(parent);
        self.by_parent.remove(&in_other_order(parent));
    }

    /// See `Transaction::look_for`.
    pub fn look_for(&self, me: &Return) -> Facts {
        let first_of_job = Return { job_id: me.job_id.clone(), parent: "".into(), topic: "".into() };
        let first_of_parent = (me.parent.clone(), me.topic.clone(), JobId::from(""));
        let is_mine = |entry: &&Return| entry.job_id == me.job_id;
        // The entries with this parent and topic come first, each for a different job. At most one of the first two is
        // for this job.
        let mut same = self.by_parent.range(first_of_parent..).take(2);
        Facts {
            has_me: self.by_job.contains(me),
            elsewhere: same
                .any(|(parent, topic, job_id)| (parent, topic) == (&me.parent, &me.topic) && *job_id != me.job_id),
            in_job: self.by_job.range(first_of_job..).next().as_ref().is_some_and(is_mine),
            in_other_jobs: [self.by_job.first(), self.by_job.last()].iter().flatten().any(|entry| !is_mine(entry)),
            scheduled_at: None,
        }
    }
}

fn in_other_order(parent: &Return) -> (CallHash, Topic, JobId) {
    (parent.parent.clone(), parent.topic.clone(), parent.job_id.clone())
}
