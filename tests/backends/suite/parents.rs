//! A call with many parents. Some backends store these in another way than a record with a few parents.

use std::collections::BTreeSet;
use std::sync::Arc;

use brrr_protocol::ErrorKind;
use brrr_protocol::listing::Listing;
use brrr_protocol::model::{Call, CallHash};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Deferral, Key, Kind as Record, Swap};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::Wait;
use brrr_protocol::wire::{PendingReturns, Return};
use bytes::Bytes;

use crate::suite::backend::{call, defer, defer_calls, direct};
use crate::support::Kind;

/// More parents than any backend lists in the record itself.
const MANY: usize = 70;

/// The record of a call for which `parents` parents wait in job `r`, and `others` in addition.
fn record(parents: usize, others: &[(&str, &str)]) -> Bytes {
    let entry = |job_id: &str, parent: &str| Return { job_id: job_id.into(), parent: parent.into(), topic: "t".into() };
    let mut returns: BTreeSet<Return> = (0..parents).map(|n| entry("r", &format!("parent {n}"))).collect();
    returns.extend(others.iter().map(|(job_id, parent)| entry(job_id, parent)));
    PendingReturns { returns, scheduled_at: Some(5) }.encode()
}

/// Makes this many parents wait for the call `shared` in job `r`. In multi-step transitions only the first parent registers: the
/// result of the others is known, and their registration takes long over a network.
async fn fill(kind: Kind, backend: &Arc<dyn Backend>, parents: usize) -> Bytes {
    let key = Key::pending_returns(&"shared".into());
    for n in 0..if kind.is_transactional() { parents } else { 1 } {
        defer(backend, &direct("r", &format!("parent {n}")), &["shared"]).await;
    }
    if !kind.is_transactional() {
        backend.store().put(&key, record(parents, &[])).await.unwrap();
    }
    let found = backend.store().get(&key).await.unwrap().unwrap();
    assert_eq!(found, record(parents, &[]));
    found
}

async fn depth(backend: &Arc<dyn Backend>) -> u64 {
    backend.queue().depth(&"t".into()).await.unwrap()
}

pub async fn many_parents_register_like_few_parents(kind: Kind) {
    let f = kind.open().await;
    let (store, key) = (f.backend.store(), Key::pending_returns(&"shared".into()));
    fill(kind, &f.backend, MANY).await;
    assert_eq!(depth(&f.backend).await, 1, "the first parent has sent the call's message");
    assert!(store.has_many(std::slice::from_ref(&key)).await.unwrap()[0]);
    assert_eq!(Listing::of(store, Record::PendingReturns).next().await.unwrap().unwrap(), ["shared"]);

    // A parent that already waits registers again.
    defer(&f.backend, &direct("r", "parent 7"), &["shared"]).await;
    // A parent in another job registers.
    defer(&f.backend, &direct("r/2", "another"), &["shared"]).await;
    assert_eq!(depth(&f.backend).await, 1);
    assert_eq!(store.get(&key).await.unwrap(), Some(record(MANY, &[("r/2", "another")])));
    // A parent that already waits registers in another job. Its first message for the call may be lost, so the call's message is
    // sent again.
    defer(&f.backend, &direct("q", "parent 7"), &["shared"]).await;
    assert_eq!(depth(&f.backend).await, 2);
    let all = record(MANY, &[("r/2", "another"), ("q", "parent 7")]);
    assert_eq!(store.get_many(&[Key::value(&"shared".into()), key.clone()]).await.unwrap(), [None, Some(all)]);

    // The options are written only for the first parent of a job.
    let options = Options { label: Some("a label".into()), ..Options::default() };
    for (job_id, parent, is_first) in [("r", "one more", false), ("s", "one more", true)] {
        let child = Call { options: options.clone(), ..call("shared") };
        defer_calls(&f.backend, &direct(job_id, parent), vec![child]).await;
        let run = store.get(&Key::run(&"shared".into(), &job_id.into())).await.unwrap();
        assert_eq!(run.is_some(), is_first, "{job_id}");
    }

    let before = depth(&f.backend).await;
    f.backend.complete(&direct("r", "shared"), Bytes::from_static(b"v")).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), None);
    assert_eq!(depth(&f.backend).await, before + MANY as u64 + 4);
    // None of the parents is left when another parent registers with a call of that name.
    store.remove_many(&[Key::value(&"shared".into())]).await.unwrap();
    fill(kind, &f.backend, 1).await;
}

pub async fn a_record_of_many_parents_is_replaced_like_any_other(kind: Kind) {
    let f = kind.open().await;
    let (store, call) = (f.backend.store(), CallHash::from("shared"));
    let key = Key::pending_returns(&call);
    let short = record(3, &[]);
    let long = fill(kind, &f.backend, MANY).await;
    assert_eq!(store.swap(&key, Some(&short), None).await.unwrap(), Swap::Mismatch(Some(long.clone())));
    assert_eq!(store.swap(&key, None, Some(short.clone())).await.unwrap(), Swap::Mismatch(Some(long.clone())));
    assert!(!store.put_if(&key, short.clone(), &Key::value(&call)).await.unwrap());
    assert_eq!(store.swap(&key, Some(&long), Some(short.clone())).await.unwrap(), Swap::Done);
    assert_eq!(store.get(&key).await.unwrap(), Some(short.clone()));
    let long = fill(kind, &f.backend, MANY).await;
    store.put(&key, short.clone()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(short.clone()));
    fill(kind, &f.backend, MANY).await;
    assert_eq!(store.swap(&key, Some(&long), None).await.unwrap(), Swap::Done);
    assert_eq!(store.get(&key).await.unwrap(), None);
    fill(kind, &f.backend, MANY).await;
    store.remove_many(std::slice::from_ref(&key)).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), None);
    fill(kind, &f.backend, 2).await;
}

/// A parent registers, and a call completes. Both transitions meet a damaged record after they have changed the list of parents.
pub async fn a_transition_that_fails_changes_no_parent(kind: Kind) {
    if !matches!(kind, Kind::Memory | Kind::Sqlite) {
        return;
    }
    let f = kind.open().await;
    let (store, shared) = (f.backend.store(), CallHash::from("shared"));
    let key = Key::pending_returns(&shared);
    // With 64 parents, one more parent is the first that is stored in another way. With `MANY`, all parents are stored in another
    // way.
    for parents in [64, MANY] {
        let before = fill(kind, &f.backend, parents).await;
        let work = direct("r", "a parent whose record is damaged");
        store.put(&Key::run(&work.message.call, &work.message.job_id), Bytes::from_static(b"garbage")).await.unwrap();
        let run_after = RunRecord { first: 1, total: 1, need: 1, sample: vec![shared.clone()], ..RunRecord::default() };
        let deferral = Deferral {
            work: &work,
            wait: &Wait { until: 0, fast: false, pace: 0, need: 1, calls: vec![call("shared")] },
            run_before: None,
            run_after: &run_after,
            max_messages: 1_000,
        };
        assert_eq!(f.backend.defer(&deferral).await.unwrap_err().kind, ErrorKind::Malformed);
        assert_eq!(store.get(&key).await.unwrap(), Some(before.clone()));

        let unnotified = Key::new("shared", Record::Unnotified);
        store.put(&unnotified, Bytes::from_static(b"garbage")).await.unwrap();
        let completed = f.backend.complete(&direct("r", "shared"), Bytes::new()).await;
        assert_eq!(completed.unwrap_err().kind, ErrorKind::Malformed);
        assert_eq!(store.get(&key).await.unwrap(), Some(before));
        store.remove_many(&[unnotified]).await.unwrap();
        defer(&f.backend, &direct("s", "another"), &["shared"]).await;
        assert_eq!(store.get(&key).await.unwrap(), Some(record(parents, &[("s", "another")])));
        store.remove_many(std::slice::from_ref(&key)).await.unwrap();
    }
}
