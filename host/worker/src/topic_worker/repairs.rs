//! Looks for stuck work regularly, and queues it again. Only one worker of a fleet does so at a time.
//!
//! This runs on a thread for blocking work: reading a large SQLite file takes seconds, and must not delay guests.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::Result;
use brrr_protocol::doctor::{Doctor, Finding, Look, Lost};
use brrr_protocol::ports::Backend;
use tokio::runtime::Handle;

use super::Shutdown;
use crate::view::finding_text;

/// The delay before the second look. Work counts as stuck only if both looks find it. The delay is a tenth of the
/// interval,
/// within these limits.
const SECOND_LOOK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The most uncertain calls that are queued again at a time. In a queue that can't be searched, a call may still have
/// its
/// message. A long queue then looks like a queue that has lost all messages, and must not grow further and further.
const MOST_UNCERTAIN: usize = 100;

/// Looks for stuck work every `interval`, until the worker is asked to stop.
pub async fn repair_periodically(backend: Arc<dyn Backend>, interval: Duration, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = shutdown.wait() => return,
        }
        let (backend, stop) = (backend.clone(), shutdown.clone());
        let look = move || Handle::current().block_on(look_and_repair(&backend, interval, &stop));
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("could not look for stuck work: {error}"),
            Err(error) => tracing::error!("a fault of this program, please report it: {error}"),
        }
    }
}

async fn look_and_repair(backend: &Arc<dyn Backend>, interval: Duration, shutdown: &Shutdown) -> Result<()> {
    if !is_first(&**backend, interval).await? {
        return Ok(());
    }
    let doctor = Doctor::new(backend.clone());
    let look = || Look { now: backend.now(), older_than: interval };
    let first: HashSet<Finding> = doctor.survey(&look()).await?.findings.into_iter().collect();
    if first.is_empty() {
        return Ok(());
    }
    tokio::select! {
        () = tokio::time::sleep((interval / 10).clamp(SECOND_LOOK.0, SECOND_LOOK.1)) => {}
        _ = shutdown.wait() => return Ok(()),
    }
    let mut uncertain = 0;
    for finding in doctor.survey(&look()).await?.findings.iter().filter(|finding| first.contains(finding)) {
        if matches!(finding, Finding::Lost(Lost { certain: false, .. })) {
            uncertain += 1;
            if uncertain > MOST_UNCERTAIN {
                continue;
            }
        }
        match doctor.repair(finding, backend.now()).await {
            Ok(_) if matches!(finding, Finding::Damaged { .. }) => tracing::warn!("{}", finding_text(finding)),
            Ok(_) => tracing::warn!("stuck work was set going again: {}", finding_text(finding)),
            Err(error) => tracing::warn!("{}: {error}", finding_text(finding)),
        }
    }
    Ok(())
}

/// Is this the first worker that looks in this interval? Each interval has a counter. The counter of the interval
/// before is
/// removed.
async fn is_first(backend: &dyn Backend, interval: Duration) -> Result<bool> {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
    let turn = backend.now() / millis;
    let counter = |turn: u64| format!("brrr:repair:{millis}:{turn}");
    let first = backend.counters().incr(&counter(turn), 1).await? == 1;
    if first {
        backend.counters().forget(&[counter(turn - 1)]).await?;
    }
    Ok(first)
}
