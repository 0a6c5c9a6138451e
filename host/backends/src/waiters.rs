//! Wakes tasks inside one process: tasks that wait for a message, and tasks that wait for a record.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use brrr_protocol::model::Topic;
use tokio::sync::Notify;
use tokio::time::timeout;

/// The waiting tasks of this process.
pub(crate) struct Waiters {
    /// Rises with every commit that wrote a record. It begins at 1, and a waiting task begins with 0, so its first wait
    /// returns at once.
    version: AtomicU64,
    changed: Notify,
    topics: Mutex<HashMap<Topic, Arc<TopicWaiters>>>,
    /// How many tasks wait, for a message or for a record.
    waiting: AtomicUsize,
    /// Called when the number of waiting tasks rises from 0 to 1.
    on_first: Option<Box<dyn Fn() + Send + Sync>>,
}

/// The tasks that wait for a message of one topic.
#[derive(Default)]
pub(crate) struct TopicWaiters {
    notify: Notify,
    waiting: AtomicUsize,
}

/// Counts a task as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl TopicWaiters {
    /// Waits for a notification, but at most for `at_most`. A notification that came before this call is not lost.
    pub async fn wait(&self, all: &Waiters, at_most: Duration) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _topic = Waiting(&self.waiting);
        let _all = all.begin_waiting();
        // A timeout is no error here: the caller looks again in both cases.
        let _ = timeout(at_most, self.notify.notified()).await;
    }

    /// Wakes one task. If that task finds more messages than it takes, it calls this again for the next task.
    pub fn notify(&self) {
        self.notify.notify_one();
    }
}

impl Waiters {
    pub fn new() -> Self {
        Self {
            version: AtomicU64::new(1),
            changed: Notify::new(),
            topics: Mutex::default(),
            waiting: AtomicUsize::new(0),
            on_first: None,
        }
    }

    /// `on_first` is called when the number of waiting tasks rises from 0 to 1.
    #[cfg(feature = "sqlite")]
    pub fn with_hook(on_first: impl Fn() + Send + Sync + 'static) -> Self {
        Self { on_first: Some(Box::new(on_first)), ..Self::new() }
    }

    fn begin_waiting(&self) -> Waiting<'_> {
        if self.waiting.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(on_first) = &self.on_first
        {
            on_first();
        }
        Waiting(&self.waiting)
    }

    pub fn topic(&self, topic: &Topic) -> Arc<TopicWaiters> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = topics.get(topic) {
            return found.clone();
        }
        topics.entry(topic.clone()).or_default().clone()
    }

    /// The topics for which a task waits right now.
    #[cfg(feature = "sqlite")]
    pub fn awaited_topics(&self) -> Vec<Topic> {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let awaited = topics.iter().filter(|(_, t)| t.waiting.load(Ordering::SeqCst) > 0);
        awaited.map(|(topic, _)| topic.clone()).collect()
    }

    /// Does any task wait?
    #[cfg(feature = "sqlite")]
    pub fn anybody(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Says that records changed.
    pub fn bump(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// See `Backend::changed`.
    pub async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        // Registered before the look, so that no change in between is missed.
        let notified = self.changed.notified();
        let now = self.version.load(Ordering::SeqCst);
        if now == version {
            let _all = self.begin_waiting();
            // A timeout is a valid result too.
            let _ = timeout(at_most, notified).await;
        }
        self.version.load(Ordering::SeqCst)
    }
}
