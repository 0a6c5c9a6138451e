//! Promises: values that somebody outside gives.

use std::time::Duration;

use brrr_protocol::client::{Answered, Retried};
use brrr_protocol::model::{CallHash, FailureKind, JobId, Outcome};
use brrr_protocol::ports::Request;
use brrr_protocol::records::JobState;
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use bytes::Bytes;

use crate::native::{Leave, Native, fail, number};
use crate::world::{World, now, on_every_backend};

/// Waits for the promise `x`, at most so many milliseconds.
async fn promised(replay: &mut Replay, within: Option<u64>) -> Result<Option<Outcome>, Leave> {
    let until = within.map(|ms| replay.clock() + ms);
    match replay.poll(vec![Invocation::promise("x")], Want::All, until).await {
        Ok(Polled::Ready(mut outcomes)) => Ok(outcomes.remove(0)),
        Ok(Polled::Suspended) => Err(Leave::Suspended),
        Err(error) => Err(Leave::Broken(error)),
    }
}

/// Waits for the promise, for the time in its payload if it is not 0, and says what came of it.
fn handler() -> Native {
    Native::default().task("p", |request: &Request, replay| {
        Box::pin(async move {
            let within = Some(number(request)).filter(|ms| *ms > 0);
            Ok(match promised(replay, within).await? {
                None => "too late".to_owned(),
                Some(Ok(value)) => String::from_utf8(value.to_vec()).unwrap(),
                Some(Err(failure)) => format!("{}: {}", failure.kind, failure.message),
            })
        })
    })
}

async fn resolve(world: &World, job_id: &JobId, value: &'static str) -> Answered {
    world.client.resolve(job_id, "x", Bytes::from_static(value.as_bytes()), now()).await.unwrap()
}

/// Runs the messages that are ready.
async fn run_ready(world: &World, handler: &Native) {
    for delivery in world.receive().await {
        world.step(handler, &delivery).await;
    }
}

#[tokio::test]
async fn a_promise_may_be_answered_before_and_while_its_job_waits() {
    on_every_backend(async |world: World| {
        let handler = handler();
        for (name, is_early) in [("early", true), ("late", false)] {
            // Each job has promises of its own. So the two jobs are not one call.
            let ms = if is_early { "3600000" } else { "0" };
            let job_id = world.schedule(name, "p", ms).await;
            if !is_early {
                run_ready(&world, &handler).await;
                assert_eq!(world.backend.queue().depth(&crate::world::topic()).await.unwrap(), 0, "{:?}", world.kind);
            }
            assert_eq!(resolve(&world, &job_id, "1").await, Answered::Done);
            assert_eq!(resolve(&world, &job_id, "1").await, Answered::Same);
            assert_eq!(resolve(&world, &job_id, "2").await, Answered::Other);
            assert_eq!(world.client.reject(&job_id, "x", "no", now()).await.unwrap(), Answered::Other);
            world.work_for(&job_id, &handler).await;
            assert_eq!(world.value(&job_id, "p", ms).await, "1", "{:?}: {name}", world.kind);
            let over = Answered::JobOver(JobState::Completed);
            assert_eq!(resolve(&world, &job_id, "2").await, over, "{:?}", world.kind);
            // A client that did not get the answer to its request repeats it.
            assert_eq!(resolve(&world, &job_id, "1").await, Answered::Same, "{:?}", world.kind);
        }
        assert_eq!(resolve(&world, &"nobody".into(), "1").await, Answered::Unknown);
    })
    .await;
}

#[tokio::test]
async fn a_rejection_is_a_failure_with_its_reason() {
    on_every_backend(async |world: World| {
        let handler = handler();
        let job_id = world.schedule("job", "p", "0").await;
        run_ready(&world, &handler).await;
        assert_eq!(world.client.reject(&job_id, "x", "no", now()).await.unwrap(), Answered::Done);
        assert_eq!(world.client.reject(&job_id, "x", "no", now()).await.unwrap(), Answered::Same);
        assert_eq!(resolve(&world, &job_id, "1").await, Answered::Other);
        world.work_for(&job_id, &handler).await;
        assert_eq!(world.value(&job_id, "p", "0").await, "rejected: no", "{:?}", world.kind);
    })
    .await;
}

/// Two clients answer at once, many times. Exactly one answer stays, and the job gets it.
#[tokio::test]
async fn of_two_answers_at_once_one_stays() {
    on_every_backend(async |world: World| {
        for n in 0..20 {
            let handler = handler();
            let ms = (3_600_000 + n).to_string();
            let job_id = world.schedule(&format!("job {n}"), "p", &ms).await;
            run_ready(&world, &handler).await;
            let (yes, no) =
                tokio::join!(resolve(&world, &job_id, "yes"), world.client.reject(&job_id, "x", "no", now()));
            world.work_for(&job_id, &handler).await;
            let value = world.value(&job_id, "p", &ms).await;
            let expected = if value == "yes" { (Answered::Done, false) } else { (Answered::Other, true) };
            let rejected = matches!(no.unwrap(), Answered::Done);
            // A client that comes when the job is over is told so.
            let yes = if matches!(yes, Answered::JobOver(_)) { Answered::Other } else { yes };
            assert_eq!((yes, rejected), expected, "{:?}: {value}", world.kind);
        }
    })
    .await;
}

#[tokio::test]
async fn a_promise_can_be_limited_in_time() {
    on_every_backend(async |world: World| {
        let handler = handler();
        let job_id = world.schedule("job", "p", "100").await;
        world.work_for(&job_id, &handler).await;
        assert_eq!(world.value(&job_id, "p", "100").await, "too late", "{:?}", world.kind);
    })
    .await;
}

/// A job that retries another one has the same promises, and need not be answered again.
#[tokio::test]
async fn a_retry_has_the_answers_of_the_job_that_it_retries() {
    on_every_backend(async |world: World| {
        let handler = Native::default().task("p", |request: &Request, replay| {
            Box::pin(async move {
                let answer = promised(replay, None).await?.expect("it has no limit");
                if request.job_id.as_str() == "job" {
                    return fail("p", "the first time");
                }
                Ok(String::from_utf8(answer.unwrap().to_vec()).unwrap())
            })
        });
        let job_id = world.schedule("job", "p", "").await;
        run_ready(&world, &handler).await;
        resolve(&world, &job_id, "1").await;
        world.work_for(&job_id, &handler).await;
        assert_eq!(world.state(&job_id).await, Some(JobState::Failed), "{:?}", world.kind);
        let again = JobId::from("again");
        let retried = world.client.retry(&job_id, again.clone(), now()).await.unwrap();
        assert!(matches!(retried, Retried::As(..)), "{retried:?}");
        world.work_for(&again, &handler).await;
        assert_eq!(world.value(&again, "p", "").await, "1", "{:?}", world.kind);
    })
    .await;
}

/// A rejection belongs to its job alone. Whoever retries the job may be answered otherwise.
#[tokio::test]
async fn a_rejected_promise_can_be_resolved_for_the_retry() {
    on_every_backend(async |world: World| {
        let handler = Native::default().task("p", |_: &Request, replay| {
            Box::pin(async move {
                match promised(replay, None).await?.expect("it has no limit") {
                    Ok(value) => Ok(String::from_utf8(value.to_vec()).unwrap()),
                    Err(failure) => Err(Leave::Failed { failure, retryable: false }),
                }
            })
        });
        let job_id = world.schedule("job", "p", "").await;
        run_ready(&world, &handler).await;
        world.client.reject(&job_id, "x", "no", now()).await.unwrap();
        world.work_for(&job_id, &handler).await;
        let failure = world.outcome(&job_id, "p", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected, "{:?}", world.kind);
        let again = JobId::from("again");
        world.client.retry(&job_id, again.clone(), now()).await.unwrap();
        run_ready(&world, &handler).await;
        assert_eq!(resolve(&world, &again, "1").await, Answered::Done, "{:?}", world.kind);
        world.work_for(&again, &handler).await;
        assert_eq!(world.value(&again, "p", "").await, "1", "{:?}", world.kind);
    })
    .await;
}

/// A message for a promise, for example of a worker of another SDK, is dropped.
#[tokio::test]
async fn nobody_runs_a_promise() {
    on_every_backend(async |world: World| {
        let handler = handler();
        let job_id = world.schedule("job", "p", "0").await;
        run_ready(&world, &handler).await;
        let call = CallHash::of_promise(&job_id, b"x");
        let message = brrr_protocol::wire::Message { job_id: job_id.clone(), call };
        let queued = brrr_protocol::ports::Outgoing::now(&crate::world::topic(), &message);
        world.backend.queue().send_many(&[queued]).await.unwrap();
        let delivery = world.backend.queue().receive(&crate::world::topic(), 1, Duration::from_secs(30)).await.unwrap();
        let step = world.step(&handler, &delivery[0]).await;
        assert_eq!(step, brrr_protocol::step::Step::NotReady, "{:?}", world.kind);
        resolve(&world, &job_id, "1").await;
        world.work_for(&job_id, &handler).await;
        assert_eq!(world.value(&job_id, "p", "0").await, "1");
    })
    .await;
}
