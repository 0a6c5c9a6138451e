//! Code that is pushed to running workers: `push`, `deploy`, `pull`, and `run` without components.

use std::path::PathBuf;

use brrr_protocol::client::Client;
use brrr_protocol::codec::python;
use brrr_protocol::model::JobId;
use brrr_protocol::shipping::{About, Change, Component, ComponentToPush, PushOptions};
use brrr_protocol::starting::{StartRequest, Started};
use bytes::Bytes;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Env, Running, TOPIC, block_on, eventually, guest};
use crate::servers::redis::Flavour;
use crate::{aws, redis};

/// The conformance guest with other texts in its code. They have as many bytes as those that they replace.
fn patched(env: &Env, name: &str, patches: &[(&str, &str)]) -> PathBuf {
    let mut bytes = std::fs::read(guest()).expect("the guest");
    for (old, new) in patches {
        assert_eq!(old.len(), new.len());
        let found = bytes.windows(old.len()).position(|window| window == old.as_bytes());
        let at = found.unwrap_or_else(|| panic!("{old:?} is not in the guest"));
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    }
    env.write(name, bytes)
}

/// A worker that serves what is pushed.
fn follower(env: &Env) -> Running {
    let worker = env.start(["run", "--topic", TOPIC]);
    worker.wait_for_stderr("serving topic");
    worker
}

fn push(env: &Env, guest: &std::path::Path, more: &[&str]) -> Value {
    let path = guest.to_str().expect("UTF-8");
    let pushed = env.run([&["push", path, "--output", "json"], more].concat());
    pushed.ok();
    pushed.json()
}

fn hello(env: &Env, name: &str) -> String {
    env.run(["call", "hello", &format!("{{\"greetee\": \"{name}\"}}")]).ok().to_owned()
}

fn schedule(env: &Env, task: &str, arguments: &str) -> String {
    let job = env.run(["schedule", task, arguments, "--output", "json"]).json();
    job["job"].as_str().expect("a job").to_owned()
}

fn state(env: &Env, job: &str) -> String {
    env.run(["job", job, "--output", "json"]).json()["state"].as_str().expect("a state").to_owned()
}

/// What workers say of a revision.
fn workers(env: &Env, revision: u64) -> Vec<Value> {
    let shown = env.run(["deploy", "show", &revision.to_string(), "--output", "json"]).json();
    shown["workers"].as_object().expect("workers").values().cloned().collect()
}

/// Another program pushes what no worker can load, for all jobs.
fn a_broken_revision_loses_nothing(env: &Env, url: &str) {
    let component = Component::cut(Bytes::from_static(b"\0asm no component")).expect("a component");
    let broken = ComponentToPush { name: "broken".to_owned(), component, about: About::default() };
    block_on(async {
        let client = Client::new(brrr_backends::open(url).await.expect("the backend"));
        let pushed = client.push(&TOPIC.into(), &[broken], &PushOptions::default()).await.expect("a push");
        let Change::Done(record) = pushed.change else { panic!("{pushed:?}") };
        while client.now() <= record.changed {
            tokio::task::yield_now().await;
        }
    });
    eventually("the worker says that it can't", || {
        let workers = workers(env, 4);
        if workers.iter().any(|state| state["failed"].is_string()) { Ok(()) } else { Err(format!("{workers:?}")) }
    });
    let stuck = schedule(env, "hello", "{\"greetee\": \"four\"}");
    // Its call is given back again and again, and is not lost.
    env.run(["deploy", "rollback", "2"]).ok();
    assert_eq!(hello(env, "five"), "Howdy, five!");
    assert_eq!(state(env, &stuck), "running");
    env.run(["deploy", "remove", "4"]).ok();
    let read = eventually("the job goes on", || {
        let read = env.run(["read", "--job", &stuck]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(read.trim_end(), "Howdy, four!");
}

/// A job waits while revisions are pushed, rolled back and removed.
fn revisions_come_and_go(env: &Env, url: Option<&str>) {
    let first = follower(env);
    first.wait_for_stderr("nothing is deployed");
    let pushed = push(env, &guest(), &["--note", "the first"]);
    assert_eq!((&pushed["revision"], &pushed["percent"], &pushed["new"]), (&json!(1), &json!(100), &json!(true)));
    assert_eq!(pushed["components"][0]["chunks"], pushed["components"][0]["new_chunks"]);
    assert_eq!(hello(env, "one"), "Hello, one!");
    let pinned = schedule(env, "asks_caught", "{\"name\": \"p\"}");
    eventually("the job waits for its promise", || {
        let job = env.run(["job", &pinned]).stdout;
        if job.contains("promise") { Ok(()) } else { Err(job) }
    });

    // Other code under the same names. Most of it is in the store already.
    let second = patched(env, "second.wasm", &[("Hello, ", "Howdy, "), ("should have been", "SHOULD have been")]);
    let pushed = push(env, &second, &[]);
    let part = &pushed["components"][0];
    assert!(part["new_chunks"].as_u64() < part["chunks"].as_u64() && part["new_chunks"] != json!(0), "{pushed}");
    assert_eq!((&pushed["revision"], pushed["loaded"].as_array().map(Vec::len)), (&json!(2), Some(1)), "{pushed}");
    assert_eq!(hello(env, "two"), "Howdy, two!");
    assert_eq!(push(env, &second, &[])["new"], json!(false), "it is there already");
    // A component without the task that the job runs.
    let other = guest().with_file_name("rust-hello.wasm");
    assert_eq!(push(env, &other, &[])["revision"], json!(3));
    assert_eq!(hello(env, "three"), "Hello, three!");
    // What can't be loaded is refused before anything is sent.
    let broken = env.write("broken.wasm", "no component");
    env.run(["push", broken.to_str().expect("UTF-8")]).refused(10, &["broken.wasm"]);

    if let Some(url) = url {
        a_broken_revision_loses_nothing(env, url);
    } else {
        env.run(["deploy", "rollback", "2"]).ok();
        assert_eq!(hello(env, "five"), "Howdy, five!");
    }
    let listed = env.run(["deploy", "list", "--output", "json"]).json();
    let numbers: Vec<_> = listed.as_array().expect("revisions").iter().map(|one| one["revision"].clone()).collect();
    let newest = if url.is_some() { 5 } else { 4 };
    assert_eq!(numbers, [newest, 3, 2, 1].map(|number| json!(number)));
    assert_eq!((&listed[0]["restores"], &listed[3]["note"]), (&json!(2), &json!("the first")));

    // A worker that comes later ends the job with the code it began with.
    first.signal(Signal::KILL);
    first.end();
    let second = follower(env);
    env.run(["resolve", &pinned, "p", "7"]).ok();
    let failed = eventually("the job ends", || {
        let read = env.run(["read", "--job", &pinned]);
        if read.code == Some(30) { Ok(read.stderr) } else { Err(format!("{read:?}")) }
    });
    assert!(failed.contains("it should have been rejected, and is 7"), "{failed}");
    env.run(["pull", "--revision", "1", "-o", "old"]).ok();
    let name = guest().file_name().expect("a name").to_owned();
    let pulled = std::fs::read(env.path("old").join(name)).expect("the component");
    assert!(pulled == std::fs::read(guest()).expect("the guest"), "the same bytes");
    second.stop().ok();
}

#[test]
fn revisions_come_and_go_on_sqlite() {
    let env = Env::new();
    // This makes the file.
    let worker = follower(&env);
    worker.stop().ok();
    revisions_come_and_go(&env, Some(&env.url()));
}

#[test]
fn revisions_come_and_go_on_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    revisions_come_and_go(&redis::env_on(redis::url(&server)), Some(&redis::url(&server)));
}

#[test]
fn revisions_come_and_go_on_redis_and_dynamodb() {
    let (Some(records), Some(server)) = (crate::servers::dynamodb::shared(), Flavour::Redis.start(None, &[])) else {
        return;
    };
    let mut env = aws::env_on(records);
    env.set("BRRR_QUEUE", "redis:");
    env.set("REDIS_URL", redis::url(&server));
    env.run(["setup"]).ok();
    revisions_come_and_go(&env, None);
}

#[test]
fn a_ramp_takes_its_part_of_the_jobs() {
    const JOBS: usize = 1_000;
    let env = Env::new();
    let worker = follower(&env);
    push(&env, &guest(), &[]);
    let second = patched(&env, "second.wasm", &[("Hello, ", "Howdy, ")]);
    let pushed = push(&env, &second, &["--ramp", "20"]);
    assert_eq!((&pushed["percent"], pushed["loaded"].as_array().map(Vec::len)), (&json!(20), Some(1)), "{pushed}");
    let client = Client::new(env.backend());
    let jobs: Vec<JobId> = (0..JOBS)
        .map(|n| {
            let payload = Bytes::from(python::payload(&json!({"greetee": n.to_string()})));
            let hash = python::call_hash_of_payload("hello", &payload).into();
            let request = StartRequest::new(TOPIC.into(), "hello", payload, hash);
            match block_on(client.start(&request, JobId::from_random(fastrand::u128(..)))).expect("a start") {
                Started::New { job_id, call, .. } => (job_id, call),
                other => panic!("{other:?}"),
            }
        })
        .map(|(job_id, call)| {
            eventually("the job ends", || match block_on(client.outcome(&job_id, &call)).expect("an outcome") {
                Some(Ok(value)) => Ok(value),
                other => Err(format!("{other:?}")),
            });
            job_id
        })
        .collect();
    let new = jobs.iter().filter(|job_id| brrr_protocol::shipping::share(job_id) < 20).count();
    // The same jobs, by what they gave.
    let howdies = jobs.iter().filter(|job_id| env.run(["read", "--job", job_id.as_str()]).stdout.contains("Howdy"));
    assert_eq!(howdies.count(), new);
    assert!((170..=230).contains(&new), "{new} of {JOBS} jobs");
    worker.stop().ok();
}

#[test]
fn a_push_waits_for_all_workers_and_mistakes_are_clear() {
    let env = Env::new();
    env.run(["run", "--watch", "--topic", TOPIC]).refused(2, &["which component?"]);
    env.run(["deploy", "list"]).refused(22, &["state.db"]);
    let workers = [follower(&env), follower(&env)];
    assert_eq!(env.run(["deploy", "list"]).stderr, format!("nothing is deployed on topic {TOPIC}\n"));
    env.run(["deploy", "rollback"]).refused(40, &["nothing to roll back to"]);
    env.run(["deploy", "show", "3"]).refused(40, &["no revision 3"]);
    env.run(["pull"]).refused(40, &["nothing is deployed"]);
    push(&env, &guest(), &[]);
    eventually("both have loaded it", || {
        let states = self::workers(&env, 1);
        if states == [json!("loaded"), json!("loaded")] { Ok(()) } else { Err(format!("{states:?}")) }
    });
    let second = patched(&env, "second.wasm", &[("Hello, ", "Howdy, ")]);
    let pushed = push(&env, &second, &[]);
    assert_eq!(pushed["loaded"].as_array().map(Vec::len), Some(2), "{pushed}");
    assert_eq!(env.run(["deploy", "ramp", "2", "101"]).code, Some(2));
    env.run(["deploy", "ramp", "9", "50"]).refused(40, &["no revision 9"]);
    // A frozen worker can't load what comes next. The push says so, and the revision takes no jobs.
    workers[0].signal(Signal::STOP);
    let third = patched(&env, "third.wasm", &[("Hello, ", "Hallo, ")]);
    let waited = env.run(["push", third.to_str().expect("UTF-8"), "--wait", "1s", "--output", "json"]);
    assert_eq!((waited.code, waited.json()["silent"].as_array().map(Vec::len)), (Some(41), Some(1)), "{waited:?}");
    assert_eq!(hello(&env, "still"), "Howdy, still!");
    env.run(["deploy", "ramp", "3", "100"]).ok();
    assert_eq!(hello(&env, "now"), "Hallo, now!");
    workers[0].signal(Signal::CONT);
    for worker in workers {
        worker.stop().ok();
    }
}
