//! Jobs that start later, and ids that are used again.

use std::time::{Duration, Instant};

use std::sync::Arc;

use brrr_protocol::doctor::{Doctor, Finding, Look, Lost};
use brrr_protocol::gc::{Collected, Collector, Plan};
use brrr_protocol::model::Millis;
use brrr_protocol::ports::{Backend, Key, NewJob, Scheduled, message_counter};
use brrr_protocol::records::LatestJob;
use brrr_protocol::wire::CallRecord;
use bytes::Bytes;

use crate::suite::backend::{call, direct, schedule};
use crate::suite::jobs::{end, queued, waiting};
use crate::suite::joining::announce;
use crate::suite::queue::{next, take};
use crate::support::Kind;

/// The test ends long before this time.
const LATER: Millis = 1_000 + 3_600_000;

/// Schedules a job that starts later.
async fn delay(backend: &Arc<dyn Backend>, job_id: &str, name: &str) -> Scheduled {
    let job = NewJob { start: LATER, ..NewJob::new(job_id.into(), call(name)) };
    backend.schedule(&job, 1_000).await.unwrap()
}

/// The number of messages that were sent for the job.
async fn messages(backend: &Arc<dyn Backend>, job_id: &str) -> u64 {
    backend.counters().incr(&message_counter(&job_id.into()), 0).await.unwrap()
}

pub async fn a_job_that_starts_later_has_its_messages_then(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let begun = Instant::now();
    // Clocks round to milliseconds.
    let passed = || begun.elapsed() + Duration::from_millis(2);
    let new = NewJob { start: 1_000 + 300, deadline: 1_000 + 600, ..NewJob::new("r".into(), call("c")) };
    assert_eq!(b.schedule(&new, 1_000).await.unwrap(), Scheduled::Queued);
    let first = next(&**b, "t").await;
    assert!(passed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    b.queue().ack(&first.receipt).await.unwrap();
    let last = next(&**b, "t").await;
    assert!(passed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert_eq!(last.body, first.body);
    b.queue().ack(&last.receipt).await.unwrap();
    assert!(take(&**b, "t", 1).await.is_empty());
    assert_eq!(messages(b, "r").await, 2);
    let job = brrr_protocol::client::Client::new(b.clone()).job(&"r".into()).await.unwrap().unwrap();
    assert_eq!((job.created, job.start, job.deadline), (1_000, 1_300, 1_600));
}

pub async fn a_start_that_has_passed_is_now(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let new = NewJob { start: 1_000, ..NewJob::new("r".into(), call("c")) };
    b.schedule(&new, 1_000).await.unwrap();
    assert_eq!(queued(b).await, ["r:c"]);
}

pub async fn a_job_that_starts_later_joins_nothing(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    announce(b).await;
    schedule(b, "r1", "c").await;
    assert_eq!(delay(b, "late", "c").await, Scheduled::Queued);
    assert_eq!(queued(b).await, ["r1:c"]);
    assert_eq!(waiting(b, "c").await, [""; 0]);
    // The value is there before the job starts. The job ends when its message comes.
    b.complete(&direct("r1", "c"), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(queued(b).await, [""; 0]);
    assert_eq!(messages(b, "late").await, 1);
}

pub async fn nothing_joins_a_job_that_starts_later(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    announce(b).await;
    delay(b, "late", "c").await;
    assert_eq!(schedule(b, "r1", "c").await, Scheduled::Queued);
    assert_eq!(queued(b).await, ["r1:c"]);
    assert_eq!(waiting(b, "c").await, [""; 0]);
    // The job that starts now can be joined.
    schedule(b, "r2", "c").await;
    assert_eq!(queued(b).await, [""; 0]);
    assert_eq!(waiting(b, "c").await, ["r2:c"]);
}

pub async fn an_id_belongs_to_one_call(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    schedule(b, "r", "c").await;
    schedule(b, "other", "d").await;
    let keys = [Key::job(&"r".into()), Key::latest_job(&"c".into()), Key::latest_job(&"d".into())];
    let before = b.store().get_many(&keys).await.unwrap();
    assert_eq!(schedule(b, "r", "d").await, Scheduled::Taken);
    assert_eq!(schedule(b, "r", "new").await, Scheduled::Taken);
    assert_eq!(b.store().get_many(&keys).await.unwrap(), before);
    assert_eq!(b.store().get(&Key::latest_job(&"new".into())).await.unwrap(), None);
    assert_eq!(queued(b).await, ["other:d", "r:c"]);
    assert_eq!((messages(b, "r").await, waiting(b, "d").await), (1, vec![]));
    // This also holds for a job that is over, and for a call that has its value.
    end(b, "r").await;
    b.complete(&direct("other", "d"), Bytes::from_static(b"v")).await.unwrap();
    let before = b.store().get_many(&keys).await.unwrap();
    assert_eq!(schedule(b, "r", "d").await, Scheduled::Taken);
    assert_eq!(b.store().get_many(&keys).await.unwrap(), before);
}

/// While a worker runs the call, a second message would run it a second time.
pub async fn a_request_that_is_repeated_sends_no_second_message(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    for _ in 0..3 {
        assert_eq!(schedule(b, "r", "c").await, Scheduled::Queued);
        assert_eq!(delay(b, "late", "d").await, Scheduled::Queued);
    }
    assert_eq!((messages(b, "r").await, messages(b, "late").await), (1, 1));
    // The job has started since.
    let again = NewJob { start: LATER, ..NewJob::new("late".into(), call("d")) };
    b.schedule(&again, LATER + 1).await.unwrap();
    assert_eq!(messages(b, "late").await, 1);
    // The client died before it sent the message.
    let unsent = LatestJob::unsent("r".into()).encode();
    b.store().put(&Key::latest_job(&"c".into()), unsent).await.unwrap();
    schedule(b, "r", "c").await;
    assert_eq!(messages(b, "r").await, 2);
}

/// Writes what a client leaves that dies before it sends the first message of a job.
async fn half(backend: &Arc<dyn Backend>, job_id: &str, name: &str) {
    let job = NewJob { start: LATER, ..NewJob::new(job_id.into(), call(name)) };
    let (store, call) = (backend.store(), &job.call);
    store.put(&Key::call(&call.hash), CallRecord::encode(&call.task, &call.payload)).await.unwrap();
    store.put(&Key::latest_job(&call.hash), LatestJob::unsent(job_id.into()).encode()).await.unwrap();
    store.put(&Key::job(&job.job_id), job.record(1_000).encode()).await.unwrap();
}

/// Even where a queue can't be looked through, nobody takes the message of a job for lost before it is due.
pub async fn a_job_that_starts_later_is_no_finding(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    delay(b, "late", "c").await;
    half(b, "half", "d").await;
    let survey = async |now| {
        let look = Look { now, older_than: Duration::from_mins(1) };
        Doctor::new(b.clone()).survey(&look).await.unwrap().findings
    };
    assert_eq!(survey(LATER - 1).await, []);
    assert_eq!(survey(LATER + 1).await, [], "it is young");
    let found = survey(LATER + 60_000).await;
    let is_it = |finding: &Finding| matches!(finding, Finding::Lost(Lost { job_id, .. }) if job_id.as_str() == "half");
    assert!(found.iter().any(is_it), "{found:?}");
}

pub async fn a_job_that_starts_later_is_not_collected(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let age = Duration::from_hours(14 * 24);
    let now = 1_000 + 2 * age.as_millis() as Millis;
    let job = NewJob { start: now + 1, ..NewJob::new("late".into(), call("c")) };
    b.schedule(&job, 1_000).await.unwrap();
    let keys = [Key::job(&"late".into()), Key::call(&"c".into()), Key::latest_job(&"c".into())];
    let before = b.store().get_many(&keys).await.unwrap();
    let plan = Plan { now, older_than: age, dry_run: false };
    let collected = Collector::new(b.clone()).collect(&plan, |_, _| {}).await.unwrap();
    assert_eq!((collected.jobs, collected.calls), (0, 0), "{:?}", Collected { values_stay: None, ..collected });
    assert!(before.iter().all(Option::is_some));
    assert_eq!(b.store().get_many(&keys).await.unwrap(), before);
}
