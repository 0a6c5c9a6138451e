//! Code that is pushed to running workers: `push`, `deploy`, `pull`, and `run` without components.

use std::ops::Range;
use std::path::PathBuf;

use brrr_protocol::client::Client;
use brrr_protocol::codec::python;
use brrr_protocol::model::{CallHash, JobId};
use brrr_protocol::ports::{Key, Kind};
use brrr_protocol::shipping::{About, Change, Component, ComponentToPush, PushOptions};
use brrr_protocol::starting::{StartRequest, Started};
use bytes::Bytes;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::control::{job, schedule};
use crate::each_backend::{on_each_backend, redis_and_dynamodb};
use crate::harness::{Env, Running, TOPIC, block_on, eventually, guest};
use crate::redis;
use crate::servers::redis::Flavour;

/// The conformance guest with other texts in its code. They have as many bytes as those that they replace.
pub fn patched(env: &Env, name: &str, patches: &[(&str, &str)]) -> PathBuf {
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
pub fn follower(env: &Env) -> Running {
    follower_with(env, &[])
}

/// The same, with more flags.
pub fn follower_with(env: &Env, more: &[&str]) -> Running {
    let worker = env.start([&["run", "--topic", TOPIC], more].concat());
    worker.wait_for_stderr("serving topic");
    worker
}

pub fn push(env: &Env, guest: &std::path::Path, more: &[&str]) -> Value {
    let path = guest.to_str().expect("UTF-8");
    let pushed = env.run([&["push", path, "--output", "json"], more].concat());
    pushed.ok();
    pushed.json()
}

pub fn hello(env: &Env, name: &str) -> String {
    env.run(["call", "hello", &format!("{{\"greetee\": \"{name}\"}}")]).ok().to_owned()
}

fn waits_for_its_promise(env: &Env, job_id: &str) {
    eventually("the job waits for its promise", || {
        let job = env.run(["job", job_id]).stdout;
        if job.contains("promise") { Ok(()) } else { Err(job) }
    });
}

/// What workers say of a revision.
fn workers(env: &Env, revision: u64) -> Vec<Value> {
    let shown = env.run(["deploy", "show", &revision.to_string(), "--output", "json"]).json();
    shown["workers"].as_object().expect("workers").values().cloned().collect()
}

/// Another program pushes what no worker can load, for all jobs.
fn a_broken_revision_loses_nothing(env: &Env) {
    let component = Component::cut(Bytes::from_static(b"\0asm no component")).expect("a component");
    let broken = ComponentToPush { name: "broken".to_owned(), component, about: About::default() };
    block_on(async {
        let client = Client::new(env.open().await);
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
    let stuck = schedule(env, &["hello", "{\"greetee\": \"four\"}"]);
    // Its call is given back again and again, and is not lost.
    env.run(["deploy", "rollback", "2"]).ok();
    assert_eq!(hello(env, "five"), "Howdy, five!");
    assert_eq!(job(env, &stuck)["state"], "running");
    env.run(["deploy", "remove", "4"]).ok();
    let read = eventually("the job goes on", || {
        let read = env.run(["read", "--job", &stuck]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(read.trim_end(), "Howdy, four!");
}

/// A job waits while revisions are pushed, rolled back and removed.
fn revisions_come_and_go(env: &Env) {
    let first = follower(env);
    first.wait_for_stderr("nothing is deployed");
    let pushed = push(env, &guest(), &["--note", "the first"]);
    assert_eq!((&pushed["revision"], &pushed["percent"], &pushed["new"]), (&json!(1), &json!(100), &json!(true)));
    assert_eq!(pushed["components"][0]["chunks"], pushed["components"][0]["new_chunks"]);
    assert_eq!(pushed["loaded"].as_array().map(Vec::len), Some(1), "{pushed}");
    assert_eq!(hello(env, "one"), "Hello, one!");
    let pinned = schedule(env, &["asks_caught", "{\"name\": \"p\"}"]);
    waits_for_its_promise(env, &pinned);

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

    a_broken_revision_loses_nothing(env);
    let listed = env.run(["deploy", "list", "--output", "json"]).json();
    let numbers: Vec<_> = listed.as_array().expect("revisions").iter().map(|one| one["revision"].clone()).collect();
    assert_eq!(numbers, [5, 3, 2, 1].map(|number| json!(number)));
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
    revisions_come_and_go(&env);
}

#[test]
fn revisions_come_and_go_on_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    revisions_come_and_go(&redis::env_on(redis::url(&server)));
}

#[test]
fn revisions_come_and_go_on_redis_and_dynamodb() {
    let Some((env, _server)) = redis_and_dynamodb() else { return };
    revisions_come_and_go(&env);
}

/// Pushes a second revision for a part of the jobs, and takes it back. `greet` runs jobs for such names, and returns their ids with
/// their values. Returns how many of `jobs` jobs the second revision had.
fn a_ramp_takes_its_part(env: &Env, jobs: usize, greet: impl Fn(Range<usize>) -> Vec<(JobId, String)>) -> usize {
    let worker = follower(env);
    push(env, &guest(), &[]);
    let second = patched(env, "second.wasm", &[("Hello, ", "Howdy, ")]);
    let pushed = push(env, &second, &["--ramp", "20"]);
    assert_eq!((&pushed["percent"], pushed["loaded"].as_array().map(Vec::len)), (&json!(20), Some(1)), "{pushed}");
    let greeted = greet(0..jobs);
    let new = greeted.iter().filter(|(job_id, _)| brrr_protocol::shipping::share(job_id) < 20).count();
    for (job_id, value) in greeted {
        assert_eq!(value.contains("Howdy"), brrr_protocol::shipping::share(&job_id) < 20, "{job_id}: {value}");
    }
    // A rollback concerns each job that is created from then on.
    env.run(["deploy", "rollback", "1"]).ok();
    for (job_id, value) in greet(jobs..jobs + 10) {
        assert!(value.contains("Hello"), "{job_id}: {value}");
    }
    worker.stop().ok();
    new
}

#[test]
fn a_ramp_takes_its_part_of_the_jobs() {
    const JOBS: usize = 1_000;
    let env = Env::new();
    follower(&env).stop().ok();
    let client = Client::new(env.backend());
    let start = |n: usize| {
        let payload = Bytes::from(python::payload(&json!({"greetee": n.to_string()})));
        let hash = python::call_hash_of_payload("hello", &payload).into();
        let request = StartRequest::new(TOPIC.into(), "hello", payload, hash);
        // The same ids in each run: random ones would miss the bounds below once in fifty runs.
        let job_id = JobId::from_random(fastrand::Rng::with_seed(n as u64).u128(..));
        match block_on(client.start(&request, job_id)).expect("a start") {
            Started::New { job_id, call, .. } => (job_id, call),
            other => panic!("{other:?}"),
        }
    };
    let value = |(job_id, call): (JobId, CallHash)| {
        let value =
            eventually("the job ends", || match block_on(client.outcome(&job_id, &call)).expect("an outcome") {
                Some(Ok(value)) => Ok(value),
                other => Err(format!("{other:?}")),
            });
        (job_id, String::from_utf8_lossy(&value).into_owned())
    };
    let new = a_ramp_takes_its_part(&env, JOBS, |names| {
        let started: Vec<_> = names.map(start).collect();
        started.into_iter().map(value).collect()
    });
    assert!((170..=230).contains(&new), "{new} of {JOBS} jobs");
}

/// The same by commands, and with fewer jobs.
fn a_ramp_takes_its_part_by_commands(env: &Env) {
    a_ramp_takes_its_part(env, 40, |names| {
        let call = |n: usize| {
            let called = env.run(["call", "hello", &format!("{{\"greetee\": \"{n}\"}}"), "--output", "json"]);
            called.ok();
            let document = called.json();
            let text = |key: &str| document[key].as_str().unwrap_or_else(|| panic!("{document}")).to_owned();
            (JobId::from(text("job")), text("result"))
        };
        names.map(call).collect()
    });
}

#[test]
fn a_ramp_takes_its_part_of_the_jobs_on_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    a_ramp_takes_its_part_by_commands(&redis::env_on(redis::url(&server)));
}

#[test]
fn a_ramp_takes_its_part_of_the_jobs_on_redis_and_dynamodb() {
    let Some((env, _server)) = redis_and_dynamodb() else { return };
    a_ramp_takes_its_part_by_commands(&env);
}

on_each_backend! { a_job_under_way_ends_with_its_code_whatever_is_pushed }

fn a_job_under_way_ends_with_its_code_whatever_is_pushed(env: &Env) {
    let [before, after] = ["before", "after"].map(|of| guest().with_file_name(format!("rust-changes-{of}.wasm")));
    let workers = [follower(env), follower(env)];
    push(env, &before, &[]);
    // It has fanned out and slept, and waits.
    let long = schedule(env, &["long", "{\"n\": 10}"]);
    waits_for_its_promise(env, &long);
    // Five revisions: one with other children, one without the task, one for a part of the jobs, one that no worker can load.
    push(env, &after, &[]);
    push(env, &guest(), &[]);
    push(env, &before, &["--ramp", "50"]);
    let component = Component::cut(Bytes::from_static(b"\0asm no component")).expect("a component");
    let broken = ComponentToPush { name: "broken".to_owned(), component, about: About::default() };
    let nobody = PushOptions { percent: 0, ..PushOptions::default() };
    block_on(async { Client::new(env.open().await).push(&TOPIC.into(), &[broken], &nobody).await }).expect("a push");
    push(env, &after, &[]);
    // One of the workers dies, and another one comes.
    let [first, second] = workers;
    first.signal(Signal::KILL);
    first.end();
    let third = follower(env);
    env.run(["resolve", &long, "go", "1000"]).ok();
    let value = eventually("the job ends", || {
        let read = env.run(["read", "--job", &long]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    // 2 · (0 + … + 19) + 1000, with the children of the first revision.
    assert_eq!(value.trim_end(), "1380");
    // A new job has the newest.
    let new = schedule(env, &["long", "{\"n\": 10}", "--scope", "job"]);
    waits_for_its_promise(env, &new);
    env.run(["resolve", &new, "go", "1000"]).ok();
    let value = eventually("the new job ends", || {
        let read = env.run(["read", "--job", &new]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(value.trim_end(), "1570");
    second.stop().ok();
    third.stop().ok();
}

on_each_backend! { a_push_waits_for_all_workers_and_mistakes_are_clear }

fn a_push_waits_for_all_workers_and_mistakes_are_clear(env: &Env) {
    env.run(["run", "--watch", "--topic", TOPIC]).refused(2, &["which component?"]);
    if env.is_on_sqlite() {
        env.run(["deploy", "list"]).refused(22, &["state.db"]);
    }
    let workers = [follower(env), follower(env)];
    assert_eq!(env.run(["deploy", "list"]).stderr, format!("nothing is deployed on topic {TOPIC}\n"));
    env.run(["deploy", "rollback"]).refused(40, &["nothing to roll back to"]);
    env.run(["deploy", "show", "3"]).refused(40, &["no revision 3"]);
    env.run(["pull"]).refused(40, &["nothing is deployed"]);
    push(env, &guest(), &[]);
    eventually("both have loaded it", || {
        let states = self::workers(env, 1);
        if states == [json!("loaded"), json!("loaded")] { Ok(()) } else { Err(format!("{states:?}")) }
    });
    let second = patched(env, "second.wasm", &[("Hello, ", "Howdy, ")]);
    let pushed = push(env, &second, &[]);
    assert_eq!(pushed["loaded"].as_array().map(Vec::len), Some(2), "{pushed}");
    assert_eq!(env.run(["deploy", "ramp", "2", "101"]).code, Some(2));
    env.run(["deploy", "ramp", "9", "50"]).refused(40, &["no revision 9"]);
    // A frozen worker can't load what comes next. The push says so, and the revision takes no jobs.
    workers[0].signal(Signal::STOP);
    let third = patched(env, "third.wasm", &[("Hello, ", "Hallo, ")]);
    let waited = env.run(["push", third.to_str().expect("UTF-8"), "--wait", "1s", "--output", "json"]);
    // On a busy machine the other worker may be late too.
    let frozen = format!("{}-", workers[0].id().as_raw_nonzero());
    let said = waited.json();
    let silent = said["silent"].as_array().expect("the silent workers").iter();
    assert_eq!(
        (waited.code, silent.filter(|id| id.as_str().is_some_and(|id| id.starts_with(&frozen))).count()),
        (Some(41), 1),
        "{waited:?}"
    );
    assert_eq!(hello(env, "still"), "Howdy, still!");
    // The same push again goes on where that one was.
    workers[0].signal(Signal::CONT);
    let again = push(env, &third, &[]);
    assert_eq!(
        (&again["revision"], &again["percent"], &again["new"]),
        (&json!(3), &json!(100), &json!(false)),
        "{again}"
    );
    assert_eq!(hello(env, "now"), "Hallo, now!");
    for worker in workers {
        worker.stop().ok();
    }
}

on_each_backend! { a_call_brings_its_code_along }

fn a_call_brings_its_code_along(env: &Env) {
    // A worker with other code on its topic, and one that serves what is pushed.
    let own = guest().with_file_name("rust-hello.wasm");
    let worker = env.start(["run", "--topic", TOPIC, "--accept-code", own.to_str().expect("UTF-8")]);
    worker.wait_for_stderr("serving topic");
    let follower = env.start(["run", "--topic", "any", "--accept-code"]);
    follower.wait_for_stderr("serving topic");
    let code = guest();
    let code = code.to_str().expect("UTF-8");
    for topic in [TOPIC, "any"] {
        // Each call of the tree is one of the same component.
        let called = env.run(["call", "--topic", topic, "--with", code, "fib", "{\"n\": 7, \"salt\": \"x\"}"]);
        assert_eq!(called.ok(), "13");
        let sent = called.stderr.contains(" sent, ");
        assert_eq!(sent, topic == TOPIC, "the second one ships nothing: {called:?}");
    }
    // The topic's own code goes on beside it, and shares nothing with it.
    let patched = patched(env, "howdy.wasm", &[("Hello, ", "Howdy, ")]);
    let patched = patched.to_str().expect("UTF-8");
    assert_eq!(hello(env, "a"), "Hello, a!");
    assert_eq!(env.run(["call", "--with", patched, "hello", "{\"greetee\": \"a\"}"]).ok(), "Howdy, a!");
    env.run(["call", "--with", patched, "helo"]).refused(2, &["no task helo", "hello"]);
    // It is in the store now, so a call can name it.
    let digest = brrr_protocol::digest::Digest::of(&std::fs::read(patched).expect("the component"));
    let task = brrr_protocol::shipping::task_at("hello", &digest);
    assert_eq!(env.run(["call", &task, "{\"greetee\": \"named\"}"]).ok(), "Howdy, named!");
    // What can't be run fails the call, and nothing else.
    let missing = format!("hello@sha256:{}", "ab".repeat(32));
    let failed = env.run(["call", &missing, "{\"greetee\": \"a\"}"]);
    assert_eq!(failed.code, Some(31), "{failed:?}");
    assert!(failed.stderr.contains("not in the store"), "{failed:?}");
    // A worker that was not told to accept code doesn't. That is said before anything is built or sent.
    worker.stop().ok();
    let strict = env.start(["run", "--topic", TOPIC, "--unknown-task-grace", "300ms", own.to_str().expect("UTF-8")]);
    strict.wait_for_stderr("serving topic");
    eventually("the worker is listed", || match env.run(["workers", "--output", "json"]).json() {
        Value::Array(workers) if workers.iter().any(|worker| worker["topic"] == TOPIC) => Ok(()),
        workers => Err(workers.to_string()),
    });
    let refused = env.run(["call", "--with", patched, "hello", "{\"greetee\": \"b\"}"]);
    refused.refused(31, &["no worker of topic demo accepts code", "--accept-code"]);
    // A worker that came to the call nevertheless gives it back, and the call fails.
    assert_eq!(env.run(["call", &task, "{\"greetee\": \"c\"}"]).code, Some(31));
    strict.stop().ok();
    follower.stop().ok();
}

on_each_backend! { revisions_are_inspected_and_compared }

fn revisions_are_inspected_and_compared(env: &Env) {
    let worker = follower(env);
    push(env, &guest(), &[]);
    push(env, &guest().with_file_name("rust-hello.wasm"), &[]);
    let newest = env.run(["inspect", "--output", "json"]).json();
    assert_eq!(
        (&newest["revision"], &newest["components"][0]["tasks"].as_array().map(Vec::len)),
        (&json!(2), &Some(2))
    );
    assert!(env.run(["inspect", "--revision", "1"]).ok().contains("fan_out"));
    env.run(["inspect", "--revision", "7"]).refused(40, &["no revision 7"]);
    let differences = env.run(["deploy", "diff", "1", "2", "--output", "json"]).json();
    assert_eq!(differences["tasks_added"], json!([]));
    let removed = differences["tasks_removed"].as_array().expect("tasks");
    assert!(removed.contains(&json!("fan_out")) && !removed.contains(&json!("hello")), "{differences}");
    let text = env.run(["deploy", "diff", "2", "1"]);
    assert!(text.ok().lines().any(|line| line == "+ task fan_out"), "{text:?}");
    assert_eq!(env.run(["deploy", "diff", "1", "1"]).ok(), "no task, option, schema or import is different");
    worker.stop().ok();
}

on_each_backend! { a_push_is_verified_by_what_calls_did }

fn a_push_is_verified_by_what_calls_did(env: &Env) {
    let worker = follower(env);
    push(env, &guest(), &[]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 9}"]).ok(), "34");
    assert_eq!(hello(env, "x"), "Hello, x!");
    assert_eq!(env.run(["call", "gather", "{\"n\": 3}"]).code, Some(0));
    let verify = |component: &std::path::Path, more: &[&str]| {
        env.run([&["push", "--verify", "1000", component.to_str().expect("UTF-8")], more].concat())
    };
    // The same code, built anew: it has another digest.
    let mut bytes = std::fs::read(guest()).expect("the guest");
    bytes.extend([0, 2, 1, b'x']);
    let again = verify(&env.write("again.wasm", bytes), &[]);
    again.ok();
    // `hello`, `gather` with three children, and fib(9) to fib(0).
    assert!(again.stderr.contains("15 calls replayed, 0 of them"), "{again:?}");
    // Another result.
    let howdy = patched(env, "howdy.wasm", &[("Hello, ", "Howdy, ")]);
    let refused = verify(&howdy, &[]);
    assert_eq!(refused.code, Some(42), "{refused:?}");
    for line in ["- before: gives \"Hello, x!\"", "+ now:    gives \"Howdy, x!\"", "1 of 15 calls"] {
        assert!(refused.stderr.contains(line), "{line}: {refused:?}");
    }
    // Other arguments of children.
    let other = verify(&guest().with_file_name("rust-hello.wasm"), &["--output", "json"]);
    assert_eq!(other.code, Some(42), "{other:?}");
    let differences = other.json()["differences"].as_array().expect("differences").clone();
    let fib = differences.iter().find(|found| found["what"].as_str().expect("text").starts_with("fib"));
    let fib = fib.unwrap_or_else(|| panic!("{differences:?}"));
    assert!(fib["now"].as_str().expect("text").starts_with("calls fib"), "{fib}");
    assert_eq!(hello(env, "y"), "Hello, y!", "nothing was pushed");
    verify(&howdy, &["--force"]).ok();
    assert_eq!(hello(env, "z"), "Howdy, z!");
    worker.stop().ok();
}

on_each_backend! { the_doctor_finds_code_that_can_not_be_loaded }

fn the_doctor_finds_code_that_can_not_be_loaded(env: &Env) {
    let worker = follower(env);
    push(env, &guest(), &[]);
    worker.stop().ok();
    let healthy = env.run(["doctor"]);
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
    let chunk = block_on(async {
        let backend = env.open().await;
        let chunks = backend.store().list(&Kind::Chunk, None, 1).await.expect("chunks").ids;
        backend.store().remove_many(&[Key::new(&chunks[0], Kind::Chunk)]).await.expect("it is removed");
        chunks[0].clone()
    });
    let found = env.run(["doctor"]);
    assert_eq!(found.code, Some(43), "{found:?}");
    let words = ["revision 1 of topic demo can't be loaded", "1 of the", "chunks", "push it again"];
    assert!(words.iter().all(|word| found.stdout.contains(word)), "{chunk}: {found:?}");
    let fixed = env.run(["doctor", "--fix", "--output", "json"]);
    assert_eq!((fixed.code, &fixed.json()["findings"][0]["state"]), (Some(43), &json!("left alone")), "{fixed:?}");
    // Nobody serves the topic now, so nobody loads the revision.
    env.run(["push", guest().to_str().expect("UTF-8"), "--wait", "0s"]);
    assert_eq!(env.run(["doctor"]).code, Some(0));
}
