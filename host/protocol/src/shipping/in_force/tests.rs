use std::collections::HashSet;

use super::*;
use crate::records::DeployedComponent;
use crate::shipping::deployments::{Changed, NewRevision, push, ramp, remove, rollback};
use crate::shipping::live::LiveJob;
use crate::shipping::retention::{let_go, removable};
use crate::shipping::{MARGIN, task_at};

fn revision(number: u64, steps: &[(Millis, u8)]) -> Revision {
    let steps = steps.iter().map(|(from, weight)| Step { from: *from, weight: *weight }).collect();
    Revision { number, steps, ..Revision::default() }
}

fn of(revisions: Vec<Revision>) -> DeploymentsRecord {
    DeploymentsRecord { revisions, ..DeploymentsRecord::default() }
}

fn number(deployments: &DeploymentsRecord, created: Millis, job_id: &JobId) -> Option<u64> {
    revision_for(deployments, created, job_id).map(|revision| revision.number)
}

/// A job of this share.
fn job_with(is_right: impl Fn(u8) -> bool) -> JobId {
    (0..).map(JobId::from_random).find(|job_id| is_right(share(job_id))).unwrap()
}

#[test]
fn a_job_has_the_revision_of_its_creation() {
    let deployments = of(vec![revision(1, &[(100, 100)]), revision(2, &[(200, 100)]), revision(4, &[(300, 100)])]);
    for job_id in (0..50).map(JobId::from_random) {
        for (created, expected) in [(0, 1), (100, 1), (199, 1), (200, 2), (299, 2), (300, 4), (u64::MAX, 4)] {
            assert_eq!(number(&deployments, created, &job_id), Some(expected), "{created}");
        }
    }
    assert_eq!(number(&DeploymentsRecord::default(), 5, &"j".into()), None);
}

#[test]
fn a_ramp_concerns_only_jobs_that_are_created_later() {
    let (low, middle, high) = (job_with(|n| n < 20), job_with(|n| (20..50).contains(&n)), job_with(|n| n >= 50));
    let deployments = of(vec![revision(1, &[(100, 100)]), revision(2, &[(200, 20), (300, 50), (400, 0), (500, 100)])]);
    for (created, of_low, of_middle, of_high) in
        [(199, 1, 1, 1), (200, 2, 1, 1), (300, 2, 2, 1), (399, 2, 2, 1), (400, 1, 1, 1), (500, 2, 2, 2)]
    {
        let numbers = [&low, &middle, &high].map(|job_id| number(&deployments, created, job_id).unwrap());
        assert_eq!(numbers, [of_low, of_middle, of_high], "{created}");
    }
    // There is nobody else to take the rest.
    let alone = of(vec![revision(1, &[(100, 20)])]);
    assert_eq!(number(&alone, 200, &high), Some(1));
}

#[test]
fn jobs_of_a_removed_revision_have_the_next_newer_one() {
    let gone = |number, from| Gone { number, steps: vec![Step { from, weight: 100 }, Step { from: 900, weight: 0 }] };
    let mut deployments = of(vec![revision(1, &[(100, 100)]), revision(3, &[(300, 100)])]);
    deployments.gone = vec![gone(2, 200), gone(4, 400)];
    let job_id = "j".into();
    for (created, expected) in [(150, 1), (250, 3), (350, 3), (450, 3), (900, 3)] {
        assert_eq!(number(&deployments, created, &job_id), Some(expected), "{created}");
    }
    deployments.revisions.remove(0);
    assert_eq!(number(&deployments, 150, &job_id), Some(3));
}

#[test]
fn a_topic_may_follow_the_newest() {
    let mut deployments =
        of(vec![revision(1, &[(100, 100)]), revision(2, &[(200, 100)]), revision(3, &[(300, 100), (400, 20)])]);
    deployments.follow_newest = true;
    let (low, high) = (job_with(|n| n < 20), job_with(|n| n >= 20));
    for created in [0, 150, 350, 450] {
        assert_eq!(number(&deployments, created, &low), Some(3));
        assert_eq!(number(&deployments, created, &high), Some(2));
    }
    assert_eq!(number(&of(vec![revision(1, &[(1, 0)])]), 5, &low), Some(1));
}

#[test]
fn a_share_of_the_jobs_is_that_share() {
    let seed = 20;
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let jobs: Vec<JobId> = (0..1_000).map(|_| JobId::from_random(random.u128(..))).collect();
    for percent in [0, 20, 50, 100] {
        let deployments = of(vec![revision(1, &[(100, 100)]), revision(2, &[(200, percent)])]);
        let taken = jobs.iter().filter(|job_id| number(&deployments, 300, job_id) == Some(2)).count();
        let expected = usize::from(percent) * 10;
        assert!(taken.abs_diff(expected) <= 30, "{taken} of 1,000 with {percent} %");
    }
    // The share is part of what all workers agree on. It must not change.
    assert_eq!(["a", "b", "00000000000000000000000000000000"].map(|id| share(&id.into())), SHARES);
}

/// SHA-256 over `brrr.share` and the id; its first eight bytes as a number; the rest of a division by 100.
const SHARES: [u8; 3] = [49, 60, 30];

/// A topic, its clock and its jobs, in a random history.
struct History {
    random: fastrand::Rng,
    now: Millis,
    record: DeploymentsRecord,
    jobs: Vec<Job>,
    /// All revisions that were removed. The record keeps only those that matter.
    gone: Vec<Gone>,
}

struct Job {
    id: JobId,
    created: Millis,
    /// The revision that it had when it was created.
    had: u64,
    /// That was the revision that took it, not one in the place of a revision that was removed.
    is_taken: bool,
    is_live: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let record = DeploymentsRecord { keep: 3, ..DeploymentsRecord::default() };
        Self { random: fastrand::Rng::with_seed(seed), now: 1_000_000, record, jobs: Vec::new(), gone: Vec::new() }
    }

    fn any_revision(&mut self) -> Option<u64> {
        let there = self.record.revisions.len();
        (there > 0).then(|| self.record.revisions[self.random.usize(..there)].number)
    }

    fn change(&mut self, with_remove: bool) {
        let percent = *[100, 100, 100, 50, 20, 0].get(self.random.usize(..6)).unwrap();
        let number = self.any_revision();
        let (record, now) = (&self.record, self.now);
        let changed = match (self.random.u8(..10), number) {
            (0..2, Some(number)) => ramp(record, number, percent, now),
            (2, Some(number)) => rollback(record, number, "", "", now),
            (3, Some(number)) if with_remove => remove(record, number, now),
            _ => {
                let digest = crate::digest::Digest::of(&self.random.u64(..).to_be_bytes());
                let components = vec![DeployedComponent { name: task_at("c", &digest), digest }];
                push(record, &NewRevision { components, percent, note: String::new(), by: String::new() }, now)
            }
        };
        if let Ok(Changed::To(record)) = changed {
            let removed = Some(Step { from: record.changed, weight: 0 });
            self.become_record(*record, removed);
        }
    }

    fn become_record(&mut self, record: DeploymentsRecord, last: Option<Step>) {
        let before = std::mem::replace(&mut self.record, record);
        for revision in before.revisions {
            if self.record.revisions.iter().all(|there| there.number != revision.number) {
                let steps = revision.steps.into_iter().chain(last).collect();
                self.gone.push(Gone { number: revision.number, steps });
            }
        }
        self.gone.sort_by_key(|gone| gone.number);
    }

    fn create_jobs(&mut self) {
        for _ in 0..3 {
            let id = JobId::from_random(self.random.u128(..));
            let Some(had) = number(&self.record, self.now, &id) else { continue };
            let taken = newest_first(&self.record).find(|e| share(&id) < weight_at(e.steps(), self.now));
            let is_taken = matches!(taken, Some(Entry::There(_)));
            self.jobs.push(Job { id, created: self.now, had, is_taken, is_live: true });
        }
    }

    /// A collection, which does not know the jobs of the last minute.
    fn collect(&mut self) {
        let margin = MARGIN.as_millis() as Millis;
        let known = self.jobs.iter().filter(|job| job.is_live && job.created + margin < self.now);
        let live: Vec<LiveJob> =
            known.map(|job| LiveJob { job_id: job.id.clone(), created: job.created, call: "c".into() }).collect();
        let go = removable(&self.record, &live, self.now);
        self.become_record(let_go(&self.record, &go), None);
    }

    fn check(&self, seed: u64, with_remove: bool) {
        let there: HashSet<u64> = self.record.revisions.iter().map(|revision| revision.number).collect();
        let all = DeploymentsRecord { gone: self.gone.clone(), ..self.record.clone() };
        assert!(self.record.gone.len() <= self.gone.len());
        for job in &self.jobs {
            assert_eq!(number(&self.record, job.created, &job.id), number(&all, job.created, &job.id), "seed {seed}");
            let (is_there, now) = (there.contains(&job.had), number(&self.record, job.created, &job.id));
            let is_kept = with_remove || !job.is_live;
            assert!(is_there || is_kept, "seed {seed}: revision {} of a live job is gone: {:#?}", job.had, self.record);
            if is_there && (job.is_taken || !with_remove) {
                assert_eq!(now, Some(job.had), "seed {seed}: job of {}: {:#?}", job.created, self.record);
            }
            assert!(now.is_some() || there.is_empty(), "seed {seed}");
        }
        assert!(self.record.revisions.is_sorted_by(|a, b| a.number < b.number && a.from() < b.from()), "seed {seed}");
    }
}

fn histories(with_remove: bool) {
    let mut removed = 0;
    for seed in 0..150 {
        let mut history = History::new(seed);
        for _ in 0..60 {
            history.now += history.random.u64(..40_000) * history.random.u64(..2);
            history.change(with_remove);
            history.now += history.random.u64(..3);
            history.create_jobs();
            let ends = history.random.usize(..6);
            for _ in 0..ends {
                let job = history.random.usize(..history.jobs.len().max(1));
                if let Some(job) = history.jobs.get_mut(job) {
                    job.is_live = false;
                }
            }
            if history.random.bool() {
                let before = history.record.revisions.len();
                history.collect();
                removed += before - history.record.revisions.len();
            }
            history.check(seed, with_remove);
        }
    }
    assert!(removed > 500, "the histories are too quiet: {removed}");
}

#[test]
fn no_job_changes_its_revision_while_that_is_there() {
    histories(false);
}

#[test]
fn no_job_that_a_revision_took_leaves_it_when_others_are_removed() {
    histories(true);
}
