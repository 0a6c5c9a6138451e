//! The records that a collection removes, and the records that it must keep.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::gc::{Collected, Collector, Plan, Reason};
use brrr_protocol::model::{Call, Millis, PROMISE};
use brrr_protocol::ports::{Backend, Key, Work, message_counter};
use brrr_protocol::records::RunRecord;
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};
use bytes::Bytes;

use crate::suite::backend::{call, defer, defer_calls, direct, schedule, work};
use crate::suite::jobs::end;
use crate::suite::queue::next;
use crate::support::Kind;

/// The time at which the jobs here end.
const ENDED: Millis = 10_000;

/// The age of the jobs at the collection. It is so high that even a queue that cannot be listed has no message of theirs left.
const AGE: Duration = Duration::from_hours(14 * 24);
const NOW: Millis = ENDED + AGE.as_millis() as Millis;

fn plan() -> Plan {
    Plan { now: NOW, older_than: AGE, dry_run: false }
}

async fn collect(backend: &Arc<dyn Backend>) -> Collected {
    collect_as(backend, plan()).await
}

async fn collect_as(backend: &Arc<dyn Backend>, plan: Plan) -> Collected {
    Collector::new(backend.clone()).collect(&plan, |_, _| {}).await.unwrap()
}

fn removed(jobs: u64, calls: u64) -> Collected {
    Collected { jobs, calls, ..Collected::default() }
}

async fn complete(backend: &Arc<dyn Backend>, ends_job: bool) {
    let work = Work { ends_job, now: ENDED, ..work(&next(&**backend, "t").await) };
    backend.complete(&work, Bytes::from_static(b"v")).await.unwrap();
}

/// A job for a parent with children, from its start to its end. Children that have a value do not run.
async fn job(backend: &Arc<dyn Backend>, job_id: &str, parent: &str, children: &[&str]) {
    schedule(backend, job_id, parent).await;
    defer(backend, &work(&next(&**backend, "t").await), children).await;
    for _ in children {
        complete(backend, false).await;
    }
    complete(backend, true).await;
}

async fn has(backend: &Arc<dyn Backend>, key: &Key) -> bool {
    backend.store().get(key).await.unwrap().is_some()
}

async fn has_value(backend: &Arc<dyn Backend>, name: &str) -> bool {
    has(backend, &Key::value(&name.into())).await
}

pub async fn an_ended_job_leaves_nothing(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c", "d"]).await;
    for call in ["p", "c"] {
        b.store().put(&Key::log(&call.into(), &"r".into()), Bytes::from_static(b"lines")).await.unwrap();
    }
    assert_eq!(collect(b).await, removed(1, 3));
    let (p, c, r) = ("p".into(), "c".into(), "r".into());
    for key in [
        Key::value(&p),
        Key::value(&c),
        Key::run(&p, &r),
        Key::latest_job(&p),
        Key::job(&r),
        Key::log(&p, &r),
        Key::log(&c, &r),
    ] {
        assert!(!has(b, &key).await, "{key:?}");
    }
    // In multi-step transitions a description is written before its message is sent. So a description without a message may
    // belong to a call that is just being queued, and it stays.
    assert_eq!(has(b, &Key::call(&c)).await, !kind.is_transactional());
    assert_eq!(b.counters().incr(&message_counter(&r), 0).await.unwrap(), 0);
    // The call can be requested again.
    job(b, "s", "p", &["c"]).await;
    assert!(has_value(b, "p").await && has_value(b, "c").await);
}

pub async fn records_that_a_live_job_needs_stay(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c", "d"]).await;
    // Another job has used `c`, and waits for `e`. Its run record says so.
    schedule(b, "live", "q").await;
    let parent = work(&next(&**b, "t").await);
    defer(b, &parent, &["e"]).await;
    let key = Key::run(&"q".into(), &"live".into());
    let run = RunRecord::decode(&b.store().get(&key).await.unwrap().unwrap()).unwrap();
    let run = RunRecord { earlier: vec!["c".into()], ..run };
    b.store().put(&key, run.encode()).await.unwrap();
    assert_eq!(collect(b).await, removed(1, 2));
    assert!(has_value(b, "c").await && has(b, &Key::call(&"e".into())).await);
    assert!(!has_value(b, "d").await && !has_value(b, "p").await);
    assert!(has(b, &Key::job(&"live".into())).await && has(b, &key).await);
}

pub async fn shared_records_stay_until_both_jobs_are_removed(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c"]).await;
    schedule(b, "s", "p").await;
    // The second job ended when it was scheduled, at 1,000. So it is removed first.
    let before = NOW - ENDED + 1_000;
    assert_eq!(collect_as(b, Plan { now: before - 1, ..plan() }).await, removed(0, 0));
    assert_eq!(collect_as(b, Plan { now: before, ..plan() }).await, removed(1, 0));
    assert!(has_value(b, "p").await && has_value(b, "c").await);
    assert_eq!(collect(b).await.calls, 2);
    assert!(!has_value(b, "p").await && !has_value(b, "c").await);
}

pub async fn young_jobs_and_live_jobs_stay(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c"]).await;
    schedule(b, "live", "q").await;
    assert_eq!(collect_as(b, Plan { now: NOW - 1, ..plan() }).await, removed(0, 0));
    // If the queue's contents cannot be listed, a job stays as long as a message can live.
    let sooner = Plan { now: ENDED + 60_000, older_than: Duration::from_secs(60), dry_run: true };
    assert_eq!(collect_as(b, sooner).await.jobs, u64::from(kind.can_be_looked_through()));
    assert!(has_value(b, "p").await && has_value(b, "c").await && has(b, &Key::latest_job(&"p".into())).await);
    assert!(has(b, &Key::call(&"q".into())).await);
}

pub async fn a_job_with_messages_stays(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "p").await;
    defer(b, &work(&next(&**b, "t").await), &["c"]).await;
    end(b, "r").await;
    // The job's child is still queued and registered. Both are removed with the message.
    let left = Collected { left: 1, ..Collected::default() };
    assert_eq!(collect(b).await, left, "{kind:?}");
    b.abandon(&work(&next(&**b, "t").await)).await.unwrap();
    assert_eq!(collect(b).await.jobs, 1);
    assert!(!has(b, &Key::failure(&"p".into(), &"r".into())).await);
}

pub async fn calls_that_are_queued_again_stay(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c"]).await;
    // A parent is about to wait for `c`: the value of `c` was removed, and the parent is registered.
    b.store().remove_many(&[Key::value(&"c".into())]).await.unwrap();
    schedule(b, "live", "q").await;
    defer(b, &work(&next(&**b, "t").await), &["c"]).await;
    collect(b).await;
    assert!(has(b, &Key::call(&"c".into())).await);
    // A call that another job has just asked for. The collection has not seen that job.
    b.complete(&direct("x", "z"), Bytes::from_static(b"v")).await.unwrap();
    schedule(b, "new", "z").await;
    let calls = ["z".into(), "c".into(), "nobody".into()];
    assert_eq!(b.forget_calls(&"r".into(), &calls, true).await.unwrap(), [false, false, true]);
    // A call that got its value after the collection read the live records, and a call that has no value.
    let (z, old) = ("z".into(), Key::call(&"old".into()));
    b.store().put(&old, CallRecord::encode("task", b"")).await.unwrap();
    let forgotten = b.forget_calls(&"new".into(), &[z, "old".into()], false).await.unwrap();
    assert_eq!(forgotten, [false, kind.is_transactional()]);
    assert_eq!(has(b, &old).await, !kind.is_transactional());
    assert!(has_value(b, "z").await && has(b, &Key::call(&"z".into())).await);
}

pub async fn a_dry_run_removes_nothing(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c"]).await;
    assert_eq!(collect_as(b, Plan { dry_run: true, ..plan() }).await, removed(1, 2));
    assert_eq!(collect(b).await, removed(1, 2));
}

pub async fn peers_keep_values(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c"]).await;
    let entry = Return { job_id: "theirs".into(), parent: call("x").hash, topic: "t".into() };
    let pending = PendingReturns { returns: [entry].into(), scheduled_at: Some(1) };
    b.store().put(&Key::pending_returns(&"y".into()), pending.encode()).await.unwrap();
    if !b.store().may_have_peers() {
        // Such a store has no calls of peers, and nothing looks for them.
        assert_eq!(collect(b).await, removed(1, 2));
        return;
    }
    let expected = Collected { values_stay: Some(Reason::Peers("theirs".into())), ..removed(1, 0) };
    assert_eq!(collect(b).await, expected);
    assert!(has_value(b, "p").await && has_value(b, "c").await);
    assert!(!has(b, &Key::run(&"p".into(), &"r".into())).await);
}

pub async fn parents_of_an_ended_job_wait_for_no_later_value(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c"]).await;
    let entry = |job_id: &str| Return { job_id: job_id.into(), parent: call("x").hash, topic: "t".into() };
    let [only, both] = ["only", "both"].map(|call| Key::unnotified(&call.into()));
    for (key, job_ids) in [(&only, &["r"][..]), (&both, &["r", "theirs"])] {
        let parents =
            PendingReturns { returns: job_ids.iter().map(|job_id| entry(job_id)).collect(), scheduled_at: None };
        b.store().put(key, parents.encode()).await.unwrap();
    }
    assert_eq!(collect(b).await, removed(1, 2));
    let left = PendingReturns { returns: [entry("theirs")].into(), scheduled_at: None };
    assert_eq!(b.store().get(&only).await.unwrap(), None);
    assert_eq!(b.store().get(&both).await.unwrap(), Some(left.encode()));
}

/// A promise has no message, so no worker finds that its job is over. Here a chain of calls waits for it, and the records of the
/// chain are listed in any order.
pub async fn a_job_that_only_a_promise_holds_up_goes_at_once(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "a").await;
    for (parent, child) in [("a", "m"), ("m", "z"), ("z", "e")] {
        let delivery = next(&**b, "t").await;
        assert_eq!(Message::decode(delivery.body.as_bytes()).unwrap().call.as_str(), parent);
        defer(b, &work(&delivery), &[child]).await;
    }
    let promise = Call { hash: "p".into(), task: PROMISE.into(), ..call("p") };
    defer_calls(b, &work(&next(&**b, "t").await), vec![promise]).await;
    schedule(b, "live", "q").await;
    defer(b, &work(&next(&**b, "t").await), &["c"]).await;
    end(b, "r").await;
    let held_up = Collected { left: 1, ..Collected::default() };
    assert_eq!(collect_as(b, Plan { dry_run: true, ..plan() }).await, held_up);
    let names = ["m", "z", "e", "p"].map(|name| Key::pending_returns(&name.into()));
    assert_eq!(b.store().has_many(&names).await.unwrap(), [true; 4]);
    assert_eq!(collect(b).await, removed(1, 0));
    assert_eq!(b.store().has_many(&names).await.unwrap(), [false; 4]);
    assert!(!has(b, &Key::job(&"r".into())).await);
    assert!(has(b, &Key::job(&"live".into())).await && has(b, &Key::pending_returns(&"c".into())).await);
}

pub async fn a_live_job_with_unnamed_children_keeps_everything(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    job(b, "r", "p", &["c"]).await;
    schedule(b, "live", "q").await;
    let run = RunRecord { total: 3, need: 3, sample: vec!["d".into()], attempt: 1, first: 1, ..RunRecord::default() };
    b.store().put(&Key::run(&"q".into(), &"live".into()), run.encode()).await.unwrap();
    let expected = Collected { values_stay: Some(Reason::Unnamed("live".into())), ..Collected::default() };
    assert_eq!(collect(b).await, expected);
    b.store().put(&Key::run(&"q".into(), &"live".into()), Bytes::from_static(b"damage")).await.unwrap();
    assert_eq!(collect(b).await, expected);
    b.store().put(&Key::job(&"live".into()), Bytes::from_static(b"damage")).await.unwrap();
    assert_eq!(collect(b).await.values_stay, Some(Reason::Damaged("live".into())));
    assert!(has_value(b, "p").await);
}

/// Such a job has more children than its record can name. A parent of it waits for one of these others.
pub async fn an_ended_job_stays_while_a_call_waits_that_no_record_names(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "p").await;
    defer(b, &work(&next(&**b, "t").await), &["c"]).await;
    let run = RunRecord { total: 2, need: 2, sample: vec!["d".into()], attempt: 1, first: 1, ..RunRecord::default() };
    b.store().put(&Key::run(&"p".into(), &"r".into()), run.encode()).await.unwrap();
    // The worker has the child's message, so that the queue does not show it.
    let child = next(&**b, "t").await;
    end(b, "r").await;
    assert_eq!(collect(b).await.jobs, 0);
    assert!(has(b, &Key::pending_returns(&"c".into())).await);
    b.abandon(&work(&child)).await.unwrap();
    assert_eq!(collect(b).await.jobs, 1);
}
