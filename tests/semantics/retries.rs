//! Retries after a failure: which calls, when, and how often.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brrr_protocol::model::FailureKind;
use brrr_protocol::options::{Backoff, Options};
use brrr_protocol::ports::{Key, NewJob, Outgoing};
use brrr_protocol::records::{JobState, RunRecord};
use brrr_protocol::step::Step;
use brrr_protocol::wire::Message;

use crate::native::{Native, fail, gather, hash, number, print, stumble};
use crate::world::{World, call, now, on_every_backend, topic};

const SOON: Duration = Duration::from_millis(2);

fn retries(n: u32) -> Options {
    Options { max_retries: Some(n), retry_delay: Some(SOON), backoff: Some(Backoff::Fixed), ..Options::default() }
}

/// `flaky(n)` fails n times; two retries.
fn handlers() -> Native {
    Native::default()
        .task_with("flaky", retries(2), |request, _| {
            Box::pin(async move {
                if u64::from(request.attempt) <= number(request) {
                    return stumble("flaky", "not yet");
                }
                Ok(request.attempt.to_string())
            })
        })
        .task_with("hopeless", retries(5), |_, _| Box::pin(async { fail("hopeless", "never") }))
        .task_with("asks", retries(5), |request, replay| {
            Box::pin(
                async move { Ok(gather("asks", replay, &[("flaky", number(request).to_string())]).await?.concat()) },
            )
        })
}

#[tokio::test]
async fn n_retries_are_n_plus_one_runs() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "flaky", "9").await;
        let steps = world.drain(&handler).await;
        assert_eq!(handler.runs("flaky"), 3);
        let failure = world.outcome(&job_id, "flaky", "9").await.unwrap().unwrap_err();
        assert_eq!((failure.kind.clone(), failure.attempts), (FailureKind::Error, 3));
        let attempts: Vec<u32> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Retried { failure, attempt, after } => {
                    assert_eq!((failure.attempts + 1, failure.message.as_str()), (*attempt, "not yet"));
                    assert!((SOON * 3 / 4..=SOON * 5 / 4).contains(after), "{after:?}");
                    Some(*attempt)
                }
                _ => None,
            })
            .collect();
        assert_eq!(attempts, [2, 3]);
        assert_eq!(steps.last(), Some(&Step::Failed(failure)));
        assert_eq!(world.state(&job_id).await, Some(JobState::Failed));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_succeeds_after_retries_has_succeeded() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "asks", "2").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "asks", "2").await, "3");
        assert_eq!((handler.runs("flaky"), handler.runs("asks")), (3, 2));
        assert_eq!(world.messages(&job_id).await, 3, "a nacked message is not a new message");
        assert_eq!(world.state(&job_id).await, Some(JobState::Completed));
    })
    .await;
}

#[tokio::test]
async fn permanent_failures_are_not_retried() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "hopeless", "").await;
        world.drain(&handler).await;
        assert_eq!(handler.runs("hopeless"), 1);
        assert_eq!(world.outcome(&job_id, "hopeless", "").await.unwrap().unwrap_err().attempts, 1);
    })
    .await;
}

#[tokio::test]
async fn a_parent_is_not_retried_for_a_failure_of_its_child() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        let job_id = world.schedule("job", "asks", "9").await;
        world.drain(&handler).await;
        assert_eq!((handler.runs("flaky"), handler.runs("asks")), (3, 2));
        let failure = world.outcome(&job_id, "asks", "9").await.unwrap().unwrap_err();
        assert_eq!(failure.chain, ["asks: a call failed and it was not caught", "flaky: error: not yet"]);
    })
    .await;
}

#[tokio::test]
async fn the_next_job_begins_with_the_first_attempt() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        world.schedule("first", "flaky", "9").await;
        world.drain(&handler).await;
        let second = world.schedule("second", "asks", "9").await;
        world.drain(&handler).await;
        assert_eq!(handler.runs("flaky"), 6);
        assert_eq!(world.outcome(&second, "flaky", "9").await.unwrap().unwrap_err().attempts, 3);
    })
    .await;
}

#[tokio::test]
async fn the_options_of_a_job_are_nearer_than_those_of_a_task() {
    on_every_backend(async |world: World| {
        for (job_id, max_retries, runs) in [("none", Some(0), 1), ("more", Some(4), 5), ("as the task says", None, 3)] {
            let handler = handlers();
            let options = Options { max_retries, ..Options::default() };
            let job = NewJob { options, ..NewJob::new(job_id.into(), call("flaky", "9")) };
            world.schedule_job(job).await;
            world.drain(&handler).await;
            assert_eq!(handler.runs("flaky"), runs, "{job_id}");
        }
    })
    .await;
}

/// The time at which each run began.
fn timed(times: &Arc<Mutex<Vec<Instant>>>, options: Options) -> Native {
    let times = times.clone();
    Native::default().task_with("t", options, move |_, _| {
        times.lock().unwrap().push(Instant::now());
        Box::pin(async { stumble("t", "no") })
    })
}

#[tokio::test]
async fn retry_delays_follow_the_options() {
    on_every_backend(async |world: World| {
        let first = Duration::from_millis(60);
        let growing = [first, first * 2, first * 3];
        for (job_id, backoff, pauses) in [("f", Backoff::Fixed, [first; 3]), ("e", Backoff::Exponential, growing)] {
            let options = Options {
                max_retries: Some(3),
                retry_delay: Some(first),
                max_retry_delay: Some(first * 3),
                backoff: Some(backoff),
                ..Options::default()
            };
            let times = Arc::default();
            let handler = timed(&times, options);
            world.schedule(job_id, "t", job_id).await;
            world.drain(&handler).await;
            let times = times.lock().unwrap();
            assert_eq!(times.len(), 4);
            for (n, pause) in pauses.iter().enumerate() {
                // The delay is random within a quarter, and clocks round to milliseconds. On a loaded machine the delay is
                // longer.
                let was = times[n + 1] - times[n] + Duration::from_millis(2);
                assert!(was >= *pause * 3 / 4, "{job_id}: {was:?} before run {}, not {pause:?}", n + 2);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_before_its_time_is_nacked() {
    on_every_backend(async |world: World| {
        let options = Options { max_retries: Some(1), retry_delay: Some(Duration::from_secs(100)), ..retries(1) };
        let times = Arc::default();
        let handler = timed(&times, options);
        let job_id = world.schedule("job", "t", "").await;
        let first = world.receive().await;
        assert!(matches!(world.step(&handler, &first[0]).await, Step::Retried { attempt: 2, .. }));
        let run = world.backend.store().get(&Key::run(&hash("t", ""), &job_id)).await.unwrap().unwrap();
        let run = RunRecord::decode(&run).unwrap();
        assert_eq!((run.attempt, run.last_failure.as_str()), (2, "t: error: no"));
        assert!(run.not_before > now() + 70_000);
        // A notification is delivered before the time of the retry.
        let notification = Message { job_id: job_id.clone(), call: hash("t", "") };
        world.backend.queue().send_many(&[Outgoing::now(&topic(), &notification)]).await.unwrap();
        let early = world.receive().await;
        let Step::Nacked(delay) = world.step(&handler, &early[0]).await else { panic!("run too early") };
        assert!((Duration::from_secs(60)..=Duration::from_secs(125)).contains(&delay), "{delay:?}");
        assert_eq!(handler.runs("t"), 1);
        assert_eq!(world.backend.queue().depth(&topic()).await.unwrap(), 2);
    })
    .await;
}

/// A zombie: two workers hold one message, and both runs fail. The second run to end must not lose the call.
#[tokio::test]
async fn a_call_that_two_workers_run_at_once_is_not_lost() {
    on_every_backend(async |world: World| {
        let runs = Arc::new(AtomicU64::new(0));
        let (count, backend) = (runs.clone(), world.backend.clone());
        let handler = Native::default().task_with("t", retries(1), move |request, _| {
            let (count, backend) = (count.clone(), backend.clone());
            Box::pin(async move {
                if count.fetch_add(1, Ordering::Relaxed) == 0 {
                    // The record that the other worker wrote. That worker no longer holds this message.
                    let key = Key::run(&request.call, &request.job_id);
                    let record = RunRecord { attempt: 2, ..RunRecord::default() };
                    backend.store().put(&key, record.encode()).await.unwrap();
                    return stumble("t", "no");
                }
                Ok(request.attempt.to_string())
            })
        });
        let job_id = world.schedule("job", "t", "").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "t", "").await, "2");
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_has_its_own_clock_and_output() {
    on_every_backend(async |world: World| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let handler = Native::default()
            .task_with("p", retries(1), move |request, replay| {
                let log = log.clone();
                Box::pin(async move {
                    let new = 10 - print(replay, 10);
                    log.lock().unwrap().push((request.attempt, replay.clock(), new));
                    gather("p", replay, &[("c", String::new())]).await?;
                    if request.attempt == 1 { stumble("p", "no") } else { Ok(String::new()) }
                })
            })
            .task("c", |_, _| Box::pin(async { Ok(String::new()) }));
        let job_id = world.schedule("job", "p", "").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "p", "").await, "");
        let seen = seen.lock().unwrap();
        let runs: Vec<_> = seen.iter().map(|(attempt, _, new)| (*attempt, *new)).collect();
        // The child's value is there by then, so the second attempt takes one run.
        assert_eq!(runs, [(1, 10), (1, 0), (2, 10)]);
        assert!(seen[0].1 == seen[1].1 && seen[1].1 < seen[2].1, "{seen:?}");
        assert_eq!(handler.runs("c"), 1);
    })
    .await;
}
