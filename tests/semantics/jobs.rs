//! Jobs that end before their calls end: cancelled, past their deadline, over their message limit, or completed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::client::{Cancelled, Forgotten, Retried};
use brrr_protocol::gate::{Entry, Gate};
use brrr_protocol::model::FailureKind;
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Key, NewJob, Outgoing, Scheduled, Task};
use brrr_protocol::records::{JobState, RunRecord};
use brrr_protocol::step::Step;
use brrr_protocol::wire::Message;

use crate::native::{Native, ask, ask_with, fail, gather, hash, number, payload, stumble};
use crate::world::{World, call, now, on_every_backend, topic};

/// `top` and `other` both ask for `middle`, which asks for `leaf`.
fn handlers() -> Native {
    let asks = |handler: Native, task: &'static str, child: &'static str| {
        handler.task(task, move |_, replay| {
            Box::pin(async move { Ok(gather(task, replay, &[(child, String::new())]).await?.concat()) })
        })
    };
    let handler = asks(Native::default(), "top", "middle");
    let handler = asks(asks(handler, "other", "middle"), "middle", "leaf");
    handler.task("leaf", |_, _| Box::pin(async { Ok("value".into()) }))
}

#[tokio::test]
async fn messages_of_a_cancelled_job_are_dropped() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "top", "").await;
        world.step(&handler, &world.receive().await[0]).await;
        assert_eq!(world.client.cancel(&job_id, now()).await.unwrap(), Cancelled::Done);
        assert_eq!(world.client.cancel(&job_id, now()).await.unwrap(), Cancelled::Already(JobState::Cancelled));
        assert_eq!(world.client.cancel(&"nobody".into(), now()).await.unwrap(), Cancelled::Unknown);
        let failure = world.outcome(&job_id, "top", "").await.unwrap().unwrap_err();
        assert_eq!((failure.kind, failure.task.as_str()), (FailureKind::Cancelled, "top"));
        assert_eq!(world.drain(&handler).await, [Step::Abandoned(JobState::Cancelled)]);
        assert_eq!((handler.runs("middle"), handler.runs("top")), (0, 1));
        assert_eq!(world.state(&job_id).await, Some(JobState::Cancelled));
        // A new job for the same call succeeds, as if nothing had happened.
        let again = world.schedule("again", "top", "").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&again, "top", "").await, "value");
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_over_cannot_be_cancelled() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "leaf", "").await;
        world.drain(&handler).await;
        assert_eq!(world.client.cancel(&job_id, now()).await.unwrap(), Cancelled::Already(JobState::Completed));
        assert_eq!(world.value(&job_id, "leaf", "").await, "value");
    })
    .await;
}

/// The first job is cancelled while it runs at each level of the graph.
#[tokio::test]
async fn a_job_continues_with_calls_that_it_shares_with_a_cancelled_job() {
    on_every_backend(async |world: World| {
        for steps in 0..=4 {
            let world = World::open(world.kind).await;
            let handler = handlers();
            let first = world.schedule("first", "top", "").await;
            world.schedule("second", "other", "").await;
            for _ in 0..steps {
                let next = world.backend.queue().receive(&topic(), 1, Duration::ZERO).await.unwrap();
                world.step(&handler, &next[0]).await;
            }
            world.client.cancel(&first, now()).await.unwrap();
            world.drain(&handler).await;
            assert_eq!(world.value(&"second".into(), "other", "").await, "value", "after {steps} steps");
            assert_eq!(world.state(&first).await, Some(JobState::Cancelled));
            assert_eq!(world.state(&"second".into()).await, Some(JobState::Completed));
            assert_eq!(handler.runs("leaf"), 1);
        }
    })
    .await;
}

/// The job of a handler is over before the handler ends. Its value is kept for other jobs, and does not change the job that is
/// over.
#[tokio::test]
async fn a_value_that_comes_too_late_serves_other_jobs() {
    on_every_backend(async |world: World| {
        let client = world.client.clone();
        let handler = Native::default().task("c", move |request, _| {
            let client = client.clone();
            Box::pin(async move {
                client.cancel(&request.job_id, now()).await.unwrap();
                Ok(payload(request).to_owned())
            })
        });
        let first = world.schedule("first", "c", "x").await;
        world.drain(&handler).await;
        let failure = world.outcome(&first, "c", "x").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Cancelled);
        assert_eq!(world.state(&first).await, Some(JobState::Cancelled));
        let second = NewJob::new("second".into(), call("c", "x"));
        assert_eq!(world.client.schedule(&second, now()).await.unwrap(), Scheduled::AlreadyDone);
        assert_eq!(world.value(&second.job_id, "c", "x").await, "x");
    })
    .await;
}

/// A call whose retry is delayed for a long time.
fn slow() -> Native {
    let pause = Some(Duration::from_secs(1_000));
    let options = Options { max_retries: Some(1), retry_delay: pause, ..Options::default() };
    Native::default()
        .task("top", |_, replay| {
            Box::pin(async move { Ok(gather("top", replay, &[("slow", String::new())]).await?.concat()) })
        })
        .task_with("slow", options, |_, _| Box::pin(async { stumble("slow", "no") }))
}

#[tokio::test]
async fn a_job_ends_at_its_deadline() {
    on_every_backend(async |world: World| {
        let handler = slow();
        let deadline = now() + 300;
        let job_id = world.schedule_job(NewJob { deadline, ..NewJob::new("job".into(), call("top", "")) }).await;
        let steps = world.work_for(&job_id, &handler).await;
        assert_eq!(steps.last(), Some(&Step::Abandoned(JobState::TimedOut)), "{steps:?}");
        let failure = world.outcome(&job_id, "top", "").await.unwrap().unwrap_err();
        assert_eq!((failure.kind.clone(), failure.task.as_str()), (FailureKind::Timeout, "top"));
        assert!(failure.message.contains("ms"), "{failure}");
        let end = world.job(&job_id).await.end.unwrap();
        assert!(end.state == JobState::TimedOut && end.at >= deadline, "{end:?} {deadline}");
    })
    .await;
}

#[tokio::test]
async fn a_waiting_client_ends_a_job_at_its_deadline() {
    on_every_backend(async |world: World| {
        // There is no worker.
        let job = NewJob { deadline: now() + 50, ..NewJob::new("job".into(), call("top", "")) };
        let job_id = world.schedule_job(job).await;
        let failure = world.client.wait(&job_id, &hash("top", ""), now).await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert_eq!(world.state(&job_id).await, Some(JobState::TimedOut));
        assert_eq!(world.client.cancel(&job_id, now()).await.unwrap(), Cancelled::Already(JobState::TimedOut));
    })
    .await;
}

#[tokio::test]
async fn a_run_has_no_more_time_than_its_job() {
    on_every_backend(async |world: World| {
        let handler = Native::default().task("t", |request, _| {
            let left = request.timeout.map(|timeout| timeout.as_secs());
            Box::pin(async move { Ok(format!("{left:?} {}", request.deadline)) })
        });
        let options = |seconds| Options { timeout: Some(Duration::from_secs(seconds)), ..Options::default() };
        let deadline = now() + 1_000_000;
        for (job_id, deadline, options, expected) in [
            ("neither", 0, Options::default(), "None 0".to_owned()),
            ("time", 0, options(5), "Some(5) 0".to_owned()),
            ("both", deadline, options(5), format!("Some(5) {deadline}")),
        ] {
            let job = NewJob { deadline, options, ..NewJob::new(job_id.into(), call("t", job_id)) };
            world.schedule_job(job).await;
            let steps = world.work_for(&job_id.into(), &handler).await;
            assert_eq!(steps, [Step::Completed]);
            assert_eq!(world.value(&job_id.into(), "t", job_id).await, expected);
        }
        let job = NewJob { deadline, options: options(5_000), ..NewJob::new("less".into(), call("t", "less")) };
        world.schedule_job(job).await;
        world.work_for(&"less".into(), &handler).await;
        let value = world.value(&"less".into(), "t", "less").await;
        let left: u64 = value.trim_start_matches("Some(").split(')').next().unwrap().parse().unwrap();
        assert!((800..=1_000).contains(&left), "{value}");
    })
    .await;
}

#[tokio::test]
async fn a_job_over_its_spawn_limit_fails_as_a_whole() {
    on_every_backend(async |world: World| {
        let handler = Native::default()
            .task("top", |_, replay| {
                Box::pin(async move {
                    // The run ends at once, so the handler cannot catch the failure.
                    let outcomes = ask(replay, &[("fan", "50".into())], None).await?;
                    Ok(outcomes.len().to_string())
                })
            })
            .task("fan", |request, replay| {
                Box::pin(async move {
                    let leaves: Vec<_> = (0..number(request)).map(|i| ("leaf", i.to_string())).collect();
                    Ok(gather("fan", replay, &leaves).await?.len().to_string())
                })
            })
            .task("leaf", |_, _| Box::pin(async { Ok(String::new()) }));
        let job_id =
            world.schedule_job(NewJob { max_messages: 20, ..NewJob::new("job".into(), call("top", "")) }).await;
        world.drain(&handler).await;
        let failure = world.outcome(&job_id, "top", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Limit);
        let chain: Vec<&str> = failure.chain.iter().map(String::as_str).collect();
        let last = "fan: limit: the job has sent its limit of 20 messages";
        assert_eq!(chain, ["top: a call failed and it was not caught", last]);
        assert_eq!((handler.runs("leaf"), handler.runs("top"), handler.runs("fan")), (0, 1, 1));
        assert_eq!(world.state(&job_id).await, Some(JobState::Failed));
        // The limit belongs to that job only.
        let other = world.schedule("other", "top", "").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&other, "top", "").await, "1");
    })
    .await;
}

#[tokio::test]
async fn the_loser_of_a_race_is_dropped_with_its_job() {
    on_every_backend(async |world: World| {
        let handler = Native::default()
            .task("race", |_, replay| {
                Box::pin(async move {
                    let pair = [("fast", String::new()), ("long", "3".to_owned())];
                    Ok(ask(replay, &pair, Some(1)).await?[0].0.to_string())
                })
            })
            .task("fast", |_, _| Box::pin(async { Ok(String::new()) }))
            .task("long", |request, replay| {
                Box::pin(async move {
                    match number(request) {
                        0 => Ok(String::new()),
                        n => Ok(gather("long", replay, &[("long", (n - 1).to_string())]).await?.concat()),
                    }
                })
            });
        let job_id = world.schedule("job", "race", "").await;
        let steps = world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "race", "").await, "0");
        assert!(steps.contains(&Step::Abandoned(JobState::Completed)), "{steps:?}");
        assert!(handler.runs("long") < 4, "{} runs", handler.runs("long"));
        // A later job for the same call is not blocked.
        let other = world.schedule("other", "long", "3").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&other, "long", "3").await, "");
    })
    .await;
}

/// A gate that has no capacity at the moment.
struct Shut;

#[async_trait]
impl Gate for Shut {
    async fn enter(&self, name: &str, _: &Task) -> Entry {
        assert_eq!(name, "task");
        Entry::NotNow(Duration::from_millis(20))
    }
}

#[tokio::test]
async fn a_message_without_a_free_slot_is_nacked_with_a_delay() {
    on_every_backend(async |world: World| {
        let handler = Native::default().task("task", |_, _| Box::pin(async { Ok(String::new()) }));
        let job_id = world.schedule("job", "task", "").await;
        let first = world.receive().await.remove(0);
        assert_eq!(world.step_at(&Shut, &handler, &first).await, Step::Nacked(Duration::from_millis(20)));
        assert_eq!((handler.runs("task"), world.events.take()), (0, vec![]), "it has not begun to run");
        let again = world.backend.queue().receive(&topic(), 1, Duration::from_secs(30)).await.unwrap().remove(0);
        assert_eq!(again.receives, 1, "it was no delivery");
        world.step(&handler, &again).await;
        assert_eq!(world.value(&job_id, "task", "").await, "");
    })
    .await;
}

#[tokio::test]
async fn the_options_of_a_call_reach_its_handler() {
    on_every_backend(async |world: World| {
        let options = Options {
            timeout: Some(Duration::from_secs(7)),
            memory: Some(1 << 20),
            label: Some("dice".into()),
            max_retries: Some(1),
            retry_delay: Some(Duration::from_millis(1)),
            ..Options::default()
        };
        let handler = Native::default()
            .task("p", move |_, replay| {
                let options = options.clone();
                Box::pin(async move {
                    let outcomes = ask_with(replay, &[("c", String::new())], None, &options).await?;
                    Ok(String::from_utf8(outcomes[0].1.as_ref().unwrap().to_vec()).unwrap())
                })
            })
            .task("c", |request, _| {
                Box::pin(async move {
                    match request.attempt {
                        1 => stumble("c", "no"),
                        _ => Ok(format!("{:?} {:?}", request.timeout.unwrap(), request.memory.unwrap())),
                    }
                })
            });
        let job_id = world.schedule("job", "p", "").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "p", "").await, "7s 1048576");
        assert_eq!(handler.runs("c"), 2);
        let bytes = world.backend.store().get(&Key::run(&hash("c", ""), &job_id)).await.unwrap().unwrap();
        assert_eq!(RunRecord::decode(&bytes).unwrap().options.label.as_deref(), Some("dice"));
        assert!(world.events.take().iter().any(|line| line == "c [dice]: running > completed, attempt 2"));
    })
    .await;
}

/// Two jobs wait for one call. The job whose message was queued is cancelled before the call runs. The options of the other job
/// apply.
#[tokio::test]
async fn the_options_of_a_call_outlive_the_job_that_queued_it() {
    on_every_backend(async |world: World| {
        let retry = Options { max_retries: Some(1), retry_delay: Some(Duration::from_millis(1)), ..Options::default() };
        let handler = Native::default()
            .task("plain", |_, replay| {
                Box::pin(async move { Ok(gather("plain", replay, &[("c", String::new())]).await?.concat()) })
            })
            .task("insists", move |_, replay| {
                let retry = retry.clone();
                Box::pin(async move {
                    let outcomes = ask_with(replay, &[("c", String::new())], None, &retry).await?;
                    Ok(outcomes.len().to_string())
                })
            })
            .task("c", |request, _| {
                Box::pin(async move { if request.attempt == 1 { stumble("c", "no") } else { Ok("2".to_owned()) } })
            });
        let first = world.schedule("first", "plain", "").await;
        let parent = world.receive().await.remove(0);
        world.step(&handler, &parent).await;
        let call = world.receive().await.remove(0);
        let second = world.schedule("second", "insists", "").await;
        let parent = world.receive().await.remove(0);
        world.step(&handler, &parent).await;
        world.client.cancel(&first, now()).await.unwrap();
        world.step(&handler, &call).await;
        world.drain(&handler).await;
        assert_eq!(world.value(&second, "insists", "").await, "1");
        assert_eq!(handler.runs("c"), 2, "and so it was tried again");
    })
    .await;
}

#[tokio::test]
async fn a_failed_job_can_be_retried() {
    on_every_backend(async |world: World| {
        let runs = Arc::new(AtomicU64::new(0));
        let count = runs.clone();
        let handler = Native::default()
            .task("top", |_, replay| {
                Box::pin(async move {
                    let both = [("good", String::new()), ("bad", String::new())];
                    Ok(gather("top", replay, &both).await?.concat())
                })
            })
            .task("good", |_, _| Box::pin(async { Ok("good".into()) }))
            .task("bad", move |_, _| {
                let run = count.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move { if run == 0 { fail("bad", "no") } else { Ok(" at last".into()) } })
            });
        let first = world.schedule("first", "top", "").await;
        assert_eq!(world.client.retry(&first, "early".into(), now()).await.unwrap(), Retried::Alive);
        world.drain(&handler).await;
        assert!(world.outcome(&first, "top", "").await.unwrap().is_err());
        let second = "second".into();
        let retried = world.client.retry(&first, "second".into(), now()).await.unwrap();
        assert_eq!(retried, Retried::As(Box::new(call("top", "")), Scheduled::Queued));
        world.drain(&handler).await;
        assert_eq!(world.value(&second, "top", "").await, "good at last");
        assert_eq!((handler.runs("good"), handler.runs("bad")), (1, 2));
        assert_eq!(world.job(&second).await.retry_of, Some(first.clone()));
        assert!(world.outcome(&first, "top", "").await.unwrap().is_err(), "a reported outcome stays");
        assert_eq!(world.client.retry(&"nobody".into(), "x".into(), now()).await.unwrap(), Retried::Unknown);
    })
    .await;
}

/// The message of a job's deadline is delivered long after the job. By then the job's value may be forgotten, and another job may
/// wait for the call.
#[tokio::test]
async fn a_late_message_of_a_job_that_is_over_harms_nobody() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        world.schedule("first", "middle", "").await;
        world.drain(&handler).await;
        assert_eq!(world.client.forget(&hash("middle", ""), now()).await.unwrap(), Forgotten::Done);
        let second = world.schedule("second", "top", "").await;
        world.step(&handler, &world.receive().await[0]).await;
        let queued = world.receive().await;
        let late = Message { job_id: "first".into(), call: hash("middle", "") };
        world.backend.queue().send_many(&[Outgoing::now(&topic(), &late)]).await.unwrap();
        let late = world.receive().await;
        assert_eq!(world.step(&handler, &late[0]).await, Step::Abandoned(JobState::Completed));
        for delivery in queued {
            world.step(&handler, &delivery).await;
        }
        world.drain(&handler).await;
        assert_eq!(world.value(&second, "top", "").await, "value");
    })
    .await;
}
