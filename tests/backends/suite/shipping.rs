//! Components and revisions in a store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::ErrorKind;
use brrr_protocol::client::Client;
use brrr_protocol::digest::Digest;
use brrr_protocol::gc::{CodeStays, CollectedCode, Collector, Plan};
use brrr_protocol::model::{Call, JobId, Millis, Topic};
use brrr_protocol::ports::{Backend, Key, Kind as Record, NewJob, Store};
use brrr_protocol::records::{ChunkEntry, ManifestRecord, TaskAbout, UploadRecord};
use brrr_protocol::shipping::{
    About, Change, Component, ComponentToPush, LEAD, LEAST_AGE, PushOptions, Pushed, Refusal, Sending, about_component,
    get_component, get_manifest, put_component, revision_for, task_at,
};
use bytes::Bytes;

use crate::suite::backend::call;
use crate::support::Kind;

const SIZE: usize = 3_000_000;

/// Bytes as of a program: some that can't be compressed, some that repeat.
fn program(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes: Vec<u8> = (0..SIZE / 3).map(|_| random.u8(..)).collect();
    bytes.extend((0..SIZE / 3).map(|n| (n / 7 % 251) as u8));
    bytes.resize(SIZE, 0);
    bytes
}

fn cut(bytes: &[u8]) -> Component {
    Component::cut(Bytes::copy_from_slice(bytes)).unwrap()
}

async fn put(store: &dyn Store, component: &Component) -> Pushed {
    put_component(store, component, &About::default(), Sending::Absent).await.unwrap()
}

async fn has(store: &dyn Store, digest: &Digest) -> bool {
    get_component(store, digest).await.unwrap().is_some()
}

fn digests(component: &Component) -> BTreeSet<Digest> {
    component.chunks().iter().map(|chunk| chunk.digest).collect()
}

/// The number of records of this kind.
async fn count(store: &dyn Store, kind: Record) -> usize {
    let (mut cursor, mut ids) = (None, BTreeSet::new());
    loop {
        let page = store.list(&kind, cursor.as_deref(), 100).await.unwrap();
        ids.extend(page.ids);
        match page.next {
            None => return ids.len(),
            next => cursor = next,
        }
    }
}

pub async fn a_component_goes_in_and_out(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let component = cut(&program(1));
    let digest = component.digest();
    assert_eq!(get_component(store, &digest).await.unwrap(), None);
    let task = TaskAbout { options: [("timeout".to_owned(), "5".to_owned())].into(), ..TaskAbout::default() };
    let about = About { tasks: [("add".to_owned(), task)].into(), sdk: "rust 1".into(), signatures: vec!["a".into()] };
    let pushed = put_component(store, &component, &about, Sending::Absent).await.unwrap();
    let different = digests(&component).len();
    // The zeros at the end are the same chunk several times.
    assert!(different < component.chunks().len());
    let new_bytes = pushed.new_bytes;
    let expected = Pushed { digest, chunks: different, new_chunks: different, new_bytes, resent: false };
    assert_eq!(pushed, expected);
    assert!((SIZE as u64 / 3..SIZE as u64 / 2).contains(&pushed.new_bytes), "{pushed:?}");
    assert_eq!(get_component(store, &digest).await.unwrap().as_ref(), Some(component.bytes()));
    assert_eq!(count(store, Record::Chunk).await, different);
    assert_eq!(count(store, Record::Upload).await, 0);
    let manifest = get_manifest(store, &digest).await.unwrap().unwrap();
    assert_eq!(about_component(&manifest).unwrap(), about);
    // Again.
    let again = put(store, &component).await;
    assert_eq!(again, Pushed { new_chunks: 0, new_bytes: 0, ..pushed });
    let manifest = get_manifest(store, &digest).await.unwrap().unwrap();
    assert_eq!(manifest.signatures, ["a"], "it stays");
    assert_eq!(get_component(store, &digest).await.unwrap().as_ref(), Some(component.bytes()));
}

pub async fn a_change_sends_few_chunks(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let old = program(2);
    put(store, &cut(&old)).await;
    let mut changed = old.clone();
    changed[SIZE / 6] ^= 1;
    let inserted = [&old[..SIZE / 5], b"x", &old[SIZE / 5..]].concat();
    for new in [changed, inserted] {
        let component = cut(&new);
        let pushed = put(store, &component).await;
        assert!((1..=2).contains(&pushed.new_chunks) && pushed.new_bytes < 600_000, "{pushed:?}");
        assert_eq!(get_component(store, &component.digest()).await.unwrap().as_ref(), Some(component.bytes()));
    }
    assert!(has(store, &Digest::of(&old)).await);
}

/// More bytes than are read or written at once.
pub async fn a_component_of_many_portions_goes_in_and_out(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let bytes: Vec<u8> = (0..5).flat_map(program).collect();
    let component = cut(&bytes);
    put(store, &component).await;
    assert_eq!(get_component(store, &component.digest()).await.unwrap().as_ref(), Some(component.bytes()));
}

pub async fn what_is_damaged_is_refused_until_it_is_sent_again(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let component = cut(&program(3));
    let digest = component.digest();
    put(store, &component).await;
    let [first, second, ..] = component.chunks() else { panic!("too few chunks") };
    let (key, other) = (Key::chunk(&first.digest), Key::chunk(&second.digest));
    let good = store.get(&key).await.unwrap().unwrap();
    let mut flipped = good.to_vec();
    flipped[1_000] ^= 1;
    let of_another = store.get(&other).await.unwrap().unwrap();
    for damaged in [flipped.into(), of_another, Bytes::new(), Bytes::from_static(b"no record")] {
        store.put(&key, damaged).await.unwrap();
        let error = get_component(store, &digest).await.unwrap_err();
        assert!(error.kind == ErrorKind::Malformed && error.to_string().contains("chunk"), "{error}");
        // It is there, so it is not sent, unless somebody asks for it.
        assert_eq!(put(store, &component).await.new_chunks, 0);
        let pushed = put_component(store, &component, &About::default(), Sending::All).await.unwrap();
        assert_eq!(pushed.new_chunks, pushed.chunks);
        assert!(has(store, &digest).await);
    }
    store.remove_many(&[key, other]).await.unwrap();
    let error = get_component(store, &digest).await.unwrap_err();
    assert!(error.to_string().contains(&format!("chunk {} is missing", first.digest)), "{error}");
    assert_eq!(put(store, &component).await.new_chunks, 2);
    assert!(has(store, &digest).await);
}

pub async fn a_manifest_that_lies_is_refused(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let (component, other) = (cut(&program(4)), cut(&program(5)));
    put(store, &component).await;
    put(store, &other).await;
    let digest = component.digest();
    let good = get_manifest(store, &digest).await.unwrap().unwrap();
    let lie = |change: &dyn Fn(&mut ManifestRecord)| {
        let mut lie = good.clone();
        change(&mut lie);
        lie
    };
    let absent = ChunkEntry { digest: Digest::of(b"absent"), size: 1_000 };
    for (lie, why) in [
        (lie(&|m| m.digest = other.digest()), "another component"),
        (lie(&|m| m.size -= 1), "together"),
        (lie(&|m| m.chunks.swap(0, 1)), "another component"),
        (lie(&|m| m.chunks = other.chunks().to_vec()), "another component"),
        (lie(&|m| (m.chunks, m.size) = (vec![absent], 1_000)), "is missing"),
        (lie(&|m| m.chunks[0].size += 1), "together"),
        (
            lie(&|m| {
                m.chunks[0].size += 1;
                m.chunks[1].size -= 1;
            }),
            "other bytes",
        ),
    ] {
        store.put(&Key::manifest(&digest), lie.encode()).await.unwrap();
        let error = get_component(store, &digest).await.unwrap_err();
        assert!(error.kind == ErrorKind::Malformed && error.to_string().contains(why), "{error}");
    }
    store.put(&Key::manifest(&digest), Bytes::from_static(b"d1:vi2ee")).await.unwrap();
    assert_eq!(get_component(store, &digest).await.unwrap_err().kind, ErrorKind::NewerRecord);
    // What a later version has written is not replaced.
    let refused = put_component(store, &component, &About::default(), Sending::Absent).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::NewerRecord);
}

pub async fn a_signature_comes_later(kind: Kind) {
    let f = kind.open().await;
    let client = Client::new(f.backend.clone());
    let push = async |signature: &str| {
        let mut component = small("a");
        component.about.signatures.extend((!signature.is_empty()).then(|| signature.to_owned()));
        client.push(&"t".into(), &[component], &PushOptions::default()).await.unwrap().change
    };
    let Change::Done(first) = push("").await else { panic!("a revision") };
    assert_eq!((first.last, first.resent), (1, 0));
    assert_eq!(push("").await, Change::Same(first));
    // The revision stays, and the workers hear of it.
    let Change::Done(signed) = push("one").await else { panic!("a change") };
    assert!(signed.last == 1 && signed.resent > 0, "{signed:?}");
    assert_eq!(push("one").await, Change::Same(signed.clone()));
    let Change::Done(twice) = push("two").await else { panic!("a change") };
    assert!(twice.resent >= signed.resent, "{twice:?}");
    let manifest = get_manifest(f.backend.store(), &twice.revisions[0].components[0].digest).await.unwrap().unwrap();
    assert_eq!(manifest.signatures, ["one", "two"]);
}

fn small(name: &str) -> ComponentToPush {
    ComponentToPush { name: name.to_owned(), component: cut(name.as_bytes()), about: About::default() }
}

async fn push(client: &Client, name: &str, options: &PushOptions) -> Change {
    client.push(&"t".into(), &[small(name)], options).await.unwrap().change
}

pub async fn all_who_push_at_once_get_a_revision(kind: Kind) {
    let f = kind.open().await;
    const PUSHERS: u64 = 8;
    let mut pushers = Vec::new();
    for n in 0..PUSHERS {
        let client = Client::new(f.backend.clone());
        pushers.push(tokio::spawn(async move {
            // Half of each component is that of all others.
            let bytes = [program(6), n.to_be_bytes().to_vec()].concat();
            let component = ComponentToPush { component: cut(&bytes), ..small("app") };
            let options = PushOptions { by: n.to_string(), ..PushOptions::default() };
            client.push(&"t".into(), &[component], &options).await.unwrap()
        }));
    }
    for pusher in pushers {
        assert!(matches!(pusher.await.unwrap().change, Change::Done(_)));
    }
    let record = Client::new(f.backend.clone()).deployments(&"t".into()).await.unwrap();
    let numbers: Vec<u64> = record.revisions.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, (1..=PUSHERS).collect::<Vec<_>>());
    assert_eq!(record.revisions.iter().map(|revision| &revision.by).collect::<BTreeSet<_>>().len(), PUSHERS as usize);
    assert!(record.revisions.is_sorted_by(|a, b| a.from() < b.from()));
    for revision in &record.revisions {
        assert!(has(f.backend.store(), &revision.components[0].digest).await);
    }
    assert_eq!(count(f.backend.store(), Record::Upload).await, 0);
}

pub async fn revisions_are_pushed_rolled_back_ramped_and_removed(kind: Kind) {
    let f = kind.open().await;
    let client = Client::new(f.backend.clone());
    let topic = Topic::from("t");
    let all = PushOptions::default();
    assert_eq!(client.deployments(&topic).await.unwrap().revisions, []);
    let Change::Done(one) = push(&client, "a", &all).await else { panic!("no revision") };
    assert_eq!(push(&client, "a", &all).await, Change::Same(one));
    let part = PushOptions { percent: 20, note: "try".into(), by: "me".into(), ..PushOptions::default() };
    assert!(matches!(push(&client, "b", &part).await, Change::Done(_)));
    assert!(matches!(client.ramp(&topic, 2, 50).await.unwrap(), Change::Done(_)));
    assert!(matches!(client.ramp(&topic, 2, 50).await.unwrap(), Change::Same(_)));
    let Change::Done(back) = client.rollback(&topic, None, "oops", "me").await.unwrap() else { panic!("no rollback") };
    assert_eq!(back, client.deployments(&topic).await.unwrap());
    let told: Vec<_> = back.revisions.iter().map(|r| (r.number, r.weight(), r.restores, &*r.note)).collect();
    assert_eq!(told, [(1, 100, 0, ""), (2, 50, 0, "try"), (3, 100, 1, "oops")]);
    assert_eq!(back.revisions[2].components, back.revisions[0].components);
    // A new job has it a moment later.
    let created = f.backend.now() + LEAD.as_millis() as Millis + 1_000;
    assert_eq!(revision_for(&back, created, &"j".into()).unwrap().number, 3);
    assert!(matches!(client.remove_revision(&topic, 2).await.unwrap(), Change::Done(_)));
    assert!(matches!(client.remove_revision(&topic, 2).await.unwrap(), Change::Same(_)));
    assert_eq!(client.ramp(&topic, 2, 20).await.unwrap(), Change::Refused(Refusal::NoRevision(2)));
    assert_eq!(client.rollback(&topic, Some(2), "", "").await.unwrap(), Change::Refused(Refusal::NoRevision(2)));
    // Settings alone make no revision.
    let settings = PushOptions { keep: Some(3), follow_newest: Some(true), ..PushOptions::default() };
    let Change::Done(set) = push(&client, "a", &settings).await else { panic!("nothing was set") };
    assert_eq!((set.keep, set.follow_newest, set.last), (3, true, 3));
    assert!(matches!(push(&client, "a", &all).await, Change::Same(_)));
}

pub async fn a_push_that_is_refused_sends_nothing(kind: Kind) {
    let f = kind.open().await;
    let client = Client::new(f.backend.clone());
    let too_much = PushOptions { percent: 101, ..PushOptions::default() };
    assert_eq!(push(&client, "a", &too_much).await, Change::Refused(Refusal::Percent(101)));
    let nothing = client.push(&"t".into(), &[], &PushOptions::default()).await.unwrap();
    assert_eq!(nothing.change, Change::Refused(Refusal::Components(0)));
    for record in [Record::Chunk, Record::Manifest, Record::Upload, Record::Deployments] {
        assert_eq!(count(f.backend.store(), record).await, 0);
    }
    f.backend.store().put(&Key::deployments(&"t".into()), Bytes::from_static(b"d1:vi2ee")).await.unwrap();
    let error = client.deployments(&"t".into()).await.unwrap_err();
    assert!(error.kind == ErrorKind::NewerRecord && error.to_string().contains("deployments of t"), "{error}");
}

const AGE: Duration = Duration::from_hours(24);

/// A time at which all that was sent until now is old.
fn later(backend: &Arc<dyn Backend>) -> Millis {
    backend.now() + 2 * AGE.as_millis() as Millis
}

async fn collect(backend: &Arc<dyn Backend>, now: Millis, dry_run: bool) -> CollectedCode {
    let plan = Plan { now, older_than: AGE, dry_run };
    Collector::new(backend.clone()).collect(&plan, |_, _| {}).await.unwrap().code
}

async fn start(backend: &Arc<dyn Backend>, job_id: &str, task: &str, created: Millis) {
    let call = Call { task: task.to_owned(), hash: job_id.into(), ..call("c") };
    backend.schedule(&NewJob::new(job_id.into(), call), created).await.unwrap();
}

async fn end(backend: &Arc<dyn Backend>, job_id: &str) {
    Client::new(backend.clone()).cancel(&JobId::from(job_id), backend.now()).await.unwrap();
}

pub async fn code_that_nothing_needs_is_collected(kind: Kind) {
    let f = kind.open().await;
    let (b, store) = (&f.backend, f.backend.store());
    assert_eq!(collect(b, later(b), false).await, CollectedCode::default());
    let client = Client::new(b.clone());
    let few = PushOptions { keep: Some(2), ..PushOptions::default() };
    let component = |n: usize| {
        let mut bytes = program(7);
        bytes[n * SIZE / 20] ^= 1;
        ComponentToPush { component: cut(&bytes), ..small("app") }
    };
    let components: Vec<_> = (0..4).map(component).collect();
    for component in &components {
        client.push(&"t".into(), std::slice::from_ref(component), &few).await.unwrap();
    }
    let unnamed = cut(b"nobody names it");
    put(store, &unnamed).await;
    // What was in force a moment ago stays, so a push has removed nothing yet.
    assert_eq!(client.deployments(&"t".into()).await.unwrap().revisions.len(), 4);
    // What is young stays.
    let soon = b.now() + LEAST_AGE.as_millis() as Millis / 2;
    let expected = CollectedCode { revisions: 2, ..CollectedCode::default() };
    assert_eq!(collect(b, soon, true).await, expected);

    let of = |range: std::ops::Range<usize>| -> BTreeSet<Digest> {
        components[range].iter().flat_map(|component| digests(&component.component)).collect()
    };
    let own = of(0..2).difference(&of(2..4)).count() as u64;
    assert!((2..=4).contains(&own), "{own}");
    let expected = CollectedCode { revisions: 2, components: 3, chunks: own + 1, stays: None };
    assert_eq!(collect(b, later(b), true).await, expected);
    assert_eq!(count(store, Record::Manifest).await, 5);
    assert_eq!(collect(b, later(b), false).await, expected);
    let record = client.deployments(&"t".into()).await.unwrap();
    assert_eq!(record.revisions.iter().map(|revision| revision.number).collect::<Vec<_>>(), [3, 4]);
    for (n, component) in components.iter().enumerate() {
        assert_eq!(has(store, &component.component.digest()).await, n >= 2, "{n}");
    }
    assert!(!has(store, &unnamed.digest()).await);
    assert_eq!(count(store, Record::Chunk).await, of(2..4).len());
    assert_eq!(count(store, Record::Upload).await, 0);
    assert_eq!(collect(b, later(b), false).await, CollectedCode::default());
}

pub async fn code_that_a_live_job_needs_stays(kind: Kind) {
    let f = kind.open().await;
    let (b, store) = (&f.backend, f.backend.store());
    let client = Client::new(b.clone());
    let one = PushOptions { keep: Some(1), ..PushOptions::default() };
    let mut times = Vec::new();
    for name in ["a", "b", "c"] {
        let Change::Done(record) = push(&client, name, &one).await else { panic!("no revision") };
        times.push(record.revisions.last().unwrap().from());
    }
    let called = small("called");
    put(store, &called.component).await;
    start(b, "old", "task", times[0]).await;
    start(b, "with", &task_at("task", &called.component.digest()), times[2]).await;
    let there = async || {
        let mut there = Vec::new();
        for name in ["a", "b", "c", "called"] {
            if has(store, &small(name).component.digest()).await {
                there.push(name);
            }
        }
        there
    };
    let expected = CollectedCode { revisions: 1, components: 1, chunks: 1, stays: None };
    assert_eq!(collect(b, later(b), false).await, expected);
    assert_eq!(there().await, ["a", "c", "called"]);
    end(b, "with").await;
    assert_eq!(collect(b, later(b), false).await, CollectedCode { revisions: 0, ..expected.clone() });
    assert_eq!(there().await, ["a", "c"]);
    end(b, "old").await;
    assert_eq!(collect(b, later(b), false).await, expected);
    assert_eq!(there().await, ["c"]);
}

pub async fn what_is_being_sent_is_not_collected(kind: Kind) {
    let f = kind.open().await;
    let (b, store) = (&f.backend, f.backend.store());
    let component = small("a").component;
    put(store, &component).await;
    // Somebody begins to send the same chunk.
    let upload = Key::upload(&Digest::of(b"another component"));
    let now = later(b);
    let record = UploadRecord { at: now, chunks: component.chunks().to_vec() };
    store.put(&upload, record.encode()).await.unwrap();
    let expected = CollectedCode { components: 1, ..CollectedCode::default() };
    assert_eq!(collect(b, now, false).await, expected);
    assert_eq!(count(store, Record::Chunk).await, 1);
    // It was not sent.
    let expected = CollectedCode { chunks: 1, ..CollectedCode::default() };
    assert_eq!(collect(b, now + 2 * LEAST_AGE.as_millis() as Millis, false).await, expected);
    assert_eq!((count(store, Record::Chunk).await, count(store, Record::Upload).await), (0, 0));

    // A collection is going on, or has died: who sends relies on nothing that is there.
    put(store, &component).await;
    let collection = Key::new("gc", Record::Upload);
    store.put(&collection, UploadRecord { at: b.now(), chunks: Vec::new() }.encode()).await.unwrap();
    assert_eq!(put(store, &component).await.new_chunks, 1);
    let long_ago = UploadRecord { at: b.now() - 2 * LEAST_AGE.as_millis() as Millis, chunks: Vec::new() };
    store.put(&collection, long_ago.encode()).await.unwrap();
    assert_eq!(put(store, &component).await.new_chunks, 0);
    // The next collection removes what a dead one has left.
    store.remove_many(&[Key::manifest(&component.digest())]).await.unwrap();
    put(store, &small("b").component).await;
    let expected = CollectedCode { components: 1, chunks: 2, ..CollectedCode::default() };
    assert_eq!(collect(b, later(b), false).await, expected);
    assert_eq!((count(store, Record::Chunk).await, count(store, Record::Upload).await), (0, 0));
}

pub async fn damage_keeps_code(kind: Kind) {
    let f = kind.open().await;
    let (b, store) = (&f.backend, f.backend.store());
    put(store, &small("a").component).await;
    let damaged = [Key::deployments(&"t".into()), Key::manifest(&Digest::of(b"x")), Key::upload(&Digest::of(b"x"))];
    for key in damaged {
        store.put(&key, Bytes::from_static(b"d1:vi2ee")).await.unwrap();
        let expected = CollectedCode { stays: Some(CodeStays::Unreadable(key.clone())), ..CollectedCode::default() };
        assert_eq!(collect(b, later(b), false).await, expected);
        assert!(has(store, &small("a").component.digest()).await);
        store.remove_many(&[key]).await.unwrap();
    }
    start(b, "j", "task", 1_000).await;
    store.put(&Key::job(&"j".into()), Bytes::from_static(b"d1:vi2ee")).await.unwrap();
    let expected = CollectedCode { stays: Some(CodeStays::Job("j".into())), ..CollectedCode::default() };
    assert_eq!(collect(b, later(b), false).await, expected);
    assert!(has(store, &small("a").component.digest()).await);
}
