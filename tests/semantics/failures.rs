//! Failures are outcomes. Each failure counts only in its own job.

use brrr_protocol::client::Forgotten;
use brrr_protocol::model::Outcome;

use crate::native::{Native, ask, fail, gather, hash, payload};
use crate::world::{World, now, on_every_backend};

fn handlers() -> Native {
    Native::default()
        .task("bad", |_, _| Box::pin(async { fail("bad", "no luck") }))
        .task("good", |_, _| Box::pin(async { Ok("fine".into()) }))
        .task("passes", |_, replay| {
            Box::pin(async move { Ok(gather("passes", replay, &[("bad", String::new())]).await?.concat()) })
        })
        .task("top", |_, replay| {
            Box::pin(async move { Ok(gather("top", replay, &[("passes", String::new())]).await?.concat()) })
        })
        .task("catches", |_, replay| {
            Box::pin(async move {
                let both = [("passes", String::new()), ("good", String::new())];
                let outcomes = ask(replay, &both, None).await?;
                Ok(outcomes.into_iter().map(|(_, o)| said(o)).collect::<Vec<_>>().join(", "))
            })
        })
        .task("once", |request, _| Box::pin(async move { Ok(payload(request).to_owned()) }))
}

fn said(outcome: Outcome) -> String {
    match outcome {
        Ok(value) => String::from_utf8(value.to_vec()).unwrap(),
        Err(failure) => format!("{} said {}", failure.task, failure.message),
    }
}

#[tokio::test]
async fn an_uncaught_failure_reaches_the_parents_with_its_chain() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "top", "").await;
        world.drain(&handler).await;
        let failure = world.outcome(&job_id, "top", "").await.unwrap().unwrap_err();
        assert_eq!((failure.task.as_str(), failure.message.as_str()), ("top", "no luck"));
        assert_eq!(
            failure.chain,
            [
                "top: a call failed and it was not caught",
                "passes: a call failed and it was not caught",
                "bad: error: no luck"
            ]
        );
        assert_eq!((handler.runs("top"), handler.runs("passes"), handler.runs("bad")), (2, 2, 1));
    })
    .await;
}

#[tokio::test]
async fn a_caught_failure_lets_the_parent_continue() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "catches", "").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "catches", "").await, "passes said no luck, fine");
    })
    .await;
}

#[tokio::test]
async fn a_failure_counts_in_its_own_job_only() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let first = world.schedule("first", "top", "").await;
        world.drain(&handler).await;
        let second = world.schedule("second", "catches", "").await;
        assert!(world.outcome(&second, "passes", "").await.is_none());
        world.drain(&handler).await;
        // The second job has run the same calls again.
        assert_eq!(handler.runs("bad"), 2);
        assert!(world.outcome(&first, "top", "").await.unwrap().is_err());
        assert_eq!(world.value(&second, "catches", "").await, "passes said no luck, fine");
    })
    .await;
}

#[tokio::test]
async fn two_jobs_that_wait_for_one_failing_call_both_end() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let first = world.schedule("first", "top", "").await;
        let second = world.schedule("second", "catches", "").await;
        world.drain(&handler).await;
        assert!(world.outcome(&first, "top", "").await.unwrap().is_err());
        assert_eq!(world.value(&second, "catches", "").await, "passes said no luck, fine");
    })
    .await;
}

#[tokio::test]
async fn the_first_value_wins_and_a_finished_call_is_not_run_again() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("first", "once", "x").await;
        world.drain(&handler).await;
        // The client's message is delivered again, as after a `schedule` whose result the client does not know. Another job's
        // message is delivered again too.
        world.schedule("first", "once", "x").await;
        world.schedule("second", "once", "x").await;
        world.drain(&handler).await;
        assert_eq!(handler.runs("once"), 1);
        assert_eq!(world.value(&job_id, "once", "x").await, "x");
    })
    .await;
}

#[tokio::test]
async fn a_value_can_be_forgotten_once_no_job_lives() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let call = hash("once", "x");
        assert_eq!(world.client.forget(&call, now()).await.unwrap(), Forgotten::Absent);
        world.schedule("first", "once", "x").await;
        world.drain(&handler).await;
        let alive = world.schedule("second", "once", "y").await;
        assert_eq!(world.client.forget(&call, now()).await.unwrap(), Forgotten::InUse(alive));
        world.drain(&handler).await;
        assert_eq!(world.client.forget(&call, now()).await.unwrap(), Forgotten::Done);
        // The job of the forgotten value is still over. A new job runs the call again.
        assert_eq!(world.client.forget(&hash("once", "y"), now()).await.unwrap(), Forgotten::Done);
        world.schedule("third", "once", "x").await;
        world.drain(&handler).await;
        assert_eq!(handler.runs("once"), 3);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_scheduled_is_durable_and_can_be_found() {
    on_every_backend(async |world: World| {
        let before = now();
        let job_id = world.schedule("job", "once", "x").await;
        let job = world.client.job(&job_id).await.unwrap().unwrap();
        assert_eq!((job.call, job.topic.as_str(), job.end), (hash("once", "x"), "t", None));
        assert!(job.created >= before);
    })
    .await;
}
