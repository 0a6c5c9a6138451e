//! The calls of jobs, as their `run` records name them.

use std::collections::{HashSet, VecDeque};

use super::Collector;
use crate::error::Result;
use crate::model::{CallHash, Root};
use crate::ports::Key;
use crate::records::{RunRecord, SAMPLE};

/// Records that one look reads.
pub(super) const PAGE: usize = 200;

/// Jobs that are looked at together, so that small ones share their accesses.
pub(super) const TOGETHER: usize = 100;

/// A job and its top call.
#[derive(Clone)]
pub(super) struct Job {
    pub root: Root,
    pub top: CallHash,
}

/// What a job asked for.
pub(super) struct Calls {
    /// Each once, those that asked for others before these.
    pub all: Vec<CallHash>,
    /// There may be more that no record names.
    pub unnamed: bool,
    seen: HashSet<CallHash>,
}

impl Collector {
    /// What each of `jobs` asked for.
    pub(super) async fn calls(&self, jobs: &[Job]) -> Result<Vec<Calls>> {
        let of = |job: &Job| {
            let (all, seen) = (vec![job.top.clone()], HashSet::from([job.top.clone()]));
            Calls { all, unnamed: false, seen }
        };
        let mut calls: Vec<Calls> = jobs.iter().map(of).collect();
        let mut unread: VecDeque<(usize, CallHash)> = jobs.iter().map(|job| job.top.clone()).enumerate().collect();
        while !unread.is_empty() {
            let page: Vec<(usize, CallHash)> = unread.drain(..PAGE.min(unread.len())).collect();
            let keys: Vec<Key> = page.iter().map(|(n, call)| Key::run(call, &jobs[*n].root)).collect();
            for ((n, _), bytes) in page.into_iter().zip(self.backend.store().get_many(&keys).await?) {
                let (Some(bytes), calls) = (bytes, &mut calls[n]) else { continue };
                let Ok(run) = RunRecord::decode(&bytes) else {
                    calls.unnamed = true;
                    continue;
                };
                calls.unnamed |= run.total as usize > run.sample.len() || run.earlier.len() >= SAMPLE;
                let asked = run.earlier.into_iter().chain(run.sample);
                for call in asked.filter(|call| calls.seen.insert(call.clone())) {
                    calls.all.push(call.clone());
                    unread.push_back((n, call));
                }
            }
        }
        Ok(calls)
    }
}
