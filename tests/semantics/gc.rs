//! What a collection keeps in a store with very many jobs.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::gc::{Collected, Collector, Plan};
use brrr_protocol::model::{CallHash, Failure, FailureKind, Millis};
use brrr_protocol::ports::{Backend, Key, NewJob, Work};
use brrr_protocol::records::RunRecord;
use brrr_protocol::wire::Message;
use bytes::Bytes;

use crate::support::Kind;
use crate::world::{World, call, topic};

const AGE: Duration = Duration::from_hours(24);
const NOW: Millis = 10 * AGE.as_millis() as Millis;

/// More than a collection reads of the oldest jobs before it knows that the next ones are young.
const YOUNG: usize = 2_100;

async fn start(backend: &Arc<dyn Backend>, name: &str, now: Millis) -> Work {
    let call = call(name, "");
    let message = Message { job_id: name.into(), call: call.hash.clone() };
    backend.schedule(&NewJob::new(name.into(), call), now).await.unwrap();
    Work { message, topic: topic(), receipt: None, ends_job: true, now, log: None }
}

/// A retry does not run again what had succeeded, so a young job that failed keeps the values of its calls, also of those that an
/// old job has left.
#[tokio::test]
async fn a_young_job_that_failed_keeps_its_values() {
    for kind in [Kind::Memory, Kind::Sqlite] {
        let world = World::open(kind).await;
        let backend = &world.backend;
        let [used, unused] = ["used", "unused"].map(|name| call(name, "").hash);
        for name in ["used", "unused"] {
            let work = start(backend, name, 1_000).await;
            backend.complete(&work, Bytes::from_static(b"v")).await.unwrap();
        }
        for n in 0..YOUNG {
            let work = start(backend, &format!("young {n}"), NOW - 1_000).await;
            backend.complete(&work, Bytes::from_static(b"v")).await.unwrap();
        }
        let failed = start(backend, "failed", NOW).await;
        let run = RunRecord { earlier: vec![used.clone()], ..RunRecord::default() };
        backend.store().put(&Key::run(&failed.message.call, &"failed".into()), run.encode()).await.unwrap();
        backend.fail(&failed, &Failure::new(FailureKind::Error, "failed", "no")).await.unwrap();
        // A collection looks again at the jobs that are as young as the newest one.
        let newest = start(backend, "newest", NOW + 1_000).await;
        backend.complete(&newest, Bytes::from_static(b"v")).await.unwrap();
        // Messages of these jobs would keep the calls too.
        while let messages = world.receive().await
            && !messages.is_empty()
        {
            for message in messages {
                backend.queue().ack(&message.receipt).await.unwrap();
            }
        }

        let plan = Plan { now: NOW + 2_000, older_than: AGE, dry_run: false };
        let collected = Collector::new(backend.clone()).collect(&plan, |_, _| ()).await.unwrap();
        assert_eq!(collected, Collected { jobs: 2, calls: 1, ..Collected::default() }, "{kind:?}");
        let has_value = async |call: &CallHash| backend.store().get(&Key::value(call)).await.unwrap().is_some();
        assert!(has_value(&used).await && !has_value(&unused).await, "{kind:?}");
    }
}
