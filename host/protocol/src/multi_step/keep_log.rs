//! Keeps what a run has logged.

use crate::error::Result;
use crate::ports::{Key, Store, Swap, Work};

/// Adds what the run of this work has logged to the `log` record of its call. Nothing is written if nothing was logged. This is
/// done before anything says how the run ended: if the worker dies in between, the next run logs the same again, and no line is
/// added twice.
///
/// # Errors
/// When the store fails; safe to repeat.
pub async fn keep_log(store: &dyn Store, work: &Work) -> Result<()> {
    let Some(new) = &work.log else { return Ok(()) };
    let key = Key::log(&work.message.call, &work.message.job_id);
    // Most calls are run once, so there is no record yet. If there is one, the answer has it.
    let mut found = None;
    while let Some(record) = new.after(found.as_deref()) {
        match store.swap(&key, found.as_ref(), Some(record)).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    Ok(())
}
