//! Stops running calls whose job is over: cancelled, past its deadline, or done without them.
//!
//! Looks at the jobs of what has been running for a moment, so short calls cost nothing. On the thread that renews
//! leases, which is never behind guests: a look must be much quicker than a lease is long.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::Root;
use brrr_protocol::ports::{Backend, Key};
use brrr_protocol::records::JobRecord;

use super::in_flight::InFlight;

/// How often to look, and how long a call may run before anybody does. A job that ends stops its calls within two of
/// these.
const PERIOD: Duration = Duration::from_millis(250);

/// Watches for ever.
pub async fn watch(backend: &Arc<dyn Backend>, in_flight: &InFlight) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let roots: Vec<Root> = in_flight.roots_running_for(PERIOD).into_iter().collect();
        if roots.is_empty() {
            continue;
        }
        match over(backend, &roots).await {
            Ok(over) => over.iter().for_each(|root| in_flight.preempt(root)),
            // The calls go on; the next look may see more.
            Err(error) => tracing::debug!("could not look whether jobs are over: {error}"),
        }
    }
}

/// Which of these jobs are over. One whose deadline has passed is ended by this.
async fn over(backend: &Arc<dyn Backend>, roots: &[Root]) -> Result<Vec<Root>> {
    let keys: Vec<Key> = roots.iter().map(Key::job).collect();
    let records = backend.store().get_many(&keys).await?;
    let mut over = Vec::new();
    for (root, bytes) in roots.iter().zip(records) {
        let job = match bytes.as_deref().map(JobRecord::decode).transpose() {
            // Whoever delivers its next message reports it.
            Err(error) if error.is_unreadable() => None,
            job => job?,
        };
        let Some(mut job) = job else { continue };
        if job.is_overdue(backend.now()) {
            match Client::new(backend.clone()).end_if_overdue(root, backend.now()).await {
                Ok(Some(ended)) => job = ended,
                Ok(None) => continue,
                // The others are still to be looked at.
                Err(error) => {
                    tracing::warn!("job {root} could not be ended at its deadline: {error}");
                    continue;
                }
            }
        }
        if job.is_over() {
            over.push(root.clone());
        }
    }
    Ok(over)
}
