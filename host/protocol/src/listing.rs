//! Lists all ids that have a record of one kind, and all jobs that match a filter.

use std::collections::HashSet;

use crate::doctor::bits;
use crate::error::Result;
use crate::ports::{IndexedJob, JobFilter, JobOrder, JobQuery, Kind, Store};

/// About how many ids one page has.
const LIST: usize = 1_000;

/// The ids that have a record of one kind, in any order, about a thousand at a time, each once. A record that is written
/// meanwhile may be missing. (Ids are compared by 64 bits of a hash of their names.)
pub struct Listing<'a> {
    store: &'a dyn Store,
    kind: Kind,
    cursor: Option<String>,
    is_over: bool,
    seen: HashSet<u64>,
}

impl<'a> Listing<'a> {
    /// A listing that starts at the beginning. It reads nothing before `next` is called.
    #[must_use]
    pub fn of(store: &'a dyn Store, kind: Kind) -> Self {
        Self { store, kind, cursor: None, is_over: false, seen: HashSet::new() }
    }

    /// The next ids. `None`: there are no more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>> {
        while !self.is_over {
            let page = self.store.list(&self.kind, self.cursor.as_deref(), LIST).await?;
            self.is_over = page.next.is_none();
            self.cursor = page.next;
            let new: Vec<String> = page.ids.into_iter().filter(|id| self.seen.insert(bits(id))).collect();
            if !new.is_empty() {
                return Ok(Some(new));
            }
        }
        Ok(None)
    }
}

/// The jobs that match a filter, in the order of time, about a thousand at a time. Jobs that are accepted meanwhile may be missing.
pub struct JobListing<'a> {
    store: &'a dyn Store,
    query: JobQuery,
    is_over: bool,
}

impl<'a> JobListing<'a> {
    /// A listing that starts at the beginning. It reads nothing before `next` is called.
    #[must_use]
    pub fn of(store: &'a dyn Store, filter: JobFilter, order: JobOrder) -> Self {
        Self { store, query: JobQuery { filter, order, after: None, limit: LIST }, is_over: false }
    }

    /// The next jobs. `None`: there are no more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self) -> Result<Option<Vec<IndexedJob>>> {
        while !self.is_over {
            let page = self.store.jobs(&self.query).await?;
            self.is_over = page.next.is_none();
            self.query.after = page.next;
            if !page.jobs.is_empty() {
                return Ok(Some(page.jobs));
            }
        }
        Ok(None)
    }
}
