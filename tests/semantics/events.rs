//! The events that an observer receives, and their order.

use std::time::Duration;

use brrr_protocol::options::Options;

use crate::native::{Native, fail, gather, stumble};
use crate::world::{World, now, on_every_backend};

fn handlers() -> Native {
    let options = Options { max_retries: Some(1), retry_delay: Some(Duration::from_millis(1)), ..Options::default() };
    Native::default()
        .task("p", |_, replay| {
            Box::pin(async move { Ok(gather("p", replay, &[("c", String::new())]).await?.concat()) })
        })
        .task("c", |_, _| Box::pin(async { Ok(String::new()) }))
        .task("q", |_, replay| {
            Box::pin(async move { Ok(gather("q", replay, &[("bad", String::new())]).await?.concat()) })
        })
        .task("bad", |_, _| Box::pin(async { fail("bad", "no") }))
        .task_with("flaky", options, |request, _| {
            Box::pin(async move { if request.attempt == 1 { stumble("flaky", "not yet") } else { Ok(String::new()) } })
        })
}

#[tokio::test]
async fn a_parent_and_its_child() {
    on_every_backend(async |world: World| {
        world.schedule("job", "p", "").await;
        world.drain(&handlers()).await;
        let expected = [
            "job of p(): unscheduled > ready",
            "p: unscheduled > ready",
            "job of p(): ready > running",
            "p: ready > running",
            "p: running > deferred, waiting for 1",
            "c: unscheduled > ready",
            "c: ready > running",
            "c: running > completed",
            "p: deferred > running",
            "p: running > completed",
            "job of p(): running > completed",
        ];
        assert_eq!(world.events.take(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_failure() {
    on_every_backend(async |world: World| {
        world.schedule("job", "q", "").await;
        world.drain(&handlers()).await;
        let expected = [
            "job of q(): unscheduled > ready",
            "q: unscheduled > ready",
            "job of q(): ready > running",
            "q: ready > running",
            "q: running > deferred, waiting for 1",
            "bad: unscheduled > ready",
            "bad: ready > running",
            "bad: running > failed, bad: error: no",
            "q: deferred > running",
            "q: running > failed, q: error: no",
            "job of q(): running > failed",
        ];
        assert_eq!(world.events.take(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_retry() {
    on_every_backend(async |world: World| {
        world.schedule("job", "flaky", "").await;
        world.drain(&handlers()).await;
        let expected = [
            "job of flaky(): unscheduled > ready",
            "flaky: unscheduled > ready",
            "job of flaky(): ready > running",
            "flaky: ready > running",
            "flaky: running > ready, attempt 2, flaky: error: not yet",
            "flaky: ready > running, attempt 2",
            "flaky: running > completed, attempt 2",
            "job of flaky(): running > completed, attempt 2",
        ];
        assert_eq!(world.events.take(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_cancel() {
    on_every_backend(async |world: World| {
        let job_id = world.schedule("job", "p", "").await;
        let handler = handlers();
        world.step(&handler, &world.receive().await[0]).await;
        world.events.take();
        world.client.cancel(&job_id, now()).await.unwrap();
        world.drain(&handler).await;
        // The parent has no message any more, so no worker learns that it is cancelled.
        assert_eq!(world.events.take(), ["c: ready > cancelled", "job of p(): running > cancelled"]);
    })
    .await;
}
