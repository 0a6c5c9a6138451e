//! The cost of N children.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::outcome_cache::OutcomeCache;
use brrr_protocol::step::Limits;

use crate::native::{Native, gather, number};
use crate::support::Kind;
use crate::world::{Counted, World, on_every_backend, topic};

/// `fan(n)` adds up the values of n leaves.
fn fan() -> Native {
    Native::default()
        .task("fan", |request, replay| {
            Box::pin(async move {
                let leaves: Vec<_> = (0..number(request)).map(|i| ("leaf", i.to_string())).collect();
                let values = gather("fan", replay, &leaves).await?;
                Ok(values.iter().map(|v| v.parse::<u64>().unwrap()).sum::<u64>().to_string())
            })
        })
        .task("leaf", |request, _| Box::pin(async move { Ok(number(request).to_string()) }))
}

#[tokio::test(flavor = "multi_thread")]
async fn n_children_cost_two_runs_and_n_plus_one_messages() {
    on_every_backend(async |world: World| {
        // The servers that stand for AWS take milliseconds for each access.
        let most = if world.kind.is_on_dynamodb() { 150 } else { 1_000 };
        for n in [50_u64, most] {
            for workers in [1, 4] {
                let handler = Arc::new(fan());
                let world = World::open(world.kind).await;
                let job_id = world.schedule("job", "fan", &n.to_string()).await;
                world.drain_by(workers, &handler).await;
                assert_eq!(world.value(&job_id, "fan", &n.to_string()).await, (n * (n - 1) / 2).to_string());
                assert_eq!(handler.runs("leaf"), n);
                // These messages are in addition to the job's own first message.
                let messages = world.messages(&job_id).await - 1;
                if world.is_multi_step() {
                    assert!(handler.runs("fan") <= 4, "{} runs", handler.runs("fan"));
                    // A few children notify the parent while it still registers, but never all of them.
                    assert!(messages < 2 * n, "{messages} messages for {n} children");
                } else {
                    assert_eq!((handler.runs("fan"), messages), (2, n + 1), "{:?}, {workers} workers", world.kind);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn value_reads_grow_linearly() {
    let mut per_child = Vec::new();
    for n in [50_u64, 1_000] {
        let mut world = World::open(Kind::Memory).await;
        let counted = Arc::new(Counted {
            inner: world.backend.clone(),
            value_reads: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        });
        world.backend = counted.clone();
        world.client = Client::new(counted.clone());
        let handler = fan();
        let job_id = world.schedule("job", "fan", &n.to_string()).await;
        world.drain(&handler).await;
        world.value(&job_id, "fan", &n.to_string()).await;
        per_child.push(counted.value_reads.load(Ordering::Relaxed) as f64 / n as f64);
    }
    eprintln!("value reads a child: {per_child:?}");
    assert!(per_child[1] < per_child[0] * 1.2 && per_child[1] < 8.0, "{per_child:?}");
}

#[tokio::test]
async fn more_children_than_a_record_names() {
    on_every_backend(async |world: World| {
        let handler = fan();
        let job_id = world.schedule("job", "fan", "2500").await;
        world.drain(&handler).await;
        assert_eq!(world.value(&job_id, "fan", "2500").await, (2500 * 2499 / 2).to_string());
        assert!(handler.runs("fan") <= 4, "{} runs", handler.runs("fan"));
    })
    .await;
}

#[tokio::test]
async fn the_spawn_limit_fails_a_job_of_one_call() {
    on_every_backend(async |mut world: World| {
        world.limits = Limits { max_messages: 20, ..Limits::default() };
        let handler = fan();
        let job_id = world.schedule("job", "fan", "50").await;
        world.drain(&handler).await;
        let failure = world.outcome(&job_id, "fan", "50").await.unwrap().unwrap_err();
        assert_eq!(failure.kind.as_str(), "limit");
        assert!(failure.message.contains("20 messages"), "{failure}");
        assert_eq!(handler.runs("leaf"), 0);
    })
    .await;
}

/// `chain(n)` adds up the values of n leaves, one after the other.
fn chain() -> Native {
    fan().task("chain", |request, replay| {
        Box::pin(async move {
            let mut sum = 0;
            for i in 0..number(request) {
                sum += gather("chain", replay, &[("leaf", i.to_string())]).await?[0].parse::<u64>().unwrap();
            }
            Ok(sum.to_string())
        })
    })
}

#[tokio::test]
async fn n_calls_one_after_the_other_read_n_values() {
    let mut per_call = Vec::new();
    for n in [50_u64, 400] {
        let mut world = World::open(Kind::Memory).await;
        let counted = Arc::new(Counted {
            inner: world.backend.clone(),
            reads: AtomicU64::new(0),
            value_reads: AtomicU64::new(0),
        });
        world.backend = counted.clone();
        world.client = Client::new(counted.clone());
        let handler = chain();
        let job_id = world.schedule("job", "chain", &n.to_string()).await;
        world.drain(&handler).await;
        assert_eq!(handler.runs("chain"), n + 1);
        per_call.push(counted.value_reads.load(Ordering::Relaxed) / n);
        assert_eq!(world.value(&job_id, "chain", &n.to_string()).await, (n * (n - 1) / 2).to_string());
    }
    assert!(per_call[1] <= per_call[0], "{per_call:?} reads of values a call");
}

#[tokio::test]
async fn two_workers_run_a_chain_in_turn() {
    on_every_backend(async |mut world: World| {
        let (handler, mut of_other) = (chain(), OutcomeCache::default());
        let job_id = world.schedule("job", "chain", "20").await;
        let call = world.job(&job_id).await.call;
        while world.client.outcome(&job_id, &call).await.unwrap().is_none() {
            for delivery in world.backend.queue().receive(&topic(), 1, Duration::from_secs(30)).await.unwrap() {
                world.step(&handler, &delivery).await;
                std::mem::swap(&mut world.outcomes, &mut of_other);
            }
        }
        assert_eq!(world.value(&job_id, "chain", "20").await, "190");
    })
    .await;
}
