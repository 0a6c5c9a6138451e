//! The fate of a message whose receiver stops responding.

use std::time::{Duration, Instant};

use crate::suite::queue::{next, send, take};
use crate::support::Kind;

pub async fn a_lease_that_ends_returns_the_message(kind: Kind) {
    let f = kind.open_with(kind.short_lease()).await;
    assert_eq!(f.backend.queue().lease(), kind.short_lease());
    send(&*f.backend, "t", "x").await;
    let start = Instant::now();
    let first = next(&*f.backend, "t").await;
    assert_eq!(first.receives, 1);
    let second = next(&*f.backend, "t").await;
    assert!(start.elapsed() + Duration::from_millis(2) >= kind.short_lease());
    assert_eq!((second.receives, &*second.body), (2, "x"));
    assert_ne!(first.receipt, second.receipt);
}

pub async fn an_extended_lease_holds(kind: Kind) {
    let lease = kind.short_lease() * 5;
    let f = kind.open_with(lease).await;
    send(&*f.backend, "t", "x").await;
    let delivery = next(&*f.backend, "t").await;
    let (start, mut last) = (Instant::now(), Instant::now());
    while start.elapsed() < lease * 2 {
        let held = f.backend.queue().extend(std::slice::from_ref(&delivery.receipt)).await.unwrap();
        // On a machine so loaded that this test itself was late, the loss of the lease is correct.
        if last.elapsed() > lease / 2 {
            return;
        }
        last = Instant::now();
        assert_eq!(held, [true]);
        assert!(take(&*f.backend, "t", 1).await.is_empty());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    f.backend.queue().ack(&delivery.receipt).await.unwrap();
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 0);
}

pub async fn a_lost_lease_cannot_be_extended(kind: Kind) {
    let f = kind.open_with(kind.short_lease()).await;
    send(&*f.backend, "t", "x").await;
    let lost = next(&*f.backend, "t").await;
    let held = next(&*f.backend, "t").await;
    let answers = f.backend.queue().extend(&[lost.receipt.clone(), held.receipt]).await.unwrap();
    assert_eq!(answers, [false, true]);
    assert_eq!(f.backend.queue().extend(&[]).await.unwrap(), Vec::<bool>::new());
}

pub async fn a_late_ack_does_nothing(kind: Kind) {
    let f = kind.open_with(kind.short_lease()).await;
    send(&*f.backend, "t", "x").await;
    let lost = next(&*f.backend, "t").await;
    let held = next(&*f.backend, "t").await;
    f.backend.queue().ack(&lost.receipt).await.unwrap();
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 1);
    f.backend.queue().ack(&held.receipt).await.unwrap();
    f.backend.queue().ack(&held.receipt).await.unwrap();
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 0);
}

pub async fn a_late_nack_does_nothing(kind: Kind) {
    let f = kind.open_with(kind.short_lease()).await;
    send(&*f.backend, "t", "x").await;
    let lost = next(&*f.backend, "t").await;
    let _held = next(&*f.backend, "t").await;
    f.backend.queue().nack(&lost.receipt, Duration::ZERO).await.unwrap();
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 1);
}

pub async fn a_late_dead_letter_is_ignored(kind: Kind) {
    let f = kind.open_with(kind.short_lease()).await;
    send(&*f.backend, "t", "x").await;
    let lost = next(&*f.backend, "t").await;
    let _held = next(&*f.backend, "t").await;
    f.backend.queue().move_to_dlq(&lost, "late").await.unwrap();
    assert!(f.backend.queue().dead_letters(&"t".into(), 9).await.unwrap().is_empty());
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 1);
}

pub async fn a_waiting_receiver_gets_a_message_whose_lease_ended(kind: Kind) {
    let f = kind.open_with(kind.short_lease()).await;
    send(&*f.backend, "t", "x").await;
    let _lost = next(&*f.backend, "t").await;
    let start = Instant::now();
    let got = f.backend.queue().receive(&"t".into(), 1, Duration::from_secs(60)).await.unwrap();
    assert_eq!(got[0].receives, 2);
    assert!(start.elapsed() < Duration::from_secs(30));
}
