//! Long cycles, and the cost of the search for cycles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::doctor::{Doctor, Finding, Look};
use brrr_protocol::model::FailureKind;
use brrr_protocol::records::JobState;

use crate::native::{Native, gather, number};
use crate::support::Kind;
use crate::world::{Counted, World, now, on_every_backend};

/// The number of calls in the ring: more than a walk at registration reads.
const RING: u64 = 100;

fn handlers() -> Native {
    Native::default()
        .task("fibm", |request, replay| {
            Box::pin(async move {
                let n = number(request);
                let children: Vec<_> = [1, 2].iter().filter_map(|k| n.checked_sub(*k)).collect();
                let calls: Vec<_> = children.iter().map(|n| ("fibm", n.to_string())).collect();
                gather("fibm", replay, &calls).await.map(|_| String::new())
            })
        })
        .task("ring", |request, replay| {
            Box::pin(async move {
                let next = (number(request) + 1) % RING;
                Ok(gather("ring", replay, &[("ring", next.to_string())]).await?.concat())
            })
        })
}

/// A chain of shared calls, each of which registers with a call that already waits. Twice as many calls need about twice as many
/// reads.
#[tokio::test]
async fn reads_grow_linearly_with_a_chain_of_shared_calls() {
    let mut reads = Vec::new();
    for n in [100, 200, 400] {
        let mut world = World::open(Kind::Memory).await;
        let counted = Arc::new(Counted {
            inner: world.backend.clone(),
            value_reads: AtomicU64::new(0),
            reads: AtomicU64::new(0),
        });
        world.backend = counted.clone();
        world.client = Client::new(counted.clone());
        let job_id = world.schedule("job", "fibm", &n.to_string()).await;
        world.drain(&handlers()).await;
        assert_eq!(world.state(&job_id).await, Some(JobState::Completed));
        reads.push(counted.reads.load(Ordering::Relaxed));
    }
    eprintln!("reads of 100, 200, 400 shared calls: {reads:?}");
    assert!(reads[1] * 10 < reads[0] * 22 && reads[2] * 10 < reads[1] * 22, "{reads:?}");
    assert!(reads[2] < 400 * 60, "{reads:?}");
}

/// No registration can see such a cycle. The search for stuck work finds it, and its job fails.
#[tokio::test]
async fn a_long_cycle_is_found_by_the_doctor() {
    on_every_backend(async |world: World| {
        // The doctor reads the store, which is that of `DynamoDb`.
        if world.kind == Kind::DynamoDbSqs {
            return;
        }
        let job_id = world.schedule("job", "ring", "0").await;
        world.drain(&handlers()).await;
        assert_eq!(world.state(&job_id).await, None);
        let doctor = Doctor::new(world.backend.clone());
        let look = Look { now: now() + 10_000, older_than: Duration::from_secs(1) };
        let findings = doctor.survey(&look).await.unwrap().findings;
        let [finding @ Finding::Cycle { calls, .. }] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!(calls.len(), RING as usize);
        doctor.repair(finding, now()).await.unwrap();
        world.drain(&handlers()).await;
        assert_eq!(world.state(&job_id).await, Some(JobState::Failed));
        let failure = world.outcome(&job_id, "ring", "0").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Cycle);
        assert!(failure.message.contains("waits for itself") && failure.message.contains("80 more"), "{failure}");
    })
    .await;
}
