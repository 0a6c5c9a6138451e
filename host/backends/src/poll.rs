//! Waiting for a record in a store that doesn't announce changes: look, pause, look again.

use std::time::Duration;

/// The pause before the second look at a record. A local store answers a short call in about that time.
const FIRST: Duration = Duration::from_millis(2);

/// The longest pause between two looks. Four looks a second for each waiting task cost next to nothing. And after a
/// longer wait, nobody notices another quarter of a second.
const LAST: Duration = Duration::from_millis(250);

/// See `Backend::changed`. This version can't know whether something changed. So it always reports a change, after a
/// pause. `version` counts the looks of the waiting task.
pub(crate) async fn changed(version: u64, at_most: Duration) -> u64 {
    if version > 0 {
        tokio::time::sleep(pause(version).min(at_most)).await;
    }
    version.saturating_add(1)
}

/// The pause before look `n + 1`. Each pause is 1.5 times as long as the one before, up to `LAST`. So a change after
/// one second is seen at most half a second late.
fn pause(n: u64) -> Duration {
    let growth = 1.5_f64.powi(i32::try_from(n.min(64)).unwrap_or(64) - 1);
    FIRST.mul_f64(growth).min(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_polls_grows() {
        assert_eq!(pause(1), FIRST);
        assert_eq!(pause(2), Duration::from_millis(3));
        assert_eq!(pause(u64::MAX), LAST);
        assert!((1..100).all(|n| pause(n) <= pause(n + 1)));
    }
}
