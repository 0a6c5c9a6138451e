//! `run --events`, `run --publish-events` and `events`.

use serde_json::Value;

use crate::control::{events, schedule};
use crate::harness::{Env, eventually};

fn step(event: &Value) -> String {
    let word = |key: &str| event[key].as_str().expect("a word").to_owned();
    format!("{} {} {}>{} {}", word("subject"), word("task"), word("from"), word("to"), event["attempt"])
}

/// All transitions of a parent whose child fails three times.
const STEPS: [&str; 15] = [
    "job calls_always_fails unscheduled>ready 1",
    "task calls_always_fails unscheduled>ready 1",
    "job calls_always_fails ready>running 1",
    "task calls_always_fails ready>running 1",
    "task calls_always_fails running>deferred 1",
    "task always_fails unscheduled>ready 1",
    "task always_fails ready>running 1",
    "task always_fails running>ready 2",
    "task always_fails ready>running 2",
    "task always_fails running>ready 3",
    "task always_fails ready>running 3",
    "task always_fails running>failed 3",
    "task calls_always_fails deferred>running 1",
    "task calls_always_fails running>failed 1",
    "job calls_always_fails running>failed 1",
];

#[test]
fn a_file_has_every_transition() {
    let env = Env::new();
    // One run at a time, so that the events have a fixed order.
    let worker = env.worker(&["--max-running", "1", "--events", "events.jsonl"]);
    let ended = env.run(["call", "calls_always_fails", "{\"catch\": false}"]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    worker.stop().ok();
    let events = events(&env, "events.jsonl");
    assert_eq!(events.iter().map(step).collect::<Vec<_>>(), STEPS);
    for event in &events {
        assert_eq!(event["v"], 1, "{event}");
        assert!(event["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{event}");
        assert_eq!(event["job"], events[0]["job"]);
    }
    assert!(events[7]["retry_in_ms"].is_u64() && events[7]["failure"]["message"] == "never works", "{}", events[7]);
    assert_eq!(events[4]["waiting"], 1);
}

#[test]
fn stdout_contains_only_events() {
    let env = Env::new();
    let worker = env.worker(&["--events", "-"]);
    assert_eq!(env.run(["call", "prints", "{\"line\": \"me\"}"]).ok(), "me");
    let ended = worker.stop();
    assert!(ended.stderr.contains("before me"), "{ended:#?}");
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert!(lines.len() > 5, "{lines:?}");
}

#[test]
fn published_events_are_followed_from_elsewhere() {
    let env = Env::new();
    env.run(["events"]).refused(22, &["no such file"]);
    let id = schedule(&env, &["calls_always_fails", "{\"catch\": false}"]);
    let none = env.run(["events"]);
    assert!(none.ok().is_empty() && none.stderr.contains("--publish-events"), "{none:#?}");
    let follow = env.start(["events", "--follow", "--job", &id]);
    let worker = env.worker(&["--max-running", "1", "--publish-events"]);
    env.run(["call", "fib", "{\"n\": 3}"]).ok();
    eventually("the end of the job is reported", || {
        let out = follow.stdout();
        let is_reported =
            out.lines().any(|line| line.contains("\"subject\":\"job\"") && line.contains("\"to\":\"failed\""));
        if is_reported { Ok(()) } else { Err(out) }
    });
    let out = follow.stdout();
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    assert_eq!(events.iter().map(step).collect::<Vec<_>>(), STEPS);
    assert!(events.iter().all(|event| event["job"] == *id), "{out}");
    let position = |event: &Value| event["position"].as_u64().expect("a position");
    assert!(events.is_sorted_by_key(position), "{out}");
    worker.stop().ok();

    let all = env.run(["events"]).ok().lines().count();
    assert!(all > STEPS.len(), "those of the other job too");
    let middle = position(&events[9]).to_string();
    let rest = env.run(["events", "--job", &id, "--since", &middle]);
    assert_eq!(rest.ok().lines().count(), 5, "{rest:#?}");
    let last = position(&events[14]).to_string();
    assert_eq!(env.run(["events", "--job", &id, "--since", &last]).ok(), "");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_at_the_start() {
    let env = Env::new();
    let guest = crate::harness::guest();
    let ended = env.run(["run", guest.to_str().expect("UTF-8"), "--events", "nowhere/events.jsonl"]);
    ended.refused(2, &["--events", "nowhere/events.jsonl"]);
}

#[test]
fn a_reader_of_events_that_goes_away_ends_the_worker() {
    use std::io::{BufRead as _, BufReader};
    use std::process::Stdio;

    let env = Env::new();
    let guest = crate::harness::guest();
    let mut command = env.command(["run", guest.to_str().expect("UTF-8"), "--events", "-"]);
    let mut worker = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
    assert_eq!(env.run(["call", "noop"]).code, Some(0));
    let mut stdout = BufReader::new(worker.stdout.take().expect("stdout"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("an event");
    drop(stdout);
    let code = crate::harness::eventually("the worker has ended", || {
        // The worker notices the closed reader only when it writes an event.
        env.run(["schedule", "hello", "{\"greetee\": \"you\"}", "--fresh"]);
        worker.try_wait().expect("a status").ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(code.code(), Some(141));
}
