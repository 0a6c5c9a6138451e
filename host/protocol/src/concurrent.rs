//! Several accesses at once, for a store that is a network away.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::error::Result;

/// Accesses of one transition at once. A thousand children then take about thirty round trips one after the other, and one
/// transition doesn't take all connections from the others.
const AT_ONCE: usize = 32;

/// One access, or a few one after the other.
pub(crate) type Access<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Makes all these accesses, in no order. After an error no more are begun, and those under way are waited for: what a
/// transition did that failed is over when it returns.
///
/// A vector, and not an iterator: the compiler can't see that one with closures over borrowed accesses may go to another thread.
pub(crate) async fn all<T>(accesses: Vec<Access<'_, T>>) -> Result<Vec<T>> {
    let mut waiting = accesses.into_iter();
    let mut running = FuturesUnordered::new();
    let (mut done, mut failed) = (Vec::new(), None);
    loop {
        while failed.is_none()
            && running.len() < AT_ONCE
            && let Some(access) = waiting.next()
        {
            running.push(access);
        }
        match running.next().await {
            Some(Ok(result)) => done.push(result),
            Some(Err(error)) => failed = failed.or(Some(error)),
            None => return failed.map_or(Ok(done), Err),
        }
    }
}
