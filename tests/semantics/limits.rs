//! If a backend cannot store something, the call that needs it fails, and nothing else fails.

use brrr_protocol::model::{CallHash, Topic};
use brrr_protocol::ports::{Key, Outgoing};
use brrr_protocol::step::Step;
use brrr_protocol::wire::{Message, PendingReturns, Return};

use crate::native::{Native, gather, hash};
use crate::support::Kind;
use crate::world::World;

fn parent_and_child() -> Native {
    Native::default()
        .task("parent", |_, replay| {
            Box::pin(async move { Ok(gather("parent", replay, &[("child", "1".into())]).await?.concat()) })
        })
        .task("child", |_, _| Box::pin(async move { Ok("x".repeat(500 << 10)) }))
}

/// A child with thousands of parents: their list no longer fits into an item of DynamoDB.
#[tokio::test(flavor = "multi_thread")]
async fn one_parent_too_many_fails_with_its_limit() {
    for kind in [Kind::DynamoDb, Kind::DynamoDbSqs].into_iter().filter(|kind| kind.is_there()) {
        let world = World::open(kind).await;
        let child = hash("child", "1");
        let parent =
            |name: String| Return { job_id: "other".into(), parent: CallHash::from(name), topic: Topic::from("t") };
        let mut pending = PendingReturns {
            returns: (0..3_400).map(|n| parent(format!("{n:0100}"))).collect(),
            scheduled_at: Some(1),
        };
        // The rest of the 400 KB, after the item's names and key, is smaller than one more parent.
        let left = (400 << 10) - 64 - pending.encode().len();
        assert!((2_000..60_000).contains(&left), "{left}");
        pending.returns.insert(parent("x".repeat(left - 26)));
        world.backend.store().put(&Key::pending_returns(&child), pending.encode()).await.unwrap();
        let job_id = world.schedule("job", "parent", "").await;
        let handler = parent_and_child();
        let steps = world.work_for(&job_id, &handler).await;
        let failure = world.outcome(&job_id, "parent", "").await.unwrap().unwrap_err();
        assert_eq!(failure.kind.as_str(), "limit", "{kind:?} {steps:?}");
        assert!(failure.message.contains("pending_returns"), "{failure}");
        assert_eq!(handler.runs("parent"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_too_large_fails_its_call() {
    for kind in [Kind::DynamoDb, Kind::DynamoDbSqs].into_iter().filter(|kind| kind.is_there()) {
        let world = World::open(kind).await;
        let job_id = world.schedule("job", "parent", "").await;
        let handler = parent_and_child();
        world.drain(&handler).await;
        let failure = world.outcome(&job_id, "parent", "").await.unwrap().unwrap_err();
        assert_eq!((failure.kind.as_str(), handler.runs("child")), ("limit", 1), "{failure}");
    }
}

/// A message for a call whose name is too long for a key would be redelivered without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_call_has_a_long_name_becomes_a_dead_letter() {
    for kind in [Kind::DynamoDb, Kind::DynamoDbSqs].into_iter().filter(|kind| kind.is_there()) {
        let world = World::open(kind).await;
        let message = Message { job_id: "job".into(), call: CallHash::from("x".repeat(3_000)) };
        world.backend.queue().send_many(&[Outgoing::now(&"t".into(), &message)]).await.unwrap();
        let steps = world.drain(&parent_and_child()).await;
        assert!(
            matches!(&steps[..], [Step::DeadLettered(reason)] if reason.contains("its id has")),
            "{kind:?} {steps:?}"
        );
    }
}
