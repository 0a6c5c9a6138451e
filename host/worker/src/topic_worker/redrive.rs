//! Looks for stuck work now and then, and queues it again. One worker of a fleet at a time.
//!
//! On a thread for blocking work: a look at a large SQLite file takes seconds, and must not hold up guests.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::Result;
use brrr_protocol::doctor::{Doctor, Finding, Look, Lost};
use brrr_protocol::ports::Backend;
use tokio::runtime::Handle;

use super::Shutdown;
use crate::view::finding_text;

/// How much later it is looked again whether what looked stuck still does: a tenth of the interval, within these.
const SECOND_LOOK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Of calls that may have a message in a queue that can't be looked through, so many are queued again at a time: there, a long
/// queue looks like one that has lost everything, and must not become longer and longer.
const MOST_UNCERTAIN: usize = 100;

/// Looks every `interval`, until the worker is asked to stop.
pub async fn redrive(backend: Arc<dyn Backend>, interval: Duration, shutdown: Shutdown) {
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

/// Is this the first worker that looks in this interval? A counter for each, of which the one before is forgotten.
async fn is_first(backend: &dyn Backend, interval: Duration) -> Result<bool> {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
    let turn = backend.now() / millis;
    let counter = |turn: u64| format!("brrr:redrive:{millis}:{turn}");
    let first = backend.cache().incr(&counter(turn), 1).await? == 1;
    if first {
        backend.cache().forget(&[counter(turn - 1)]).await?;
    }
    Ok(first)
}
