//! A mutex for each key. The key is the body of a message, which names a job and a call. So a worker processes only one
//! message of a call in a job at a time.
//!
//! Two results that arrive together may both notify a parent that waits for either. If the parent ran twice at the same
//! time, it would print lines twice that should appear once. Usually the second message has nothing left to do.
//! (Another worker may run the same call at the same time. That is harmless, and can't be seen here.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// The mutexes of the keys that some task holds or waits for.
#[derive(Default)]
pub struct KeyedMutex {
    keys: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
}

/// Holds one key. Dropping it frees the key.
pub struct KeyedMutexGuard<'a> {
    owner: &'a KeyedMutex,
    key: Arc<str>,
    // `drop` drops this first, before it checks whether another task uses the key.
    held: Option<OwnedMutexGuard<()>>,
}

impl KeyedMutex {
    /// Waits until no other task holds the key.
    pub async fn lock(&self, key: &str) -> KeyedMutexGuard<'_> {
        let (key, mutex) = {
            let mut keys = self.keys();
            match keys.get_key_value(key) {
                Some((key, mutex)) => (key.clone(), mutex.clone()),
                None => {
                    let (key, mutex): (Arc<str>, Arc<tokio::sync::Mutex<()>>) = (key.into(), Arc::default());
                    keys.insert(key.clone(), mutex.clone());
                    (key, mutex)
                }
            }
        };
        // From here on the guard removes the key when it is dropped, also while it still waits.
        let mut guard = KeyedMutexGuard { owner: self, key, held: None };
        guard.held = Some(mutex.lock_owned().await);
        guard
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyedMutexGuard<'_> {
    fn drop(&mut self) {
        let mut keys = self.owner.keys();
        drop(self.held.take());
        // Every guard of the key has a clone of its mutex. No new guard is made while the table is locked.
        if keys.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            keys.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn only_the_same_key_waits_and_nothing_is_left() {
        let mutex = KeyedMutex::default();
        let first = mutex.lock("a").await;
        let other = mutex.lock("b").await;
        let second = mutex.lock("a");
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut second).await.is_err());
        drop(first);
        drop(second.await);
        drop(other);
        assert!(mutex.keys().is_empty());
    }

    #[tokio::test]
    async fn a_waiter_that_is_dropped_leaves_nothing() {
        let mutex = KeyedMutex::default();
        let first = mutex.lock("a").await;
        assert!(tokio::time::timeout(Duration::from_millis(1), mutex.lock("a")).await.is_err());
        drop(first);
        assert!(mutex.keys().is_empty());
    }
}
