//! Workers say that they run.

use brrr_backends::Memory;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Key, Store as _};
use brrr_protocol::records::{WorkerInfo, decode_workers};
use brrr_protocol::workers::{GONE, beat, leave, running};

#[tokio::test]
async fn a_worker_is_listed_while_it_says_that_it_runs() {
    let (store, topic) = (Memory::new(), Topic::from("t"));
    let at = |seen| WorkerInfo { pid: 1, seen, ..WorkerInfo::default() };
    let gone = u64::try_from(GONE.as_millis()).unwrap();
    let ids = async |now| running(&store, &topic, now).await.unwrap().into_keys().collect::<Vec<_>>();

    assert_eq!(ids(0).await, [""; 0]);
    beat(&store, &topic, "a", &at(1_000)).await.unwrap();
    beat(&store, &topic, "b", &at(2_000)).await.unwrap();
    assert_eq!(ids(2_000).await, ["a", "b"]);
    // One of them says nothing any more.
    assert_eq!(ids(1_000 + gone).await, ["b"]);
    beat(&store, &topic, "b", &at(1_000 + gone)).await.unwrap();
    let record = store.get(&Key::workers(&topic)).await.unwrap().unwrap();
    assert_eq!(decode_workers(&record).unwrap().into_keys().collect::<Vec<_>>(), ["b"], "the dead one is removed");
    leave(&store, &topic, "b").await.unwrap();
    assert_eq!(store.get(&Key::workers(&topic)).await.unwrap(), None);
    leave(&store, &topic, "b").await.unwrap();
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_not_replaced() {
    let (store, topic) = (Memory::new(), Topic::from("t"));
    let key = Key::workers(&topic);
    store.put(&key, "d1:vi99ee".into()).await.unwrap();
    let error = beat(&store, &topic, "a", &WorkerInfo::default()).await.unwrap_err();
    assert!(error.is_unreadable(), "{error}");
    assert_eq!(store.get(&key).await.unwrap().as_deref(), Some(&b"d1:vi99ee"[..]));
}
