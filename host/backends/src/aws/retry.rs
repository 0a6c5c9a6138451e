//! What the SDK does not retry by itself: a part of a batch, and what others were in the way of.

use std::time::Duration;

/// Tries of what others were in the way of. With the pauses below the last one comes after about ten seconds.
pub(crate) const TRIES: u32 = 12;

/// Waits after the try of this number, the first being 0: up to 20 ms, 40 ms, …, 2 s; at random, so that those who were in
/// each other's way don't meet again.
pub(crate) async fn pause(tried: u32) {
    let most = Duration::from_millis(20).saturating_mul(1 << tried.min(10)).min(Duration::from_secs(2));
    tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
}
