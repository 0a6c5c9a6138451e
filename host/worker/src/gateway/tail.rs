//! Follows the event log of a backend, for all streams of a gateway together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use brrr_protocol::Result;
use brrr_protocol::ports::{Backend, EVENTS_KEPT};
use bytes::Bytes;
use tokio::sync::{Mutex, broadcast};

/// The longest time between two looks. A backend's notice of a change may get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Events are published in batches, so a look after each change would often find none.
const PAUSE: Duration = Duration::from_millis(50);

/// The most events that are read at once.
const PAGE: usize = 1_000;

/// The most events that a slow stream may be behind. After that it reads the log itself.
const BEHIND: usize = 1_024;

/// An event with its position in the log.
pub type LoggedEvent = (u64, Bytes);

/// Follows the event log.
pub struct EventTail {
    backend: Arc<dyn Backend>,
    running: Mutex<Option<Running>>,
}

struct Running {
    sender: broadcast::Sender<LoggedEvent>,
    position: Arc<AtomicU64>,
}

impl EventTail {
    /// Follows the log of this backend, as soon as somebody subscribes.
    pub fn new(backend: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self { backend, running: Mutex::new(None) })
    }

    /// Up to a thousand events after a position.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn read(&self, after: u64) -> Result<Vec<LoggedEvent>> {
        match self.backend.events() {
            Some(log) => log.events(after, PAGE).await,
            None => Ok(Vec::new()),
        }
    }

    /// The events that come from now on, and the position of the last event before them.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn subscribe(self: &Arc<Self>) -> Result<(u64, broadcast::Receiver<LoggedEvent>)> {
        let mut running = self.running.lock().await;
        if let Some(Running { sender, position }) = &*running {
            let receiver = sender.subscribe();
            return Ok((position.load(SeqCst), receiver));
        }
        let mut end = 0;
        // The log is bounded. The bound here is for a log that grows faster than it is read.
        for _ in 0..=2 * EVENTS_KEPT as usize / PAGE {
            match self.read(end).await?.last() {
                Some((position, _)) => end = *position,
                None => break,
            }
        }
        let (sender, receiver) = broadcast::channel(BEHIND);
        let position = Arc::new(AtomicU64::new(end));
        *running = Some(Running { sender: sender.clone(), position: position.clone() });
        tokio::spawn(self.clone().follow(sender, position));
        Ok((end, receiver))
    }

    /// Passes new events on until nobody listens.
    async fn follow(self: Arc<Self>, sender: broadcast::Sender<LoggedEvent>, position: Arc<AtomicU64>) {
        let mut version = 0;
        loop {
            version = self.backend.changed(version, LOOK_AGAIN).await;
            {
                let mut running = self.running.lock().await;
                if sender.receiver_count() == 0 {
                    *running = None;
                    return;
                }
            }
            match self.read(position.load(SeqCst)).await {
                Ok(events) => {
                    for (at, event) in events {
                        position.store(at, SeqCst);
                        // Without a listener the event is dropped.
                        let _ = sender.send((at, event));
                    }
                }
                Err(error) => {
                    tracing::debug!("events can't be read: {error}");
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
