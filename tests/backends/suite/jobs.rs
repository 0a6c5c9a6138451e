//! Jobs that end, and the effect on their calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::model::{CallHash, Failure, FailureKind, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Deferred, Key, Kind as Record, NewJob, Scheduled, Swap, Work};
use brrr_protocol::records::{JobEnd, JobRecord, JobState, RunRecord};
use brrr_protocol::wire::{Message, PendingReturns, Return};
use bytes::Bytes;

use crate::suite::backend::{call, defer, defer_calls, direct, schedule, work};
use crate::suite::queue::{next, take};
use crate::support::Kind;

fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "task", "the job was cancelled")
}

pub(super) async fn end(backend: &Arc<dyn Backend>, job_id: &str) -> Option<JobState> {
    let job = backend.end_job(&job_id.into(), &cancelled(), 2_000).await.unwrap()?;
    Some(job.end.unwrap().state)
}

async fn job(backend: &Arc<dyn Backend>, job_id: &str) -> JobRecord {
    let bytes = backend.store().get(&Key::job(&job_id.into())).await.unwrap().unwrap();
    JobRecord::decode(&bytes).unwrap()
}

/// Takes the messages that are ready, and returns them as `job_id:call`, sorted.
pub(super) async fn queued(backend: &Arc<dyn Backend>) -> Vec<String> {
    let mut found = Vec::new();
    for delivery in take(&**backend, "t", 100).await {
        let Message { job_id, call } = Message::decode(delivery.body.as_bytes()).unwrap();
        found.push(format!("{job_id}:{call}"));
        backend.queue().ack(&delivery.receipt).await.unwrap();
    }
    found.sort();
    found
}

/// The parents that wait for a call, as `job_id:parent`.
pub(super) async fn waiting(backend: &Arc<dyn Backend>, name: &str) -> Vec<String> {
    let bytes = backend.store().get(&Key::pending_returns(&name.into())).await.unwrap();
    let pending = bytes.map_or_else(PendingReturns::default, |bytes| PendingReturns::decode(&bytes).unwrap());
    pending.returns.into_iter().map(|r| format!("{}:{}", r.job_id, r.parent)).collect()
}

pub async fn a_job_that_is_over_is_not_scheduled_again(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "c").await;
    // A client repeats the request because it did not see the result.
    assert_eq!(schedule(b, "r", "c").await, Scheduled::Queued);
    queued(b).await;
    end(b, "r").await;
    let over = job(b, "r").await;
    assert_eq!(over.end, Some(JobEnd { state: JobState::Cancelled, at: 2_000 }));
    let again = NewJob { deadline: 9_000, max_messages: 7, ..NewJob::new("r".into(), call("c")) };
    assert_eq!(b.schedule(&again, 3_000).await.unwrap(), Scheduled::AlreadyDone);
    assert_eq!(job(b, "r").await, over);
    assert_eq!(queued(b).await, [""; 0]);
    // Another job id for the same call is another job.
    assert_eq!(schedule(b, "r2", "c").await, Scheduled::Queued);
    assert_eq!(queued(b).await, ["r2:c"]);
}

pub async fn a_scheduled_job_is_recorded_as_it_was_asked_for(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let options = Options { max_retries: Some(3), label: Some("x".into()), ..Options::default() };
    let new = NewJob {
        deadline: 90_000,
        max_messages: 7,
        options: options.clone(),
        retry_of: Some("r0".into()),
        ..NewJob::new("r".into(), call("c"))
    };
    b.schedule(&new, 1_000).await.unwrap();
    let record = job(b, "r").await;
    let stored = (record.deadline, record.max_messages, record.created, record.options, record.retry_of);
    assert_eq!(stored, (90_000, 7, 1_000, options, Some(JobId::from("r0"))));
    // The value exists before the job is scheduled.
    b.complete(&direct("x", "done"), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(schedule(b, "late", "done").await, Scheduled::AlreadyDone);
    assert_eq!(job(b, "late").await.end, Some(JobEnd { state: JobState::Completed, at: 1_000 }));
}

pub async fn a_deadline_sends_a_message_of_its_own(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let start = Instant::now();
    let new = NewJob { deadline: 1_000 + 200, ..NewJob::new("r".into(), call("c")) };
    assert_eq!(b.schedule(&new, 1_000).await.unwrap(), Scheduled::Queued);
    let first = next(&**b, "t").await;
    b.queue().ack(&first.receipt).await.unwrap();
    assert_eq!(b.queue().depth(&"t".into()).await.unwrap(), 1);
    let last = next(&**b, "t").await;
    assert_eq!(last.body, first.body);
    // Clocks round to milliseconds.
    assert!(start.elapsed() + Duration::from_millis(2) >= Duration::from_millis(200), "{:?}", start.elapsed());
}

pub async fn a_job_is_ended_once(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    assert_eq!(end(b, "nobody").await, None);
    assert_eq!(b.store().get(&Key::job(&"nobody".into())).await.unwrap(), None);
    schedule(b, "r", "c").await;
    assert_eq!(end(b, "r").await, Some(JobState::Cancelled));
    let late = Failure::new(FailureKind::Timeout, "task", "late");
    let record = b.end_job(&"r".into(), &late, 3_000).await.unwrap().unwrap();
    assert_eq!(record.end, Some(JobEnd { state: JobState::Cancelled, at: 2_000 }));
    assert_eq!(b.outcomes(&"r".into(), &["c".into()]).await.unwrap(), [Some(Err(cancelled()))]);
    // The value that the worker computes is too late for this job, and is valid for other jobs.
    let top = Work { ends_job: true, now: 4_000, ..direct("r", "c") };
    b.complete(&top, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(job(b, "r").await, record);
    assert_eq!(b.outcomes(&"r".into(), &["c".into()]).await.unwrap(), [Some(Err(cancelled()))]);
    assert_eq!(b.outcomes(&"r2".into(), &["c".into()]).await.unwrap(), [Some(Ok(Bytes::from_static(b"v")))]);
}

pub async fn a_job_whose_call_has_ended_ends_in_the_same_way(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "c").await;
    // The job's call was completed for another job.
    b.complete(&direct("x", "c"), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(end(b, "r").await, Some(JobState::Completed));
    assert_eq!(b.outcomes(&"r".into(), &["c".into()]).await.unwrap(), [Some(Ok(Bytes::from_static(b"v")))]);
    // The call failed, and its worker died before it recorded the end of the job.
    schedule(b, "s", "d").await;
    b.fail(&direct("s", "d"), &Failure::new(FailureKind::Error, "task", "no")).await.unwrap();
    assert_eq!(job(b, "s").await.end, None);
    assert_eq!(end(b, "s").await, Some(JobState::Failed));
}

pub async fn an_outcome_ends_its_job(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let fails = |kind| Failure::new(kind, "task", "no");
    for job_id in ["done", "failed", "late", "found", "twice", "child"] {
        schedule(b, job_id, &format!("{job_id} call")).await;
    }
    let top = |job_id: &str| Work { ends_job: true, now: 7, ..direct(job_id, &format!("{job_id } call")) };
    b.complete(&top("done"), Bytes::from_static(b"v")).await.unwrap();
    b.fail(&top("failed"), &fails(FailureKind::Error)).await.unwrap();
    b.fail(&top("late"), &fails(FailureKind::Timeout)).await.unwrap();
    b.notify_parents(&top("found"), JobState::Cancelled).await.unwrap();
    // The first failure decides the outcome and also the state of the job. A value that is older than any failure decides in the
    // same way.
    b.fail(&direct("twice", "twice call"), &fails(FailureKind::Cancelled)).await.unwrap();
    b.fail(&top("twice"), &fails(FailureKind::Error)).await.unwrap();
    b.complete(&direct("child", "child call"), Bytes::new()).await.unwrap();
    b.fail(&top("child"), &fails(FailureKind::Error)).await.unwrap();
    for (job_id, state) in [
        ("done", JobState::Completed),
        ("failed", JobState::Failed),
        ("late", JobState::TimedOut),
        ("found", JobState::Cancelled),
        ("twice", JobState::Cancelled),
        ("child", JobState::Completed),
    ] {
        assert_eq!(job(b, job_id).await.end, Some(JobEnd { state, at: 7 }), "{job_id}");
    }
    // A peer's job has no record, and no record is created for it.
    b.complete(&Work { ends_job: true, now: 7, ..direct("peer", "c") }, Bytes::new()).await.unwrap();
    assert_eq!(b.store().get(&Key::job(&"peer".into())).await.unwrap(), None);
}

/// A call fails and gets a value almost at the same time: the failure was first.
pub async fn a_job_ends_as_its_call_did(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "c").await;
    // A client that cancels has done only the first of its two writes.
    b.fail(&direct("r", "c"), &cancelled()).await.unwrap();
    b.complete(&Work { ends_job: true, now: 7, ..direct("r", "c") }, Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(b.outcomes(&"r".into(), &["c".into()]).await.unwrap(), [Some(Err(cancelled()))]);
    assert_eq!(job(b, "r").await.end, Some(JobEnd { state: JobState::Cancelled, at: 7 }));
}

pub async fn an_abandoned_parent_leaves_nothing(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "p").await;
    let parent = work(&next(&**b, "t").await);
    defer(b, &parent, &["c"]).await;
    end(b, "r").await;
    let child = work(&next(&**b, "t").await);
    b.abandon(&child).await.unwrap();
    assert_eq!(waiting(b, "c").await, [""; 0]);
    assert_eq!(b.store().get(&Key::pending_returns(&"c".into())).await.unwrap(), None);
    assert_eq!(b.queue().depth(&"t".into()).await.unwrap(), 0);
    // The call is abandoned again, as after a crash. So is a call that no record mentions.
    b.abandon(&direct("r", "c")).await.unwrap();
    b.abandon(&direct("r", "nobody")).await.unwrap();
    assert_eq!(b.queue().depth(&"t".into()).await.unwrap(), 0);
}

pub async fn a_live_job_gets_the_call_that_a_dead_job_abandons(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    for (job_id, top) in [("r", "p"), ("y", "q"), ("z", "s")] {
        schedule(b, job_id, top).await;
    }
    for parent in take(&**b, "t", 3).await {
        defer(b, &work(&parent), &["c"]).await;
    }
    let child = work(&next(&**b, "t").await);
    assert_eq!(child.message.job_id.as_str(), "r");
    end(b, "r").await;
    b.abandon(&child).await.unwrap();
    assert_eq!(waiting(b, "c").await, ["y:q", "z:s"]);
    // One message is sent for all waiting jobs.
    assert_eq!(queued(b).await, ["y:c"]);
    // The call has no parent in a job that is over. The message is sent anyway: an earlier abandon may have removed that parent,
    // and a worker may have lost the message.
    b.abandon(&direct("r", "c")).await.unwrap();
    assert_eq!(waiting(b, "c").await, ["y:q", "z:s"]);
    assert_eq!(queued(b).await, ["y:c"]);
}

pub async fn jobs_take_turns_at_a_call_that_fails(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    for (job_id, parent) in [("r1", "p1"), ("r2", "p2"), ("r3", "p3")] {
        schedule(b, job_id, parent).await;
    }
    for parent in take(&**b, "t", 3).await {
        assert!(matches!(defer(b, &work(&parent), &["c"]).await, Deferred::Waiting { .. }));
    }
    queued(b).await;
    let failure = Failure::new(FailureKind::Error, "task", "no");
    // The call is not queued for the first job again. Otherwise new jobs could always be first, and the other jobs would never
    // run the call.
    b.fail(&direct("r2", "c"), &failure).await.unwrap();
    assert_eq!(queued(b).await, ["r2:p2", "r3:c"]);
    b.fail(&direct("r3", "c"), &failure).await.unwrap();
    assert_eq!(queued(b).await, ["r1:c", "r3:p3"]);
    b.fail(&direct("r1", "c"), &failure).await.unwrap();
    assert_eq!((queued(b).await, waiting(b, "c").await), (vec!["r1:p1".to_owned()], Vec::new()));
}

/// A parent without a run record: a worker of another SDK leaves this, and so does one of our workers in the middle of
/// registration.
pub async fn a_parent_without_a_record_is_kept_for_a_later_value(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    defer(b, &direct("r", "ours"), &["c"]).await;
    register_peers(b, "c", &["r:p", "r:q"]).await;
    queued(b).await;
    let failure = Failure::new(FailureKind::Error, "task", "no");
    b.fail(&direct("r", "c"), &failure).await.unwrap();
    assert_eq!(queued(b).await, ["r:ours"], "its record says that it is worth it");
    assert_eq!(waiting(b, "c").await, [""; 0], "a parent in another job must send the message");
    assert_eq!(unnotified(b, "c").await, ["r:p", "r:q"]);
    let listed = async || b.store().list(&Record::Unnotified, None, 9).await.unwrap().ids;
    assert_eq!(listed().await, ["c"]);
    // A peer that got another notification registers again.
    register_peers(b, "c", &["r:p"]).await;
    b.notify_parents(&direct("r", "c"), JobState::Failed).await.unwrap();
    assert_eq!(queued(b).await, [""; 0]);
    assert_eq!((waiting(b, "c").await, unnotified(b, "c").await), (vec![], vec!["r:p".to_owned(), "r:q".into()]));
    // In another job the call succeeds.
    b.complete(&direct("y", "c"), Bytes::new()).await.unwrap();
    assert_eq!(queued(b).await, ["r:p", "r:q"]);
    assert_eq!(unnotified(b, "c").await, [""; 0]);
    assert_eq!(listed().await, [""; 0]);
}

/// Registers these parents, as `job_id:parent`, with a call, as workers of other SDKs do.
pub(super) async fn register_peers(backend: &Arc<dyn Backend>, name: &str, parents: &[&str]) {
    let key = Key::pending_returns(&name.into());
    let found = backend.store().get(&key).await.unwrap();
    let mut pending = found.as_deref().map(|bytes| PendingReturns::decode(bytes).unwrap()).unwrap_or_default();
    for (job_id, parent) in parents.iter().map(|parent| parent.split_once(':').unwrap()) {
        pending.returns.insert(Return { job_id: job_id.into(), parent: parent.into(), topic: "t".into() });
    }
    pending.scheduled_at = Some(1);
    assert_eq!(backend.store().swap(&key, found.as_ref(), Some(pending.encode())).await.unwrap(), Swap::Done);
}

/// The parents that a failure of a call did not notify, as `job_id:parent`.
pub(super) async fn unnotified(backend: &Arc<dyn Backend>, name: &str) -> Vec<String> {
    let bytes = backend.store().get(&Key::unnotified(&name.into())).await.unwrap();
    let parents = bytes.map_or_else(PendingReturns::default, |bytes| PendingReturns::decode(&bytes).unwrap());
    parents.returns.into_iter().map(|r| format!("{}:{}", r.job_id, r.parent)).collect()
}

/// A worker of another SDK completes a job's call. It writes the value only.
pub async fn a_reader_records_that_a_job_is_over(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "c").await;
    let client = Client::new(b.clone());
    let before = job(b, "r").await;
    assert_eq!(client.as_it_is(&"r".into(), before.clone(), 2_000).await.unwrap(), before);
    b.store().put(&Key::value(&"c".into()), Bytes::from_static(b"v")).await.unwrap();
    let seen = client.as_it_is(&"r".into(), before, 2_000).await.unwrap();
    assert_eq!(seen.end.map(|end| end.state), Some(JobState::Completed));
    assert_eq!(job(b, "r").await, seen);
}

pub async fn a_parent_is_abandoned_with_its_child(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    // Both jobs wait for the call in the middle. Only the first job has asked for the calls below it.
    for (job_id, top) in [("r", "p"), ("y", "q")] {
        schedule(b, job_id, top).await;
    }
    for parent in take(&**b, "t", 2).await {
        defer(b, &work(&parent), &["middle"]).await;
    }
    let middle = work(&next(&**b, "t").await);
    assert_eq!(middle.message.job_id.as_str(), "r");
    defer(b, &middle, &["c", "d"]).await;
    end(b, "r").await;
    let child = work(&next(&**b, "t").await);
    b.abandon(&child).await.unwrap();
    // The call in the middle has no message of its own. It is queued again under the live job only because it is abandoned here.
    assert_eq!(waiting(b, "middle").await, ["y:q"]);
    assert_eq!(waiting(b, child.message.call.as_str()).await, [""; 0]);
    assert_eq!(queued(b).await, ["r:d", "y:middle"]);
}

pub async fn a_job_that_is_over_waits_for_nothing_more(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    for (job_id, top) in [("r", "p"), ("y", "q")] {
        schedule(b, job_id, top).await;
    }
    for parent in take(&**b, "t", 2).await {
        defer(b, &work(&parent), &["c"]).await;
    }
    let child = work(&next(&**b, "t").await);
    end(b, "r").await;
    assert_eq!(defer(b, &child, &["below"]).await, Deferred::JobOver);
    assert_eq!(waiting(b, "below").await, [""; 0]);
    assert_eq!(waiting(b, "c").await, ["y:q"]);
    assert_eq!(queued(b).await, ["y:c"]);
    assert_eq!(b.store().get(&Key::run(&"c".into(), &"r".into())).await.unwrap(), None);
}

pub async fn options_of_a_call_are_kept_for_its_first_run(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let options = Options { max_retries: Some(4), label: Some("x".into()), ..Options::default() };
    let child = |name: &str| brrr_protocol::model::Call { options: options.clone(), ..call(name) };
    let deferred = defer_calls(b, &direct("r", "p"), vec![child("c"), call("plain")]).await;
    assert_eq!(deferred, Deferred::Waiting { queued: vec![0, 1] });
    let loaded = b.load(&direct("r", "c")).await.unwrap();
    assert_eq!(loaded.run, Some(RunRecord { options: options.clone(), ..RunRecord::default() }));
    assert!(loaded.ready(0));
    assert_eq!(b.load(&direct("r", "plain")).await.unwrap().run, None);
    // These options belong to that job only, and stay as they were in the first request.
    assert_eq!(b.load(&direct("other", "c")).await.unwrap().run, None);
    let other = Options { max_retries: Some(9), ..Options::default() };
    let again = brrr_protocol::model::Call { options: other, ..call("c") };
    let deferred = defer_calls(b, &direct("r", "p2"), vec![again, call("new")]).await;
    assert_eq!(deferred, Deferred::Waiting { queued: vec![1] });
    assert_eq!(b.load(&direct("r", "c")).await.unwrap().run.unwrap().options, options);
    assert_eq!(waiting(b, "c").await, ["r:p", "r:p2"]);
    let hash = CallHash::from("c");
    b.complete(&direct("r", "c"), Bytes::new()).await.unwrap();
    assert_eq!(b.outcomes(&"r".into(), &[hash]).await.unwrap(), [Some(Ok(Bytes::new()))]);
}
