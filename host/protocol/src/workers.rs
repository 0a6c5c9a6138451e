//! Which workers of a topic run. Each worker says so from time to time, in a record of the topic. It is for
//! people, for a push, which waits for them, and for calls that bring code along, which need one that accepts it.

use std::time::Duration;

use crate::error::Result;
use crate::model::{Millis, Topic};
use crate::ports::{Key, Store, Swap};
use crate::records::{WorkerInfo, Workers, decode_workers, encode_workers};

/// How often a worker says that it runs.
pub const BEAT: Duration = Duration::from_secs(10);

/// A worker that has said nothing for so long is not listed any more, and the next worker that writes removes it. It is dead,
/// frozen, or can't reach the backend.
pub const GONE: Duration = Duration::from_secs(35);

/// Records that a worker runs, and removes the workers that are gone.
///
/// # Errors
/// When the backend fails. `Malformed` if the record can't be read: then it is not replaced.
pub async fn beat(store: &dyn Store, topic: &Topic, id: &str, info: &WorkerInfo) -> Result<()> {
    change(store, topic, |workers| {
        workers.retain(|_, worker| is_alive(worker, info.seen));
        workers.insert(id.to_owned(), info.clone());
    })
    .await
}

/// Removes a worker, which has stopped.
///
/// # Errors
/// When the backend fails. `Malformed` if the record can't be read.
pub async fn leave(store: &dyn Store, topic: &Topic, id: &str) -> Result<()> {
    change(store, topic, |workers| {
        workers.remove(id);
    })
    .await
}

/// The workers of a topic that run, by their ids.
///
/// # Errors
/// When the backend fails. `Malformed` if the record can't be read.
pub async fn running(store: &dyn Store, topic: &Topic, now: Millis) -> Result<Workers> {
    let mut workers = match store.get(&Key::workers(topic)).await? {
        Some(bytes) => decode_workers(&bytes)?,
        None => Workers::new(),
    };
    workers.retain(|_, worker| is_alive(worker, now));
    Ok(workers)
}

/// Do the workers of a topic run components that calls bring along? `None`: no worker runs.
///
/// # Errors
/// As `running`.
pub async fn accepts_code(store: &dyn Store, topic: &Topic, now: Millis) -> Result<Option<bool>> {
    let workers = running(store, topic, now).await?;
    let mut working = workers.values().filter(|worker| !worker.stopping).peekable();
    Ok(working.peek().is_some().then(|| working.any(|worker| worker.accepts_code)))
}

fn is_alive(worker: &WorkerInfo, now: Millis) -> bool {
    u128::from(now.saturating_sub(worker.seen)) < GONE.as_millis()
}

async fn change(store: &dyn Store, topic: &Topic, change: impl Fn(&mut Workers)) -> Result<()> {
    let key = Key::workers(topic);
    let mut found = store.get(&key).await?;
    loop {
        let mut workers = found.as_deref().map(decode_workers).transpose().map_err(|error| error.of(&key))?;
        let workers = workers.get_or_insert_default();
        change(workers);
        // A topic without workers has no record.
        let new = (!workers.is_empty()).then(|| encode_workers(workers));
        if found == new {
            return Ok(());
        }
        match store.swap(&key, found.as_ref(), new).await? {
            Swap::Done => return Ok(()),
            Swap::Mismatch(other) => found = other,
        }
    }
}
