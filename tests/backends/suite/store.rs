//! Records.

use std::sync::Arc;

use brrr_protocol::model::{CallHash, JobId, Topic};
use brrr_protocol::ports::{Backend, Key, Kind as Record, Store, Swap};
use bytes::Bytes;

use crate::support::Kind;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub async fn a_record_has_the_bytes_that_were_put(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let large: Bytes = (0..kind.largest_value() as u32).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>().into();
    let values = [Bytes::new(), Bytes::from_static(b"\0\xff\x80'\";--"), bytes("日本 \u{1f980}"), large];
    let long = "x".repeat(10_000);
    let mut ids = vec!["c", "日本 \u{1f980}", "a/b'c\"d", &long[..1_000]];
    if kind.takes_any_id() {
        ids.extend(["", &long]);
    }
    for id in ids {
        let key = Key::new(id, Record::Value);
        assert_eq!(store.get(&key).await.unwrap(), None);
        for value in &values {
            store.put(&key, value.clone()).await.unwrap();
            assert_eq!(store.get(&key).await.unwrap().as_ref(), Some(value));
        }
    }
}

pub async fn records_of_all_kinds_are_separate(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let call = CallHash::from("c");
    let (r1, r2) = (JobId::from("r1"), JobId::from("r/2"));
    let keys = [
        Key::call(&call),
        Key::value(&call),
        Key::pending_returns(&call),
        Key::run(&call, &r1),
        Key::run(&call, &r2),
        Key::failure(&call, &r1),
        Key::failure(&call, &r2),
        Key::log(&call, &r1),
        Key::latest_job(&call),
        Key::job(&JobId::from("c")),
        Key::tasks(&Topic::from("c")),
        Key::schedules(&Topic::from("c")),
        Key::deployments(&Topic::from("c")),
        Key::new("c", Record::Manifest),
        Key::new("c", Record::Chunk),
        Key::new("c", Record::Upload),
    ];
    for (n, key) in keys.iter().enumerate() {
        store.put(key, bytes(&n.to_string())).await.unwrap();
    }
    let found = store.get_many(&keys).await.unwrap();
    let expected: Vec<_> = (0..keys.len()).map(|n| Some(bytes(&n.to_string()))).collect();
    assert_eq!(found, expected);
    // More kinds at one id than a backend may read in one request.
    for (n, key) in keys.iter().enumerate() {
        let old = bytes(&n.to_string());
        assert_eq!(store.swap(key, Some(&old), None).await.unwrap(), Swap::Done, "{key:?}");
        assert_eq!(store.get(key).await.unwrap(), None);
    }
}

pub async fn get_some_stays_within_its_budget(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    const SIZE: usize = 100_000;
    let key = |n: u8| Key::new(&format!("c{n}"), Record::Value);
    let keys: Vec<Key> = (0..8).map(key).collect();
    for n in [0, 1, 3, 4, 5, 6, 7] {
        store.put(&key(n), Bytes::from(vec![n; SIZE])).await.unwrap();
    }
    // The result has at least the first record, then as many records as fit into the size. A store whose records are always small
    // may ignore the size.
    for bytes in [1, 3 * SIZE, usize::MAX] {
        let found = store.get_some(&keys, bytes).await.unwrap();
        assert!(!found.is_empty());
        for (n, record) in (0..).zip(&found) {
            assert_eq!(record.as_ref().map(|bytes| bytes[0]), (n != 2).then_some(n));
        }
        let sum = found.iter().flatten().map(Bytes::len).sum::<usize>();
        assert!(kind.largest_value() < 1 << 20 || sum < bytes.saturating_add(SIZE), "{sum} for {bytes}");
        assert!(found.len() == keys.len() || sum >= bytes, "{sum} for {bytes}");
    }
    assert_eq!(store.get_some(&[], 1).await.unwrap(), []);
}

pub async fn get_many_keeps_the_order_of_the_keys(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let key = |n: usize| Key::new(&format!("c{n}"), Record::Value);
    for n in (0..100).step_by(2) {
        store.put(&key(n), bytes(&n.to_string())).await.unwrap();
    }
    let order = [4, 99, 0, 4, 7, 98];
    let keys: Vec<Key> = order.iter().map(|n| key(*n)).collect();
    let expected: Vec<_> = order.iter().map(|n| (n % 2 == 0).then(|| bytes(&n.to_string()))).collect();
    assert_eq!(store.get_many(&keys).await.unwrap(), expected);
    assert_eq!(store.get_many(&[]).await.unwrap(), Vec::<Option<Bytes>>::new());
    assert_eq!(store.has_many(&keys).await.unwrap(), order.map(|n| n % 2 == 0));
    assert_eq!(store.has_many(&[]).await.unwrap(), Vec::<bool>::new());
}

pub async fn swap_creates_replaces_and_deletes(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let key = Key::new("c", Record::PendingReturns);
    let (a, b) = (bytes("a"), bytes("b"));
    assert_eq!(store.swap(&key, None, Some(a.clone())).await.unwrap(), Swap::Done);
    assert_eq!(store.swap(&key, Some(&a), Some(b.clone())).await.unwrap(), Swap::Done);
    assert_eq!(store.get(&key).await.unwrap(), Some(b.clone()));
    assert_eq!(store.swap(&key, Some(&b), None).await.unwrap(), Swap::Done);
    assert_eq!(store.get(&key).await.unwrap(), None);
    // If a record is expected to be absent and is absent, the swap succeeds.
    assert_eq!(store.swap(&key, None, None).await.unwrap(), Swap::Done);
    // An empty record is not an absent record.
    assert_eq!(store.swap(&key, None, Some(Bytes::new())).await.unwrap(), Swap::Done);
    assert_eq!(store.swap(&key, None, Some(a)).await.unwrap(), Swap::Mismatch(Some(Bytes::new())));
}

pub async fn a_mismatch_returns_what_is_there(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let key = Key::new("c", Record::PendingReturns);
    let (a, b) = (bytes("a"), bytes("b"));
    assert_eq!(store.swap(&key, Some(&a), Some(b.clone())).await.unwrap(), Swap::Mismatch(None));
    store.put(&key, a.clone()).await.unwrap();
    assert_eq!(store.swap(&key, None, Some(b.clone())).await.unwrap(), Swap::Mismatch(Some(a.clone())));
    assert_eq!(store.swap(&key, Some(&b), None).await.unwrap(), Swap::Mismatch(Some(a.clone())));
    assert_eq!(store.get(&key).await.unwrap(), Some(a));
}

pub async fn put_if_requires_both_records_to_be_absent(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let (call, job_id) = (CallHash::from("c"), JobId::from("r"));
    let (failure, value) = (Key::failure(&call, &job_id), Key::value(&call));
    assert!(store.put_if(&failure, bytes("1"), &value).await.unwrap());
    assert!(!store.put_if(&failure, bytes("2"), &value).await.unwrap());
    assert_eq!(store.get(&failure).await.unwrap(), Some(bytes("1")));
    store.put(&value, bytes("v")).await.unwrap();
    let other = Key::failure(&call, &JobId::from("r2"));
    assert!(!store.put_if(&other, bytes("3"), &value).await.unwrap());
    assert_eq!(store.get(&other).await.unwrap(), None);
}

pub async fn one_of_two_exclusive_writers_wins(kind: Kind) {
    let f = kind.open().await;
    for round in 0..40 {
        let (failure, value) = (format!("a{round}"), format!("b{round}"));
        let race = |mine: String, other: String| {
            let backend = f.backend.clone();
            tokio::spawn(async move {
                let (mine, other) = (Key::new(&mine, Record::Value), Key::new(&other, Record::Value));
                backend.store().put_if(&mine, Bytes::from_static(b"x"), &other).await.unwrap()
            })
        };
        let mut runs = Vec::new();
        for _ in 0..4 {
            runs.push(race(failure.clone(), value.clone()));
            runs.push(race(value.clone(), failure.clone()));
        }
        let mut winners = 0;
        for run in runs {
            winners += usize::from(run.await.unwrap());
        }
        assert_eq!(winners, 1, "round {round}");
    }
}

pub async fn concurrent_swaps_lose_nothing(kind: Kind) {
    async fn raise(backend: &Arc<dyn Backend>, key: &Key) {
        let mut seen: Option<Bytes> = None;
        loop {
            let n: u64 = seen.as_ref().map_or(0, |b| std::str::from_utf8(b).unwrap().parse().unwrap());
            match backend.store().swap(key, seen.as_ref(), Some((n + 1).to_string().into())).await.unwrap() {
                Swap::Done => return,
                Swap::Mismatch(found) => seen = found,
            }
        }
    }
    let f = kind.open().await;
    let key = Key::new("c", Record::PendingReturns);
    let mut runs = Vec::new();
    for _ in 0..8 {
        let (backend, key) = (f.backend.clone(), key.clone());
        runs.push(tokio::spawn(async move {
            for _ in 0..25 {
                raise(&backend, &key).await;
            }
        }));
    }
    for run in runs {
        run.await.unwrap();
    }
    assert_eq!(f.backend.store().get(&key).await.unwrap(), Some(bytes("200")));
}

/// Returns all ids of a kind, page by page. `between` is called after each page.
async fn pages(store: &dyn Store, record: &Record, limit: usize, mut between: impl AsyncFnMut(usize)) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), None);
    for n in 0.. {
        // Other tests use the same server, and a page may be empty. But the list must end.
        assert!(n < 100_000, "a listing without end");
        let page = store.list(record, cursor.as_deref(), limit).await.unwrap();
        found.extend(page.ids);
        between(n).await;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    found
}

pub async fn a_list_comes_in_pages(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let mut expected: Vec<String> = (0..25).map(|n| format!("j{n}")).collect();
    expected.sort();
    let kinds = [Record::Job, Record::PendingReturns, Record::DeadLetter, Record::Value];
    for id in &expected {
        for record in &kinds {
            store.put(&Key::new(id, record.clone()), bytes("x")).await.unwrap();
        }
        store.put(&Key::new(&format!("{id}+"), Record::LatestJob), bytes("x")).await.unwrap();
    }
    for (record, limit) in kinds.iter().flat_map(|record| [1, 7, 25, usize::MAX].map(|limit| (record, limit))) {
        let mut found = pages(store, record, limit, async |_| ()).await;
        found.sort();
        // An id may be returned twice.
        found.dedup();
        assert_eq!(found, expected, "{record:?} by {limit}");
    }
    assert!(pages(store, &Record::Tasks, 10, async |_| ()).await.is_empty());
}

pub async fn a_changing_list_shows_all_records_that_stay(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    // A kind that the store lists by a pass over all records, and one whose ids it keeps apart.
    for record in [Record::Job, Record::Tasks] {
        let key = |id: String| Key::new(&id, record.clone());
        let staying: Vec<Key> = (0..40).map(|n| key(format!("stays{n}"))).collect();
        let going: Vec<Key> = (0..40).map(|n| key(format!("goes{n}"))).collect();
        for (a, b) in staying.iter().zip(&going) {
            store.put(a, bytes("x")).await.unwrap();
            store.put(b, bytes("x")).await.unwrap();
        }
        // With each page, some existing records are removed and new records are added, until none are left to remove.
        let found = pages(store, &record, 5, async |n| {
            if n < 20 {
                store.remove_many(&going[2 * n..2 * n + 2]).await.unwrap();
                store.put(&key(format!("comes{n}")), bytes("x")).await.unwrap();
                // A record that stays is written again.
                store.put(&staying[n], bytes("y")).await.unwrap();
            }
        });
        let found = found.await;
        for key in &staying {
            assert!(found.iter().any(|id| **id == *key.id), "{record:?}: {} is missing in {found:?}", key.id);
        }
    }
}

/// All ids of a kind, sorted. The pages are small.
async fn ids(store: &dyn Store, record: &Record) -> Vec<String> {
    let mut found = pages(store, record, 3, async |_| ()).await;
    found.sort();
    found.dedup();
    found
}

pub async fn ids_are_listed_however_records_are_written(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let (a, b) = (bytes("a"), bytes("b"));
    // Longer than the second part of a key of DynamoDB may be.
    let long = "l".repeat(1_500);
    for record in Record::LISTED {
        let key = |id: &str| Key::new(id, record.clone());
        let unlisted = Key::new("unlisted", Record::Value);
        assert!(ids(store, &record).await.is_empty(), "{record:?}");
        store.put(&key("put"), a.clone()).await.unwrap();
        let many = [(key("many 1"), a.clone()), (unlisted.clone(), a.clone()), (key(&long), a.clone())];
        store.put_many(&many).await.unwrap();
        assert_eq!(store.swap(&key("swapped"), None, Some(a.clone())).await.unwrap(), Swap::Done);
        assert!(store.put_if(&key("put if"), a.clone(), &key("nobody")).await.unwrap());
        let written = [&*long, "many 1", "put", "put if", "swapped"];
        assert_eq!(ids(store, &record).await, written, "{record:?}");
        // What changes nothing changes no list.
        assert!(!store.put_if(&key("not put"), a.clone(), &key("put")).await.unwrap());
        assert!(!store.put_if(&key("put"), b.clone(), &key("nobody")).await.unwrap());
        let mismatch = Swap::Mismatch(Some(a.clone()));
        assert_eq!(store.swap(&key("put"), None, Some(b.clone())).await.unwrap(), mismatch);
        assert_eq!(store.swap(&key("put"), Some(&b), None).await.unwrap(), mismatch);
        assert_eq!(store.swap(&key("nobody"), None, None).await.unwrap(), Swap::Done);
        assert_eq!(store.swap(&key("nobody"), Some(&a), Some(b.clone())).await.unwrap(), Swap::Mismatch(None));
        assert_eq!(ids(store, &record).await, written, "{record:?}");
        // A record that is replaced stays in the list.
        store.put(&key("put"), b.clone()).await.unwrap();
        store.put_many(&[(key("many 1"), b.clone()), (key(&long), b.clone())]).await.unwrap();
        assert_eq!(store.swap(&key("swapped"), Some(&a), Some(b.clone())).await.unwrap(), Swap::Done);
        assert_eq!(ids(store, &record).await, written, "{record:?}");
        let found = store.get_many(&written.map(key)).await.unwrap();
        assert_eq!(found, [&b, &b, &b, &a, &b].map(|record| Some(record.clone())), "{record:?}");
        // A record that is removed leaves the list.
        assert_eq!(store.swap(&key("swapped"), Some(&b), None).await.unwrap(), Swap::Done);
        let gone = [key("many 1"), key("nobody"), key(&long), unlisted.clone(), key("many 1")];
        store.remove_many(&gone).await.unwrap();
        assert_eq!(ids(store, &record).await, ["put", "put if"], "{record:?}");
        assert_eq!(store.get_many(&gone).await.unwrap(), [const { None }; 5]);
        // A record that is written again is back.
        assert_eq!(store.swap(&key("swapped"), None, Some(a.clone())).await.unwrap(), Swap::Done);
        store.put(&key("many 1"), a.clone()).await.unwrap();
        assert_eq!(ids(store, &record).await, ["many 1", "put", "put if", "swapped"], "{record:?}");
    }
}

/// Several writers put and remove the same records. In the end the list has the records that are there, and no others.
pub async fn writers_at_once_leave_a_correct_list(kind: Kind) {
    let f = kind.open().await;
    let names: Vec<String> = (0..6).map(|n| format!("c{n}")).collect();
    let mut writers = Vec::new();
    for writer in 0..4 {
        let (backend, names) = (f.backend.clone(), names.clone());
        writers.push(tokio::spawn(async move {
            let store = backend.store();
            for (n, name) in names.iter().cycle().enumerate().take(24) {
                let key = Key::new(name, Record::Unnotified);
                match (n / 6 + writer) % 4 {
                    0 => store.put(&key, bytes("x")).await.unwrap(),
                    1 => store.remove_many(std::slice::from_ref(&key)).await.unwrap(),
                    2 => drop(store.swap(&key, None, Some(bytes("x"))).await.unwrap()),
                    _ => drop(store.swap(&key, Some(&bytes("x")), None).await.unwrap()),
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let keys: Vec<Key> = names.iter().map(|name| Key::new(name, Record::Unnotified)).collect();
    let there = f.backend.store().get_many(&keys).await.unwrap();
    let expected: Vec<String> = names.into_iter().zip(there).filter_map(|(name, is)| is.map(|_| name)).collect();
    assert_eq!(ids(f.backend.store(), &Record::Unnotified).await, expected);
}

pub async fn known_times_of_writing_are_correct(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let keys: Vec<Key> = ["a", "nobody", "b"].map(|id| Key::new(id, Record::Job)).to_vec();
    let before = now();
    store.put(&keys[0], bytes("1")).await.unwrap();
    store.swap(&keys[2], None, Some(bytes("1"))).await.unwrap();
    let after = now();
    let first = store.written(&keys).await.unwrap();
    assert_eq!(first.len(), 3);
    assert_eq!(first[1], None);
    if matches!(kind, Kind::Sqlite | Kind::SqliteMultiStep) {
        assert!(first[0].is_some() && first[2].is_some(), "{first:?}");
    }
    assert!(first.iter().flatten().all(|at| (before..=after).contains(at)), "{before} {first:?} {after}");
    // A second write does not change the time of a record.
    while now() == after {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    store.put(&keys[0], bytes("2")).await.unwrap();
    store.swap(&keys[2], Some(&bytes("1")), Some(bytes("2"))).await.unwrap();
    assert_eq!(store.written(&keys).await.unwrap(), first);
    assert_eq!(store.written(&[]).await.unwrap(), []);
}

pub async fn removing_affects_no_other_records(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let keys: Vec<Key> =
        (0..30).flat_map(|n| [Record::Value, Record::Call].map(|k| Key::new(&n.to_string(), k))).collect();
    for key in &keys {
        store.put(key, bytes("x")).await.unwrap();
    }
    // One record of each call, one record that never existed, and one record twice.
    let mut gone: Vec<Key> = keys.iter().step_by(2).cloned().collect();
    gone.extend([Key::new("nobody", Record::Value), keys[0].clone()]);
    store.remove_many(&gone).await.unwrap();
    store.remove_many(&[]).await.unwrap();
    for (n, found) in store.get_many(&keys).await.unwrap().into_iter().enumerate() {
        assert_eq!(found.is_some(), n % 2 == 1, "{:?}", keys[n]);
    }
    // The last record of an id is removed, and then a first record is written again.
    store.remove_many(&keys).await.unwrap();
    assert_eq!(store.get(&keys[1]).await.unwrap(), None);
    store.put(&keys[1], bytes("y")).await.unwrap();
    assert_eq!(store.get(&keys[1]).await.unwrap(), Some(bytes("y")));
    assert_eq!(pages(store, &Record::Call, 10, async |_| ()).await, ["0"]);
}
