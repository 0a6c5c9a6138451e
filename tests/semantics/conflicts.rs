//! A call hash stands for one task with one payload. A parent that asks for another call under that hash fails, and does not get
//! the stored value.

use brrr_protocol::ErrorKind;
use brrr_protocol::model::FailureKind;
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Key, NewJob};
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_protocol::wire::CallRecord;

use crate::native::{Leave, Native, gather, hash};
use crate::world::{World, call, now, on_every_backend};

/// Asks for `shared(mine)` under the hash of `shared(theirs)`.
async fn claim(replay: &mut Replay, task: &str, need: Option<u32>) -> Result<String, Leave> {
    let calls = [("quick", "", hash("quick", "")), (task, "mine", hash("shared", "theirs"))];
    let skipped = usize::from(need.is_none());
    let calls = calls.into_iter().skip(skipped).map(|(task, payload, hash)| Invocation {
        task: task.to_owned(),
        payload: payload.into(),
        topic: None,
        hash: Some(hash),
        peer_hash: None,
        options: Options::default(),
        detached: false,
    });
    match replay.poll(calls.collect(), need.map_or(Want::All, Want::Some), None).await {
        Ok(Polled::Ready(outcomes)) => {
            let values = outcomes.into_iter().flatten().map(|outcome| outcome.unwrap().to_vec());
            Ok(values.map(|value| String::from_utf8(value).unwrap()).collect())
        }
        Ok(Polled::Suspended) => Err(Leave::Suspended),
        Err(error) => Err(Leave::Broken(error)),
    }
}

fn handlers() -> Native {
    Native::default()
        .task("shared", |request, _| {
            Box::pin(async move { Ok(format!("of {}", String::from_utf8_lossy(&request.payload))) })
        })
        .task("quick", |_, _| Box::pin(async move { Ok(String::new()) }))
        .task("owner", |_, replay| {
            Box::pin(async move { Ok(gather("owner", replay, &[("shared", "theirs".into())]).await?.concat()) })
        })
        // The parent asks in its first poll.
        .task("thief", |_, replay| Box::pin(async move { claim(replay, "shared", None).await }))
        .task("other", |_, replay| Box::pin(async move { claim(replay, "quick", None).await }))
        // The parent asks first when no outcome exists yet, in a race that another call wins. It asks again when the outcome
        // exists.
        .task("patient", |_, replay| {
            Box::pin(async move {
                claim(replay, "shared", Some(1)).await?;
                gather("patient", replay, &[("owner", String::new())]).await?;
                claim(replay, "shared", None).await
            })
        })
        // The parent asks for both calls under one hash.
        .task("double", |_, replay| {
            Box::pin(async move {
                gather("double", replay, &[("shared", "theirs".into())]).await?;
                claim(replay, "shared", None).await
            })
        })
}

async fn conflict(world: &World, job_id: &str, task: &str) {
    let failure = world.outcome(&job_id.into(), task, "").await.expect("an outcome").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict, "{failure}");
    assert!(failure.message.contains("shared(theirs)"), "{failure}");
}

#[tokio::test]
async fn another_call_with_the_same_hash_fails() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        // Both before and after the end of the call.
        for (job_id, thief) in [("before", "thief"), ("after", "thief"), ("another task", "other")] {
            let job_id = world.schedule(job_id, "owner", "").await;
            let theirs = world.schedule(&format!("{job_id}: theft"), thief, "").await;
            world.drain(&handler).await;
            assert_eq!(world.value(&job_id, "owner", "").await, "of theirs");
            conflict(&world, theirs.as_str(), thief).await;
        }
        assert_eq!((handler.runs("shared"), handler.runs("thief")), (1, 2), "it is not tried again");
        let record = world.backend.store().get(&Key::call(&hash("shared", "theirs"))).await.unwrap().unwrap();
        assert_eq!(&CallRecord::decode(&record).unwrap().payload[..], b"theirs");
        let mut asked = call("shared", "mine");
        asked.hash = hash("shared", "theirs");
        let error = world.client.schedule(&NewJob::new("mine".into(), asked), now()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(world.client.job(&"mine".into()).await.unwrap().is_none());
        let read = async |payload: &'static [u8]| {
            world.client.compare(&hash("shared", "theirs"), "shared", payload).await.map_err(|e| e.kind)
        };
        assert_eq!((read(b"theirs").await, read(b"mine").await), (Ok(()), Err(ErrorKind::Conflict)));
    })
    .await;
}

/// The first call that claims a hash owns it. The other call then fails, and does not get the value of the first call.
#[tokio::test]
async fn the_first_call_of_a_hash_deceives_nobody() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        world.schedule("theft", "thief", "").await;
        world.drain(&handler).await;
        for job_id in ["while it is new", "once more"] {
            world.schedule(job_id, "owner", "").await;
            world.drain(&handler).await;
            conflict(&world, job_id, "owner").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_a_run_asked_for_before_it_existed_is_compared() {
    on_every_backend(async |world: World| {
        let handler = handlers();
        world.schedule("quick", "quick", "").await;
        world.drain(&handler).await;
        world.schedule("patience", "patient", "").await;
        world.drain(&handler).await;
        conflict(&world, "patience", "patient").await;
        world.schedule("both", "double", "").await;
        world.drain(&handler).await;
        conflict(&world, "both", "double").await;
    })
    .await;
}
