//! The calls of jobs, as named by their `run` records.

use std::collections::{HashSet, VecDeque};

use super::Collector;
use crate::error::Result;
use crate::model::{CallHash, JobId};
use crate::ports::Key;
use crate::records::{RunRecord, SAMPLE};

/// The number of records that are read at once.
pub(super) const PAGE: usize = 200;

/// The number of jobs that are looked at together. Small jobs then share their accesses.
pub(super) const TOGETHER: usize = 100;

/// A job and its top call.
#[derive(Clone)]
pub(super) struct GcJob {
    pub job_id: JobId,
    pub top: CallHash,
}

/// The calls that a job asked for.
pub(super) struct Calls {
    /// Each call once. A call comes before the calls that it asked for.
    pub all: Vec<CallHash>,
    /// True if there may be more calls, which no record names.
    pub unnamed: bool,
    seen: HashSet<CallHash>,
}

impl Collector {
    /// The calls that each of `jobs` asked for.
    pub(super) async fn calls(&self, jobs: &[GcJob]) -> Result<Vec<Calls>> {
        let of = |job: &GcJob| {
            let (all, seen) = (vec![job.top.clone()], HashSet::from([job.top.clone()]));
            Calls { all, unnamed: false, seen }
        };
        let mut calls: Vec<Calls> = jobs.iter().map(of).collect();
        let mut unread: VecDeque<(usize, CallHash)> = jobs.iter().map(|job| job.top.clone()).enumerate().collect();
        while !unread.is_empty() {
            let page: Vec<(usize, CallHash)> = unread.drain(..PAGE.min(unread.len())).collect();
            let keys: Vec<Key> = page.iter().map(|(n, call)| Key::run(call, &jobs[*n].job_id)).collect();
            for ((n, _), bytes) in page.into_iter().zip(self.backend.store().get_many(&keys).await?) {
                let (Some(bytes), calls) = (bytes, &mut calls[n]) else { continue };
                let Ok(run) = RunRecord::decode(&bytes) else {
                    calls.unnamed = true;
                    continue;
                };
                calls.unnamed |= run.total as usize > run.sample.len() || run.earlier.len() >= SAMPLE;
                for call in run.asked_for().filter(|call| calls.seen.insert((*call).clone())) {
                    calls.all.push(call.clone());
                    unread.push_back((n, call.clone()));
                }
            }
        }
        Ok(calls)
    }
}
