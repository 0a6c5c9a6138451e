//! The log of recent events.

use brrr_protocol::ports::EVENTS_KEPT;
use bytes::Bytes;

use crate::support::Kind;

fn numbered(numbers: std::ops::Range<u64>) -> Vec<Bytes> {
    numbers.map(|n| n.to_string().into()).collect()
}

fn bodies(found: &[(u64, Bytes)]) -> Vec<Bytes> {
    found.iter().map(|(_, body)| body.clone()).collect()
}

pub async fn events_come_in_order_from_any_position(kind: Kind) {
    if !kind.keeps_events() {
        return;
    }
    let f = kind.open().await;
    let log = f.backend.events().unwrap();
    assert!(log.events(0, 10).await.unwrap().is_empty());
    log.publish(&numbered(0..3)).await.unwrap();
    log.publish(&numbered(3..5)).await.unwrap();
    let all = log.events(0, 10).await.unwrap();
    assert_eq!(bodies(&all), numbered(0..5));
    assert!(all.is_sorted_by(|a, b| a.0 < b.0) && all[0].0 > 0, "{all:?}");
    assert_eq!(log.events(0, 2).await.unwrap(), all[..2]);
    assert_eq!(log.events(all[1].0, 2).await.unwrap(), all[2..4]);
    assert_eq!(log.events(0, 0).await.unwrap(), []);
    // Positions after the last event return nothing, also positions that no event has reached yet.
    for position in [all[4].0, all[4].0 + 100, u64::MAX] {
        assert_eq!(log.events(position, 10).await.unwrap(), [], "{position}");
    }
}

pub async fn two_readers_of_events_are_independent(kind: Kind) {
    if !kind.keeps_events() {
        return;
    }
    let f = kind.open().await;
    let log = f.backend.events().unwrap();
    let mut positions = [0, 0];
    let mut seen = [Vec::new(), Vec::new()];
    for n in 0..20 {
        log.publish(&numbered(n..n + 1)).await.unwrap();
        // The second reader reads less often, and takes fewer events than there are.
        for (reader, limit) in [(0, 10), (1, 3)] {
            if reader == 0 || n % 4 == 3 {
                for (position, body) in log.events(positions[reader], limit).await.unwrap() {
                    positions[reader] = position;
                    seen[reader].push(body);
                }
            }
        }
    }
    assert_eq!(seen[0], numbered(0..20));
    assert_eq!(seen[1], numbered(0..15));
}

pub async fn the_log_of_events_is_bounded(kind: Kind) {
    if !kind.keeps_events() {
        return;
    }
    let f = kind.open().await;
    let log = f.backend.events().unwrap();
    let total = EVENTS_KEPT + 3_000;
    for from in (0..total).step_by(1_000) {
        log.publish(&numbered(from..from + 1_000)).await.unwrap();
    }
    let kept = log.events(0, usize::MAX).await.unwrap();
    assert!((EVENTS_KEPT..total).contains(&(kept.len() as u64)), "{} are kept", kept.len());
    assert_eq!(bodies(&kept), numbered(total - kept.len() as u64..total));
    // A reader that was away for long continues with the oldest event that is left.
    assert_eq!(log.events(5, 1).await.unwrap(), kept[..1]);
}

pub async fn publishing_no_events_removes_none(kind: Kind) {
    if !kind.keeps_events() {
        return;
    }
    let f = kind.open().await;
    let log = f.backend.events().unwrap();
    log.publish(&numbered(0..3)).await.unwrap();
    // Other operations of the backend do not use the numbers of events.
    super::queue::send(&*f.backend, "t", "x").await;
    super::queue::next(&*f.backend, "t").await;
    log.publish(&[]).await.unwrap();
    assert_eq!(bodies(&log.events(0, 10).await.unwrap()), numbered(0..3));
    log.publish(&numbered(3..4)).await.unwrap();
    assert_eq!(bodies(&log.events(0, 10).await.unwrap()), numbered(0..4));
}
