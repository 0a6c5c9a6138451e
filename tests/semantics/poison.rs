//! Messages that cannot be processed. Each becomes a dead letter with the reason, and the waiting parents receive a failure.

use std::time::Duration;

use brrr_protocol::ports::{Key, Outgoing};
use brrr_protocol::records::JobState;
use brrr_protocol::step::{Limits, Step};
use brrr_protocol::wire::Message;

use crate::native::{Native, gather, hash};
use crate::world::{World, on_every_backend, topic};

fn handlers() -> Native {
    Native::default()
        .task("asks", |_, replay| {
            Box::pin(async move { Ok(gather("asks", replay, &[("nobody", String::new())]).await?.concat()) })
        })
        .task("a", |_, replay| {
            Box::pin(async move { Ok(gather("a", replay, &[("b", String::new())]).await?.concat()) })
        })
        .task("b", |_, replay| {
            Box::pin(async move { Ok(gather("b", replay, &[("a", String::new())]).await?.concat()) })
        })
}

async fn send(world: &World, body: &str) {
    let message = Outgoing { topic: topic(), body: body.to_owned(), delay: Duration::ZERO };
    world.backend.queue().send_many(&[message]).await.unwrap();
}

#[tokio::test]
async fn garbage_becomes_a_dead_letter_and_work_continues() {
    on_every_backend(async |world: World| {
        send(&world, "hello").await;
        send(&world, "li2e1:r4:gonee").await;
        let steps = world.drain(&handlers()).await;
        assert!(steps.iter().all(|s| matches!(s, Step::DeadLettered(_))), "{steps:?}");
        let dead = world.backend.queue().dead_letters(&topic(), 10).await.unwrap();
        assert_eq!(dead.iter().map(|d| d.body.as_str()).collect::<Vec<_>>(), ["hello", "li2e1:r4:gonee"]);
        assert!(dead[0].reason.contains("not bencode at byte 0"), "{}", dead[0].reason);
        assert!(dead[1].reason.contains("no record describes"), "{}", dead[1].reason);
        // The parent that asks for the second call receives the failure.
        let outcome = world.client.outcome(&"r".into(), &"gone".into()).await.unwrap();
        assert_eq!(outcome.unwrap().unwrap_err().kind.as_str(), "dead-letter");
    })
    .await;
}

#[tokio::test]
async fn a_damaged_record_fails_its_call_instead_of_looping() {
    on_every_backend(async |world: World| {
        world.backend.store().put(&Key::call(&"c".into()), "le".into()).await.unwrap();
        send(&world, &Message { job_id: "r".into(), call: "c".into() }.encode()).await;
        let steps = world.drain(&handlers()).await;
        assert!(matches!(&steps[..], [Step::DeadLettered(reason)] if reason.contains("a call record")), "{steps:?}");
    })
    .await;
}

#[tokio::test]
async fn a_damaged_record_ends_its_job() {
    on_every_backend(async |world: World| {
        let damaged = [Key::call(&hash("a", "")), Key::run(&hash("a", ""), &"job".into())];
        for key in damaged {
            let world = World::open(world.kind).await;
            let job_id = world.schedule("job", "a", "").await;
            world.backend.store().put(&key, "le".into()).await.unwrap();
            world.drain(&handlers()).await;
            assert_eq!(world.outcome(&job_id, "a", "").await.unwrap().unwrap_err().kind.as_str(), "dead-letter");
            assert_eq!(world.state(&job_id).await, Some(JobState::Failed), "{key:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_that_kills_every_worker_becomes_a_dead_letter() {
    on_every_backend(async |mut world: World| {
        world.limits = Limits { max_deliveries: 0, ..Limits::default() };
        let job_id = world.schedule("job", "a", "").await;
        let steps = world.drain(&handlers()).await;
        assert!(matches!(&steps[..], [Step::DeadLettered(_)]), "{steps:?}");
        let failure = world.outcome(&job_id, "a", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind.as_str(), "dead-letter");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_task_fails_after_its_grace() {
    on_every_backend(async |mut world: World| {
        world.limits = Limits { unknown_task_grace: Duration::from_millis(300), ..Limits::default() };
        let job_id = world.schedule("job", "asks", "").await;
        let steps = world.drain(&handlers()).await;
        assert!(steps.iter().any(|s| matches!(s, Step::Nacked(_))), "{steps:?}");
        let failure = world.outcome(&job_id, "asks", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind.as_str(), "unknown-task");
        assert!(failure.chain.last().unwrap().starts_with("nobody: unknown-task"), "{:?}", failure.chain);
    })
    .await;
}

#[tokio::test]
async fn a_cycle_is_named() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "a", "").await;
        world.drain(&handler).await;
        let failure = world.outcome(&job_id, "a", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind.as_str(), "cycle");
        let named = failure.message.contains("a (a()) -> b (b()) -> a (a())")
            || failure.message.contains("b (b()) -> a (a()) -> b (b())");
        assert!(named, "{}", failure.message);
        assert_eq!(hash("a", "").as_str(), "a()");
    })
    .await;
}
