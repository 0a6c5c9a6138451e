//! Calls that wait for a time: sleeps, and calls with a time limit.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use brrr_protocol::model::{CallHash, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Key, Request};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_protocol::step::Step;

use crate::native::{Leave, Native, ask, hash, number};
use crate::world::{World, now, on_every_backend};

/// Waits until the handler's clock has moved by so many milliseconds.
async fn sleep(replay: &mut Replay, ms: u64) -> Result<(), Leave> {
    match replay.sleep(replay.clock() + ms) {
        Ok(Polled::Ready(_)) => Ok(()),
        Ok(Polled::Suspended) => Err(Leave::Suspended),
        Err(error) => Err(Leave::Broken(error)),
    }
}

/// Calls `task`, and waits so many milliseconds for the value. `None`: it came too late.
async fn within(replay: &mut Replay, ms: u64, task: &str, payload: &str) -> Result<Option<String>, Leave> {
    let call = Invocation {
        task: task.to_owned(),
        payload: payload.to_owned().into(),
        topic: None,
        hash: Some(hash(task, payload)),
        peer_hash: None,
        options: Options::default(),
        detached: false,
    };
    match replay.poll(vec![call], Want::All, Some(replay.clock() + ms)).await {
        Ok(Polled::Ready(outcomes)) => {
            let value = outcomes.into_iter().flatten().next();
            Ok(value.map(|outcome| String::from_utf8(outcome.unwrap().to_vec()).unwrap()))
        }
        Ok(Polled::Suspended) => Err(Leave::Suspended),
        Err(error) => Err(Leave::Broken(error)),
    }
}

async fn record(world: &World, call: &CallHash, job_id: &JobId) -> RunRecord {
    let bytes = world.backend.store().get(&Key::run(call, job_id)).await.unwrap().expect("a run record");
    RunRecord::decode(&bytes).unwrap()
}

#[tokio::test]
async fn a_sleeping_call_is_run_when_its_time_has_come() {
    on_every_backend(async |world: World| {
        let clocks = Arc::new(Mutex::new(Vec::new()));
        let log = clocks.clone();
        let handler = Native::default().task("p", move |_: &Request, replay| {
            let log = log.clone();
            Box::pin(async move {
                log.lock().unwrap().push(replay.clock());
                sleep(replay, 150).await?;
                log.lock().unwrap().push(replay.clock());
                sleep(replay, 50).await?;
                Ok((replay.clock() - log.lock().unwrap()[0]).to_string())
            })
        });
        let begun = now();
        let job_id = world.schedule("job", "p", "").await;
        let steps = world.drain(&handler).await;
        let slept: u64 = world.value(&job_id, "p", "").await.parse().unwrap();
        assert!((200..=now() - begun).contains(&slept), "{:?}: {slept}", world.kind);
        let deferred = |step: &&Step| matches!(step, Step::Deferred { waiting: 0 });
        assert_eq!(steps.iter().filter(deferred).count(), 2, "{steps:?}");
        assert_eq!(handler.runs("p"), 3, "{:?}: {steps:?}", world.kind);
        // Each replay sees the same clock at the same place.
        let seen = clocks.lock().unwrap().clone();
        let [first, again, moved, third, moved_again] = seen[..] else { panic!("{seen:?}") };
        assert!(first == again && first == third && moved == moved_again && moved >= first + 150, "{seen:?}");
        // The job's message, and a timer for each sleep.
        assert_eq!(world.messages(&job_id).await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_call_in_time_leaves_its_timer_to_the_next_wait() {
    on_every_backend(async |world: World| {
        let handler = Native::default()
            .task("p", |_, replay| {
                Box::pin(async move {
                    let mut texts = Vec::new();
                    for n in 0..5 {
                        texts.push(within(replay, 3_600_000, "c", &n.to_string()).await?.unwrap_or_default());
                    }
                    Ok(texts.concat())
                })
            })
            .task("c", |request, _| Box::pin(async move { Ok(number(request).to_string()) }));
        let job_id = world.schedule("job", "p", "").await;
        world.work_for(&job_id, &handler).await;
        assert_eq!(world.value(&job_id, "p", "").await, "01234");
        // The job's message, the messages of five children and five notifications, and one timer, which is still to come.
        assert_eq!(world.messages(&job_id).await, 12, "{:?}", world.kind);
        assert_eq!(world.backend.queue().depth(&crate::world::topic()).await.unwrap(), 1, "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn what_came_too_late_stays_too_late() {
    on_every_backend(async |world: World| {
        let handler = Native::default()
            .task("p", |_, replay| {
                Box::pin(async move {
                    let first = within(replay, 100, "slow", "").await?;
                    // By now it is there, but every replay gets the answer of the first run.
                    sleep(replay, 400).await?;
                    let (_, second) = ask(replay, &[("slow", String::new())], None).await?.remove(0);
                    Ok(format!("{first:?} {}", second.is_ok()))
                })
            })
            .task("slow", |_, replay| {
                Box::pin(async move {
                    sleep(replay, 250).await?;
                    Ok("slow".to_owned())
                })
            });
        let job_id = world.schedule("job", "p", "").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "p", "").await, "None true", "{:?}", world.kind);
    })
    .await;
}

/// A message that comes before the time, for example a second delivery, neither runs the call nor loses its timer.
#[tokio::test]
async fn a_message_before_the_time_is_the_timer_or_is_dropped() {
    on_every_backend(async |world: World| {
        let handler = Native::default().task("p", |request, replay| {
            Box::pin(async move {
                sleep(replay, number(request)).await?;
                Ok("awake".to_owned())
            })
        });
        for (name, ms) in [("far", 3_600_000), ("near", 300)] {
            let job_id = world.schedule(name, "p", &ms.to_string()).await;
            let first = world.backend.queue().receive(&crate::world::topic(), 1, Duration::ZERO).await.unwrap();
            world.step(&handler, &first[0]).await;
            let call = hash("p", &ms.to_string());
            let timer = record(&world, &call, &job_id).await.timer;
            let message = brrr_protocol::wire::Message { job_id: job_id.clone(), call: call.clone() };
            let again = brrr_protocol::ports::Outgoing::now(&crate::world::topic(), &message);
            world.backend.queue().send_many(&[again]).await.unwrap();
            let early = world.backend.queue().receive(&crate::world::topic(), 1, Duration::ZERO).await.unwrap();
            let step = world.step(&handler, &early[0]).await;
            match name {
                "far" => assert_eq!(step, Step::NotReady, "{:?}: the timer is on its way", world.kind),
                _ => assert!(matches!(step, Step::Nacked(left) if left <= Duration::from_millis(ms)), "{step:?}"),
            }
            assert_eq!(record(&world, &call, &job_id).await.timer, timer);
            if name == "near" {
                world.work_for(&job_id, &handler).await;
                assert_eq!(world.value(&job_id, "p", "300").await, "awake");
                assert_eq!(handler.runs("p"), 3, "once for the other job, and twice for this one");
            }
        }
    })
    .await;
}

/// A cancelled job does not wait for its sleeps.
#[tokio::test]
async fn a_sleeping_job_can_be_cancelled() {
    on_every_backend(async |world: World| {
        let handler = Native::default().task("p", |_, replay| {
            Box::pin(async move {
                sleep(replay, 200).await?;
                Ok("awake".to_owned())
            })
        });
        let job_id = world.schedule("job", "p", "").await;
        let first = world.receive().await;
        world.step(&handler, &first[0]).await;
        world.client.cancel(&job_id, now()).await.unwrap();
        let steps = world.drain(&handler).await;
        assert!(matches!(steps[..], [Step::AlreadyEnded | Step::Abandoned(_)]), "{:?}: {steps:?}", world.kind);
        assert_eq!(handler.runs("p"), 1);
    })
    .await;
}
