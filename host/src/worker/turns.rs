//! One at a time: of several messages for the same call of the same job, this worker works on one after the other.
//!
//! Two results that arrive together may both wake a parent that waits for either. Run side by side it would print twice
//! what is to appear once; the second message, when its turn comes, mostly finds that there is nothing left to do. (What
//! another worker does meanwhile is harmless, but can't be seen here.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Who has the turn, by the body of the message, which names job and call.
#[derive(Default)]
pub struct Turns {
    calls: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
}

/// The turn of one message; the next one's begins when this is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    body: Arc<str>,
    // Given up in `drop`, before anybody else is looked for.
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until no other message of this body is worked on.
    pub async fn wait(&self, body: &str) -> Turn<'_> {
        let (body, call) = {
            let mut calls = self.calls();
            match calls.get_key_value(body) {
                Some((body, call)) => (body.clone(), call.clone()),
                None => {
                    let (body, call): (Arc<str>, Arc<tokio::sync::Mutex<()>>) = (body.into(), Arc::default());
                    calls.insert(body.clone(), call.clone());
                    (body, call)
                }
            }
        };
        // From here on dropping it, even while it waits, tidies up.
        let mut turn = Turn { turns: self, body, held: None };
        turn.held = Some(call.lock_owned().await);
        turn
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut calls = self.turns.calls();
        drop(self.held.take());
        // Who waits or has the turn holds the lock too; nobody can begin to while the table is locked.
        if calls.get(&self.body).is_some_and(|call| Arc::strong_count(call) == 1) {
            calls.remove(&self.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_same_call_waits_another_does_not_and_nothing_is_left() {
        let turns = Turns::default();
        let first = turns.wait("a").await;
        let other = turns.wait("b").await;
        let second = turns.wait("a");
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_millis(10), &mut second).await.is_err());
        drop(first);
        drop(second.await);
        drop(other);
        assert!(turns.calls().is_empty());
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_nothing() {
        let turns = Turns::default();
        let first = turns.wait("a").await;
        assert!(tokio::time::timeout(Duration::from_millis(1), turns.wait("a")).await.is_err());
        drop(first);
        assert!(turns.calls().is_empty());
    }
}
