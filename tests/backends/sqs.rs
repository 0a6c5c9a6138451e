//! Properties of SQS alone: names, long delays, redriven messages, batches.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use brrr_backends::Memory;
use brrr_backends::sqs::{self, Sqs};
use brrr_protocol::ErrorKind;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Outgoing, Queue as _};
use support::aws::{config, namespace, queues};
use support::proxy::Proxy;
use support::servers::elasticmq::shared;
use support::until;

const LEASE: Duration = Duration::from_secs(60);

/// A queue for topic `t`, a client of SQS itself, and the name of that queue in SQS.
async fn open() -> Option<(Sqs, Client, String)> {
    let server = shared()?;
    let namespace = namespace();
    let queue = queues(&namespace, LEASE, Arc::new(Memory::new())).await;
    queue.create(&["t".into()]).await.unwrap();
    Some((queue, Client::new(&config(server.port).await), format!("brrr-{namespace}-t")))
}

async fn url(client: &Client, name: &str) -> String {
    client.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap()
}

fn outgoing(body: &str) -> Outgoing {
    Outgoing { topic: "t".into(), body: body.to_owned(), delay: Duration::ZERO }
}

#[tokio::test]
async fn a_message_that_comes_too_early_is_delayed_again() {
    let Some((queue, client, name)) = open().await else { return };
    let url = url(&client, &name).await;
    // A message with a delay longer than SQS allows. Here the fifteen minutes of SQS are over, and two seconds are left.
    let (start, left) = (Instant::now(), Duration::from_secs(2));
    let due = UNIX_EPOCH.elapsed().unwrap() + left;
    let number =
        |n: u128| MessageAttributeValue::builder().data_type("Number").string_value(n.to_string()).build().unwrap();
    let send =
        client.send_message().queue_url(&url).message_body("late").message_attributes("brrr.receives", number(3));
    send.message_attributes("brrr.due", number(due.as_millis())).send().await.unwrap();
    let got = queue.receive(&"t".into(), 5, Duration::from_secs(20)).await.unwrap();
    assert!(start.elapsed() + Duration::from_millis(5) >= left, "{:?}", start.elapsed());
    // The message was not delivered in the meantime.
    assert_eq!((got.len(), &*got[0].body, got[0].receives), (1, "late", 4));
    queue.ack(&got[0].receipt).await.unwrap();
    assert_eq!(queue.depth(&"t".into()).await.unwrap(), 0);
}

#[tokio::test]
async fn redriven_messages_are_delivered_with_too_many_receives() {
    let Some((queue, client, name)) = open().await else { return };
    let (topic, url, dead) = (Topic::from("t"), url(&client, &name).await, url(&client, &format!("{name}-dead")).await);
    queue.send_many(&[outgoing("poison")]).await.unwrap();
    // Workers that receive the message and stop at once, again and again.
    until("it is redriven", || async {
        let receive = client.receive_message().queue_url(&url).visibility_timeout(0).wait_time_seconds(0);
        receive.send().await.unwrap();
        let count =
            client.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::All).send().await;
        let count = count.unwrap().attributes.unwrap()[&QueueAttributeName::ApproximateNumberOfMessages].clone();
        (count == "1").then_some(())
    })
    .await;
    let got = queue.receive(&topic, 5, Duration::from_secs(5)).await.unwrap();
    assert_eq!((got.len(), &*got[0].body), (1, "poison"));
    assert!(got[0].receives > 20, "{}", got[0].receives);
    queue.move_to_dlq(&got[0], "too often").await.unwrap();
    assert_eq!(queue.dead_letters(&topic, 9).await.unwrap()[0].body, "poison");
    let left = client.get_queue_attributes().queue_url(&dead).attribute_names(QueueAttributeName::All).send().await;
    let left = left.unwrap().attributes.unwrap();
    assert_eq!(left[&QueueAttributeName::ApproximateNumberOfMessages], "0");
    assert_eq!(left[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "0");
}

#[tokio::test]
async fn batches_are_of_ten() {
    let Some(server) = shared() else { return };
    let (proxy, namespace) = (Proxy::start(server.port), namespace());
    queues(&namespace, LEASE, Arc::new(Memory::new())).await.create(&["t".into()]).await.unwrap();
    let options = sqs::SqsOptions { prefix: "brrr-".into(), namespace, lease: LEASE };
    let queue = Sqs::new(options, &config(proxy.port).await, Arc::new(Memory::new())).unwrap();
    let topic = Topic::from("t");
    let messages: Vec<Outgoing> = (0..50).map(|n: u32| outgoing(&n.to_string())).collect();
    queue.send_many(&messages).await.unwrap();
    let mut got = Vec::new();
    while got.len() < 50 {
        got.extend(queue.receive(&topic, 100, Duration::from_secs(1)).await.unwrap());
    }
    let bodies: HashSet<&str> = got.iter().map(|d| &*d.body).collect();
    assert_eq!(bodies.len(), 50);
    let receipts: Vec<_> = got.iter().map(|d| d.receipt.clone()).collect();
    assert_eq!(queue.extend(&receipts).await.unwrap(), [true; 50]);
    futures_util::future::try_join_all(receipts.iter().map(|receipt| queue.ack(receipt))).await.unwrap();
    assert_eq!(queue.depth(&topic).await.unwrap(), 0);
    assert_eq!(queue.extend(&receipts).await.unwrap(), [false; 50]);
    let counts = proxy.take_counts();
    for (operation, exactly) in
        [("SendMessageBatch", 5), ("ChangeMessageVisibilityBatch", 5), ("DeleteMessageBatch", 5)]
    {
        assert_eq!(counts[operation], exactly, "{counts:?}");
    }
    assert!(counts["ReceiveMessage"] <= 14, "{counts:?}");
}

#[tokio::test]
async fn setup_creates_missing_queues_and_keeps_existing_ones() {
    let Some(server) = shared() else { return };
    let namespace = namespace();
    let queue = queues(&namespace, LEASE, Arc::new(Memory::new())).await;
    let (client, topic) = (Client::new(&config(server.port).await), Topic::from("t"));
    let error = queue.receive(&topic, 1, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSetUp);
    assert!(error.to_string().contains("run: brrr-host setup --topic t"), "{error}");
    assert_eq!(queue.check(&topic, Duration::ZERO).await.unwrap_err().kind, ErrorKind::NotSetUp);
    // A message to a topic without a queue fails the call that sends it, and not the worker.
    assert_eq!(queue.send_many(&[outgoing("x")]).await.unwrap_err().kind, ErrorKind::Limit);
    // A peer's queue, created without our code.
    let name = format!("brrr-{namespace}-t");
    client.create_queue().queue_name(&name).send().await.unwrap();
    let lines = queue.create(std::slice::from_ref(&topic)).await.unwrap();
    assert!(lines[0].contains("is there; redrives to") && lines[1].contains("-t-dead: made"), "{lines:?}");
    let again = queue.create(std::slice::from_ref(&topic)).await.unwrap();
    assert!(again.iter().all(|line| line.ends_with("is there")), "{again:?}");
    queue.check(&topic, Duration::from_hours(11)).await.unwrap();
    queue.send_many(&[outgoing("x")]).await.unwrap();
    assert_eq!(queue.depth(&topic).await.unwrap(), 1);
}

#[tokio::test]
async fn names_that_sqs_does_not_allow_are_refused() {
    let config = config(1).await;
    let new = |prefix: &str, lease| {
        let options = sqs::SqsOptions { prefix: prefix.to_owned(), namespace: String::new(), lease };
        Sqs::new(options, &config, Arc::new(Memory::new()))
    };
    let queue = new("brrr-", LEASE).unwrap();
    for (topic, why) in [
        ("", "without a name"),
        ("a/b", "no '/'"),
        ("jobs.fifo", "FIFO"),
        ("日本", "no '日'"),
        (&*"x".repeat(71), "at most 70 characters"),
    ] {
        let error = queue.check(&topic.into(), Duration::ZERO).await.unwrap_err();
        assert!(error.kind == ErrorKind::Config && error.reason.contains(why), "{error}");
        assert_eq!(queue.create(&[topic.into()]).await.unwrap_err().kind, ErrorKind::Config);
        let message = Outgoing { topic: topic.into(), ..outgoing("x") };
        assert_eq!(queue.send_many(&[message]).await.unwrap_err().kind, ErrorKind::Limit);
    }
    let error = queue.check(&"t".into(), Duration::from_hours(12)).await.unwrap_err();
    assert!(error.kind == ErrorKind::Config && error.reason.contains("12 h"), "{error}");
    assert!(
        new("a.b", LEASE).is_err() && new("", Duration::ZERO).is_err() && new("", Duration::from_hours(13)).is_err()
    );
    assert_eq!(new("", Duration::from_millis(1_500)).unwrap().lease(), Duration::from_secs(2));
}
