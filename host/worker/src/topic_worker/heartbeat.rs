//! Says from time to time that this worker runs, for people.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::{Millis, Topic};
use brrr_protocol::ports::Backend;
use brrr_protocol::records::WorkerInfo;
use brrr_protocol::workers::{BEAT, beat, leave};

use super::{Gauge, Shutdown};
use crate::deployed::RevisionStates;
use crate::served::ComponentList;

/// How long a worker waits at its end until it is no longer listed.
const LAST: Duration = Duration::from_secs(1);

/// What a worker says of itself for all of its topics.
#[derive(Clone, Debug)]
pub struct Identity {
    id: Arc<str>,
    /// What does not change while it runs.
    info: WorkerInfo,
}

impl Identity {
    /// A worker of this process that starts now.
    #[must_use]
    pub fn new(id: &str, now: Millis, slots: u32) -> Self {
        let info = WorkerInfo {
            host: host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: now,
            slots,
            ..WorkerInfo::default()
        };
        Self { id: id.into(), info }
    }
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    String::new()
}

/// What a worker says of one topic.
pub struct TopicState {
    pub gauge: Gauge,
    pub revisions: Option<Arc<RevisionStates>>,
    pub components: Arc<ComponentList>,
}

/// Records from time to time that a worker of a topic runs, and once more when it is asked to stop. When `ended` is ready, its last run
/// has ended: then the worker is removed.
pub async fn say_that_it_runs(
    backend: Arc<dyn Backend>,
    topic: Topic,
    identity: Identity,
    TopicState { gauge, revisions, components }: TopicState,
    shutdown: Shutdown,
    ended: impl Future<Output = ()>,
) {
    let store = backend.store();
    let mut told = false;
    tokio::pin!(ended);
    loop {
        let stopping = shutdown.begun().is_some();
        let (running, seen) = (gauge.running(), backend.now());
        let states = revisions.as_ref().map(|revisions| revisions.get()).unwrap_or_default();
        let follows = revisions.is_some();
        let info = WorkerInfo {
            running,
            seen,
            stopping,
            follows,
            revisions: states,
            components: components.get(),
            ..identity.info.clone()
        };
        if let Err(error) = beat(store, &topic, &identity.id, &info).await
            && !std::mem::replace(&mut told, true)
        {
            tracing::debug!("topic {topic} does not list this worker: {error}");
        }
        // Workers that were started together don't write together for ever.
        let pause = BEAT.mul_f64(0.8 + 0.2 * fraction(&identity.id));
        tokio::select! {
            biased;
            () = &mut ended => break,
            _ = shutdown.wait(), if !stopping => {}
            // A push waits for this.
            () = changed(revisions.as_deref()) => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    // The worker ends in any case. Without this, it is listed for some seconds more.
    let _ = tokio::time::timeout(LAST, leave(store, &topic, &identity.id)).await;
}

/// Returns when the state of a revision has changed. Never returns if there are no revisions.
async fn changed(revisions: Option<&RevisionStates>) {
    match revisions {
        Some(revisions) => revisions.changed().await,
        None => std::future::pending().await,
    }
}

/// A number from 0 to 1 that follows from the id.
fn fraction(id: &str) -> f64 {
    f64::from(id.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))) / 256.0
}
