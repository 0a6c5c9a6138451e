//! Jobs that start later, and jobs that start once for each key.

use std::time::Duration;

use brrr_protocol::client::Forgotten;
use brrr_protocol::events::State;
use brrr_protocol::model::{CallHash, FailureKind, JobId};
use brrr_protocol::options::{Options, Scope};
use brrr_protocol::ports::{Key, Outgoing, Scheduled};
use brrr_protocol::records::{JobState, LatestJob};
use brrr_protocol::replay::{Invocation, Polled, Want};
use brrr_protocol::starting::{BadStart, StartRequest, StartTime, Started};
use brrr_protocol::step::Step;
use brrr_protocol::tree::{Bounds, Tree};
use brrr_protocol::wire::{CallRecord, Message};

use crate::native::{Leave, Native, hash, payload};
use crate::world::{World, now, on_every_backend, topic};

const HOUR: Duration = Duration::from_hours(1);

fn handler() -> Native {
    let echoes = |request: &brrr_protocol::ports::Request| format!("did {}", payload(request));
    Native::default()
        .task("f", move |request, _| Box::pin(async move { Ok(echoes(request)) }))
        .task("g", move |request, _| Box::pin(async move { Ok(echoes(request)) }))
        .task("waits", |_, replay| {
            Box::pin(async move {
                match replay.poll(vec![Invocation::promise("x")], Want::All, None).await {
                    Ok(Polled::Ready(_)) => Ok("answered".to_owned()),
                    Ok(Polled::Suspended) => Err(Leave::Suspended),
                    Err(error) => Err(Leave::Broken(error)),
                }
            })
        })
}

/// A request to start `task(payload)`.
fn asks(task: &str, payload: &str) -> StartRequest {
    StartRequest::new(topic(), task, payload.to_owned().into(), hash(task, payload))
}

/// The same under a key.
fn keyed(key: &str, task: &str, payload: &str) -> StartRequest {
    StartRequest { key: Some(key.to_owned()), ..asks(task, payload) }
}

fn id(key: &str) -> JobId {
    JobId::of_key(&topic(), key)
}

impl World {
    async fn start(&self, request: &StartRequest) -> Started {
        self.client.start(request, "unused".into()).await.unwrap()
    }
}

fn new(key: &str, call: &CallHash) -> Started {
    Started::New { job_id: id(key), call: call.clone(), scheduled: Scheduled::Queued }
}

/// The id of the existing job. Panics if the job is new.
#[track_caller]
fn existing(started: Started) -> JobId {
    match started {
        Started::Existing { job_id, .. } => job_id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_starts_one_job() {
    on_every_backend(async |world: World| {
        let (handler, request) = (handler(), keyed("k", "f", "1"));
        assert_eq!(world.start(&request).await, new("k", &hash("f", "1")), "{:?}", world.kind);
        for _ in 0..3 {
            assert_eq!(existing(world.start(&request).await), id("k"), "{:?}", world.kind);
        }
        assert_eq!(world.messages(&id("k")).await, 1, "{:?}: a second message may run the call twice", world.kind);
        world.drain(&handler).await;
        assert_eq!(world.value(&id("k"), "f", "1").await, "did 1");
        // The job is over, and stays as it is.
        let job = world.job(&id("k")).await;
        assert_eq!(world.start(&request).await, Started::Existing { job_id: id("k"), job: Box::new(job.clone()) });
        assert_eq!((world.job(&id("k")).await, world.messages(&id("k")).await), (job, 1), "{:?}", world.kind);
        assert_eq!(handler.runs("f"), 1, "{:?}", world.kind);
        assert_eq!(world.client.job(&"unused".into()).await.unwrap(), None);
        // Without a key, and with another one, it is another job.
        assert!(matches!(world.start(&keyed("l", "f", "2")).await, Started::New { .. }), "{:?}", world.kind);
        assert!(matches!(world.start(&asks("f", "3")).await, Started::New { .. }), "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn a_key_stands_for_one_call() {
    on_every_backend(async |world: World| {
        let handler = handler();
        world.start(&keyed("k", "f", "1")).await;
        let job = world.job(&id("k")).await;
        for state in ["alive", "over"] {
            for other in [keyed("k", "f", "2"), keyed("k", "g", "1")] {
                let started = world.start(&other).await;
                assert_eq!(started, Started::KeyReused(id("k")), "{:?}: {state}", world.kind);
                assert_eq!(world.backend.store().get(&Key::call(&other.hash)).await.unwrap(), None, "{state}");
            }
            if state == "alive" {
                assert_eq!(world.job(&id("k")).await, job, "{:?}", world.kind);
                world.drain(&handler).await;
            }
        }
        assert_eq!((handler.runs("f"), handler.runs("g")), (1, 0), "{:?}", world.kind);
        // A key counts within its topic.
        let elsewhere = StartRequest { topic: "u".into(), ..keyed("k", "f", "2") };
        assert!(matches!(world.start(&elsewhere).await, Started::New { .. }), "{:?}", world.kind);
        let bad = world.start(&keyed("", "f", "1")).await;
        assert!(matches!(&bad, Started::Bad(BadStart::Key(_))), "{bad:?}");
    })
    .await;
}

/// `gc` removes a job's call first, and the job's own record last.
#[tokio::test]
async fn a_key_is_known_without_the_record_of_its_call() {
    on_every_backend(async |world: World| {
        let own = Options { scope: Some(Scope::Job), ..Options::default() };
        // The scope may also be that of the task.
        let cases = [
            ("k", Options::default(), None),
            ("own", own, None),
            ("of the task", Options::default(), Some(Scope::Job)),
        ];
        for (key, options, task_scope) in cases {
            let with = |payload| StartRequest { options: options.clone(), task_scope, ..keyed(key, "f", payload) };
            world.start(&with("1")).await;
            world.drain(&handler()).await;
            let call = Key::call(&world.job(&id(key)).await.call);
            let described = world.backend.store().get(&call).await.unwrap();
            world.backend.store().swap(&call, described.as_ref(), None).await.unwrap();
            assert_eq!(existing(world.start(&with("1")).await), id(key), "{:?}", world.kind);
            assert_eq!(world.start(&with("2")).await, Started::KeyReused(id(key)), "{:?}", world.kind);
        }
    })
    .await;
}

/// Where a start is several writes, a client may die before it sends the message. The next one that comes with the key sends it.
#[tokio::test]
async fn a_client_that_died_before_it_sent_is_made_good() {
    on_every_backend(async |world: World| {
        for (key, start) in [("k", StartTime::Now), ("later", StartTime::After(Duration::from_millis(100)))] {
            let request = StartRequest { start, ..keyed(key, "f", key) };
            let (store, job) = (world.backend.store(), request.job("unused".into(), world.client.now()).unwrap());
            store.put(&Key::call(&job.call.hash), CallRecord::encode("f", key.as_bytes())).await.unwrap();
            let unsent = LatestJob::unsent(job.job_id.clone()).encode();
            store.put(&Key::latest_job(&job.call.hash), unsent).await.unwrap();
            store.put(&Key::job(&job.job_id), job.record(world.client.now()).encode()).await.unwrap();
            assert_eq!(existing(world.start(&request).await), id(key), "{:?}", world.kind);
            assert_eq!(existing(world.start(&request).await), id(key), "{:?}", world.kind);
            assert_eq!(world.messages(&id(key)).await, 1, "{:?}", world.kind);
            world.work_for(&id(key), &handler()).await;
            assert_eq!(world.state(&id(key)).await, Some(JobState::Completed), "{:?}", world.kind);
        }
    })
    .await;
}

#[tokio::test]
async fn two_clients_at_once_start_one_job() {
    on_every_backend(async |world: World| {
        let handler = handler();
        for n in 0..10 {
            let key = format!("key {n}");
            let (a, b) = (keyed(&key, "f", &key), keyed(&key, "f", &key));
            let started = tokio::join!(world.start(&a), world.start(&b));
            let is_told = |started: &Started| match started {
                Started::New { job_id, .. } | Started::Existing { job_id, .. } => *job_id == id(&key),
                _ => false,
            };
            assert!(is_told(&started.0) && is_told(&started.1), "{:?}: {started:?}", world.kind);
            world.drain(&handler).await;
            assert_eq!(world.value(&id(&key), "f", &key).await, format!("did {key}"));
            assert_eq!(handler.runs("f"), n + 1, "{:?}", world.kind);
        }
    })
    .await;
}

/// Both ask for another call. One of them gets the key, and the other one is told so.
#[tokio::test]
async fn of_two_calls_at_once_one_has_the_key() {
    on_every_backend(async |world: World| {
        let handler = handler();
        for n in 0..10 {
            let key = format!("key {n}");
            let payloads = [format!("a {n}"), format!("b {n}")];
            let (a, b) = (keyed(&key, "f", &payloads[0]), keyed(&key, "f", &payloads[1]));
            let (a, b) = tokio::join!(world.start(&a), world.start(&b));
            let winner = match (&a, &b) {
                (Started::New { .. }, Started::KeyReused(job_id)) if *job_id == id(&key) => &payloads[0],
                (Started::KeyReused(job_id), Started::New { .. }) if *job_id == id(&key) => &payloads[1],
                other => panic!("{:?}: {other:?}", world.kind),
            };
            world.drain(&handler).await;
            assert_eq!(world.value(&id(&key), "f", winner).await, format!("did {winner}"), "{:?}", world.kind);
            assert_eq!(handler.runs("f"), n + 1, "{:?}", world.kind);
        }
    })
    .await;
}

#[tokio::test]
async fn a_job_with_a_key_may_have_a_call_of_its_own() {
    on_every_backend(async |world: World| {
        let handler = handler();
        let options = Options { scope: Some(Scope::Job), ..Options::default() };
        let own = |key: &str| StartRequest { options: options.clone(), ..keyed(key, "f", "1") };
        for key in ["k", "l"] {
            let call = hash("f", "1").within(Scope::Job, &id(key), 0);
            assert_eq!(world.start(&own(key)).await, new(key, &call), "{:?}", world.kind);
            assert_eq!(existing(world.start(&own(key)).await), id(key));
        }
        world.drain(&handler).await;
        assert_eq!(handler.runs("f"), 2, "{:?}", world.kind);
    })
    .await;
}

/// A second request in another period of the scope asks for another call hash. It is the same job all the same.
#[tokio::test]
async fn a_key_outlives_the_period_of_a_scope() {
    on_every_backend(async |world: World| {
        let handler = handler();
        let options = Options { scope: Some(Scope::For(Duration::from_millis(1))), ..Options::default() };
        let request = StartRequest { options, ..keyed("k", "f", "1") };
        let Started::New { call, .. } = world.start(&request).await else { panic!("it is new") };
        let hash_now = || request.job("unused".into(), world.client.now()).unwrap().call.hash;
        while hash_now() == call {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(existing(world.start(&request).await), id("k"), "{:?}", world.kind);
        assert_eq!(world.job(&id("k")).await.call, call);
        world.drain(&handler).await;
        assert_eq!(handler.runs("f"), 1, "{:?}", world.kind);
        assert_eq!(existing(world.start(&request).await), id("k"), "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn a_delayed_job_has_its_time_from_its_start() {
    on_every_backend(async |world: World| {
        let handler = handler();
        // Some queues deliver a message a second late.
        let time = |task| if task == "f" { 60_000 } else { 300 };
        let start = StartTime::After(Duration::from_millis(200));
        let request = |task| {
            let timeout = Some(Duration::from_millis(time(task)));
            StartRequest { start, timeout, ..keyed(task, task, "") }
        };
        let before = world.client.now();
        for task in ["f", "waits"] {
            assert!(matches!(world.start(&request(task)).await, Started::New { .. }));
            let job = world.job(&id(task)).await;
            assert!(job.start >= before + 200 && job.deadline == job.start + time(task), "{:?}: {job:?}", world.kind);
            // Its repeated request does not move the start, and sends nothing.
            assert_eq!(existing(world.start(&request(task)).await), id(task));
            assert_eq!((world.job(&id(task)).await, world.messages(&id(task)).await), (job, 2), "{:?}", world.kind);
        }
        for task in ["f", "waits"] {
            world.work_for(&id(task), &handler).await;
        }
        let job = world.job(&id("f")).await;
        assert!(job.end.is_some_and(|end| end.state == JobState::Completed && end.at >= job.start), "{job:?}");
        let failure = world.outcome(&id("waits"), "waits", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Timeout, "{:?}", world.kind);
        assert!(failure.message.contains("within its 300ms"), "{:?}: {failure}", world.kind);
    })
    .await;
}

/// A message that comes before the job's start is given back until then.
#[tokio::test]
async fn no_message_starts_a_job_early() {
    on_every_backend(async |world: World| {
        let handler = handler();
        let request = StartRequest { start: StartTime::After(HOUR), ..keyed("k", "f", "1") };
        world.start(&request).await;
        let message = Message { job_id: id("k"), call: hash("f", "1") };
        world.backend.queue().send_many(&[Outgoing::now(&topic(), &message)]).await.unwrap();
        let delivery = world.backend.queue().receive(&topic(), 1, Duration::from_secs(30)).await.unwrap().remove(0);
        let Step::Nacked(delay) = world.step(&handler, &delivery).await else { panic!("it runs early") };
        assert!(delay <= HOUR + Duration::from_secs(2) && delay > HOUR / 2, "{:?}: {delay:?}", world.kind);
        assert_eq!(handler.runs("f"), 0);
        let (job, bounds) = (world.job(&id("k")).await, Bounds { depth: 5, lines: 50 });
        let tree = Tree::read(&*world.backend, &id("k"), &job, now(), bounds).await.unwrap();
        assert_eq!(tree.calls[0].state, State::Scheduled, "{:?}", world.kind);
        // It can be cancelled before it starts.
        world.client.cancel(&id("k"), now()).await.unwrap();
        assert_eq!(world.state(&id("k")).await, Some(JobState::Cancelled), "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn what_can_not_be_starts_nothing() {
    on_every_backend(async |world: World| {
        let deadline = Some(world.client.now() + 1_000);
        for bad in [
            StartRequest { start: StartTime::After(HOUR), deadline, ..keyed("k", "f", "1") },
            StartRequest { start: StartTime::After(Duration::MAX), ..keyed("k", "f", "1") },
            StartRequest { deadline: Some(1), ..keyed("k", "f", "1") },
        ] {
            assert!(matches!(world.start(&bad).await, Started::Bad(_)), "{bad:?}");
        }
        assert_eq!(world.client.job(&id("k")).await.unwrap(), None, "{:?}", world.kind);
        // A request for a job that is there is answered, also after the deadline that it names.
        world.start(&keyed("k", "f", "1")).await;
        let late = StartRequest { deadline: Some(1), ..keyed("k", "f", "1") };
        assert_eq!(existing(world.start(&late).await), id("k"), "{:?}", world.kind);
    })
    .await;
}

/// A value that is there before a job starts does not end it before its start, whoever looks. It lives, so nothing is forgotten.
#[tokio::test]
async fn a_job_that_starts_later_is_not_ended_by_a_reader() {
    on_every_backend(async |world: World| {
        let handler = handler();
        let later = StartRequest { start: StartTime::After(HOUR), ..keyed("later", "f", "1") };
        world.start(&later).await;
        let first = world.schedule("first", "f", "1").await;
        world.work_for(&first, &handler).await;
        let job = world.job(&id("later")).await;
        assert_eq!(world.client.as_it_is(&id("later"), job.clone(), now()).await.unwrap(), job, "{:?}", world.kind);
        let forgotten = world.client.forget(&hash("f", "1"), now()).await.unwrap();
        assert_eq!(forgotten, Forgotten::InUse(id("later")), "{:?}", world.kind);
        assert_eq!(world.job(&id("later")).await, job);
        // When it has started, it ends with the value that is there.
        let at = job.start + 1;
        assert!(world.client.as_it_is(&id("later"), job, at).await.unwrap().is_over(), "{:?}", world.kind);
    })
    .await;
}
