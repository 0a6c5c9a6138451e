//! The indexes of the records in memory: the ids of the kinds that are listed.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use brrr_protocol::ports::{Key, Kind, Page};

use super::jobs::Jobs;

#[derive(Default)]
pub(super) struct Index {
    pending_returns: BTreeSet<Arc<str>>,
    unnotified: BTreeSet<Arc<str>>,
    tasks: BTreeSet<Arc<str>>,
    schedules: BTreeSet<Arc<str>>,
    deployments: BTreeSet<Arc<str>>,
    manifests: BTreeSet<Arc<str>>,
    chunks: BTreeSet<Arc<str>>,
    uploads: BTreeSet<Arc<str>>,
    dead_letters: BTreeSet<Arc<str>>,
    pub jobs: Jobs,
}

impl Index {
    /// Adds the key of a new record. Jobs have an index of their own.
    pub fn add(&mut self, key: &Key) {
        match key.kind {
            Kind::PendingReturns => {
                self.pending_returns.insert(key.id.clone());
            }
            Kind::Unnotified => {
                self.unnotified.insert(key.id.clone());
            }
            Kind::Tasks => {
                self.tasks.insert(key.id.clone());
            }
            Kind::Schedules => {
                self.schedules.insert(key.id.clone());
            }
            Kind::Deployments => {
                self.deployments.insert(key.id.clone());
            }
            Kind::Manifest => {
                self.manifests.insert(key.id.clone());
            }
            Kind::Chunk => {
                self.chunks.insert(key.id.clone());
            }
            Kind::Upload => {
                self.uploads.insert(key.id.clone());
            }
            Kind::DeadLetter => {
                self.dead_letters.insert(key.id.clone());
            }
            _ => {}
        }
    }

    pub fn remove(&mut self, key: &Key) {
        match key.kind {
            Kind::PendingReturns => {
                self.pending_returns.remove(&key.id);
            }
            Kind::Unnotified => {
                self.unnotified.remove(&key.id);
            }
            Kind::Tasks => {
                self.tasks.remove(&key.id);
            }
            Kind::Schedules => {
                self.schedules.remove(&key.id);
            }
            Kind::Deployments => {
                self.deployments.remove(&key.id);
            }
            Kind::Manifest => {
                self.manifests.remove(&key.id);
            }
            Kind::Chunk => {
                self.chunks.remove(&key.id);
            }
            Kind::Upload => {
                self.uploads.remove(&key.id);
            }
            Kind::DeadLetter => {
                self.dead_letters.remove(&key.id);
            }
            _ => {}
        }
    }

    /// See `Store::list`. `None`: there is no index of this kind.
    pub fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Option<Page> {
        let begin = (cursor.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let ids: Vec<String> = match kind {
            Kind::PendingReturns => texts(self.pending_returns.range::<str, _>(begin), limit),
            Kind::Unnotified => texts(self.unnotified.range::<str, _>(begin), limit),
            Kind::Tasks => texts(self.tasks.range::<str, _>(begin), limit),
            Kind::Schedules => texts(self.schedules.range::<str, _>(begin), limit),
            Kind::Deployments => texts(self.deployments.range::<str, _>(begin), limit),
            Kind::Manifest => texts(self.manifests.range::<str, _>(begin), limit),
            Kind::Chunk => texts(self.chunks.range::<str, _>(begin), limit),
            Kind::Upload => texts(self.uploads.range::<str, _>(begin), limit),
            Kind::DeadLetter => texts(self.dead_letters.range::<str, _>(begin), limit),
            Kind::Job => texts(self.jobs.ids(begin), limit),
            _ => return None,
        };
        let next = if ids.len() < limit { None } else { ids.last().cloned() };
        Some(Page { ids, next })
    }
}

fn texts<'a>(ids: impl Iterator<Item = &'a Arc<str>>, limit: usize) -> Vec<String> {
    ids.take(limit).map(ToString::to_string).collect()
}
