//! Properties of every replay of a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use brrr_protocol::ports::{Key, Outgoing};
use brrr_protocol::step::Step;
use brrr_protocol::wire::Message;

use crate::native::{Native, ask, gather, hash, number, print};
use crate::world::{World, on_every_backend, topic};

#[tokio::test]
async fn a_parent_that_is_not_ready_is_not_started() {
    on_every_backend(async |world: World| {
        let handler = Native::default()
            .task("p", |_, replay| {
                Box::pin(
                    async move { Ok(gather("p", replay, &[("c", "1".into()), ("c", "2".into())]).await?.concat()) },
                )
            })
            .task("c", |request, _| Box::pin(async move { Ok(number(request).to_string()) }));
        let job_id = world.schedule("job", "p", "").await;
        let first = world.backend.queue().receive(&topic(), 1, std::time::Duration::ZERO).await.unwrap();
        assert_eq!(world.step(&handler, &first[0]).await, Step::Deferred { waiting: 2 });
        // A notification that was sent too early, as peers send it.
        let notification = Message { job_id: job_id.clone(), call: hash("p", "") };
        world.backend.queue().send_many(&[Outgoing::now(&topic(), &notification)]).await.unwrap();
        let mut messages = world.backend.queue().receive(&topic(), 3, std::time::Duration::ZERO).await.unwrap();
        assert_eq!(messages.len(), 3);
        messages.rotate_right(1);
        assert_eq!(world.step(&handler, &messages[0]).await, Step::NotReady);
        assert_eq!(handler.runs("p"), 1);
        for child in &messages[1..] {
            assert_eq!(world.step(&handler, child).await, Step::Completed);
        }
        world.drain(&handler).await;
        assert_eq!(handler.runs("p"), 2);
        assert_eq!(world.value(&job_id, "p", "").await, "12");
    })
    .await;
}

#[tokio::test]
async fn a_race_has_the_same_winner_in_every_replay() {
    on_every_backend(async |world: World| {
        let winners = Arc::new(Mutex::new(Vec::new()));
        let seen = winners.clone();
        let handler = Native::default()
            .task("race", move |_, replay| {
                let seen = seen.clone();
                Box::pin(async move {
                    let pair = [("slow", "".to_owned()), ("fast", "".to_owned())];
                    let first = ask(replay, &pair, Some(1)).await?;
                    seen.lock().unwrap().push(first[0].0);
                    gather("race", replay, &[("fast", "then".into())]).await?;
                    Ok(first[0].0.to_string())
                })
            })
            .task("slow", |_, replay| {
                Box::pin(async move { Ok(gather("slow", replay, &[("fast", "below".into())]).await?.concat()) })
            })
            .task("fast", |_, _| Box::pin(async { Ok("x".into()) }));
        let job_id = world.schedule("job", "race", "").await;
        world.drain(&handler).await;
        // By the second replay the other child has its outcome too, and is first in the list.
        assert_eq!(world.value(&job_id, "race", "").await, "1");
        let winners = winners.lock().unwrap();
        assert!(winners.len() >= 2 && winners.iter().all(|w| *w == 1), "{winners:?}");
    })
    .await;
}

/// A handler that asks for another child in every run.
fn fickle(runs: Arc<AtomicU64>) -> Native {
    Native::default()
        .task("fickle", move |_, replay| {
            let run = runs.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move { Ok(gather("fickle", replay, &[("c", run.min(1).to_string())]).await?.concat()) })
        })
        .task("c", |request, _| Box::pin(async move { Ok(number(request).to_string()) }))
}

#[tokio::test]
async fn a_replay_that_asks_for_other_calls_fails_with_the_first_difference() {
    on_every_backend(async |world: World| {
        let handler = fickle(Arc::default());
        let job_id = world.schedule("job", "fickle", "").await;
        world.drain(&handler).await;
        let failure = world.outcome(&job_id, "fickle", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind.as_str(), "nondeterminism");
        let lines: Vec<&str> = failure.message.lines().collect();
        assert_eq!(lines[1], "- before: c 0 (c(0))");
        assert!(lines[2].starts_with("+ now:    "), "{}", failure.message);
    })
    .await;
}

#[tokio::test]
async fn a_new_version_may_ask_for_other_calls() {
    on_every_backend(async |world: World| {
        let handler = fickle(Arc::default());
        let job_id = world.schedule("job", "fickle", "").await;
        let first = world.receive().await;
        world.step(&handler, &first[0]).await;
        handler.version.store(2, Ordering::Relaxed);
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "fickle", "").await, "1");
    })
    .await;
}

#[tokio::test]
async fn the_clock_moves_at_waits_and_output_is_new_once() {
    on_every_backend(async |world: World| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let handler = Native::default()
            .task("p", move |_, replay| {
                let log = log.clone();
                Box::pin(async move {
                    let old = print(replay, 10);
                    log.lock().unwrap().push((replay.clock(), 10 - old));
                    gather("p", replay, &[("c", "1".into())]).await?;
                    let old = print(replay, 5);
                    log.lock().unwrap().push((replay.clock(), 5 - old));
                    gather("p", replay, &[("c", "2".into())]).await?;
                    Ok(String::new())
                })
            })
            .task("c", |_, _| Box::pin(async { Ok(String::new()) }));
        world.schedule("job", "p", "").await;
        world.drain(&handler).await;
        let seen = seen.lock().unwrap();
        // Each replay sees the same two times.
        assert!([1, 3].iter().all(|run| seen[*run].0 == seen[0].0), "{seen:?}");
        assert!(seen[2].0 >= seen[0].0 && seen[4].0 == seen[2].0, "{seen:?}");
        // Three runs: 10; (10), 5; (10), (5).
        assert_eq!(seen.iter().map(|(_, new)| *new).collect::<Vec<_>>(), [10, 0, 5, 0, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_replay_gets_the_outcomes_that_the_run_before_got() {
    on_every_backend(async |world: World| {
        let handler = Native::default()
            .task("p", |_, replay| {
                Box::pin(async move {
                    let first = gather("p", replay, &[("c", "1".into())]).await?.concat();
                    Ok(first + &gather("p", replay, &[("c", "2".into())]).await?.concat())
                })
            })
            .task("c", |request, _| Box::pin(async move { Ok(number(request).to_string()) }));
        let job_id = world.schedule("job", "p", "").await;
        while handler.runs("p") < 2 {
            let next = world.backend.queue().receive(&topic(), 1, std::time::Duration::ZERO).await.unwrap();
            world.step(&handler, &next[0]).await;
        }
        // The parent has received the first call's outcome and waits for the second call. A peer overwrites the first call's
        // value.
        world.backend.store().put(&Key::value(&hash("c", "1")), "9".into()).await.unwrap();
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "p", "").await, "12");
    })
    .await;
}
