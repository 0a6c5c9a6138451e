//! The calls of one job, as its `run` records name them.

use std::collections::HashSet;

use super::Collector;
use crate::error::Result;
use crate::model::{CallHash, Root};
use crate::ports::Key;
use crate::records::{RunRecord, SAMPLE};

/// Records that one look reads.
pub(super) const PAGE: usize = 200;

/// What a job asked for.
pub(super) struct Calls {
    /// Each once, those that asked for others before these.
    pub all: Vec<CallHash>,
    /// There may be more that no record names.
    pub unnamed: bool,
}

impl Collector {
    pub(super) async fn calls(&self, root: &Root, top: &CallHash) -> Result<Calls> {
        let mut calls = Calls { all: vec![top.clone()], unnamed: false };
        let mut seen = HashSet::from([top.clone()]);
        let mut next = 0;
        while next < calls.all.len() {
            let end = (next + PAGE).min(calls.all.len());
            let keys: Vec<Key> = calls.all[next..end].iter().map(|call| Key::run(call, root)).collect();
            next = end;
            for bytes in self.backend.store().get_many(&keys).await?.into_iter().flatten() {
                let Ok(run) = RunRecord::decode(&bytes) else {
                    calls.unnamed = true;
                    continue;
                };
                calls.unnamed |= run.total as usize > run.sample.len() || run.earlier.len() >= SAMPLE;
                let asked = run.earlier.into_iter().chain(run.sample);
                calls.all.extend(asked.filter(|call| seen.insert(call.clone())));
            }
        }
        Ok(calls)
    }
}
