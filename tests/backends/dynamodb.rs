//! Properties of DynamoDB alone: the layout, batches that are only done in part, the size limit of an item, and lost answers.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use brrr_backends::dynamodb::{self, DynamoDb};
use brrr_backends::{Combined, Memory};
use brrr_protocol::ErrorKind;
use brrr_protocol::gc::{Collector, Plan};
use brrr_protocol::listing::Listing;
use brrr_protocol::model::{CallHash, JobId, system_now};
use brrr_protocol::ports::{Backend, Counters as _, Key, Kind, Store as _, Swap};
use brrr_protocol::records::JobRecord;
use bytes::Bytes;
use support::aws::{config, namespace, table};
use support::proxy::Proxy;
use support::servers::dynamodb::shared;
use support::tree;

const TABLE: &str = "brrr-own";

fn options(table: &str) -> dynamodb::DynamoDbOptions {
    dynamodb::DynamoDbOptions { table: table.to_owned(), namespace: String::new() }
}

#[tokio::test]
async fn items_have_the_layout_of_peers() {
    let Some(server) = shared() else { return };
    let store = table("brrr-layout", "").await;
    let client = Client::new(&config(server.port).await);
    let job_id = JobId::from("r");
    store.put(&Key::value(&"c".into()), Bytes::from_static(b"\0v")).await.unwrap();
    store.put(&Key::failure(&"c".into(), &job_id), Bytes::from_static(b"f")).await.unwrap();
    store.incr("brrr_count/r", 3).await.unwrap();
    let items = client.scan().table_name("brrr-layout").send().await.unwrap().items.unwrap();
    let s = |text: &str| AttributeValue::S(text.to_owned());
    let item =
        |pk, sk, name: &str, value| HashMap::from([("pk".into(), s(pk)), ("sk".into(), s(sk)), (name.into(), value)]);
    let b = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
    assert_eq!(items.len(), 3);
    assert!(items.contains(&item("c", "value", "value", b(b"\0v"))), "{items:?}");
    assert!(items.contains(&item("c", "failure/r", "value", b(b"f"))), "{items:?}");
    assert!(items.contains(&item("brrr_count/r", "count", "count", AttributeValue::N("3".into()))), "{items:?}");
    // A record that a peer has written can be read.
    let put = client.put_item().table_name("brrr-layout").set_item(Some(item("p", "call", "value", b(b"x"))));
    put.send().await.unwrap();
    assert_eq!(store.get(&Key::call(&"p".into())).await.unwrap(), Some(Bytes::from_static(b"x")));
    // An item of another program is not read as a record.
    let foreign = item("q", "call", "value", s("text"));
    client.put_item().table_name("brrr-layout").set_item(Some(foreign)).send().await.unwrap();
    assert_eq!(store.get(&Key::call(&"q".into())).await.unwrap_err().kind, ErrorKind::Malformed);
}

#[tokio::test]
async fn namespaces_are_separate() {
    if shared().is_none() {
        return;
    }
    let (a, b) = (table(TABLE, &namespace()).await, table(TABLE, &namespace()).await);
    // Peers know no namespaces.
    assert_eq!([&a, &table(TABLE, "").await].map(|store| store.may_have_peers()), [false, true]);
    let key = Key::new("c", Kind::Job);
    a.put(&key, Bytes::from_static(b"a")).await.unwrap();
    a.incr("n", 1).await.unwrap();
    assert_eq!(b.get(&key).await.unwrap(), None);
    assert_eq!(b.incr("n", 1).await.unwrap(), 1);
    let tasks = Key::new("t", Kind::Tasks);
    a.put(&tasks, Bytes::from_static(b"a")).await.unwrap();
    for (store, ids) in [(&a, vec!["c", "t"]), (&b, vec![])] {
        let mut found = Vec::new();
        for kind in [Kind::Job, Kind::Tasks] {
            let mut listing = Listing::of(store, kind);
            while let Some(page) = listing.next().await.unwrap() {
                found.extend(page);
            }
        }
        assert_eq!(found, ids);
    }
}

/// A namespace of its own in the table that tests share, through a proxy.
async fn through(proxy: &Proxy) -> DynamoDb {
    let namespace = namespace();
    table(TABLE, &namespace).await;
    let options = dynamodb::DynamoDbOptions { table: TABLE.into(), namespace };
    DynamoDb::new(options, &config(proxy.port).await).unwrap()
}

#[tokio::test]
async fn parts_that_a_batch_leaves_out_are_requested_again() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server.port);
    let store = through(&proxy).await;
    // 60 values of 390 KB are 23 MB. One answer has at most 16 MB.
    let records: Vec<(Key, Bytes)> =
        (0..60).map(|n| (Key::new(&format!("c{n}"), Kind::Value), vec![n as u8; 390 << 10].into())).collect();
    store.put_many(&records).await.unwrap();
    let mut keys: Vec<Key> = records.iter().map(|(key, _)| key.clone()).collect();
    // Some keys are requested twice, and one key does not exist.
    keys.extend([keys[7].clone(), Key::new("nobody", Kind::Value), keys[59].clone()]);
    proxy.take_counts();
    let found = store.get_many(&keys).await.unwrap();
    for (n, (_, value)) in records.iter().enumerate() {
        assert_eq!(found[n].as_ref(), Some(value), "{n}");
    }
    assert_eq!((&found[60], &found[61], &found[62]), (&found[7], &None, &found[59]));
    assert!(proxy.take_counts()["BatchGetItem"] >= 2);
}

#[tokio::test]
async fn more_records_than_a_request_takes() {
    if shared().is_none() {
        return;
    }
    let store = table(TABLE, &namespace()).await;
    let mut records: Vec<(Key, Bytes)> =
        (0..333).map(|n: u32| (Key::new(&format!("c{n}"), Kind::Call), n.to_string().into())).collect();
    // If a key is written twice, the last write counts.
    records.push((records[5].0.clone(), Bytes::from_static(b"again")));
    store.put_many(&records).await.unwrap();
    records[5].1 = Bytes::from_static(b"again");
    let keys: Vec<Key> = records.iter().map(|(key, _)| key.clone()).collect();
    let expected: Vec<_> = records.into_iter().map(|(_, value)| Some(value)).collect();
    assert_eq!(store.get_many(&keys).await.unwrap(), expected);
}

#[tokio::test]
async fn sizes_of_items_agree_with_dynamodb() {
    if shared().is_none() {
        return;
    }
    let store = table(TABLE, "").await;
    let call = CallHash::from("size");
    // The item limit of 400 KB, less the names and the key.
    let most = (400 << 10) - "pkskvalue".len() - "size".len() - "value".len();
    let (fits, too_large) = (Bytes::from(vec![1; most]), Bytes::from(vec![1; most + 1]));
    let (key, failure) = (Key::value(&call), Key::failure(&call, &JobId::from("r")));
    store.put(&key, fits.clone()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap().map(|v| v.len()), Some(most));
    let errors = [
        store.put(&key, too_large.clone()).await.unwrap_err(),
        store.put_many(&[(key.clone(), too_large.clone())]).await.unwrap_err(),
        store.swap(&key, Some(&fits), Some(too_large.clone())).await.unwrap_err(),
        store.put_if(&failure, too_large, &key).await.unwrap_err(),
        store.put(&Key::new(&"x".repeat(2_049), Kind::Value), Bytes::new()).await.unwrap_err(),
        store.get(&Key::new("", Kind::Value)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::Limit, "{error}");
    }
    assert_eq!(store.get(&key).await.unwrap(), Some(fits));
}

#[tokio::test]
async fn a_lost_answer_is_no_mismatch() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server.port);
    let store = through(&proxy).await;
    let (key, value) = (Key::new("c", Kind::PendingReturns), Key::new("c", Kind::Value));
    let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
    proxy.lose_next("PutItem");
    assert_eq!(store.swap(&key, None, Some(a.clone())).await.unwrap(), Swap::Done);
    proxy.lose_next("PutItem");
    assert_eq!(store.swap(&key, Some(&a), Some(b.clone())).await.unwrap(), Swap::Done);
    // A record that another client has written is a mismatch, whether the answer was lost or not.
    proxy.lose_next("PutItem");
    assert_eq!(store.swap(&key, Some(&a), Some(a.clone())).await.unwrap(), Swap::Mismatch(Some(b.clone())));
    proxy.lose_next("DeleteItem");
    assert_eq!(store.swap(&key, Some(&b), None).await.unwrap(), Swap::Done);
    assert_eq!(store.swap(&key, Some(&b), None).await.unwrap(), Swap::Mismatch(None));
    proxy.lose_next("TransactWriteItems");
    assert!(store.put_if(&key, a.clone(), &value).await.unwrap());
    assert!(!store.put_if(&key, a.clone(), &value).await.unwrap());
    assert_eq!(store.get(&key).await.unwrap(), Some(a));
    // Each request whose answer was lost was made twice.
    let counts = proxy.take_counts();
    assert_eq!((counts["PutItem"], counts["DeleteItem"], counts["TransactWriteItems"]), (6, 3, 3), "{counts:?}");
}

#[tokio::test]
async fn setup_creates_the_table_once() {
    let Some(server) = shared() else { return };
    let config = config(server.port).await;
    let store = DynamoDb::new(options("brrr-setup"), &config).unwrap();
    let error = store.get(&Key::new("c", Kind::Value)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSetUp);
    assert!(error.to_string().contains("run: brrr-host setup --store dynamodb://brrr-setup"), "{error}");
    assert_eq!(store.check().await.unwrap_err().kind, ErrorKind::NotSetUp);
    let key = Key::new("c", Kind::Value);
    assert_eq!(
        store.put_if(&key, Bytes::new(), &Key::new("d", Kind::Value)).await.unwrap_err().kind,
        ErrorKind::NotSetUp
    );
    assert_eq!(store.get_many(&[key.clone(), key.clone()]).await.unwrap_err().kind, ErrorKind::NotSetUp);
    assert!(store.create().await.unwrap()[0].contains("made"));
    assert!(store.create().await.unwrap()[0].contains("is there"));
    store.check().await.unwrap();
    store.put(&key, Bytes::new()).await.unwrap();
    assert_eq!(store.get(&key).await.unwrap(), Some(Bytes::new()));
}

#[tokio::test]
async fn a_table_of_another_layout_is_refused() {
    let Some(server) = shared() else { return };
    let config = config(server.port).await;
    let attribute = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::N).build();
    let element = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build();
    let client = Client::new(&config);
    let create = client.create_table().table_name("others").billing_mode(BillingMode::PayPerRequest);
    create.attribute_definitions(attribute.unwrap()).key_schema(element.unwrap()).send().await.unwrap();
    let error = DynamoDb::new(options("others"), &config).unwrap().create().await.unwrap_err();
    assert!(error.kind == ErrorKind::Config && error.reason.contains("Choose another name"), "{error}");
    for name in ["", "a", "a/b", &"x".repeat(256)] {
        assert_eq!(DynamoDb::new(options(name), &config).err().map(|e| e.kind), Some(ErrorKind::Config), "{name:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable() {
    let port = support::servers::free_port();
    let store = DynamoDb::new(options(TABLE), &config(port).await).unwrap();
    let key = Key::new("c", Kind::Value);
    let asked = tokio::time::timeout(Duration::from_mins(1), store.get(&key));
    let error = asked.await.expect("an answer").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.reason.contains("refused"), "{error}");
}

/// A backend with its records in the server on this port, and its messages and counters in memory.
async fn with_memory(port: u16, namespace: String) -> Arc<dyn Backend> {
    table(TABLE, &namespace).await;
    let options = dynamodb::DynamoDbOptions { table: TABLE.into(), namespace };
    let store = Arc::new(DynamoDb::new(options, &config(port).await).unwrap());
    let memory = Arc::new(Memory::new());
    Arc::new(Combined { name: "test".into(), store, queue: memory.clone(), counters: memory, events: None })
}

/// What is listed of a kind of which there are few costs the same however much else the table holds. So does a collection that
/// finds nothing old. (A scan reads 1 MB in a request.)
#[tokio::test]
async fn lists_and_collections_do_not_read_the_table() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server.port);
    let namespace = namespace();
    let backend = with_memory(proxy.port, namespace).await;
    let store = backend.store();
    for kind in Kind::LISTED {
        let records: Vec<(Key, Bytes)> =
            (0..10).map(|n| (Key::new(&format!("id {n}"), kind.clone()), vec![n; 100_000].into())).collect();
        store.put_many(&records).await.unwrap();
    }
    store.put(&Key::job(&"job".into()), JobRecord::new("c".into(), "t".into(), system_now()).encode()).await.unwrap();
    proxy.take_counts();
    for kind in Kind::LISTED {
        assert_eq!(store.list(&kind, None, 100).await.unwrap().ids.len(), 10);
        assert_eq!(proxy.take_counts(), [("Query".to_owned(), 1)].into(), "{kind:?}");
    }
    let plan = Plan { now: system_now(), older_than: Duration::from_secs(1), dry_run: false };
    let collected = Collector::new(backend.clone()).collect(&plan, |_, _| ()).await.unwrap();
    let counts = proxy.take_counts();
    eprintln!("a collection without anything old: {counts:?}");
    assert!(collected.jobs == 0 && !counts.contains_key("Scan"), "{counts:?}");
}

/// A record and its entry in the list of its kind are written by one request, and once although its answer is lost.
#[tokio::test]
async fn a_record_and_its_entry_are_one_write() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server.port);
    let store = through(&proxy).await;
    let (key, a, b) = (Key::new("t", Kind::Tasks), Bytes::from_static(b"a"), Bytes::from_static(b"b"));
    let ids = async || store.list(&Kind::Tasks, None, 9).await.unwrap().ids;
    for lost in [false, true] {
        let lose = || {
            if lost {
                proxy.lose_next("TransactWriteItems")
            }
        };
        proxy.take_counts();
        lose();
        assert_eq!(store.swap(&key, None, Some(a.clone())).await.unwrap(), Swap::Done);
        lose();
        store.put(&key, a.clone()).await.unwrap();
        // A record that is there has its entry.
        assert_eq!(store.swap(&key, Some(&a), Some(b.clone())).await.unwrap(), Swap::Done);
        assert_eq!(store.swap(&key, Some(&a), None).await.unwrap(), Swap::Mismatch(Some(b.clone())));
        assert_eq!(ids().await, ["t"]);
        lose();
        assert_eq!(store.swap(&key, Some(&b), None).await.unwrap(), Swap::Done);
        assert_eq!((ids().await, store.get(&key).await.unwrap()), (vec![], None));
        let counts = proxy.take_counts();
        let transactions = if lost { 7 } else { 4 };
        assert_eq!((counts["TransactWriteItems"], counts["PutItem"]), (transactions, 1), "{counts:?}");
        assert!(!counts.contains_key("DeleteItem"), "{counts:?}");
    }
}

/// The requests are counted at the server. The count includes the requests of the client while it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_costs_few_requests() {
    let Some(server) = shared() else { return };
    let proxy = Proxy::start(server.port);
    // With one request for each child and each record, the tree needed 21 requests a call. The number of needless notifications
    // depends on the load of the machine.
    for (payload, most) in [("fib/11/x", 20.0), ("fan/300/x", 14.0)] {
        let namespace = namespace();
        let backend = with_memory(proxy.port, namespace.clone()).await;
        // The number of requests of a client for its result depends on the time that it waits.
        let client = with_memory(server.port, namespace).await;
        let worker = tokio::spawn(tree::work(backend.clone(), || ()));
        proxy.take_counts();
        let job = tree::schedule(&backend, payload).await;
        tree::result(&client, &job).await;
        worker.abort();
        let counts = proxy.take_counts();
        let (requests, calls) = (counts.values().sum::<u64>() as f64, tree::count(payload) as f64);
        eprintln!("{payload}: {:.1} requests a call, {counts:?}", requests / calls);
        assert!(requests / calls <= most, "{payload}: {} requests a call, {counts:?}", requests / calls);
    }
}

/// `cargo test -p brrr-backends --test dynamodb rates -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "figures, never asserted"]
async fn rates() {
    let Some(server) = shared() else { return };
    for payload in ["fib/16/a", "fib/16/b", "fan/1000/a", "fan/1000/b"] {
        let backend = with_memory(server.port, namespace()).await;
        let worker = tokio::spawn(tree::work(backend.clone(), || ()));
        let start = std::time::Instant::now();
        let job = tree::schedule(&backend, payload).await;
        tree::result(&backend, &job).await;
        worker.abort();
        let sent = backend.counters().incr(&brrr_protocol::ports::message_counter(&job.0), 0).await.unwrap();
        let (calls, time) = (tree::count(payload), start.elapsed());
        eprintln!(
            "{payload}: {calls} calls in {time:.2?}, {:.0} calls/s, {sent} messages",
            calls as f64 / time.as_secs_f64()
        );
    }
}

/// The output of another process that has this environment and no other variables, and the time that it took.
fn connect_with(environment: &[(&str, &str)]) -> (String, Duration) {
    let start = std::time::Instant::now();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "connects_with_its_environment", "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", "/nonexistent")
        // No request of this test leaves this machine.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), start.elapsed())
}

#[tokio::test]
#[ignore = "run by `the_environment_sets_region_endpoint_and_credentials`, in a process of its own"]
async fn connects_with_its_environment() {
    let said = match DynamoDb::connect(options("brrr-environment")).await {
        Ok(store) => store.create().await.map(|lines| lines.join("; ")),
        Err(error) => Err(error),
    };
    println!("{}", said.unwrap_or_else(|error| format!("{:?}: {error}", error.kind)));
}

#[test]
fn the_environment_sets_region_endpoint_and_credentials() {
    let Some(server) = shared() else { return };
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let keys = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
    let (said, time) = connect_with(&keys);
    assert!(said.contains("Config: dynamodb: could not connect: no AWS region is set"), "{said}");
    assert!(time < Duration::from_secs(3), "{time:?}");
    let (said, time) = connect_with(&[("AWS_REGION", "eu-west-1")]);
    assert!(said.contains("Config: dynamodb: could not connect: no AWS credentials were found"), "{said}");
    assert!(time < Duration::from_secs(3), "{time:?}");
    for (name, other) in
        [("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"), ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL")]
    {
        // The other endpoint is for another service, or has a lower priority. No server answers there.
        let mut environment = vec![("AWS_REGION", "eu-west-1"), (name, &*endpoint), (other, "http://127.0.0.1:1")];
        environment.extend(keys);
        let (said, _) = connect_with(&environment);
        assert!(said.contains("table brrr-environment in eu-west-1: "), "{name}: {said}");
    }
    let mut environment = vec![("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    environment.extend(keys);
    environment.push(("AWS_MAX_ATTEMPTS", "1"));
    let (said, _) = connect_with(&environment);
    assert!(said.contains("Unavailable: ") && said.contains("no answer"), "{said}");
}
