//! Waiting for a record in a store that tells nobody of changes: look, pause, look again.

use std::time::Duration;

/// How long who waits for a record waits before the second look: a local store answers a short call in about that time.
const FIRST: Duration = Duration::from_millis(2);

/// The most between two looks: four a second and waiter cost next to nothing, and nobody notices a quarter of a second
/// after having waited for longer.
const LAST: Duration = Duration::from_millis(250);

/// See `Backend::changed`: that something may have changed is always true here. `version` counts the looks of who waits.
pub(crate) async fn changed(version: u64, at_most: Duration) -> u64 {
    if version > 0 {
        tokio::time::sleep(pause(version).min(at_most)).await;
    }
    version.saturating_add(1)
}

/// Before look `n + 1`. Half as long again each time: what has taken a second is seen within half a second more at most.
fn pause(n: u64) -> Duration {
    let growth = 1.5_f64.powi(i32::try_from(n.min(64)).unwrap_or(64) - 1);
    FIRST.mul_f64(growth).min(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare() {
        assert_eq!(pause(1), FIRST);
        assert_eq!(pause(2), Duration::from_millis(3));
        assert_eq!(pause(u64::MAX), LAST);
        assert!((1..100).all(|n| pause(n) <= pause(n + 1)));
    }
}
