//! Jobs that start later (`--delay`, `--at`), and jobs that start once for each key (`--id`).

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::control::{job, schedule};
use crate::harness::{Env, eventually};

const HELLO: [&str; 2] = ["hello", "{\"greetee\": \"x\"}"];

/// `schedule` with these arguments, as JSON.
fn scheduled(env: &Env, args: &[&str]) -> Value {
    let ended = env.run(["schedule", "--output", "json"].iter().chain(args));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.json()
}

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [args, more].concat()
}

#[test]
fn a_key_starts_one_job() {
    let env = Env::new();
    let keyed = with(&HELLO, &["--id", "order-17"]);
    let first = scheduled(&env, &keyed);
    assert_eq!(first["status"], "queued");
    let again = scheduled(&env, &keyed);
    assert_eq!((&again["status"], &again["job"], &again["call"]), (&json!("existing"), &first["job"], &first["call"]));
    let text = env.run(["schedule"].iter().chain(&keyed));
    assert!(text.ok().contains(first["job"].as_str().expect("a job")), "{text:#?}");
    assert!(text.stderr.contains("this key has started the job before"), "{text:#?}");
    assert_eq!(job(&env, first["job"].as_str().expect("a job"))["messages"], 1, "a second message runs the call twice");

    // Other arguments, and another task.
    for other in [["hello", "{\"greetee\": \"y\"}"], ["noop", "{}"]] {
        let refused = env.run(["schedule"].iter().chain(&with(&other, &["--id", "order-17"])));
        refused.refused(42, &["--id", first["job"].as_str().expect("a job"), "choose another key"]);
    }
    // Another key, and another topic.
    for more in [&["--id", "order-18"][..], &["--id", "order-17", "--topic", "other"]] {
        let other = scheduled(&env, &with(&HELLO, more));
        assert!(other["job"] != first["job"] && other["status"] == "queued", "{other}");
    }

    let worker = env.worker(&[]);
    // `call` waits for the first job.
    assert_eq!(env.run(["call"].iter().chain(&keyed)).ok(), "Hello, x!");
    let over = scheduled(&env, &keyed);
    assert_eq!((&over["status"], &over["job"]), (&json!("existing"), &first["job"]));
    assert_eq!(job(&env, first["job"].as_str().expect("a job"))["messages"], 1);
    // A deadline that has passed is none of a job that is there.
    let late = scheduled(&env, &with(&keyed, &["--deadline", "2020-01-01T00:00:00Z"]));
    assert_eq!(late["status"], "existing");
    worker.stop().ok();
}

/// Whenever the client is killed, its command can be repeated. There is one job, and it ends.
#[test]
fn a_client_that_is_killed_may_be_repeated() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    for n in 0..12 {
        let (arguments, key) = (format!("{{\"greetee\": \"{n}\"}}"), format!("key {n}"));
        let command = ["schedule", "hello", &arguments, "--id", &key, "--output", "json"];
        let killed = env.start(command);
        std::thread::sleep(Duration::from_millis(2 * n));
        killed.signal(Signal::KILL);
        killed.end();
        let repeated = env.run(command);
        repeated.ok();
        let id = repeated.json()["job"].as_str().expect("a job").to_owned();
        eventually("the job ends", || {
            let job = job(&env, &id);
            if job["state"] == "completed" { Ok(()) } else { Err(job.to_string()) }
        });
    }
    let jobs = env.run(["jobs", "--output", "json"]).json();
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(12), "{jobs}");
}

#[test]
fn a_job_may_start_later() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let late = schedule(&env, &with(&HELLO, &["--delay", "1h", "--timeout", "5m"]));
    let at = schedule(&env, &with(&HELLO, &["--at", "2100-01-02T03:04:05Z"]));
    for id in [&late, &at] {
        let job = job(&env, id);
        assert_eq!(job["state"], "scheduled", "{job}");
        assert!(job["starts"].as_str().expect("a start") > job["created"].as_str().expect("a time"), "{job}");
    }
    assert_eq!(job(&env, &at)["starts"], "2100-01-02T03:04:05.000Z");
    let shown = job(&env, &late);
    assert!(shown["deadline"].as_str() > shown["starts"].as_str(), "the timeout counts from the start: {shown}");
    let text = env.run(["job", &late]);
    assert!(text.ok().contains("starts") && text.stdout.contains("scheduled"), "{text:#?}");

    let cancelled = schedule(&env, &["hello", "{\"greetee\": \"z\"}", "--delay", "1h"]);
    env.run(["cancel", &cancelled]).ok();
    assert_eq!(job(&env, &cancelled)["state"], "cancelled");

    // The value of the call is there before the two jobs start. They stay as they are.
    assert_eq!(env.run(["call"].iter().chain(&HELLO)).ok(), "Hello, x!");
    let soon = ["hello", "{\"greetee\": \"y\"}", "--delay", "300ms"];
    assert_eq!(env.run(["call"].iter().chain(&soon)).ok(), "Hello, y!");

    let listed = env.run(["jobs", "--state", "scheduled", "--output", "json"]).json();
    let ids: Vec<_> = listed["jobs"].as_array().expect("jobs").iter().map(|job| job["job"].clone()).collect();
    assert_eq!(ids, [json!(at), json!(late)], "{listed}");
    assert_eq!(env.run(["jobs", "--counts", "--output", "json"]).json()["counts"]["scheduled"], 2);
    let running = env.run(["jobs", "--state", "running", "--output", "json"]).json();
    assert_eq!(running["jobs"], json!([]));
    worker.stop().ok();
}

/// A job with a key that starts later is asked for again: the first start counts.
#[test]
fn a_key_keeps_the_first_start() {
    let env = Env::new();
    let first = scheduled(&env, &with(&HELLO, &["--id", "k", "--delay", "1h"]));
    let starts = job(&env, first["job"].as_str().expect("a job"))["starts"].clone();
    for more in [&["--id", "k", "--delay", "2h"][..], &["--id", "k"]] {
        let again = scheduled(&env, &with(&HELLO, more));
        assert_eq!((&again["status"], &again["job"]), (&json!("existing"), &first["job"]));
    }
    let job = job(&env, first["job"].as_str().expect("a job"));
    assert_eq!((&job["starts"], &job["messages"]), (&starts, &json!(1)), "{job}");
}

#[test]
fn values_that_can_not_be() {
    let env = Env::new();
    for bad in [
        &["--id="][..],
        &["--id=a\nb"],
        &["--delay="],
        &["--delay=soon"],
        &["--delay=-1s"],
        &["--at=tomorrow"],
        &["--at=2100-01-02"],
        &["--delay=1h", "--at=2100-01-02T03:04:05Z"],
        &["--delay=1h", "--deadline=2020-01-01T00:00:00Z"],
        &["--at=2100-01-02T03:04:05Z", "--deadline=2100-01-02T03:04:05Z"],
        &["--id=k", "--deadline=2020-01-01T00:00:00Z"],
    ] {
        let ended = env.run(["schedule"].iter().chain(&with(&HELLO, bad)));
        assert_eq!(ended.code, Some(2), "{bad:?}: {ended:#?}");
        assert_eq!(ended.stdout, "", "{bad:?}");
    }
    assert_eq!(env.run(["schedule"].iter().chain(&with(&HELLO, &["--id=k"]))).code, Some(0), "the key is free");
    // A moment that has passed is now.
    let job = schedule(&env, &with(&HELLO, &["--fresh", "--at=2020-01-01T00:00:00Z"]));
    assert_eq!(crate::control::job(&env, &job)["state"], "running");
}
