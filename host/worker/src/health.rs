//! Is this process alive, and is it ready for work? For the probes of container platforms.
//!
//! *Alive* means that the process answers. A restart would not help against anything else: a backend that can't be reached
//! comes back by itself. *Ready* means that the process has started, is not about to stop, reaches its backend, and gets on
//! with its messages.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;

use crate::metrics::Metrics;
use crate::sampling::{PERIOD, Sampler};
use crate::topic_worker::Shutdown;

/// How long messages may wait, while none is settled, until the worker counts as not ready.
pub const STALLED_AFTER: Duration = Duration::from_mins(1);

/// A look at the backend that takes longer has failed.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// How this process does. Clones are the same.
#[derive(Clone)]
pub struct Health(Arc<HealthState>);

struct HealthState {
    stalled_after: Duration,
    /// How many messages the worker has settled.
    settled: AtomicU64,
    watched: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// `None`: components are being loaded, or the backend is being opened.
    shutdown: Option<Shutdown>,
    /// The last look at the backend that succeeded.
    looked: Option<Instant>,
    /// The last look has failed.
    failed: bool,
    /// By topic: messages have waited since then, and none was settled.
    stalled: Vec<(Topic, Instant)>,
    /// The number of settled messages at the last look.
    settled: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self::stalled_after(STALLED_AFTER)
    }
}

impl Health {
    /// The health of a process that starts. It is not ready when messages wait for so long and none is settled.
    #[must_use]
    pub fn stalled_after(time: Duration) -> Self {
        let state = HealthState {
            stalled_after: time,
            settled: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            seen: Mutex::default(),
        };
        Self(Arc::new(state))
    }

    /// Why the process is not ready. Empty: it is ready. The texts contain no secrets, because they need no token.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let (seen, now) = (self.seen(), Instant::now());
        let Some(shutdown) = &seen.shutdown else {
            return vec!["it starts: components are being loaded, or the backend is being opened".to_owned()];
        };
        if shutdown.begun().is_some() {
            return vec!["it stops: running calls are let end".to_owned()];
        }
        let mut reasons = Vec::new();
        match seen.looked {
            None => reasons.push("the backend has not answered yet".to_owned()),
            Some(at) if seen.failed || now - at > PERIOD + LOOK => {
                reasons.push(format!("the backend can't be reached; it last answered {} s ago", (now - at).as_secs()));
            }
            Some(_) => {}
        }
        let late = |since: Instant| now - since >= self.0.stalled_after;
        for (topic, since) in seen.stalled.iter().filter(|(_, since)| late(*since)) {
            let seconds = (now - *since).as_secs();
            reasons.push(format!("messages of topic {topic} wait, and none was settled for {seconds} s"));
        }
        reasons
    }

    /// The pause between two looks at the queues.
    pub(crate) fn period(&self) -> Duration {
        self.0.stalled_after.clamp(PERIOD / 10, PERIOD)
    }

    /// The worker has settled a message.
    pub(crate) fn settled(&self) {
        self.0.settled.fetch_add(1, Ordering::Relaxed);
    }

    /// The process serves, until it is asked to stop.
    pub fn serves(&self, shutdown: &Shutdown) {
        self.seen().shutdown = Some(shutdown.clone());
    }

    /// Somebody will ask for the health, so the worker looks at its queues.
    pub fn watch(&self) {
        self.0.watched.store(true, Ordering::Relaxed);
    }

    /// Looks at the backend from now on, for a gateway without a worker.
    pub fn watch_backend(&self, backend: Arc<dyn Backend>, topics: Vec<Topic>, metrics: Option<Arc<Metrics>>) {
        self.watch();
        tokio::spawn(Sampler { backend, topics, metrics, health: self.clone(), admission: None }.run());
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::Relaxed)
    }

    /// A look at the backend has failed.
    pub(crate) fn unreachable(&self) {
        self.seen().failed = true;
    }

    /// A look at the backend. `waiting`: the topics with ready messages. `idle`: the worker has room for a run.
    pub(crate) fn looked(&self, waiting: &[Topic], idle: bool) {
        let settled = self.0.settled.load(Ordering::Relaxed);
        let (mut seen, now) = (self.seen(), Instant::now());
        (seen.looked, seen.failed) = (Some(now), false);
        // A worker whose runs all take long settles nothing, and that is all right.
        let progress = !idle || std::mem::replace(&mut seen.settled, settled) != settled;
        seen.stalled.retain(|(topic, _)| !progress && waiting.contains(topic));
        if !progress {
            let new: Vec<_> =
                waiting.iter().filter(|topic| seen.stalled.iter().all(|(known, _)| known != *topic)).cloned().collect();
            seen.stalled.extend(new.into_iter().map(|topic| (topic, now)));
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic_worker::StopReason;

    #[test]
    fn each_state_has_its_reason() {
        let health = Health::stalled_after(Duration::ZERO);
        let reason = |health: &Health| health.reasons().join("; ");
        assert!(reason(&health).contains("it starts"));
        let shutdown = Shutdown::default();
        health.serves(&shutdown);
        assert!(reason(&health).contains("not answered yet"));
        health.looked(&[], true);
        assert_eq!(reason(&health), "");
        health.unreachable();
        assert!(reason(&health).contains("can't be reached"));
        // Messages wait, and nothing happens.
        health.looked(&["t".into()], true);
        assert!(reason(&health).contains("topic t wait"));
        // All runs are taken.
        health.looked(&["t".into()], false);
        assert_eq!(reason(&health), "");
        health.looked(&["t".into()], true);
        health.settled();
        health.looked(&["t".into()], true);
        assert_eq!(reason(&health), "", "a message was settled");
        shutdown.begin(StopReason::Terminate);
        assert!(reason(&health).contains("it stops"));
    }
}
