//! Jobs that are scheduled for a call that is already queued or running.

use std::sync::Arc;

use brrr_protocol::model::{Failure, FailureKind};
use brrr_protocol::ports::{Backend, Key, NewJob, Scheduled, Work};
use brrr_protocol::records::{RunRecord, encode_tasks};
use brrr_protocol::wire::{PendingReturns, Return};
use bytes::Bytes;

use crate::suite::backend::{call, defer, direct, schedule, work};
use crate::suite::jobs::{end, queued, waiting};
use crate::suite::queue::next;
use crate::support::Kind;

/// Announces that our workers handle the calls of these tests.
pub(super) async fn announce(backend: &Arc<dyn Backend>) {
    let tasks = encode_tasks(&["another".to_owned(), "task".to_owned()].into());
    backend.store().put(&Key::tasks(&"t".into()), tasks).await.unwrap();
}

/// Schedules three jobs for one call. The message belongs to the first job.
async fn three(backend: &Arc<dyn Backend>) {
    announce(backend).await;
    for job_id in ["r1", "r2", "r3"] {
        assert_eq!(schedule(backend, job_id, "c").await, Scheduled::Queued);
    }
    assert_eq!(queued(backend).await, ["r1:c"]);
    assert_eq!(waiting(backend, "c").await, ["r2:c", "r3:c"]);
}

pub async fn jobs_for_one_call_run_it_once(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    three(b).await;
    // A client that repeats the request changes nothing.
    assert_eq!(schedule(b, "r3", "c").await, Scheduled::Queued);
    assert_eq!(queued(b).await, [""; 0]);
    let top = Work { ends_job: true, now: 7, ..direct("r1", "c") };
    b.complete(&top, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(queued(b).await, ["r2:c", "r3:c"], "each job is notified");
    assert_eq!(waiting(b, "c").await, [""; 0]);
    assert_eq!(schedule(b, "r4", "c").await, Scheduled::AlreadyDone);
}

pub async fn a_failure_passes_the_call_on_to_a_job_that_has_joined(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    three(b).await;
    let failure = Failure::new(FailureKind::Error, "task", "no");
    b.fail(&Work { ends_job: true, now: 7, ..direct("r1", "c") }, &failure).await.unwrap();
    assert_eq!(queued(b).await, ["r2:c"], "it fails in its own job alone");
    assert_eq!(waiting(b, "c").await, ["r3:c"]);
    // The job that has the message now no longer counts as a job that has only joined.
    b.fail(&Work { ends_job: true, now: 8, ..direct("r2", "c") }, &failure).await.unwrap();
    assert_eq!(queued(b).await, ["r3:c"]);
    assert_eq!(b.store().get(&Key::pending_returns(&"c".into())).await.unwrap(), None);
}

pub async fn a_job_that_is_over_passes_the_call_on_if_it_had_its_message(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    three(b).await;
    end(b, "r2").await;
    b.abandon(&direct("r2", "c")).await.unwrap();
    assert_eq!(queued(b).await, [""; 0], "the call is still on its way for the first job");
    assert_eq!(waiting(b, "c").await, ["r3:c"]);
    end(b, "r1").await;
    b.abandon(&direct("r1", "c")).await.unwrap();
    assert_eq!(queued(b).await, ["r3:c"]);
    assert_eq!(b.store().get(&Key::pending_returns(&"c".into())).await.unwrap(), None);
}

pub async fn only_a_call_that_is_certain_to_be_on_its_way_is_joined(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r1", "c").await;
    schedule(b, "r2", "c").await;
    assert_eq!(
        queued(b).await,
        ["r1:c", "r2:c"],
        "no worker has announced the task: a peer may have taken the message"
    );
    announce(b).await;
    // Jobs that cannot be joined: a job is over, its call has failed, its call is on another topic, or its call waits for a
    // retry.
    schedule(b, "over", "d").await;
    end(b, "over").await;
    schedule(b, "r1d", "d").await;
    schedule(b, "failed", "e").await;
    b.fail(&direct("failed", "e"), &Failure::new(FailureKind::Error, "task", "no")).await.unwrap();
    schedule(b, "r2e", "e").await;
    let mut elsewhere = NewJob::new("elsewhere".into(), call("f"));
    elsewhere.call.topic = "u".into();
    b.schedule(&elsewhere, 1_000).await.unwrap();
    schedule(b, "r3", "f").await;
    schedule(b, "later", "g").await;
    let run = RunRecord { attempt: 2, not_before: 3_600_000, ..RunRecord::default() };
    b.store().put(&Key::run(&"g".into(), &"later".into()), run.encode()).await.unwrap();
    schedule(b, "r4", "g").await;
    schedule(b, "overdue", "h").await;
    let overdue = NewJob { deadline: 900, ..NewJob::new("overdue2".into(), call("i")) };
    b.schedule(&overdue, 800).await.unwrap();
    schedule(b, "r5", "i").await;
    // A parent waits for the call, and it is not known whether the message was sent.
    let parent = Return { job_id: "x".into(), parent: "p".into(), topic: "t".into() };
    let pending = PendingReturns { returns: [parent].into(), scheduled_at: None };
    b.store().put(&Key::pending_returns(&"j".into()), pending.encode()).await.unwrap();
    schedule(b, "r6", "j").await;
    let expected =
        ["failed:e", "later:g", "over:d", "overdue:h", "overdue2:i", "r1d:d", "r2e:e", "r3:f", "r4:g", "r5:i", "r6:j"];
    // On a slow machine, the message that ends the overdue job at its deadline is there too.
    let sent: std::collections::BTreeSet<String> = queued(b).await.into_iter().collect();
    assert_eq!(sent.iter().filter(|sent| expected.contains(&sent.as_str())).count(), expected.len(), "{sent:?}");
}

pub async fn a_job_joins_a_call_that_another_job_waits_for(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    announce(b).await;
    schedule(b, "r1", "p").await;
    defer(b, &work(&next(&**b, "t").await), &["c"]).await;
    schedule(b, "r2", "c").await;
    assert_eq!(queued(b).await, ["r1:c"]);
    assert_eq!(waiting(b, "c").await, ["r1:p", "r2:c"]);
    b.complete(&direct("r1", "c"), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(queued(b).await, ["r1:p", "r2:c"]);
}

/// More jobs than a backend may keep in one record.
pub async fn a_hundred_jobs_join(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    announce(b).await;
    let job_ids: Vec<String> = (0..100).map(|n| format!("r{n:03}")).collect();
    for job_id in &job_ids {
        schedule(b, job_id, "c").await;
    }
    assert_eq!(queued(b).await, ["r000:c"]);
    let failure = Failure::new(FailureKind::Error, "task", "no");
    b.fail(&direct("r000", "c"), &failure).await.unwrap();
    assert_eq!(queued(b).await, ["r001:c"]);
    assert_eq!(waiting(b, "c").await.len(), 98);
    b.complete(&direct("r001", "c"), Bytes::from_static(b"v")).await.unwrap();
    let expected: Vec<String> = job_ids[2..].iter().map(|job_id| format!("{job_id}:c")).collect();
    assert_eq!(queued(b).await, expected);
}
