//! Calls that go on with some of the outcomes that they wait for.

use std::time::Duration;

use brrr_protocol::model::Outcome;
use brrr_protocol::ports::{Key, Outgoing, Request};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_protocol::step::Step;
use brrr_protocol::wire::Message;

use crate::native::{Leave, Native, fail, hash, number};
use crate::world::{World, now, on_every_backend, topic};

fn invocation(task: &str, payload: &str) -> Invocation {
    let (task, payload, hash) = (task.to_owned(), payload.to_owned().into(), Some(hash(task, payload)));
    Invocation {
        task,
        payload,
        topic: None,
        hash,
        peer_hash: None,
        options: brrr_protocol::options::Options::default(),
        detached: false,
    }
}

async fn poll(replay: &mut Replay, calls: &[(&str, &str)], want: Want) -> Result<Vec<Option<Outcome>>, Leave> {
    let calls = calls.iter().map(|(task, payload)| invocation(task, payload)).collect();
    match replay.poll(calls, want, None).await {
        Ok(Polled::Ready(outcomes)) => Ok(outcomes),
        Ok(Polled::Suspended) => Err(Leave::Suspended),
        Err(error) => Err(Leave::Broken(error)),
    }
}

/// Sleeps so many milliseconds.
fn sleeper(handler: Native) -> Native {
    handler.task("slow", |request: &Request, replay| {
        Box::pin(async move {
            match replay.sleep(replay.clock() + number(request)) {
                Ok(Polled::Ready(_)) => Ok("slow".to_owned()),
                Ok(Polled::Suspended) => Err(Leave::Suspended),
                Err(error) => Err(Leave::Broken(error)),
            }
        })
    })
}

/// One call takes three seconds. Beside it, two short calls are made one after the other, long before.
#[tokio::test]
async fn a_short_chain_does_not_wait_for_a_slow_call() {
    on_every_backend(async |world: World| {
        let handler = sleeper(Native::default())
            .task("p", |_, replay| {
                Box::pin(async move {
                    let first = poll(replay, &[("slow", "3000"), ("c", "1")], Want::Progress).await?;
                    assert!(first[0].is_none() && first[1].is_some(), "the short one is there: {first:?}");
                    let second = poll(replay, &[("slow", "3000"), ("c", "2")], Want::Progress).await?;
                    assert!(second[0].is_none() && second[1].is_some(), "the short one is there: {second:?}");
                    let moved = replay.clock();
                    poll(replay, &[("slow", "3000")], Want::All).await?;
                    Ok((replay.clock() - moved).to_string())
                })
            })
            .task("c", |request, _| Box::pin(async move { Ok(number(request).to_string()) }));
        let job_id = world.schedule("job", "p", "").await;
        world.work_for(&job_id, &handler).await;
        let rest: u64 = world.value(&job_id, "p", "").await.parse().unwrap();
        assert!(rest > 500, "{:?}: the chain ended {rest} ms before the slow call", world.kind);
        assert_eq!(handler.runs("p"), 4, "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn a_failure_does_not_wait_for_a_slow_call() {
    on_every_backend(async |world: World| {
        let handler = sleeper(Native::default())
            .task("p", |_, replay| {
                Box::pin(async move {
                    let outcomes = poll(replay, &[("slow", "3600000"), ("f", "")], Want::All).await?;
                    assert!(outcomes[0].is_none() && outcomes[1].as_ref().is_some_and(Result::is_err), "{outcomes:?}");
                    fail("p", "at once")
                })
            })
            .task("f", |_, _| Box::pin(async move { fail("f", "as planned") }));
        let job_id = world.schedule("job", "p", "").await;
        world.work_for(&job_id, &handler).await;
        assert_eq!(world.outcome(&job_id, "p", "").await.unwrap().unwrap_err().message, "at once", "{:?}", world.kind);
        assert_eq!(handler.runs("p"), 2);
    })
    .await;
}

/// A quick fan-out costs two runs and, beside the messages of its calls, one for another look and one notification.
#[tokio::test]
async fn a_quick_fan_out_costs_two_runs() {
    on_every_backend(async |world: World| {
        let handler = Native::default()
            .task("p", |_, replay| {
                Box::pin(async move {
                    let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
                    let calls: Vec<(&str, &str)> = names.iter().map(|n| ("c", n.as_str())).collect();
                    let outcomes = poll(replay, &calls, Want::Progress).await?;
                    Ok(outcomes.iter().flatten().count().to_string())
                })
            })
            .task("c", |request, _| Box::pin(async move { Ok(number(request).to_string()) }));
        let job_id = world.schedule("job", "p", "").await;
        let deliveries = world.receive().await;
        world.step(&handler, &deliveries[0]).await;
        // All calls end before the time for another look.
        for delivery in world.receive().await {
            world.step(&handler, &delivery).await;
        }
        world.work_for(&job_id, &handler).await;
        if world.value(&job_id, "p", "").await == "10" {
            assert_eq!(handler.runs("p"), 2, "{:?}", world.kind);
            assert_eq!(world.messages(&job_id).await, 1 + 10 + 1 + 1, "{:?}", world.kind);
        }
    })
    .await;
}

/// A message that comes too early, for example a second delivery, does not run the call, and is there in time.
#[tokio::test]
async fn a_message_before_the_look_does_not_run_the_call() {
    on_every_backend(async |world: World| {
        let handler = sleeper(Native::default())
            .task("p", |_, replay| {
                Box::pin(async move {
                    let outcomes = poll(replay, &[("slow", "3600000"), ("c", "1")], Want::Progress).await?;
                    Ok(format!("{} {}", outcomes[0].is_some(), outcomes[1].is_some()))
                })
            })
            .task("c", |request, _| Box::pin(async move { Ok(number(request).to_string()) }));
        let job_id = world.schedule("job", "p", "").await;
        for _ in 0..2 {
            for delivery in world.receive().await {
                world.step(&handler, &delivery).await;
            }
        }
        let key = Key::run(&hash("p", ""), &job_id);
        let record = RunRecord::decode(&world.backend.store().get(&key).await.unwrap().unwrap()).unwrap();
        assert!(record.pace > 0 && record.look > 0, "{:?}: {record:?}", world.kind);
        let message = Message { job_id: job_id.clone(), call: hash("p", "") };
        world.backend.queue().send_many(&[Outgoing::now(&topic(), &message)]).await.unwrap();
        let begun = now();
        for delivery in world.receive().await {
            let step = world.step(&handler, &delivery).await;
            let is_early = now() < record.look && begun < record.look;
            let is_kept = matches!(step, Step::Nacked(left) if left <= Duration::from_millis(record.pace));
            assert!(is_kept || !is_early, "{:?}: {step:?}", world.kind);
        }
        world.work_for(&job_id, &handler).await;
        assert_eq!(world.value(&job_id, "p", "").await, "false true", "{:?}", world.kind);
        assert_eq!(handler.runs("p"), 2, "{:?}", world.kind);
    })
    .await;
}
