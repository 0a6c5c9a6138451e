//! Stuck work: the findings, and their repair.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::doctor::{Doctor, Finding, Look, Lost, Repaired, Unnotified, Why};
use brrr_protocol::model::{CallHash, Failure, FailureKind, Millis};
use brrr_protocol::ports::{Backend, Key, NewJob};
use brrr_protocol::records::{JobRecord, JobState, RunRecord, encode_failure};
use brrr_protocol::wire::{PendingReturns, Return};
use bytes::Bytes;

use crate::suite::backend::{call, defer, direct, schedule, work};
use crate::suite::jobs::{end, queued, register_peers, waiting};
use crate::suite::queue::next;
use crate::support::{Kind, until};

/// Later than all times that the other suites of this program write.
const NOW: Millis = 100_000;

/// Only the findings that are certain. If a queue cannot be listed and is not empty, no finding about its messages is certain.
async fn survey(backend: &Arc<dyn Backend>) -> Vec<Finding> {
    let look = Look { now: NOW, older_than: Duration::ZERO };
    let mut findings = Doctor::new(backend.clone()).survey(&look).await.unwrap().findings;
    findings.retain(|finding| !matches!(finding, Finding::Lost(Lost { certain: false, .. })));
    findings
}

/// Checks that exactly this is found, and repairs it.
async fn repair(backend: &Arc<dyn Backend>, expected: &Finding) {
    let found = survey(backend).await;
    assert_eq!(found, std::slice::from_ref(expected));
    assert_eq!(Doctor::new(backend.clone()).repair(expected, NOW).await.unwrap(), Repaired::Done);
}

fn lost(call: &str, why: Why) -> Finding {
    let (task, topic) = (Some("task".to_owned()), Some("t".into()));
    Finding::Lost(Lost { call: call.into(), job_id: "r".into(), task, topic, why, certain: true })
}

/// Schedules a job whose call waits for these children. The messages of the children stay in the queue.
async fn job_that_waits(backend: &Arc<dyn Backend>, children: &[&str]) {
    schedule(backend, "r", "p").await;
    let parent = work(&next(&**backend, "t").await);
    defer(backend, &parent, children).await;
}

pub async fn work_that_will_run_is_no_finding(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    assert_eq!(survey(b).await, []);
    schedule(b, "r", "p").await;
    assert_eq!(survey(b).await, [], "it is queued");
    let parent = work(&next(&**b, "t").await);
    assert_eq!(survey(b).await, [], "it is in work");
    defer(b, &parent, &["c", "d"]).await;
    assert_eq!(survey(b).await, [], "its children are queued");
    let first = next(&**b, "t").await;
    assert_eq!(survey(b).await, []);
    b.complete(&work(&first), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(survey(b).await, [], "one child is left");
    b.complete(&work(&next(&**b, "t").await), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(survey(b).await, [], "the parent is notified");
    let mut parent = work(&next(&**b, "t").await);
    (parent.ends_job, parent.now) = (true, 5);
    b.complete(&parent, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(survey(b).await, [], "it is over");
}

pub async fn a_lost_message_is_sent_again(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "p").await;
    // A worker takes the message and dies, as a peer does.
    assert_eq!(queued(b).await, ["r:p"]);
    until_empty(b).await;
    repair(b, &lost("p", Why::NotQueued)).await;
    let parent = work(&next(&**b, "t").await);
    defer(b, &parent, &["c"]).await;
    assert_eq!(queued(b).await, ["r:c"]);
    until_empty(b).await;
    repair(b, &lost("c", Why::NotQueued)).await;
    assert_eq!(survey(b).await, []);
    assert_eq!(queued(b).await, ["r:c"]);
}

/// Waits until the queue is empty, because some queues return only an approximate depth.
async fn until_empty(backend: &Arc<dyn Backend>) {
    let depth = || async { (backend.queue().depth(&"t".into()).await.unwrap() == 0).then_some(()) };
    until("the queue is empty", depth).await;
}

pub async fn a_lost_notification_is_sent_again(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job_that_waits(b, &["c"]).await;
    b.complete(&work(&next(&**b, "t").await), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(queued(b).await, ["r:p"]);
    until_empty(b).await;
    repair(b, &lost("p", Why::NotNotified)).await;
    assert_eq!(survey(b).await, []);
    let parent = work(&next(&**b, "t").await);
    let loaded = b.load(&parent).await.unwrap();
    assert!(loaded.ready(0));
    assert_eq!(loaded.sample, [Some(Ok(Bytes::from_static(b"v")))]);
}

pub async fn a_parent_that_is_not_registered_with_its_children_is_run_again(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job_that_waits(b, &["c"]).await;
    b.store().remove_many(&[Key::pending_returns(&"c".into())]).await.unwrap();
    queued(b).await;
    until_empty(b).await;
    repair(b, &lost("p", Why::NotNotified)).await;
    let parent = work(&next(&**b, "t").await);
    assert!(b.load(&parent).await.unwrap().ready(0), "it asks again");
    defer(b, &parent, &["c"]).await;
    assert_eq!(waiting(b, "c").await, ["r:p"]);
    assert_eq!(queued(b).await, ["r:c"]);
}

pub async fn an_unnotified_parent_is_notified(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job_that_waits(b, &["c"]).await;
    // A peer reads a stale record and does not notify the parent.
    b.store().put(&Key::value(&"c".into()), Bytes::from_static(b"v")).await.unwrap();
    queued(b).await;
    until_empty(b).await;
    let found = survey(b).await;
    let (call, job_id, topic) = ("c".into(), "r".into(), "t".into());
    assert!(found.contains(&Finding::Unnotified { call, job_id, topic, end: JobState::Completed }), "{found:?}");
    for finding in &found {
        Doctor::new(b.clone()).repair(finding, NOW).await.unwrap();
    }
    assert_eq!(waiting(b, "c").await, [""; 0]);
    assert!(queued(b).await.contains(&"r:p".to_owned()));
}

pub async fn a_failure_that_notified_nobody_notifies_its_parents(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job_that_waits(b, &["c"]).await;
    let failure = encode_failure(&Failure::new(FailureKind::Error, "task", "no"));
    b.store().put(&Key::failure(&"c".into(), &"r".into()), failure).await.unwrap();
    queued(b).await;
    until_empty(b).await;
    let (call, job_id, topic) = ("c".into(), "r".into(), "t".into());
    repair(b, &Finding::Unnotified { call, job_id, topic, end: JobState::Failed }).await;
    assert_eq!(queued(b).await, ["r:p"]);
    assert_eq!(waiting(b, "c").await, [""; 0]);
}

pub async fn a_call_that_only_dead_jobs_wait_for_is_abandoned(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job_that_waits(b, &["c"]).await;
    end(b, "r").await;
    if kind.can_be_looked_through() {
        assert_eq!(survey(b).await, [], "a message is left that does it");
    }
    queued(b).await;
    until_empty(b).await;
    repair(b, &Finding::Abandoned { call: "c".into(), job_id: "r".into(), topic: "t".into() }).await;
    assert_eq!(survey(b).await, []);
    assert_eq!(waiting(b, "c").await, [""; 0]);
}

pub async fn an_unended_job_is_ended(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let late = NewJob { deadline: 2_000, ..NewJob::new("late".into(), call("l")) };
    b.schedule(&late, 1_000).await.unwrap();
    schedule(b, "peers", "p").await;
    queued(b).await;
    // A peer completes a job of ours.
    b.store().put(&Key::value(&"p".into()), Bytes::from_static(b"v")).await.unwrap();
    // The message at the deadline was delivered too, or is delivered soon.
    until("nothing is queued", || async {
        queued(b).await;
        (b.queue().depth(&"t".into()).await.unwrap() == 0).then_some(())
    })
    .await;
    let found = survey(b).await;
    assert_eq!(found.len(), 2, "{found:?}");
    for finding in &found {
        Doctor::new(b.clone()).repair(finding, NOW).await.unwrap();
    }
    let state = |job_id: &'static str| async move {
        let bytes = b.store().get(&Key::job(&job_id.into())).await.unwrap().unwrap();
        JobRecord::decode(&bytes).unwrap().end.unwrap().state
    };
    assert_eq!((state("late").await, state("peers").await), (JobState::TimedOut, JobState::Completed));
    assert_eq!(survey(b).await, []);
}

pub async fn young_work_is_left_alone(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "p").await;
    queued(b).await;
    until_empty(b).await;
    let look = Look { now: 1_500, older_than: Duration::from_millis(501) };
    assert_eq!(Doctor::new(b.clone()).survey(&look).await.unwrap().findings, []);
    let look = Look { older_than: Duration::from_millis(500), ..look };
    assert_eq!(Doctor::new(b.clone()).survey(&look).await.unwrap().findings, [lost("p", Why::NotQueued)]);
}

/// A worker of another SDK runs `p`, which waits for a call that failed in its job. Our job waits for `p`, and nothing is found.
pub async fn no_repair_notifies_a_parent_that_sees_no_failures(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job_that_waits(b, &["q"]).await;
    queued(b).await;
    register_peers(b, "c", &["r:q"]).await;
    b.fail(&direct("r", "c"), &Failure::new(FailureKind::Error, "task", "no")).await.unwrap();
    until_empty(b).await;
    let look = Look { now: NOW, older_than: Duration::ZERO };
    let found = Doctor::new(b.clone()).survey(&look).await.unwrap();
    assert_eq!(found.findings, []);
    assert_eq!(found.unnotified, [Unnotified { call: "c".into(), parent: "q".into(), job_id: "r".into() }]);
    // A worker of another SDK computes the call, and does not know that record.
    b.store().put(&Key::value(&"c".into()), Bytes::from_static(b"v")).await.unwrap();
    let (job_id, topic, end) = ("r".into(), "t".into(), JobState::Completed);
    repair(b, &Finding::Unnotified { call: "c".into(), job_id, topic, end }).await;
    assert_eq!(queued(b).await, ["r:q"]);
}

pub async fn damage_is_reported_and_left_alone(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let keys = [
        Key::job(&"x".into()),
        Key::pending_returns(&"y".into()),
        Key::tasks(&"z".into()),
        Key::schedules(&"z".into()),
        Key::run(&"p".into(), &"r".into()),
    ];
    schedule(b, "r", "p").await;
    for key in &keys {
        b.store().put(key, Bytes::from_static(b"damage")).await.unwrap();
    }
    let found = survey(b).await;
    for key in &keys {
        let is_this = |finding: &&Finding| matches!(finding, Finding::Damaged { key: found, .. } if found == key);
        let of_key: Vec<&Finding> = found.iter().filter(is_this).collect();
        assert_eq!(of_key.len(), 1, "{key:?}: {found:?}");
        assert_eq!(Doctor::new(b.clone()).repair(of_key[0], NOW).await.unwrap(), Repaired::LeftAlone);
        assert_eq!(b.store().get(key).await.unwrap().as_deref(), Some(&b"damage"[..]));
    }
}

/// Three calls that wait for each other, as peers can leave them, because peers know nothing of cycles.
pub async fn a_cycle_is_found_and_fails(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "a").await;
    assert_eq!(queued(b).await, ["r:a"]);
    until_empty(b).await;
    for (child, parent) in [("b", "a"), ("c", "b"), ("a", "c")] {
        let entry = Return { job_id: "r".into(), parent: parent.into(), topic: "t".into() };
        let pending = PendingReturns { returns: [entry].into(), scheduled_at: Some(1) };
        b.store().put(&Key::pending_returns(&child.into()), pending.encode()).await.unwrap();
        let sample = vec![CallHash::from(child)];
        let run = RunRecord { first: 1, attempt: 1, total: 1, need: 1, sample, ..RunRecord::default() };
        b.store().put(&Key::run(&parent.into(), &"r".into()), run.encode()).await.unwrap();
    }
    let calls = ["a", "b", "c"].map(CallHash::from).to_vec();
    let cycle = Finding::Cycle { calls, job_id: "r".into(), topic: "t".into() };
    let young = Look { now: NOW, older_than: Duration::from_mins(10) };
    assert_eq!(Doctor::new(b.clone()).survey(&young).await.unwrap().findings, []);
    repair(b, &cycle).await;
    let outcome = b.outcomes(&"r".into(), &["a".into()]).await.unwrap().pop().flatten();
    let failure = outcome.expect("an outcome").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Cycle);
    assert!(failure.message.contains("task (a) -> ? (b) -> ? (c) -> task (a)"), "{failure}");
    let job = b.store().get(&Key::job(&"r".into())).await.unwrap().unwrap();
    assert_eq!(JobRecord::decode(&job).unwrap().end.map(|end| end.state), Some(JobState::Failed));
    assert!(!survey(b).await.iter().any(|finding| matches!(finding, Finding::Cycle { .. })));
}
