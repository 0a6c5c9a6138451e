//! Counters, notices, and the transitions in the form in which a worker uses them.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Deferral, Deferred, Delivery, Key, NewJob, Scheduled, Work};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::Wait;
use brrr_protocol::wire::{CallRecord, Message, PendingReturns};
use brrr_protocol::{ErrorKind, Result};
use bytes::Bytes;

use crate::suite::queue::{next, take};
use crate::support::{Kind, tree, until};

pub(super) fn call(name: &str) -> Call {
    Call {
        hash: name.into(),
        task: "task".into(),
        payload: Bytes::from_static(b"payload"),
        topic: "t".into(),
        options: Options::default(),
    }
}

pub(super) async fn schedule(backend: &Arc<dyn Backend>, job_id: &str, name: &str) -> Scheduled {
    backend.schedule(&NewJob::new(job_id.into(), call(name)), 1_000).await.unwrap()
}

pub(super) fn work(delivery: &Delivery) -> Work {
    Work {
        message: Message::decode(delivery.body.as_bytes()).unwrap(),
        topic: delivery.topic.clone(),
        receipt: Some(delivery.receipt.clone()),
        ends_job: false,
        now: 5_000,
        log: None,
    }
}

/// Work without a message.
pub(super) fn direct(job_id: &str, name: &str) -> Work {
    Work {
        message: Message { job_id: job_id.into(), call: name.into() },
        topic: "t".into(),
        receipt: None,
        ends_job: false,
        now: 5_000,
        log: None,
    }
}

pub(super) async fn defer(backend: &Arc<dyn Backend>, work: &Work, children: &[&str]) -> Deferred {
    defer_calls(backend, work, children.iter().map(|c| call(c)).collect()).await
}

pub(super) async fn defer_calls(backend: &Arc<dyn Backend>, work: &Work, children: Vec<Call>) -> Deferred {
    try_defer(backend, work, children).await.unwrap()
}

async fn try_defer(backend: &Arc<dyn Backend>, work: &Work, children: Vec<Call>) -> Result<Deferred> {
    let loaded = backend.load(work).await.unwrap();
    let wait = Wait { need: children.len() as u32, calls: children.clone(), until: 0, fast: false, pace: 0 };
    let run_after = RunRecord {
        first: 1,
        attempt: 1,
        digest: "d".into(),
        total: children.len() as u32,
        need: children.len() as u32,
        sample: children.iter().map(|c| c.hash.clone()).collect(),
        ..RunRecord::default()
    };
    let deferral = Deferral {
        work,
        wait: &wait,
        run_before: loaded.run_bytes.as_ref(),
        run_after: &run_after,
        max_messages: 1_000,
    };
    backend.defer(&deferral).await
}

/// The call `name` with this payload.
fn other(name: &str, payload: &'static str) -> Call {
    Call { payload: Bytes::from_static(payload.as_bytes()), ..call(name) }
}

/// A parent that asks for another call under an existing call hash gets an error. The stored call does not change.
pub async fn a_hash_stands_for_one_call(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    assert_eq!(schedule(b, "r", "c").await, Scheduled::Queued);
    let child = work(&next(&**b, "t").await);
    let keys = [Key::call(&"c".into()), Key::latest_job(&"c".into()), Key::pending_returns(&"c".into())];
    let before = b.store().get_many(&keys).await.unwrap();
    let asked = [other("c", "another"), Call { task: "thief".into(), ..call("c") }];
    for asked in &asked {
        let error = b.schedule(&NewJob::new("r2".into(), asked.clone()), 2_000).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
        assert!(error.reason.contains("task \"task\""), "{error}");
        let error = try_defer(b, &direct("r2", "parent"), vec![asked.clone()]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
        assert!(error.operation.contains(&*asked.task) && error.operation.contains("\"c\""), "{error}");
    }
    assert_eq!(b.store().get_many(&keys).await.unwrap(), before);
    assert!(b.store().get(&Key::job(&"r2".into())).await.unwrap().is_none());
    assert!(b.store().get(&Key::run(&"parent".into(), &"r2".into())).await.unwrap().is_none());
    assert_eq!(b.queue().receive(&"t".into(), 9, Duration::ZERO).await.unwrap(), []);
    b.complete(&child, Bytes::from_static(b"v")).await.unwrap();

    // The same call in the encoding of a peer is still the same call.
    let theirs = Bytes::from_static(b"d1:ai1e7:payload7:payload9:task_name4:taske");
    b.store().put(&Key::call(&"p".into()), theirs.clone()).await.unwrap();
    assert_eq!(schedule(b, "r3", "p").await, Scheduled::Queued);
    assert!(matches!(defer(b, &direct("r4", "parent"), &["p"]).await, Deferred::Waiting { .. }));
    assert_eq!(b.store().get(&Key::call(&"p".into())).await.unwrap(), Some(theirs));
    // A record that cannot be read does not describe any call.
    b.store().put(&Key::call(&"q".into()), Bytes::from_static(b"le")).await.unwrap();
    assert_eq!(schedule(b, "r5", "q").await, Scheduled::Queued);
    b.store().put(&Key::call(&"s".into()), Bytes::from_static(b"le")).await.unwrap();
    assert!(matches!(defer(b, &direct("r6", "parent"), &["s"]).await, Deferred::Waiting { .. }));
    for name in ["q", "s"] {
        let mended = b.store().get(&Key::call(&name.into())).await.unwrap().unwrap();
        assert_eq!(CallRecord::decode(&mended).unwrap().task, "task");
    }
}

/// Two parents ask for different calls under one hash at the same time. One of them gets an error.
pub async fn one_of_two_claims_of_a_hash_wins(kind: Kind) {
    let f = kind.open().await;
    for round in 0..8 {
        let claims = ["one", "two"].map(|payload| {
            let (b, name) = (f.backend.clone(), format!("c{round}"));
            tokio::spawn(async move {
                let parent = direct(payload, &format!("parent of {name}"));
                try_defer(&b, &parent, vec![other(&name, payload)]).await.map_err(|e| e.kind)
            })
        });
        let [one, two] = claims;
        let made = [one.await.unwrap(), two.await.unwrap()];
        let refused: Vec<usize> = (0..2).filter(|n| made[*n] == Err(ErrorKind::Conflict)).collect();
        assert_eq!(refused.len(), 1, "{made:?}");
        let record = f.backend.store().get(&Key::call(&format!("c{round}").as_str().into())).await.unwrap().unwrap();
        let payload = CallRecord::decode(&record).unwrap().payload;
        assert_eq!(&payload[..], [&b"two"[..], b"one"][refused[0]], "the one that was not refused");
    }
}

pub async fn counters_add_up(kind: Kind) {
    let f = kind.open().await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        let backend = f.backend.clone();
        runs.push(tokio::spawn(async move {
            for _ in 0..50 {
                backend.counters().incr("a", 2).await.unwrap();
            }
        }));
    }
    for run in runs {
        run.await.unwrap();
    }
    assert_eq!(f.backend.counters().incr("a", 0).await.unwrap(), 400);
    assert_eq!(f.backend.counters().incr("b", 7).await.unwrap(), 7);
}

pub async fn a_removed_counter_begins_at_zero(kind: Kind) {
    let f = kind.open().await;
    let counters = f.backend.counters();
    for name in ["a", "b", "c"] {
        counters.incr(name, 5).await.unwrap();
    }
    counters.forget(&["a".to_owned(), "c".to_owned(), "nobody".to_owned()]).await.unwrap();
    counters.forget(&[]).await.unwrap();
    let sums = [
        counters.incr("a", 1).await.unwrap(),
        counters.incr("b", 1).await.unwrap(),
        counters.incr("c", 0).await.unwrap(),
    ];
    assert_eq!(sums, [1, 6, 0]);
}

pub async fn a_waiting_task_is_notified_of_a_change(kind: Kind) {
    let f = kind.open().await;
    let version = f.backend.changed(0, Duration::from_secs(60)).await;
    assert_ne!(version, 0);
    let still = f.backend.changed(version, Duration::from_millis(20)).await;
    assert!(still == version || !kind.reports_changes(), "nothing has changed");
    let backend = f.backend.clone();
    let waiter = tokio::spawn(async move { backend.changed(version, Duration::from_secs(60)).await });
    f.backend.store().put(&Key::value(&"c".into()), Bytes::from_static(b"v")).await.unwrap();
    let changed = tokio::time::timeout(Duration::from_secs(30), waiter).await.expect("a reported change").unwrap();
    assert_ne!(changed, version);
}

pub async fn a_job_runs_from_its_schedule_to_its_completion(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    assert_eq!(schedule(b, "r", "parent").await, Scheduled::Queued);
    let parent = work(&next(&**b, "t").await);
    let loaded = b.load(&parent).await.unwrap();
    assert_eq!(loaded.call.as_ref().unwrap().task, "task");
    assert_eq!(&loaded.call.as_ref().unwrap().payload[..], b"payload");
    assert!(loaded.ready(0) && loaded.outcome.is_none() && loaded.run.is_none());

    assert_eq!(defer(b, &parent, &["c1", "c2"]).await, Deferred::Waiting { queued: vec![0, 1] });
    for child in take(&**b, "t", 10).await {
        let child = work(&child);
        assert!(!b.load(&parent).await.unwrap().ready(0));
        b.complete(&child, Bytes::from_static(b"v")).await.unwrap();
    }
    let parent = work(&next(&**b, "t").await);
    let loaded = b.load(&parent).await.unwrap();
    assert!(loaded.ready(0));
    assert_eq!(loaded.sample, vec![Some(Ok(Bytes::from_static(b"v"))); 2]);
    b.complete(&parent, Bytes::from_static(b"p")).await.unwrap();
    assert_eq!(b.queue().depth(&"t".into()).await.unwrap(), 0);
    // The value exists, so a parent that asks again gets it at once.
    assert_eq!(schedule(b, "r2", "parent").await, Scheduled::AlreadyDone);
    assert_eq!(b.queue().depth(&"t".into()).await.unwrap(), 0);
    let outcomes = b.outcomes(&"r".into(), &["parent".into(), "nobody".into()]).await.unwrap();
    assert_eq!(outcomes, [Some(Ok(Bytes::from_static(b"p"))), None]);
}

pub async fn the_first_value_stays(kind: Kind) {
    let f = kind.open().await;
    for value in ["first", "second"] {
        f.backend.complete(&direct("r", "c"), value.into()).await.unwrap();
    }
    let value = f.backend.store().get(&Key::value(&"c".into())).await.unwrap();
    assert_eq!(value, Some(Bytes::from_static(b"first")));
}

pub async fn a_failure_counts_only_in_its_job(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    // Two jobs wait for the same child. In one of the jobs the child fails.
    schedule(b, "r1", "p1").await;
    schedule(b, "r2", "p2").await;
    for parent in take(&**b, "t", 2).await {
        assert!(matches!(defer(b, &work(&parent), &["c"]).await, Deferred::Waiting { .. }));
    }
    let first = work(&next(&**b, "t").await);
    assert_eq!(first.message, Message { job_id: "r1".into(), call: "c".into() });
    let failure = Failure::new(FailureKind::Error, "task", "no");
    b.fail(&first, &failure).await.unwrap();
    let calls = [CallHash::from("c")];
    assert_eq!(b.outcomes(&"r1".into(), &calls).await.unwrap(), [Some(Err(failure.clone()))]);
    assert_eq!(b.outcomes(&"r2".into(), &calls).await.unwrap(), [None]);
    // The parent of the first job is notified, and the child is queued again for the second job.
    let mut sent: Vec<Message> = take(&**b, "t", 10).await.iter().map(|d| work(d).message).collect();
    sent.sort_by(|a, b| a.job_id.as_str().cmp(b.job_id.as_str()));
    let expected =
        [Message { job_id: "r1".into(), call: "p1".into() }, Message { job_id: "r2".into(), call: "c".into() }];
    assert_eq!(sent, expected);
    let pending = b.store().get(&Key::pending_returns(&"c".into())).await.unwrap().unwrap();
    let job_ids: Vec<JobId> = PendingReturns::decode(&pending).unwrap().returns.into_iter().map(|r| r.job_id).collect();
    assert_eq!(job_ids, [JobId::from("r2")]);
}

pub async fn the_first_outcome_stays(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    let (failure, other) =
        (Failure::new(FailureKind::Error, "t", "first"), Failure::new(FailureKind::Error, "t", "second"));
    b.fail(&direct("r", "c"), &failure).await.unwrap();
    b.fail(&direct("r", "c"), &other).await.unwrap();
    // A value for another job does not change the outcome that this job received.
    b.complete(&direct("x", "c"), Bytes::from_static(b"v")).await.unwrap();
    b.fail(&direct("y", "c"), &other).await.unwrap();
    let calls = [CallHash::from("c")];
    assert_eq!(b.outcomes(&"r".into(), &calls).await.unwrap(), [Some(Err(failure))]);
    assert_eq!(b.outcomes(&"y".into(), &calls).await.unwrap(), [Some(Ok(Bytes::from_static(b"v")))]);
}

pub async fn large_values_are_outcomes_too(kind: Kind) {
    let f = kind.open().await;
    let b = &f.backend;
    // Sizes below and above the limit at which a backend may store data differently.
    let sizes = [0, 1, 2_047, 2_049, 100_000, 200_000, kind.largest_value()];
    let names: Vec<String> = sizes.iter().map(|size| format!("c{size}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let parent = direct("r", "p");
    assert!(matches!(defer(b, &parent, &names).await, Deferred::Waiting { .. }));
    for (name, size) in names.iter().zip(sizes) {
        b.complete(&direct("r", name), vec![7; size].into()).await.unwrap();
    }
    let loaded = b.load(&parent).await.unwrap();
    let found: Vec<usize> = loaded.sample.iter().map(|o| o.as_ref().unwrap().as_ref().unwrap().len()).collect();
    assert_eq!(found, sizes);
    let hashes: Vec<CallHash> = names.iter().map(|n| CallHash::from(*n)).collect();
    assert_eq!(b.outcomes(&"r".into(), &hashes).await.unwrap(), loaded.sample);
}

pub async fn a_failing_transition_affects_no_other(kind: Kind) {
    let f = kind.open().await;
    let broken = Key::pending_returns(&"broken".into());
    f.backend.store().put(&broken, Bytes::from_static(b"garbage")).await.unwrap();
    let mut runs = Vec::new();
    for n in 0..60 {
        let backend = f.backend.clone();
        let name = if n % 6 == 0 { "broken".to_owned() } else { format!("c{n}") };
        runs.push(tokio::spawn(async move {
            (backend.complete(&direct("r", &name), Bytes::from_static(b"v")).await, name)
        }));
    }
    for run in runs {
        let (result, name) = run.await.unwrap();
        let value = f.backend.store().get(&Key::value(&name.as_str().into())).await.unwrap();
        if name == "broken" {
            assert_eq!(result.unwrap_err().kind, ErrorKind::Malformed);
            if kind.is_transactional() {
                assert_eq!(value, None, "one transaction is kept whole or not at all");
            }
        } else {
            result.unwrap();
            assert_eq!(value, Some(Bytes::from_static(b"v")));
        }
    }
}

pub async fn a_thousand_children_cost_two_runs(kind: Kind) {
    let f = kind.open().await;
    let worker = tokio::spawn(tree::work(f.backend.clone(), || ()));
    let job = tree::schedule(&f.backend, "fan/1000/x").await;
    assert_eq!(tree::result(&f.backend, &job).await, "1000");
    let topic = tree::TOPIC.into();
    until("everything is acknowledged", || async {
        (f.backend.queue().depth(&topic).await.unwrap() == 0).then_some(())
    })
    .await;
    let sent = f.backend.counters().incr(&brrr_protocol::ports::message_counter(&job.0), 0).await.unwrap();
    // The job's own message, a thousand children, one notification. In multi-step transitions a few more notifications happen.
    // Over a network registration takes longer, so more of them happen.
    let most = if kind.is_transactional() {
        1002
    } else if kind.reports_changes() {
        1100
    } else {
        1600
    };
    assert!((1002..=most).contains(&sent), "{sent} messages");
    worker.abort();
}
