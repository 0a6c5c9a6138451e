//! Retries for errors that the SDK does not retry: unprocessed parts of a batch, and conflicts with other writers.

use std::time::Duration;

/// The most attempts after conflicts. With the pauses below, the last attempt comes after about ten seconds.
pub(crate) const TRIES: u32 = 12;

/// Pauses after attempt number `tried` (the first is 0): up to 20 ms, 40 ms, …, 2 s. The pauses are random, so that
/// writers in conflict do not meet again.
pub(crate) async fn pause(tried: u32) {
    let most = Duration::from_millis(20).saturating_mul(1 << tried.min(10)).min(Duration::from_secs(2));
    tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
}
