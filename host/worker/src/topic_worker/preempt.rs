//! Stops running calls whose job is over: it was cancelled, its deadline has passed, or its result no longer needs
//! them.
//!
//! Only the jobs of calls that have been running for a moment are read, so short calls cost nothing. This runs on the
//! thread that renews leases, which guests never block. One check must take much less time than a lease.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::JobId;
use brrr_protocol::ports::{Backend, Key};
use brrr_protocol::records::JobRecord;

use super::in_flight::InFlight;

/// The interval of the checks, and the time after which a running call is checked. When a job ends, its calls are
/// stopped within two intervals.
const PERIOD: Duration = Duration::from_millis(250);

/// Checks without an end.
pub async fn watch(backend: &Arc<dyn Backend>, in_flight: &InFlight) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let job_ids: Vec<JobId> = in_flight.jobs_running_for(PERIOD).into_iter().collect();
        if job_ids.is_empty() {
            continue;
        }
        match over(backend, &job_ids).await {
            Ok(over) => over.iter().for_each(|job_id| in_flight.preempt(job_id)),
            // The calls continue, and the next check may succeed.
            Err(error) => tracing::debug!("could not look whether jobs are over: {error}"),
        }
    }
}

/// Returns which of these jobs are over. Ends a job whose deadline has passed.
async fn over(backend: &Arc<dyn Backend>, job_ids: &[JobId]) -> Result<Vec<JobId>> {
    let keys: Vec<Key> = job_ids.iter().map(Key::job).collect();
    let records = backend.store().get_many(&keys).await?;
    let mut over = Vec::new();
    for (job_id, bytes) in job_ids.iter().zip(records) {
        let job = match bytes.as_deref().map(JobRecord::decode).transpose() {
            // The error is reported at the delivery of the job's next message.
            Err(error) if error.is_unreadable() => None,
            job => job?,
        };
        let Some(mut job) = job else { continue };
        if job.is_overdue(backend.now()) {
            match Client::new(backend.clone()).end_if_overdue(job_id, backend.now()).await {
                Ok(Some(ended)) => job = ended,
                Ok(None) => continue,
                // The other jobs must still be checked.
                Err(error) => {
                    tracing::warn!("job {job_id} could not be ended at its deadline: {error}");
                    continue;
                }
            }
        }
        if job.is_over() {
            over.push(job_id.clone());
        }
    }
    Ok(over)
}
