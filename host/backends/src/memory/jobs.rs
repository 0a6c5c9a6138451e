//! The jobs in the order of acceptance.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use brrr_protocol::error::Result;
use brrr_protocol::ports::{IndexedJob, IndexedState, JobFacts, JobOrder, JobPage, JobQuery, position_of};
use bytes::Bytes;

use crate::now_micros;

/// The most entries that one query looks at.
const LOOKED_AT: usize = 100_000;

#[derive(Default)]
pub(super) struct Jobs {
    /// The positions of the jobs, by id.
    positions: BTreeMap<Arc<str>, u64>,
    entries: BTreeMap<u64, Entry>,
    /// The positions of the jobs in each state.
    states: [BTreeSet<u64>; STATES.len()],
}

const STATES: [IndexedState; 5] = IndexedState::ALL;

struct Entry {
    id: Arc<str>,
    facts: JobFacts,
}

impl Jobs {
    /// Puts what the record of a job says. A new job gets the next position.
    pub fn set(&mut self, id: &Arc<str>, record: &[u8]) {
        let facts = JobFacts::of(record);
        let last = self.entries.last_key_value().map_or(0, |(position, _)| *position);
        let position = *self.positions.entry(id.clone()).or_insert_with(|| now_micros().max(last + 1));
        self.states[slot(facts.state)].insert(position);
        if let Some(before) = self.entries.insert(position, Entry { id: id.clone(), facts: facts.clone() })
            && before.facts.state != facts.state
        {
            self.states[slot(before.facts.state)].remove(&position);
        }
    }

    pub fn remove(&mut self, id: &str) {
        let Some(position) = self.positions.remove(id) else { return };
        if let Some(entry) = self.entries.remove(&position) {
            self.states[slot(entry.facts.state)].remove(&position);
        }
    }

    /// The ids in a range.
    pub fn ids<'a>(&'a self, range: (Bound<&str>, Bound<&str>)) -> impl Iterator<Item = &'a Arc<str>> {
        self.positions.range::<str, _>(range).map(|(id, _)| id)
    }

    /// See `Store::jobs`. `record`: reads the record of a job.
    pub fn page(&self, query: &JobQuery, record: impl Fn(&Arc<str>) -> Option<Bytes>) -> Result<JobPage> {
        let filter = query.filter.indexed();
        let (mut from, mut to) = filter.positions();
        let after = query.after.as_deref().map(position_of).transpose()?;
        match query.order {
            JobOrder::NewestFirst => to = to.min(after.unwrap_or(u64::MAX)),
            JobOrder::OldestFirst => from = from.max(after.map_or(0, |after| after.saturating_add(1))),
        }
        let mut page = JobPage::default();
        if from >= to {
            return Ok(page);
        }
        let of_state = filter.state.map(|state| &self.states[slot(state)]);
        let positions: Box<dyn DoubleEndedIterator<Item = u64>> = match of_state {
            Some(state) => Box::new(state.range(from..to).copied()),
            None => Box::new(self.entries.range(from..to).map(|(position, _)| *position)),
        };
        let mut positions: Box<dyn Iterator<Item = u64>> = match query.order {
            JobOrder::NewestFirst => Box::new(positions.rev()),
            JobOrder::OldestFirst => positions,
        };
        let mut last = None;
        for position in positions.by_ref().take(LOOKED_AT) {
            if page.jobs.len() >= query.limit {
                page.next = last;
                return Ok(page);
            }
            let cursor = position.to_string();
            last = Some(cursor.clone());
            let found = self.entries.get(&position).filter(|entry| filter.matches(&entry.facts));
            if let Some((entry, record)) = found.and_then(|entry| Some((entry, record(&entry.id)?))) {
                page.jobs.push(IndexedJob { job_id: (&*entry.id).into(), record, position, cursor });
            }
        }
        page.next = last.filter(|_| positions.next().is_some());
        Ok(page)
    }
}

fn slot(state: IndexedState) -> usize {
    STATES.iter().position(|other| *other == state).unwrap_or_default()
}
