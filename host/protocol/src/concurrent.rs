//! Makes several accesses at once, for a store behind a network.

use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::error::Result;

/// The most accesses of one transition that are made at once. So a thousand children take about thirty round trips one after
/// the other, and one transition does not take all connections from the others.
const AT_ONCE: usize = 32;

/// One access, or a few accesses one after the other.
pub(crate) type Access<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Makes all these accesses, in no particular order. After an error no more accesses are started, but the function waits for
/// those that were started. So when a failed transition returns, nothing of it is still going on.
///
/// The parameter is a vector, not an iterator: the compiler can't prove that an iterator with closures over borrowed accesses
/// can be sent to another thread.
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
