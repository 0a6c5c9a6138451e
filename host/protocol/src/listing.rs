//! All ids of a kind.

use std::collections::HashSet;

use crate::doctor::bits;
use crate::error::Result;
use crate::ports::{Kind, Store};

/// Ids that one page has, about.
pub(crate) const LIST: usize = 1_000;

/// The ids that have a record of one kind, in any order, about a thousand at a time, each once. What is written meanwhile may be
/// missing. (Told apart by 64 bits of their names.)
pub struct Listing<'a> {
    store: &'a dyn Store,
    kind: Kind,
    cursor: Option<String>,
    is_over: bool,
    seen: HashSet<u64>,
}

impl<'a> Listing<'a> {
    #[must_use]
    pub fn of(store: &'a dyn Store, kind: Kind) -> Self {
        Self { store, kind, cursor: None, is_over: false, seen: HashSet::new() }
    }

    /// The next of them; `None`: there are no more.
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
