//! Waits for the ends of jobs, for all requests of a gateway together. However many requests wait, there is one look at the backend
//! when something may have changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::Result;
use brrr_protocol::model::{CallHash, JobId};
use brrr_protocol::ports::{Backend, Key};
use tokio::sync::{Notify, oneshot};

/// The longest time between two looks. A backend's notice of a change may get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The number of records that are looked for at once.
const PAGE: usize = 1_000;

/// After a look there is a pause of so many times the time that it took. So many requests that wait don't take all of a core.
const PAUSE: u32 = 3;

/// Waits for the ends of jobs.
pub struct Watcher {
    backend: Arc<dyn Backend>,
    watched: Mutex<Watched>,
    /// A request has begun to wait.
    arrived: Notify,
}

#[derive(Default)]
struct Watched {
    waiting: HashMap<u64, Waiting>,
    next: u64,
    /// Is there a task that looks?
    is_looking: bool,
}

struct Waiting {
    job_id: JobId,
    call: CallHash,
    ended: oneshot::Sender<()>,
}

/// Removes a request from those that wait, however its wait ends.
struct Registered<'a>(&'a Watcher, u64);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting.remove(&self.1);
    }
}

impl Watcher {
    /// Waits on this backend.
    pub fn new(backend: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self { backend, watched: Mutex::default(), arrived: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the call has an outcome in this job, or may have one, and after `at_most` in any case.
    pub async fn wait(self: &Arc<Self>, job_id: &JobId, call: &CallHash, at_most: Duration) {
        let (ended, end) = oneshot::channel();
        let id = {
            let mut watched = self.lock();
            let id = watched.next;
            watched.next += 1;
            watched.waiting.insert(id, Waiting { job_id: job_id.clone(), call: call.clone(), ended });
            if !std::mem::replace(&mut watched.is_looking, true) {
                tokio::spawn(self.clone().look_on());
            }
            id
        };
        let _registered = Registered(self, id);
        self.arrived.notify_one();
        // The outcome may have come before this request was among those that wait.
        if matches!(self.has_ended(&[(id, job_id.clone(), call.clone())]).await, Ok(ended) if !ended.is_empty()) {
            return;
        }
        // A timeout is a valid result too.
        let _ = tokio::time::timeout(at_most, end).await;
    }

    /// Looks until nobody waits.
    async fn look_on(self: Arc<Self>) {
        let mut version = 0;
        loop {
            version = self.changed(version).await;
            let waiting: Vec<(u64, JobId, CallHash)> = {
                let mut watched = self.lock();
                if watched.waiting.is_empty() {
                    watched.is_looking = false;
                    return;
                }
                watched.waiting.iter().map(|(id, w)| (*id, w.job_id.clone(), w.call.clone())).collect()
            };
            let began = Instant::now();
            match self.has_ended(&waiting).await {
                Ok(ended) => {
                    let mut watched = self.lock();
                    for id in ended {
                        if let Some(waiting) = watched.waiting.remove(&id) {
                            // The request may have stopped waiting.
                            let _ = waiting.ended.send(());
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!("the ends of jobs can't be looked for: {error}");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
            tokio::time::sleep((began.elapsed() * PAUSE).min(LOOK_AGAIN)).await;
        }
    }

    /// Waits until something may have changed. A remote backend does not report changes, and is looked at less and less often. A
    /// new request may wait for a short job, so with it the pauses are short again.
    async fn changed(&self, version: u64) -> u64 {
        let changed = self.backend.changed(version, LOOK_AGAIN);
        if !self.backend.is_remote() {
            return changed.await;
        }
        tokio::select! {
            version = changed => version,
            () = self.arrived.notified() => self.backend.changed(1, LOOK_AGAIN).await,
        }
    }

    /// Which of these calls have an outcome in their job.
    async fn has_ended(&self, waiting: &[(u64, JobId, CallHash)]) -> Result<Vec<u64>> {
        let mut ended = Vec::new();
        for page in waiting.chunks(PAGE / 2) {
            let keys: Vec<Key> =
                page.iter().flat_map(|(_, job_id, call)| [Key::value(call), Key::failure(call, job_id)]).collect();
            let there = self.backend.store().has_many(&keys).await?;
            let found = page.iter().zip(there.chunks(2)).filter(|(_, there)| there.contains(&true));
            ended.extend(found.map(|((id, ..), _)| *id));
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use brrr_backends::{Combined, Memory};
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn many_requests_wait_for_many_jobs() {
        let backend: Arc<dyn Backend> = Arc::new(Memory::new());
        let watcher = Watcher::new(backend.clone());
        let wait = |n: u32, at_most| {
            let watcher = watcher.clone();
            async move { watcher.wait(&format!("job{n}").into(), &format!("call{n}").into(), at_most).await }
        };
        let all: Vec<_> = (0..100).map(|n| tokio::spawn(wait(n, Duration::from_secs(60)))).collect();
        for n in 0..100 {
            let call = CallHash::from(format!("call{n}"));
            let key = if n % 2 == 0 { Key::value(&call) } else { Key::failure(&call, &format!("job{n}").into()) };
            backend.store().put(&key, Bytes::from_static(b"x")).await.unwrap();
        }
        for one in all {
            one.await.unwrap();
        }
        // A request that waits for another job is not woken, and then nobody waits.
        wait(100, Duration::from_millis(20)).await;
        assert!(watcher.lock().waiting.is_empty());
        // An outcome that is there already.
        wait(7, Duration::from_secs(60)).await;
    }

    /// A backend that does not report changes is looked at less and less often. A request for a short job does not suffer from
    /// one for a long job.
    #[tokio::test]
    async fn a_new_request_makes_the_looks_frequent_again() {
        let parts = Arc::new(Memory::new());
        let (store, queue, counters) = (parts.clone(), parts.clone(), parts);
        let backend: Arc<dyn Backend> =
            Arc::new(Combined { name: "apart".into(), store, queue, counters, events: None });
        let watcher = Watcher::new(backend.clone());
        let long = tokio::spawn({
            let watcher = watcher.clone();
            async move { watcher.wait(&"long".into(), &"long".into(), Duration::from_secs(60)).await }
        });
        // After this time, the pauses are as long as they get: 250 ms.
        watcher.wait(&"other".into(), &"other".into(), Duration::from_secs(1)).await;
        let begun = Instant::now();
        for n in 0..10 {
            let call = CallHash::from(format!("call{n}"));
            let done = async {
                tokio::task::yield_now().await;
                backend.store().put(&Key::value(&call), Bytes::from_static(b"x")).await.unwrap();
            };
            let job_id = "job".into();
            tokio::join!(watcher.wait(&job_id, &call, Duration::from_secs(60)), done);
        }
        // Ten long pauses would take twice as long.
        assert!(begun.elapsed() < Duration::from_millis(1_250), "{:?}", begun.elapsed());
        assert!(!long.is_finished());
        long.abort();
    }
}
