//! The topics to which a call may be sent.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::{FailureKind, Outcome, Topic};
use brrr_protocol::options::Options;
use brrr_protocol::ports::Key;
use brrr_protocol::records::encode_tasks;
use brrr_protocol::replay::{Invocation, Polled, Want};
use brrr_protocol::step::{CallTopics, Limits, Step};

use crate::native::{Leave, Native, hash, payload};
use crate::world::on_every_backend;

/// `asks` makes one call on the topic that its payload names.
fn asks() -> Native {
    Native::default().task("asks", |request, replay| {
        Box::pin(async move {
            let topic = payload(request).to_owned();
            let call = Invocation {
                task: "child".into(),
                payload: "".into(),
                topic: Some(Topic::from(topic)),
                hash: Some(hash("child", "")),
                peer_hash: None,
                options: Options::default(),
                detached: false,
            };
            match replay.poll(vec![call], Want::All, None).await {
                Ok(Polled::Ready(_)) => Ok("done".to_owned()),
                Ok(Polled::Suspended) => Err(Leave::Suspended),
                Err(error) => Err(Leave::Broken(error)),
            }
        })
    })
}

/// Settings for a worker that checks topics, with a grace period.
fn limits(grace: Duration) -> Limits {
    let call_topics = Arc::new(CallTopics::announced([]));
    Limits { unknown_task_grace: grace, call_topics, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_topic_that_is_announced_later_waits() {
    on_every_backend(async |mut world| {
        let handler = asks();
        world.limits = limits(Duration::from_mins(10));
        world.schedule("r", "asks", "u").await;
        let delivery = world.receive().await.remove(0);
        assert!(matches!(world.step(&handler, &delivery).await, Step::Nacked(_)), "no worker is there yet");
        let depth = world.backend.queue().depth(&"u".into()).await.unwrap();
        assert_eq!(depth, 0, "nothing was sent there");
        let tasks = encode_tasks(&["child".to_owned()].into());
        world.backend.store().put(&Key::tasks(&"u".into()), tasks).await.unwrap();
        let delivery = loop {
            let wait = Duration::from_secs(30);
            let found = world.backend.queue().receive(&"t".into(), 1, wait).await.unwrap().pop();
            if let Some(delivery) = found {
                break delivery;
            }
        };
        assert_eq!(world.step(&handler, &delivery).await, Step::Deferred { waiting: 1 });
        assert_eq!(world.backend.queue().depth(&"u".into()).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_topic_that_nobody_announces_fails_its_caller() {
    on_every_backend(async |mut world| {
        let handler = asks();
        world.limits = limits(Duration::ZERO);
        for (n, (topic, kind)) in
            [("u", FailureKind::UnknownTask), ("brrr:leases", FailureKind::Limit), ("a b", FailureKind::Limit)]
                .into_iter()
                .enumerate()
        {
            let job_id = world.schedule(&format!("r{n}"), "asks", topic).await;
            world.work_for(&job_id, &handler).await;
            let call = world.job(&job_id).await.call;
            let outcome: Option<Outcome> = world.client.outcome(&job_id, &call).await.unwrap();
            let failure = outcome.unwrap().unwrap_err();
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.message.contains(topic), "{failure}");
        }
    })
    .await;
}
