//! Waiting for a record in a store that tells nobody of changes.

use std::time::Duration;

/// The pause before the first look, and the longest one: an answer is late by at most a third of the time that it took, or
/// this.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));

/// See `Backend::changed`: that something may have changed is always true here. The version counts the looks of who waits.
pub(crate) async fn changed(version: u64, at_most: Duration) -> u64 {
    if version > 0 {
        let looks = u32::try_from(version).unwrap_or(u32::MAX).min(64);
        let pause = PAUSES.0.mul_f64(1.33_f64.powi(looks as i32 - 1)).min(PAUSES.1);
        tokio::time::sleep(pause.min(at_most)).await;
    }
    version.saturating_add(1)
}
