//! Detached jobs: the jobs that a run starts, and that go on by themselves.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brrr_protocol::model::{Failure, FailureKind, JobId, Outcome};
use brrr_protocol::options::{Backoff, Options, Scope};
use brrr_protocol::ports::{Key, Request};
use brrr_protocol::records::{JobState, encode_tasks};
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_protocol::step::{CallTopics, Limits, Step};

use crate::native::{Leave, Native, ask, fail, hash, payload, stumble};
use crate::world::{World, on_every_backend};

fn retries(n: u32) -> Options {
    let retry_delay = Some(Duration::from_millis(2));
    Options { max_retries: Some(n), retry_delay, backoff: Some(Backoff::Fixed), ..Options::default() }
}

fn awaited(task: &str, payload: &str) -> Invocation {
    Invocation {
        task: task.to_owned(),
        payload: payload.to_owned().into(),
        topic: None,
        hash: Some(hash(task, payload)),
        peer_hash: None,
        options: Options::default(),
        detached: false,
    }
}

fn detached(task: &str, payload: &str) -> Invocation {
    Invocation { detached: true, ..awaited(task, payload) }
}

/// A call that the host gives a hash, so that its scope counts.
fn scoped(task: &str, payload: &str, scope: Option<Scope>) -> Invocation {
    let options = Options { scope, ..Options::default() };
    Invocation { hash: None, options, ..detached(task, payload) }
}

async fn poll(replay: &mut Replay, calls: Vec<Invocation>, want: Want) -> Result<Vec<Option<String>>, Leave> {
    let text = |outcome: Outcome| match outcome {
        Ok(value) => String::from_utf8(value.to_vec()).unwrap(),
        Err(failure) => failure.kind.to_string(),
    };
    match replay.poll(calls, want, None).await {
        Ok(Polled::Ready(outcomes)) => Ok(outcomes.into_iter().map(|outcome| outcome.map(text)).collect()),
        Ok(Polled::Suspended) => Err(Leave::Suspended),
        Err(error) => Err(Leave::Broken(error)),
    }
}

/// Starts these jobs one after the other. Returns their ids.
async fn spawn(replay: &mut Replay, calls: Vec<Invocation>) -> Result<Vec<JobId>, Leave> {
    let mut ids = Vec::new();
    for call in calls {
        let id = poll(replay, vec![call], Want::All).await?.remove(0).expect("a detached call has its outcome at once");
        ids.push(id.trim_matches('"').into());
    }
    Ok(ids)
}

/// What the runs of a handler were given, in order.
type Seen<T> = Arc<Mutex<Vec<T>>>;

/// `child` and `slow` return at once.
fn leaves() -> Native {
    let echoes = |request: &Request| payload(request).to_owned();
    Native::default()
        .task("child", move |request, _| Box::pin(async move { Ok(echoes(request)) }))
        .task("slow", move |request, _| Box::pin(async move { Ok(echoes(request)) }))
}

/// `parent` starts three jobs, waits for a call, starts one more, and then fails as often as its payload says.
fn parent(seen: &Seen<Vec<JobId>>, options: Options) -> Native {
    let seen = seen.clone();
    leaves().task_with("parent", options, move |request, replay| {
        let seen = seen.clone();
        Box::pin(async move {
            let mut ids = spawn(replay, ["0", "1", "2"].map(|n| detached("child", n)).into()).await?;
            seen.lock().unwrap().push(ids.clone());
            ask(replay, &[("slow", String::new())], None).await?;
            ids.extend(spawn(replay, vec![detached("child", "3")]).await?);
            seen.lock().unwrap().push(ids);
            if u64::from(request.attempt) <= crate::native::number(request) {
                return stumble("parent", "not yet");
            }
            Ok("done".to_owned())
        })
    })
}

/// The run is deferred, replayed, fails, and is tried again. Each job is started once, with one message.
#[tokio::test]
async fn each_detached_job_is_started_once() {
    on_every_backend(async |world: World| {
        let seen = Seen::default();
        let handler = parent(&seen, retries(2));
        let job_id = world.schedule("job", "parent", "2").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "parent", "2").await, "done", "{:?}", world.kind);
        let seen = seen.lock().unwrap().clone();
        let ids = seen.iter().max_by_key(|ids| ids.len()).unwrap();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 4, "{:?}: {ids:?}", world.kind);
        assert!(seen.iter().all(|some| ids.starts_with(some)), "{:?}: {seen:?}", world.kind);
        let parent = hash("parent", "2");
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(*id, JobId::of_detached(&job_id, &parent, n as u64));
            assert_eq!(world.state(id).await, Some(JobState::Completed), "{:?}: {n}", world.kind);
            assert_eq!(world.value(id, "child", &n.to_string()).await, n.to_string());
            assert_eq!(world.messages(id).await, 1, "{:?}: {n}", world.kind);
        }
        // Two runs of the first attempt, and one of each later one, because `slow` has its value then.
        assert_eq!((handler.runs("child"), handler.runs("parent")), (4, 4), "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn detached_jobs_outlive_a_parent_that_fails() {
    on_every_backend(async |world: World| {
        let handler = leaves().task("parent", |_, replay| {
            Box::pin(async move {
                spawn(replay, vec![detached("child", "0")]).await?;
                fail("parent", "after it has started a job")
            })
        });
        let job_id = world.schedule("job", "parent", "").await;
        world.drain(&handler).await;
        assert_eq!(world.state(&job_id).await, Some(JobState::Failed), "{:?}", world.kind);
        let id = JobId::of_detached(&job_id, &hash("parent", ""), 0);
        assert_eq!(world.value(&id, "child", "0").await, "0", "{:?}", world.kind);
        assert_eq!(world.state(&id).await, Some(JobState::Completed));
    })
    .await;
}

/// The jobs are not started before their topic is announced, and they are started then.
#[tokio::test]
async fn detached_jobs_wait_for_their_topic() {
    on_every_backend(async |mut world: World| {
        let handler = leaves().task("parent", |_, replay| {
            Box::pin(async move {
                let elsewhere = Invocation { topic: Some("u".into()), ..detached("child", "0") };
                spawn(replay, vec![elsewhere, detached("child", "1")]).await?;
                ask(replay, &[("slow", String::new())], None).await?;
                Ok("done".to_owned())
            })
        });
        let call_topics = Arc::new(CallTopics::announced([]));
        world.limits = Limits { unknown_task_grace: Duration::from_mins(10), call_topics, ..Limits::default() };
        let job_id = world.schedule("job", "parent", "").await;
        let delivery = world.receive().await.remove(0);
        assert!(matches!(world.step(&handler, &delivery).await, Step::Nacked(_)), "no worker is there yet");
        let ids = [0, 1].map(|n| JobId::of_detached(&job_id, &hash("parent", ""), n));
        for id in &ids {
            assert_eq!(world.client.job(id).await.unwrap(), None, "{:?}", world.kind);
        }
        let tasks = encode_tasks(&["child".to_owned()].into());
        world.backend.store().put(&Key::tasks(&"u".into()), tasks).await.unwrap();
        world.work_for(&job_id, &handler).await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "parent", "").await, "done", "{:?}", world.kind);
        assert_eq!(world.job(&ids[0]).await.topic, "u".into(), "{:?}", world.kind);
        assert_eq!(world.backend.queue().depth(&"u".into()).await.unwrap(), 1, "{:?}", world.kind);
        assert_eq!(world.state(&ids[1]).await, Some(JobState::Completed), "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn a_topic_that_nobody_announces_fails_the_parent() {
    on_every_backend(async |mut world: World| {
        let handler = leaves().task("parent", |request, replay| {
            Box::pin(async move {
                let topic = Some(payload(request).to_owned().into());
                spawn(replay, vec![Invocation { topic, ..detached("child", "0") }]).await?;
                Ok("done".to_owned())
            })
        });
        let call_topics = Arc::new(CallTopics::announced([]));
        world.limits = Limits { unknown_task_grace: Duration::ZERO, call_topics, ..Limits::default() };
        for (topic, kind) in [("u", FailureKind::UnknownTask), ("a b", FailureKind::Limit)] {
            let job_id = world.schedule(&format!("job {}", topic.len()), "parent", topic).await;
            world.work_for(&job_id, &handler).await;
            let failure = world.outcome(&job_id, "parent", topic).await.unwrap().unwrap_err();
            assert_eq!(failure.kind, kind, "{:?}: {failure}", world.kind);
            let id = JobId::of_detached(&job_id, &hash("parent", topic), 0);
            assert_eq!(world.client.job(&id).await.unwrap(), None, "{:?}", world.kind);
        }
    })
    .await;
}

#[tokio::test]
async fn detached_jobs_count_as_messages_of_their_parent() {
    on_every_backend(async |mut world: World| {
        let handler = leaves().task("parent", |request, replay| {
            Box::pin(async move {
                let many = crate::native::number(request);
                spawn(replay, (0..many).map(|n| detached("child", &n.to_string())).collect()).await?;
                Ok("done".to_owned())
            })
        });
        world.limits.max_messages = 4;
        for (many, state) in [(3, JobState::Completed), (4, JobState::Failed)] {
            let job_id = world.schedule(&format!("job {many}"), "parent", &many.to_string()).await;
            world.drain(&handler).await;
            assert_eq!(world.state(&job_id).await, Some(state), "{:?}: {many}", world.kind);
            let id = JobId::of_detached(&job_id, &hash("parent", &many.to_string()), 0);
            assert_eq!(world.client.job(&id).await.unwrap().is_some(), many == 3, "{:?}: {many}", world.kind);
        }
    })
    .await;
}

/// A later attempt starts another job at the same place.
#[tokio::test]
async fn another_job_at_the_same_place_is_nondeterminism() {
    on_every_backend(async |world: World| {
        let handler = leaves().task_with("parent", retries(3), |request, replay| {
            Box::pin(async move {
                spawn(replay, vec![detached("child", &request.attempt.to_string())]).await?;
                stumble("parent", "not yet")
            })
        });
        let job_id = world.schedule("job", "parent", "").await;
        world.drain(&handler).await;
        let failure: Failure = world.outcome(&job_id, "parent", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Nondeterminism, "{:?}: {failure}", world.kind);
        assert!(failure.message.contains("child"), "{failure}");
        // The first job goes on.
        let id = JobId::of_detached(&job_id, &hash("parent", ""), 0);
        assert_eq!(world.value(&id, "child", "1").await, "1", "{:?}", world.kind);
        assert_eq!((handler.runs("child"), handler.runs("parent")), (1, 2), "{:?}", world.kind);
    })
    .await;
}

/// The hash of a call with a duration as its scope is another one in each period. That is no other job.
#[tokio::test]
async fn a_later_attempt_in_another_period_starts_nothing() {
    on_every_backend(async |world: World| {
        let seen: Seen<u64> = Seen::default();
        let clocks = seen.clone();
        let handler = leaves().task_with("parent", retries(1), move |request, replay| {
            let clocks = clocks.clone();
            Box::pin(async move {
                clocks.lock().unwrap().push(replay.clock());
                let scope = Some(Scope::For(Duration::from_millis(1)));
                spawn(replay, vec![scoped("child", "0", scope)]).await?;
                if request.attempt == 1 { stumble("parent", "not yet") } else { Ok("done".to_owned()) }
            })
        });
        let job_id = world.schedule("job", "parent", "").await;
        world.drain(&handler).await;
        let clocks = seen.lock().unwrap().clone();
        assert!(clocks.len() == 2 && clocks[0] < clocks[1], "{:?}: it is another period: {clocks:?}", world.kind);
        assert_eq!(world.value(&job_id, "parent", "").await, "done", "{:?}", world.kind);
        assert_eq!(handler.runs("child"), 1, "{:?}", world.kind);
    })
    .await;
}

/// A poll for all outcomes starts its detached jobs before it waits.
#[tokio::test]
async fn a_poll_for_all_starts_its_jobs_before_it_waits() {
    on_every_backend(async |world: World| {
        let seen: Seen<Vec<Option<String>>> = Seen::default();
        let given = seen.clone();
        let handler = leaves().task("parent", move |_, replay| {
            let given = given.clone();
            Box::pin(async move {
                let calls = vec![detached("child", "0"), awaited("slow", "1"), detached("child", "2")];
                let outcomes = poll(replay, calls, Want::All).await?;
                given.lock().unwrap().push(outcomes);
                Ok("done".to_owned())
            })
        });
        let job_id = world.schedule("job", "parent", "").await;
        let delivery = world.receive().await.remove(0);
        assert_eq!(world.step(&handler, &delivery).await, Step::Deferred { waiting: 1 }, "{:?}", world.kind);
        let ids = [0, 1].map(|n| JobId::of_detached(&job_id, &hash("parent", ""), n));
        for id in &ids {
            assert!(world.client.job(id).await.unwrap().is_some(), "{:?}", world.kind);
        }
        world.drain(&handler).await;
        let shown = ids.map(|id| Some(format!("\"{id}\"")));
        let expected = vec![shown[0].clone(), Some("1".to_owned()), shown[1].clone()];
        assert_eq!(*seen.lock().unwrap(), [expected], "{:?}", world.kind);
        assert_eq!(handler.runs("child"), 2, "{:?}", world.kind);
    })
    .await;
}

/// A poll for n outcomes is given exactly n. A detached call is started only if the run is given its id.
#[tokio::test]
async fn a_poll_for_some_counts_detached_calls() {
    on_every_backend(async |world: World| {
        let seen: Seen<Vec<Option<String>>> = Seen::default();
        let given = seen.clone();
        let handler = leaves().task("parent", move |_, replay| {
            let given = given.clone();
            Box::pin(async move {
                let calls = || vec![awaited("slow", "0"), detached("child", "1"), detached("child", "2")];
                for need in [1, 2, 3] {
                    let outcomes = poll(replay, calls(), Want::Some(need)).await?;
                    given.lock().unwrap().push(outcomes);
                }
                Ok("done".to_owned())
            })
        });
        let job_id = world.schedule("job", "parent", "").await;
        world.drain(&handler).await;
        let id = |n| Some(format!("\"{}\"", JobId::of_detached(&job_id, &hash("parent", ""), n)));
        let expected = [vec![None, id(0), None], vec![None, id(1), id(2)], vec![Some("0".to_owned()), id(3), id(4)]];
        // The first run got two of the answers, and the replay all of them.
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen, [&expected[..2], &expected].concat(), "{:?}", world.kind);
        // Five jobs of two calls.
        let none = JobId::of_detached(&job_id, &hash("parent", ""), 5);
        assert_eq!(world.client.job(&none).await.unwrap(), None, "{:?}", world.kind);
        for n in 0..5 {
            let id = JobId::of_detached(&job_id, &hash("parent", ""), n);
            assert_eq!(world.state(&id).await, Some(JobState::Completed), "{:?}: {n}", world.kind);
        }
    })
    .await;
}

/// A poll for progress with a detached call does not wait. It is given what is there, and each replay is given the same.
#[tokio::test]
async fn a_poll_for_progress_takes_what_is_there() {
    on_every_backend(async |world: World| {
        let seen: Seen<Vec<Option<String>>> = Seen::default();
        let given = seen.clone();
        let handler = leaves().task("parent", move |_, replay| {
            let given = given.clone();
            Box::pin(async move {
                ask(replay, &[("slow", "0".to_owned())], None).await?;
                let calls = vec![awaited("slow", "1"), detached("child", "2"), awaited("slow", "0")];
                let outcomes = poll(replay, calls, Want::Progress).await?;
                given.lock().unwrap().push(outcomes);
                ask(replay, &[("slow", "1".to_owned())], None).await?;
                Ok("done".to_owned())
            })
        });
        let job_id = world.schedule("job", "parent", "").await;
        world.drain(&handler).await;
        let id = JobId::of_detached(&job_id, &hash("parent", ""), 0);
        let expected = vec![None, Some(format!("\"{id}\"")), Some("0".to_owned())];
        assert_eq!(*seen.lock().unwrap(), [expected.clone(), expected], "{:?}", world.kind);
        assert_eq!(world.value(&job_id, "parent", "").await, "done", "{:?}", world.kind);
        assert_eq!((handler.runs("child"), handler.runs("slow")), (1, 2), "{:?}", world.kind);
    })
    .await;
}

/// Who shares the outcome of a detached job's call.
#[tokio::test]
async fn a_detached_job_has_a_scope() {
    on_every_backend(async |world: World| {
        for (scope, runs) in [(None, 1), (Some(Scope::Job), 2)] {
            let handler = leaves().task("parent", move |_, replay| {
                Box::pin(async move {
                    let call = || scoped("child", if runs == 1 { "shared" } else { "own" }, scope);
                    spawn(replay, vec![call(), call()]).await?;
                    Ok("done".to_owned())
                })
            });
            let payload = runs.to_string();
            let job_id = world.schedule(&format!("job {runs}"), "parent", &payload).await;
            world.drain(&handler).await;
            let ids = [0, 1].map(|n| JobId::of_detached(&job_id, &hash("parent", &payload), n));
            for id in &ids {
                assert_eq!(world.state(id).await, Some(JobState::Completed), "{:?}", world.kind);
                // What the detached job calls has its scope too.
                assert_eq!(world.job(id).await.options.scope, scope);
            }
            assert_eq!(handler.runs("child"), runs, "{:?}", world.kind);
        }
    })
    .await;
}

/// The hash of a detached job's call stands for another call. The parent fails, and that call is not touched.
#[tokio::test]
async fn a_detached_call_may_not_take_the_hash_of_another() {
    on_every_backend(async |world: World| {
        let handler = leaves().task("parent", |_, replay| {
            Box::pin(async move {
                let wrong = Invocation { hash: Some(hash("child", "0")), ..detached("child", "1") };
                spawn(replay, vec![wrong]).await?;
                Ok("done".to_owned())
            })
        });
        let first = world.schedule("first", "child", "0").await;
        world.drain(&handler).await;
        let job_id = world.schedule("job", "parent", "").await;
        world.drain(&handler).await;
        let failure = world.outcome(&job_id, "parent", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conflict, "{:?}: {failure}", world.kind);
        assert_eq!(world.value(&first, "child", "0").await, "0", "{:?}", world.kind);
        let id = JobId::of_detached(&job_id, &hash("parent", ""), 0);
        assert_eq!(world.client.job(&id).await.unwrap(), None, "{:?}", world.kind);
    })
    .await;
}
