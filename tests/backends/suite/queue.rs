//! Topics and messages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Backlog, Delivery, MessageState, Outgoing};

use crate::support::{Kind, until};

pub(super) fn outgoing(topic: &str, body: &str) -> Outgoing {
    Outgoing { topic: topic.into(), body: body.to_owned(), delay: Duration::ZERO }
}

pub(super) async fn send(backend: &dyn Backend, topic: &str, body: &str) {
    backend.queue().send_many(&[outgoing(topic, body)]).await.unwrap();
}

/// The messages that are ready now.
pub(super) async fn take(backend: &dyn Backend, topic: &str, max: usize) -> Vec<Delivery> {
    backend.queue().receive(&Topic::from(topic), max, Duration::ZERO).await.unwrap()
}

/// The next message. Waits until there is one.
pub(super) async fn next(backend: &dyn Backend, topic: &str) -> Delivery {
    until("a message", || async { take(backend, topic, 1).await.pop() }).await
}

fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|d| &*d.body).collect()
}

pub async fn messages_come_in_order(kind: Kind) {
    let f = kind.open().await;
    let batch: Vec<Outgoing> = (0..10).map(|n| outgoing("t", &n.to_string())).collect();
    f.backend.queue().send_many(&batch).await.unwrap();
    for n in 10..20 {
        send(&*f.backend, "t", &n.to_string()).await;
    }
    let mut expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let mut got = take(&*f.backend, "t", 100).await;
    if !kind.is_in_order() {
        // All messages are delivered, each once.
        while got.len() < 20 {
            got.push(next(&*f.backend, "t").await);
        }
        got.sort_by(|a, b| a.body.cmp(&b.body));
        expected.sort();
    }
    assert_eq!(bodies(&got), expected);
}

pub async fn a_receiver_gets_as_many_as_it_asks_for(kind: Kind) {
    let f = kind.open().await;
    let batch: Vec<Outgoing> = (0..5).map(|n| outgoing("t", &n.to_string())).collect();
    f.backend.queue().send_many(&batch).await.unwrap();
    assert!(take(&*f.backend, "t", 0).await.is_empty());
    let first = take_exactly(kind, &*f.backend, 2).await;
    let second = take_exactly(kind, &*f.backend, 3).await;
    if kind.is_in_order() {
        assert_eq!((bodies(&first), bodies(&second)), (vec!["0", "1"], vec!["2", "3", "4"]));
    }
    assert!(take(&*f.backend, "t", 1).await.is_empty());
    assert!(first.iter().chain(&second).all(|d| d.receives == 1 && d.topic.as_str() == "t"));
    // A leased message counts until it is acknowledged.
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 5);
    for delivery in first.iter().chain(&second) {
        f.backend.queue().ack(&delivery.receipt).await.unwrap();
    }
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 0);
}

/// Takes this many of the messages that are ready, with one or several receives, and never more.
async fn take_exactly(kind: Kind, backend: &dyn Backend, count: usize) -> Vec<Delivery> {
    let mut got = take(backend, "t", count).await;
    assert!(got.len() <= count);
    while !kind.is_in_order() && got.len() < count {
        got.push(next(backend, "t").await);
    }
    got
}

pub async fn topics_are_separate(kind: Kind) {
    let f = kind.open().await;
    let third = if kind.takes_any_text() { "" } else { "u" };
    f.backend.queue().send_many(&[outgoing("a", "1"), outgoing("b", "2"), outgoing(third, "3")]).await.unwrap();
    assert_eq!(bodies(&take(&*f.backend, "b", 10).await), ["2"]);
    assert_eq!(bodies(&take(&*f.backend, third, 10).await), ["3"]);
    assert_eq!(bodies(&take(&*f.backend, "a", 10).await), ["1"]);
    assert!(take(&*f.backend, "c", 10).await.is_empty());
}

pub async fn a_send_wakes_a_receiver(kind: Kind) {
    let f = kind.open().await;
    for round in 0..20 {
        let backend = f.backend.clone();
        let receiver =
            tokio::spawn(
                async move { backend.queue().receive(&"t".into(), 1, Duration::from_secs(30)).await.unwrap() },
            );
        if round % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let start = Instant::now();
        send(&*f.backend, "t", "x").await;
        assert_eq!(bodies(&receiver.await.unwrap()), ["x"]);
        // A receiver that is not woken would wait longer than this limit. Even a loaded machine takes less.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

pub async fn an_empty_queue_returns_after_the_wait(kind: Kind) {
    let f = kind.open().await;
    let start = Instant::now();
    let wait = Duration::from_millis(60);
    assert!(f.backend.queue().receive(&"t".into(), 1, wait).await.unwrap().is_empty());
    assert!(start.elapsed() >= wait);
}

pub async fn a_delayed_message_comes_later(kind: Kind) {
    let f = kind.open().await;
    let delay = Duration::from_millis(150);
    let start = Instant::now();
    let late = Outgoing { delay, ..outgoing("t", "late") };
    f.backend.queue().send_many(&[late, outgoing("t", "now")]).await.unwrap();
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 2);
    let wait = Duration::from_secs(30);
    assert_eq!(bodies(&f.backend.queue().receive(&"t".into(), 5, wait).await.unwrap()), ["now"]);
    assert_eq!(bodies(&f.backend.queue().receive(&"t".into(), 5, wait).await.unwrap()), ["late"]);
    // Clocks round to milliseconds.
    assert!(start.elapsed() + Duration::from_millis(2) >= delay, "{:?}", start.elapsed());
    assert!(start.elapsed() < wait);
}

pub async fn bodies_are_not_changed(kind: Kind) {
    let f = kind.open().await;
    let large = "x".repeat(1 << 20);
    let mut texts = vec!["li2e2:r12:h1e", "日本 \u{1f980} <&>\"\t\r\n", "'; DROP TABLE ready; --", &large[..200_000]];
    if kind.takes_any_text() {
        texts.extend(["", "a\0b", &large]);
    }
    for body in texts {
        send(&*f.backend, "t", body).await;
        let delivery = next(&*f.backend, "t").await;
        assert_eq!(delivery.body, body);
        f.backend.queue().ack(&delivery.receipt).await.unwrap();
    }
}

pub async fn each_message_goes_to_one_receiver(kind: Kind) {
    const MESSAGES: usize = 400;
    let f = kind.open().await;
    let mut receivers = Vec::new();
    for max in [1, 2, 3, 7] {
        let backend = f.backend.clone();
        receivers.push(tokio::spawn(async move {
            let mut got = Vec::new();
            loop {
                let some = backend.queue().receive(&"t".into(), max, Duration::from_millis(500)).await.unwrap();
                if some.is_empty() {
                    return got;
                }
                for delivery in some {
                    backend.queue().ack(&delivery.receipt).await.unwrap();
                    got.push(delivery.body);
                }
            }
        }));
    }
    let mut senders = Vec::new();
    for sender in 0..4 {
        let backend = f.backend.clone();
        senders.push(tokio::spawn(async move {
            for n in 0..MESSAGES / 4 {
                send(&*backend, "t", &format!("{sender}/{n}")).await;
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let mut times = HashMap::<String, usize>::new();
    for receiver in receivers {
        for body in receiver.await.unwrap() {
            *times.entry(body).or_default() += 1;
        }
    }
    assert_eq!(times.len(), MESSAGES);
    assert!(times.values().all(|n| *n == 1), "{times:?}");
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 0);
}

pub async fn a_receiver_that_gives_up_loses_nothing(kind: Kind) {
    let f = kind.open().await;
    let got = Arc::new(Mutex::new(Vec::new()));
    let mut sent = 0;
    for n in 0..50 {
        let (backend, got) = (f.backend.clone(), got.clone());
        let receiver = tokio::spawn(async move {
            let some = backend.queue().receive(&"t".into(), 10, Duration::from_secs(30)).await.unwrap();
            got.lock().unwrap().extend(some);
        });
        tokio::task::yield_now().await;
        if n % 2 == 0 {
            send(&*f.backend, "t", "x").await;
            sent += 1;
        }
        receiver.abort();
        // The receiver is only finished when its task has ended.
        let _ = receiver.await;
    }
    // The leases are far longer than the duration of this test.
    let received = got.lock().unwrap().len();
    for _ in received..sent {
        assert_eq!(next(&*f.backend, "t").await.receives, 1);
    }
    assert!(got.lock().unwrap().iter().all(|d| d.receives == 1));
}

pub async fn a_nack_does_not_count_as_a_delivery(kind: Kind) {
    let f = kind.open().await;
    send(&*f.backend, "t", "x").await;
    for _ in 0..3 {
        let delivery = next(&*f.backend, "t").await;
        assert_eq!((delivery.receives, &*delivery.body), (1, "x"));
        f.backend.queue().nack(&delivery.receipt, Duration::ZERO).await.unwrap();
        // The second nack is too late, and has no effect.
        f.backend.queue().nack(&delivery.receipt, Duration::ZERO).await.unwrap();
        assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 1);
    }
}

pub async fn a_nack_with_a_delay_comes_later(kind: Kind) {
    let f = kind.open().await;
    send(&*f.backend, "t", "x").await;
    let delivery = next(&*f.backend, "t").await;
    let (start, delay) = (Instant::now(), Duration::from_millis(150));
    f.backend.queue().nack(&delivery.receipt, delay).await.unwrap();
    let again = f.backend.queue().receive(&"t".into(), 1, Duration::from_secs(30)).await.unwrap();
    assert_eq!(again[0].receives, 1);
    assert!(start.elapsed() + Duration::from_millis(2) >= delay, "{:?}", start.elapsed());
}

pub async fn dead_letters_are_kept_with_their_reason(kind: Kind) {
    let f = kind.open().await;
    for n in 0..3 {
        send(&*f.backend, "t", &format!("bad {n}")).await;
        let delivery = next(&*f.backend, "t").await;
        f.backend.queue().move_to_dlq(&delivery, &format!("reason {n}")).await.unwrap();
    }
    assert_eq!(f.backend.queue().depth(&"t".into()).await.unwrap(), 0);
    assert!(take(&*f.backend, "t", 1).await.is_empty());
    let dead_letters = f.backend.queue().dead_letters(&"t".into(), 2).await.unwrap();
    let kept: Vec<_> = dead_letters.iter().map(|l| (&*l.body, &*l.reason)).collect();
    assert_eq!(kept, [("bad 0", "reason 0"), ("bad 1", "reason 1")]);
    assert!(dead_letters.iter().all(|l| l.at > 1_600_000_000_000 && l.topic.as_str() == "t" && !l.id.is_empty()));
    assert_ne!(dead_letters[0].id, dead_letters[1].id);
    assert!(f.backend.queue().dead_letters(&"other".into(), 9).await.unwrap().is_empty());
}

pub async fn a_dead_letter_is_taken_once(kind: Kind) {
    let f = kind.open().await;
    let queue = f.backend.queue();
    for n in 0..3 {
        send(&*f.backend, "t", &format!("bad {n}")).await;
        let delivery = next(&*f.backend, "t").await;
        queue.move_to_dlq(&delivery, "reason").await.unwrap();
    }
    let dead_letters = queue.dead_letters(&"t".into(), 9).await.unwrap();
    for id in ["", "nobody", "-1", "0", "99999999999999999999999999"] {
        assert_eq!(queue.take_dead_letter(&"t".into(), id).await.unwrap(), None, "{id:?}");
    }
    assert_eq!(queue.take_dead_letter(&"other".into(), &dead_letters[1].id).await.unwrap(), None);
    assert_eq!(
        queue.take_dead_letter(&"t".into(), &dead_letters[1].id).await.unwrap().as_ref(),
        Some(&dead_letters[1])
    );
    assert_eq!(queue.take_dead_letter(&"t".into(), &dead_letters[1].id).await.unwrap(), None);
    let left = queue.dead_letters(&"t".into(), 9).await.unwrap();
    assert_eq!(left, [dead_letters[0].clone(), dead_letters[2].clone()]);
}

/// A person may still see an old list of dead letters on a screen, so an id is never used again.
pub async fn no_two_dead_letters_have_the_same_id(kind: Kind) {
    let f = kind.open().await;
    let queue = f.backend.queue();
    let mut ids = Vec::new();
    for n in 0..3 {
        send(&*f.backend, "t", &format!("bad {n}")).await;
        let delivery = next(&*f.backend, "t").await;
        queue.move_to_dlq(&delivery, "reason").await.unwrap();
        let dead_letter = queue.dead_letters(&"t".into(), 9).await.unwrap().pop().unwrap();
        assert!(queue.take_dead_letter(&"t".into(), &dead_letter.id).await.unwrap().is_some());
        assert!(!ids.contains(&dead_letter.id), "{ids:?}, {}", dead_letter.id);
        ids.push(dead_letter.id);
    }
}

pub async fn one_of_many_takers_gets_a_dead_letter(kind: Kind) {
    let f = kind.open().await;
    send(&*f.backend, "t", "bad").await;
    let delivery = next(&*f.backend, "t").await;
    f.backend.queue().move_to_dlq(&delivery, "reason").await.unwrap();
    let id = f.backend.queue().dead_letters(&"t".into(), 9).await.unwrap().remove(0).id;
    let mut takers = Vec::new();
    for _ in 0..8 {
        let (backend, id) = (f.backend.clone(), id.clone());
        takers.push(tokio::spawn(async move { backend.queue().take_dead_letter(&"t".into(), &id).await.unwrap() }));
    }
    let mut got = 0;
    for taker in takers {
        got += usize::from(taker.await.unwrap().is_some());
    }
    assert_eq!(got, 1);
}

pub async fn looking_through_a_topic_shows_every_message(kind: Kind) {
    let f = kind.open().await;
    let queue = f.backend.queue();
    let delayed = Outgoing { delay: Duration::from_secs(600), ..outgoing("t", "delayed") };
    let many = (0..2_500).map(|n| outgoing("t", &format!("ready {n}")));
    queue.send_many(&many.chain([delayed, outgoing("u", "elsewhere")]).collect::<Vec<_>>()).await.unwrap();
    let held = next(&*f.backend, "t").await;
    let mut seen = Vec::new();
    let looked = queue.look_through(&"t".into(), &mut |body, state| seen.push((body.to_owned(), state))).await.unwrap();
    assert_eq!(looked, kind.can_be_looked_through());
    if !looked {
        return;
    }
    assert_eq!(seen.len(), 2_501);
    assert!(seen.contains(&("delayed".to_owned(), MessageState::Delayed)));
    assert!(seen.contains(&(held.body.clone(), MessageState::Leased)));
    let ready: std::collections::BTreeSet<&str> =
        seen.iter().filter(|(_, state)| *state == MessageState::Ready).map(|(body, _)| &**body).collect();
    assert_eq!(ready.len(), 2_499);

    // The message's lease expires while no worker receives. Then a client lists the queue without taking a message.
    let f = kind.open_with(Duration::from_millis(100)).await;
    let queue = f.backend.queue();
    send(&*f.backend, "t", "x").await;
    next(&*f.backend, "t").await;
    let state = || async {
        let mut found = Vec::new();
        queue.look_through(&"t".into(), &mut |_, state| found.push(state)).await.unwrap();
        found
    };
    until("its lease runs out", || async { (state().await == [MessageState::Expired]).then_some(()) }).await;
    queue.receive(&"t".into(), 0, Duration::ZERO).await.unwrap();
    assert_eq!(state().await, [MessageState::Ready]);
}

pub async fn a_backlog_tells_what_waits(kind: Kind) {
    let f = kind.open().await;
    let queue = f.backend.queue();
    let backlog = || async { queue.backlog(&"t".into()).await.unwrap() };
    assert_eq!(backlog().await, Backlog::default());
    let before = f.backend.now();
    for body in ["0", "1", "2"] {
        send(&*f.backend, "t", body).await;
    }
    let delayed = Outgoing { delay: Duration::from_secs(600), ..outgoing("t", "delayed") };
    queue.send_many(&[delayed, outgoing("u", "elsewhere")]).await.unwrap();
    let after = f.backend.now();
    let first = next(&*f.backend, "t").await;
    // SQS counts what it has seen so far.
    let seen =
        until("the counts", || async { Some(backlog().await).filter(|seen| (seen.ready, seen.delayed) == (2, 1)) });
    let seen = seen.await;
    if kind.is_in_order() {
        assert!(seen.oldest.is_some() || seen.head.as_deref() == Some("1"), "{seen:?}");
    }
    // Clocks of servers and of this process differ by a few milliseconds.
    if let Some(oldest) = seen.oldest {
        assert!(before <= oldest + 50 && oldest <= after + 50, "{before} {oldest} {after}");
    }
    // A message that was given back is ready again, and waits since then.
    queue.nack(&first.receipt, Duration::ZERO).await.unwrap();
    until("it is counted", || async { (backlog().await.ready == 3).then_some(()) }).await;
    for _ in 0..3 {
        queue.ack(&next(&*f.backend, "t").await.receipt).await.unwrap();
    }
    let none = until("the end", || async { Some(backlog().await).filter(|seen| seen.ready == 0) }).await;
    assert_eq!((none.delayed, none.oldest, none.head), (1, None, None));
}
