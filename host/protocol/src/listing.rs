//! All ids of a kind.

use crate::error::Result;
use crate::ports::{Kind, Store};

/// Ids that one look lists. Many: some stores go through all of their records for each look.
const LIST: usize = 20_000;

/// The ids that have a record of one kind, ascending, some thousands at a time. What is written meanwhile may be missing.
pub struct Listing<'a> {
    store: &'a dyn Store,
    kind: Kind,
    after: Option<String>,
    is_over: bool,
}

impl<'a> Listing<'a> {
    #[must_use]
    pub fn of(store: &'a dyn Store, kind: Kind) -> Self {
        Self { store, kind, after: None, is_over: false }
    }

    /// The next of them; `None`: there are no more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>> {
        if self.is_over {
            return Ok(None);
        }
        let ids = self.store.list(&self.kind, self.after.as_deref(), LIST).await?;
        self.is_over = ids.len() < LIST;
        self.after = ids.last().cloned();
        Ok(Some(ids).filter(|ids| !ids.is_empty()))
    }
}
