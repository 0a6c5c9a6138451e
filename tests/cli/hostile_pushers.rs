//! Whoever can write the store can push anything. Nobody else is harmed: the worker goes on serving the revisions that it has, its
//! memory is bounded, and it says why it does not load what was pushed.

use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::digest::Digest;
use brrr_protocol::ports::{Backend, Key, Store, Swap};
use brrr_protocol::records::{
    ChunkEntry, ChunkRecord, DeployedComponent, DeploymentsRecord, ManifestRecord, Revision, Step,
};
use brrr_protocol::shipping::{
    self, About, Changed, Component, LARGEST_COMPONENT, MOST_REVISIONS, NewRevision, Sending, put_component,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::bad_components::{named, section, with_custom};
use crate::deploy::{follower, follower_with, hello, push};
use crate::each_backend::redis_and_dynamodb;
use crate::fixture::Fixture;
use crate::harness::{Env, Running, TOPIC, block_on, eventually, guest};
use crate::redis;
use crate::servers::redis::Flavour;

/// In MiB: a component of the largest size, as bytes and as a part of the compiler's copy, and what the allocator keeps.
const MEMORY: u64 = 900;

/// The text with which a terminal is cleared, and its title changed.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}";

fn manifest(digest: Digest, chunks: Vec<ChunkEntry>) -> ManifestRecord {
    let size = chunks.iter().map(|chunk| u64::from(chunk.size)).sum();
    let (tasks, sdk) = (compressed(b"{\"tasks\":{}}"), ESCAPES.to_owned());
    ManifestRecord { digest, size, at: u64::MAX >> 2, chunks, tasks, sdk, signatures: Vec::new(), extra: Vec::new() }
}

fn compressed(bytes: &[u8]) -> Bytes {
    zstd::bulk::compress(bytes, 3).expect("memory").into()
}

fn entry(bytes: &[u8]) -> ChunkEntry {
    ChunkEntry { digest: Digest::of(bytes), size: u32::try_from(bytes.len()).expect("a chunk") }
}

async fn put_chunk(store: &dyn Store, chunk: &ChunkEntry, content: &[u8]) {
    let record = ChunkRecord { at: u64::MAX >> 2, zstd: compressed(content) };
    store.put(&Key::chunk(&chunk.digest), record.encode()).await.expect("a store");
}

/// Adds a revision without any check but those of the record. It takes no jobs.
async fn deploy(backend: &dyn Backend, digest: Digest, name: &str) -> u64 {
    let store = backend.store();
    let key = Key::deployments(&TOPIC.into());
    let components = vec![DeployedComponent { digest, name: name.to_owned() }];
    let new = NewRevision { components, percent: 0, note: ESCAPES.to_owned(), by: ESCAPES.to_owned() };
    loop {
        let old = store.get(&key).await.expect("a store");
        let record = old.as_deref().map(|old| DeploymentsRecord::decode(old).expect("a record")).unwrap_or_default();
        let Ok(Changed::To(record)) = shipping::push(&record, &new, store.now()) else { panic!("a new revision") };
        if store.swap(&key, old.as_ref(), Some(record.encode())).await.expect("a store") == Swap::Done {
            return record.last;
        }
    }
}

/// What the worker says of a revision: `loading`, `loaded`, or why it can't load it.
fn state(env: &Env, revision: u64) -> Value {
    let shown = env.run(["deploy", "show", &revision.to_string(), "--output", "json"]).json();
    let workers = shown["workers"].as_object().expect("workers").clone();
    workers.into_iter().next().map(|(_, state)| state).unwrap_or_default()
}

/// Waits until the worker says why it does not load a revision, and checks that it goes on with the others.
#[track_caller]
fn refused(env: &Env, worker: &Running, revision: u64, what: &str, why: &str) {
    let reason = eventually(what, || match state(env, revision) {
        Value::Object(failed) => Ok(failed["failed"].as_str().expect("a reason").to_owned()),
        other => Err(other.to_string()),
    });
    println!("{what}: {reason}; {} MiB", worker.memory("VmHWM"));
    assert!(reason.contains(why) && reason.len() < 600, "{what}: {reason}");
    assert_eq!(hello(env, what), format!("Hello, {what}!"));
}

#[test]
fn a_hostile_push_harms_nobody_else() {
    a_hostile_push(&Env::new(), 100_000);
}

#[test]
fn a_hostile_push_harms_nobody_else_on_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    a_hostile_push(&redis::env_on(redis::url(&server)), 100_000);
}

#[test]
fn a_hostile_push_harms_nobody_else_on_redis_and_dynamodb() {
    let Some((env, _server)) = redis_and_dynamodb() else { return };
    // An item holds 400 KB, so a manifest can't name more chunks.
    a_hostile_push(&env, 11_000);
}

/// A manifest names up to `chunks` chunks. That is far more than is allowed.
fn a_hostile_push(env: &Env, chunks: usize) {
    let worker = follower_with(env, &["--accept-code"]);
    push(env, &guest(), &[]);
    let before = worker.memory("VmRSS");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let backend = runtime.block_on(env.open());
    let (piece, zeros) = (vec![7; 100_000], vec![0; 256 << 10]);
    let largest = vec![entry(&zeros); usize::try_from(LARGEST_COMPONENT).expect("a size") / zeros.len()];
    let import = named(true, "acme:bank/money@1.0.0");
    let whole = Digest::of(&import);

    let mut pushed: Vec<(&str, Digest, &str)> = Vec::new();
    runtime.block_on(async {
        let store = backend.store();
        let mut add = async |what, digest: Digest, record: Bytes, why| {
            store.put(&Key::manifest(&digest), record).await.expect("a store");
            pushed.push((what, digest, why));
        };
        // A chunk whose record is a bomb: 200 MB of zeros.
        let bomb = entry(b"a bomb");
        put_chunk(store, &bomb, &vec![0; 200_000_000]).await;
        add("bomb", Digest::of(b"1"), manifest(Digest::of(b"1"), vec![bomb]).encode(), "when it is decompressed").await;
        // A chunk with other bytes than those of its digest.
        let other = entry(b"other bytes");
        put_chunk(store, &other, b"OTHER BYTES").await;
        add("other", Digest::of(b"2"), manifest(Digest::of(b"2"), vec![other]).encode(), "other bytes").await;
        // Good chunks that are not the component.
        put_chunk(store, &entry(&piece), &piece).await;
        let good = vec![entry(&piece)];
        add("digest", Digest::of(b"3"), manifest(Digest::of(b"3"), good.clone()).encode(), "of another component")
            .await;
        add("whose", Digest::of(b"4"), manifest(Digest::of(b"5"), good.clone()).encode(), "of another component").await;
        let missing = manifest(Digest::of(b"6"), vec![entry(b"missing")]);
        add("missing", Digest::of(b"6"), missing.encode(), "is missing").await;
        let size = ManifestRecord { size: LARGEST_COMPONENT + 1, ..manifest(Digest::of(b"7"), good.clone()) };
        add("size", Digest::of(b"7"), size.encode(), "at most 256 MiB").await;
        let sum = ManifestRecord { size: LARGEST_COMPONENT, ..manifest(Digest::of(b"8"), good.clone()) };
        add("sum", Digest::of(b"8"), sum.encode(), "bytes together").await;
        let many = manifest(Digest::of(b"9"), vec![ChunkEntry { size: 1, ..entry(b"x") }; chunks]);
        add("many", Digest::of(b"9"), many.encode(), "chunks; at most").await;
        // At the key of the chunk is another kind of record.
        let kind = entry(b"another kind");
        store.put(&Key::chunk(&kind.digest), manifest(Digest::of(b"x"), good).encode()).await.expect("a store");
        add("kind", Digest::of(b"10"), manifest(Digest::of(b"10"), vec![kind]).encode(), "chunk").await;
        add("junk", Digest::of(b"11"), Bytes::from_static(b"junk"), "manifest").await;
        // As large as may be, and all of it is read before the digest is known to be wrong.
        put_chunk(store, &entry(&zeros), &zeros).await;
        add("largest", Digest::of(b"12"), manifest(Digest::of(b"12"), largest).encode(), "of another component").await;
        // A component that wants what no worker has.
        let part = Component::cut(import.into()).expect("a component");
        put_component(store, &part, &About::default(), Sending::Absent).await.expect("a store");
        pushed.push(("import", whole, "acme:bank/money@1.0.0"));
    });
    // All of them at once, because the worker looks for new revisions only every few seconds.
    let mut revisions = Vec::new();
    for (_, digest, _) in &pushed {
        revisions.push(runtime.block_on(deploy(&*backend, *digest, ESCAPES)));
    }
    for ((what, digest, why), revision) in pushed.into_iter().zip(revisions) {
        refused(env, &worker, revision, what, why);
        // A call that brings such code along fails alone.
        let called = env.run(["call", &format!("hello@sha256:{digest}"), "{\"greetee\": \"x\"}"]);
        assert_eq!(called.code, Some(31), "{what}: {called:?}");
        let shown = env.run(["deploy", "show", &revision.to_string()]);
        let (listed, workers) = (env.run(["deploy", "list"]), env.run(["workers"]));
        for said in [shown.ok(), listed.ok(), workers.ok(), &shown.stderr, &called.stderr, &worker.stderr()] {
            let hidden = said.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t') || *c == '\u{202e}');
            assert_eq!(hidden, None, "{what}: {said:?}");
        }
    }
    let peak = worker.memory("VmHWM");
    println!("{before} MiB before, {peak} at most");
    assert!(peak < before + MEMORY, "{before} MiB before, {peak} at most");
    worker.stop().ok();
}

#[test]
fn the_record_of_the_revisions_is_bounded() {
    revisions_are_bounded(&Env::new(), 10_000);
}

#[test]
fn the_record_of_the_revisions_is_bounded_on_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    revisions_are_bounded(&redis::env_on(redis::url(&server)), 10_000);
}

#[test]
fn the_record_of_the_revisions_is_bounded_on_redis_and_dynamodb() {
    let Some((env, _server)) = redis_and_dynamodb() else { return };
    // An item holds 400 KB, so a record can't have more revisions.
    revisions_are_bounded(&env, 2_000);
}

/// A record has this many revisions, which are more than are allowed.
fn revisions_are_bounded(env: &Env, too_many: u64) {
    let worker = follower(env);
    push(env, &guest(), &["--keep", "100"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let backend = runtime.block_on(env.open());
    let digest = Digest::of(&std::fs::read(guest()).expect("the guest"));
    let key = Key::deployments(&TOPIC.into());
    let swap = |change: &dyn Fn(&DeploymentsRecord) -> DeploymentsRecord| {
        runtime.block_on(async {
            let old = backend.store().get(&key).await.expect("a store").expect("a record");
            let new = change(&DeploymentsRecord::decode(&old).expect("a record")).encode();
            assert_eq!(backend.store().swap(&key, Some(&old), Some(new)).await.expect("a store"), Swap::Done);
            old
        })
    };
    let with = |old: &DeploymentsRecord, most: u64| {
        let from = old.changed;
        let revision = |number| Revision {
            number,
            steps: vec![Step { from, weight: 0 }],
            components: vec![DeployedComponent { digest, name: format!("app{number}") }],
            ..Revision::default()
        };
        let revisions = old.revisions.iter().cloned().chain((old.last + 1..=most).map(revision)).collect();
        DeploymentsRecord { revisions, last: most, ..old.clone() }
    };
    // Far too many: the worker goes on with what it has, and the commands say what is wrong.
    let good = swap(&|old| with(old, too_many));
    worker.wait_for_stderr("can't be followed");
    assert_eq!(hello(env, "a"), "Hello, a!");
    env.run(["deploy", "list"]).refused(20, &["deployments", "at most"]);
    let refused = env.run(["push", guest().with_file_name("rust-hello.wasm").to_str().expect("UTF-8")]);
    refused.refused(20, &["deployments", "at most"]);
    runtime.block_on(backend.store().put(&key, good)).expect("a store");
    // As many as may be: no push adds one.
    let most = MOST_REVISIONS as u64;
    swap(&|old| with(old, most));
    worker.wait_for_stderr(&format!("revision {most} is loaded"));
    let refused = env.run(["push", guest().with_file_name("rust-hello.wasm").to_str().expect("UTF-8")]);
    refused.refused(42, &["100 revisions"]);
    assert_eq!(hello(env, "b"), "Hello, b!");
    assert!(worker.memory("VmRSS") < MEMORY, "{} MiB", worker.memory("VmRSS"));
    worker.stop().ok();
}

#[test]
fn the_largest_component_is_served() {
    let env = Env::new();
    let worker = follower(&env);
    let most = usize::try_from(LARGEST_COMPONENT).expect("a size");
    // The section has an id, a size of four bytes, a name of two.
    let bytes = with_custom(most - Fixture::default().component().len() - 7);
    assert_eq!(bytes.len(), most);
    let component = Component::cut(bytes.into()).expect("a component");
    let (digest, client) = (component.digest(), Client::new(env.backend()));
    block_on(put_component(client.backend().store(), &component, &About::default(), Sending::Absent)).expect("a push");
    let revision = block_on(deploy(client.backend(), digest, "largest"));
    eventually("the worker has loaded it", || match state(&env, revision) {
        loaded if loaded == json!("loaded") => Ok(()),
        other => Err(other.to_string()),
    });
    let peak = worker.memory("VmHWM");
    println!("{peak} MiB at most");
    assert!(peak < MEMORY, "{peak} MiB");
    let one_more = env.write("more.wasm", b"\0asm");
    std::fs::File::options()
        .write(true)
        .open(&one_more)
        .and_then(|file| file.set_len(LARGEST_COMPONENT + 1))
        .expect("a file");
    env.run(["push", one_more.to_str().expect("UTF-8")]).refused(10, &["larger than 256 MiB"]);
    worker.stop().ok();
}

/// A component that the compiler needs long for, though it is within the bounds of `wasm/effort.rs`.
fn slow() -> Vec<u8> {
    let functions: String = (0..24)
        .map(|n| {
            let blocks = format!("(if (local.get {}) (then (local.set 1 (local.get 2))))", n % 3).repeat(7_500);
            format!("(func $slow{n} (local {}) {blocks})", "i32 ".repeat(1_000))
        })
        .collect();
    let describe = format!("(i32.const 4096)) {functions} (func (result i32) (i32.const 0)");
    let component = Fixture { describe: Some(&describe), ..Fixture::default() }.component();
    // Nobody has compiled it before.
    let new = fastrand::u64(..).to_le_bytes();
    [component, section(0, &[&[1, b'x'][..], &new].concat())].concat()
}

#[test]
fn a_component_that_compiles_for_long_holds_up_nobody() {
    let env = Env::new();
    let worker = follower(&env);
    push(&env, &guest(), &[]);
    let backend = env.backend();
    let component = Component::cut(slow().into()).expect("a component");
    block_on(put_component(backend.store(), &component, &About::default(), Sending::Absent)).expect("a push");
    let begun = Instant::now();
    let revision = block_on(deploy(&*backend, component.digest(), "slow"));
    eventually("the worker begins", || match state(&env, revision) {
        loading if loading == json!("loading") => Ok(()),
        other => Err(other.to_string()),
    });
    // Calls go on, and so do pushes.
    assert_eq!(hello(&env, "a"), "Hello, a!");
    let pushed = push(&env, &guest().with_file_name("rust-hello.wasm"), &[]);
    assert_eq!(pushed["revision"], json!(revision + 1));
    worker.wait_for_stderr(&format!("revision {} is loaded", revision + 1));
    assert_eq!(hello(&env, "b"), "Hello, b!");
    // The bounds of a component allow no longer compilation, so a quick machine may be done with it.
    if state(&env, revision) != json!("loading") {
        println!("the compiler was quicker than the push: {:?}", begun.elapsed());
    }
    let stopped = Instant::now();
    worker.stop().ok();
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
}
