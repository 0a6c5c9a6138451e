//! Retries, timeouts and cancelling, as a user sees them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Env, Running, block_on, eventually};

/// Schedules a call. Returns the id of its job.
pub fn schedule(env: &Env, args: &[&str]) -> String {
    let scheduled = env.run(["schedule"].iter().chain(args).chain(&["--output", "json"]));
    assert_eq!(scheduled.code, Some(0), "{scheduled:#?}");
    scheduled.json()["job"].as_str().expect("a job").to_owned()
}

/// The JSON output of `job`.
pub fn job(env: &Env, job: &str) -> Value {
    env.run(["job", job, "--output", "json"]).json()
}

/// The events that a worker has written to a file until now.
pub fn events(env: &Env, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(env.path(file)).unwrap_or_default();
    // The last line may be incomplete.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until a worker that writes its events to `file` has started to run this task.
fn runs(env: &Env, file: &str, task: &str) {
    eventually(&format!("{task} runs"), || {
        let events = events(env, file);
        let begun = events.iter().any(|e| e["task"] == task && e["subject"] == "task" && e["to"] == "running");
        if begun { Ok(()) } else { Err(format!("{events:?}")) }
    });
}

/// The id of the only running job.
fn running_job(env: &Env) -> String {
    eventually("a job runs", || {
        let jobs = env.run(["jobs", "--state", "running", "--output", "json"]).json();
        jobs["jobs"][0]["job"].as_str().map(str::to_owned).ok_or_else(|| jobs.to_string())
    })
}

#[test]
fn a_transient_failure_is_retried() {
    let env = Env::new();
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "flaky", "{\"until\": 3}"]).ok(), "{\"attempt\":3}");
    let ended = env.run(["call", "always_fails"]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    assert!(ended.stderr.contains("error: always_fails failed after 3 attempts"), "{ended:#?}");
    // There is no retry after a failure that the handler calls permanent, or after the uncaught failure of a child.
    let ended = env.run(["call", "stubborn"]);
    assert!(ended.code == Some(30) && !ended.stderr.contains("attempts"), "{ended:#?}");
    let parent = env.run(["call", "calls_always_fails", "{\"catch\": false}", "--output", "json"]);
    assert_eq!((parent.code, &parent.json()["failure"]["attempts"]), (Some(30), &json!(1)));
    let seen = env.run(["call", "calls_always_fails", "{\"catch\": true}"]);
    let seen: Value = serde_json::from_str(seen.ok()).expect("JSON");
    assert_eq!((&seen["attempts"], &seen["task"]), (&json!(3), &json!("always_fails")));
    worker.stop().ok();
}

#[test]
fn flags_of_the_job_override_the_options_of_its_task() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let ended = env.run(["call", "always_fails", "--max-retries", "0"]);
    assert!(ended.code == Some(30) && !ended.stderr.contains("attempts"), "{ended:#?}");
    let ended = env.run(["call", "always_fails", "--max-retries", "4", "--retry-delay", "1ms", "--fresh"]);
    assert!(ended.stderr.contains("after 5 attempts"), "{ended:#?}");
    let ended = env.run(["call", "fan_out", "{\"n\": 20}", "--max-messages", "10"]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    assert!(ended.stderr.contains("its limit of 10 messages"), "{ended:#?}");
}

#[test]
fn the_retry_of_a_worker_that_was_killed_still_happens() {
    let env = Env::new();
    let first = env.worker(&["--lease", "1s"]);
    let id = schedule(&env, &["flaky", "{\"until\": 2}", "--retry-delay", "3s"]);
    eventually("its first attempt has failed", || {
        let job = job(&env, &id);
        let tree = &job["tree"];
        if tree["attempt"] == 2 && tree["last_failure"].is_string() { Ok(()) } else { Err(job.to_string()) }
    });
    first.signal(Signal::KILL);
    drop(first);
    let between = job(&env, &id);
    assert!(between["tree"]["next_attempt_at"].is_string(), "killed too late to prove anything: {between}");
    let text = env.run(["job", &id]);
    assert!(text.ok().contains("ready (attempt 2 in ") && text.stdout.contains("attempt 1 fails"), "{text:#?}");
    let second = env.worker(&["--lease", "1s"]);
    let read = eventually("the job ends", || {
        let read = env.run(["read", "--job", &id]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(read, "{\"attempt\":2}\n");
    second.stop().ok();
}

#[test]
fn a_job_that_runs_out_of_time_is_stopped() {
    let env = Env::new();
    let worker = env.worker(&["--max-running", "1"]);
    let start = Instant::now();
    let ended = env.run(["call", "loops", "--timeout", "1s"]);
    assert_eq!(ended.code, Some(32), "{ended:#?}");
    assert!(ended.stderr.contains("did not end within its 1s"), "{ended:#?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // The worker's only slot is free again.
    assert_eq!(env.run(["call", "fib", "{\"n\": 10}"]).ok(), "55");
    let ended =
        env.run(["call", "loops", "--fresh", "--task-timeout", "300ms", "--max-retries", "1", "--retry-delay", "1ms"]);
    assert_eq!(ended.code, Some(32), "{ended:#?}");
    assert!(ended.stderr.contains("after 2 attempts") && ended.stderr.contains("300ms"), "{ended:#?}");
    let ended = env.run(["call", "spin_briefly_limited"]);
    assert_eq!(ended.code, Some(32), "{ended:#?}");
    worker.stop().ok();
}

#[test]
fn a_deadline_passes_without_any_worker() {
    let env = Env::new();
    let start = Instant::now();
    let ended = env.run(["call", "fib", "{\"n\": 10}", "--timeout", "500ms", "--output", "json"]);
    assert_eq!(ended.code, Some(32), "{ended:#?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    let id = ended.json()["job"].as_str().expect("a job").to_owned();
    assert_eq!(ended.json()["failure"]["kind"], "timeout");
    assert_eq!(job(&env, &id)["state"], "timed-out");
    // The job's deadline has passed. Its message is still in the queue, but no worker may run it.
    let worker = env.worker(&["--events", "events.jsonl"]);
    assert_eq!(env.run(["call", "hello", "{\"greetee\": \"x\"}"]).ok(), "Hello, x!");
    worker.stop().ok();
    assert!(!events(&env, "events.jsonl").iter().any(|e| e["job"] == *id && e["to"] == "running"));
    let past = env.run(["call", "fib", "--deadline", "2001-01-01T00:00:00+01:00"]);
    past.refused(2, &["--deadline", "has passed"]);
}

#[test]
fn cancel_stops_running_calls_and_the_client_reports_it() {
    let env = Env::new();
    let worker = env.worker(&["--max-running", "1", "--events", "events.jsonl"]);
    let call = env.start(["call", "loops"]);
    runs(&env, "events.jsonl", "loops");
    let id = running_job(&env);
    let start = Instant::now();
    let cancelled = env.run(["cancel", &id, "--output", "json"]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:#?}");
    assert_eq!(cancelled.json(), json!({"status": "cancelled", "job": id, "state": "cancelled"}));
    let ended = call.end();
    let call_ended = start.elapsed();
    assert_eq!(ended.code, Some(33), "{ended:#?}");
    assert!(ended.stderr.contains("loops failed (cancelled)"), "{ended:#?}");
    eventually("its handler has ended", || {
        let events = events(&env, "events.jsonl");
        let ended = events.iter().any(|e| e["job"] == *id && e["subject"] == "job" && e["to"] == "cancelled");
        if ended { Ok(()) } else { Err(format!("{events:?}")) }
    });
    eprintln!("from cancel: {call_ended:?} until the call had ended, {:?} until the handler had", start.elapsed());
    // The promise is 2 s. The rest is a reserve for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(env.run(["call", "fib", "{\"n\": 10}"]).ok(), "55", "the worker's only slot is free");

    let again = env.run(["cancel", &id, "--output", "json"]);
    assert_eq!((again.code, &again.json()["state"]), (Some(42), &json!("cancelled")), "{again:#?}");
    assert!(again.stderr.contains("over already"), "{again:#?}");
    env.run(["cancel", "nobody"]).refused(40, &["no job nobody"]);
    worker.stop().ok();
}

#[test]
fn a_call_that_another_job_waits_for_is_not_cancelled() {
    let env = Env::new();
    let cancelled = schedule(&env, &["fan_out", "{\"n\": 5}"]);
    let wanted = schedule(&env, &["fan_out", "{\"n\": 5}"]);
    env.run(["cancel", &cancelled]).ok();
    let worker = env.worker(&[]);
    eventually("the other job ends", || {
        let read = env.run(["read", "--job", &wanted]);
        if read.code == Some(0) { Ok(()) } else { Err(format!("{read:?}")) }
    });
    let read = env.run(["read", "--job", &cancelled]);
    assert_eq!(read.code, Some(33), "it stays cancelled: {read:#?}");
    worker.stop().ok();
}

#[test]
fn an_interrupted_wait_says_how_to_cancel() {
    let env = Env::new();
    let ended = env.run(["call", "fib", "--wait", "100ms"]);
    assert_eq!(ended.code, Some(41), "{ended:#?}");
    assert!(ended.stderr.contains("brrr-host cancel "), "{ended:#?}");
    let id = running_job(&env);
    assert_eq!(job(&env, &id)["state"], "running");
}

#[test]
fn a_cycle_is_named() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let ended = env.run(["call", "cycle_a"]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    assert!(ended.stderr.contains("cycle_a failed (cycle)"), "{ended:#?}");
    assert!(ended.stderr.contains("cycle_a (") && ended.stderr.contains(") -> cycle_b ("), "{ended:#?}");
}

#[test]
fn a_replay_that_asks_for_another_call_fails_and_shows_both_calls() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let ended = env.run(["call", "wavers", "--timeout", "1m"]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    assert!(ended.stderr.contains("wavers failed (nondeterminism)"), "{ended:#?}");
    let lines_with = |sign: &str| {
        let lines = ended.stderr.lines().map(str::trim);
        lines.filter(|line| line.starts_with(sign) && line.contains("hello [{\"greetee\": ")).count()
    };
    assert_eq!((lines_with("- before:"), lines_with("+ now:")), (1, 1), "{ended:#?}");
}

/// Locks the database for all other writers until the connection is dropped.
pub fn lock(env: &Env) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(env.path(".brrr/state.db")).expect("the database");
    db.busy_timeout(Duration::from_secs(10)).expect("patience");
    db.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    db
}

#[test]
fn an_uncertain_schedule_is_repeated_with_the_same_id() {
    let env = Env::new();
    drop(env.backend());
    let locked = lock(&env);
    let schedule = env.start(["schedule", "fib", "{\"n\": 5}", "--output", "json"]);
    // The command says so after the database's own busy timeout.
    schedule.wait_for_stderr("trying again under the same job id, ");
    drop(locked);
    let ended = schedule.end();
    let id = ended.json()["job"].as_str().expect("a job").to_owned();
    assert!(ended.code == Some(0) && ended.stderr.contains(&id), "{ended:#?}");
    assert_eq!(env.run(["jobs", "--counts", "--output", "json"]).json()["counts"]["running"], 1);
    assert_eq!(block_on(env.backend().queue().depth(&"demo".into())).expect("a depth"), 1);
}

#[test]
fn a_worker_in_memory_retries_and_times_out() {
    let env = Env::new();
    let worker = env.worker(&["--backend", "memory:", "--http", "127.0.0.1:0", "--timeout", "300ms"]);
    let failure = |worker: &Running, path: &str, body: &str| {
        let base =
            worker.stderr().split_once("on http://").and_then(|(_, rest)| rest.lines().next().map(str::to_owned));
        let url = format!("http://{}{path}", base.expect("an address").trim());
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent: ureq::Agent = config.new_agent();
        assert_eq!(agent.post(&url).send(body).expect("an answer").status().as_u16(), 202);
        eventually(path, || {
            let mut answer = agent.get(&url).call().expect("an answer");
            let text = answer.body_mut().read_to_string().expect("a body");
            if answer.status().as_u16() == 500 { Ok(text) } else { Err(text) }
        })
    };
    worker.wait_for_stderr("on http://");
    assert!(failure(&worker, "/always_fails", "").contains("\"attempts\":3"));
    assert!(failure(&worker, "/loops", "").contains("\"kind\":\"timeout\""));
    worker.stop().ok();
}

#[test]
fn the_timeout_of_a_job_does_not_raise_the_limit_of_a_run() {
    let env = Env::new();
    let worker = env.worker(&["--timeout", "300ms"]);
    let ended = env.run(["call", "loops", "--timeout", "1h", "--output", "json"]);
    assert_eq!(ended.code, Some(32), "{ended:#?}");
    let message = ended.json()["failure"]["message"].to_string();
    assert!(message.contains("300ms"), "{message}");
    worker.stop().ok();
}

/// A job or call with a damaged record can still be shown, ended and removed.
#[test]
fn a_damaged_record_blocks_no_command() {
    let env = Env::new();
    let (damaged, other) = (schedule(&env, &["fib", "{\"n\": 2}"]), schedule(&env, &["noop"]));
    let call = job(&env, &damaged)["call"].as_str().expect("a call").to_owned();
    let key = brrr_protocol::ports::Key::call(&call.as_str().into());
    block_on(env.backend().store().put(&key, "damaged".into())).expect("put");
    let jobs = env.run(["jobs", "--counts", "--output", "json"]).json();
    assert_eq!(jobs["counts"]["running"], 2, "{jobs}");
    // The job's own record has the name of its task.
    assert_eq!(job(&env, &damaged)["task"], "fib");
    env.run(["cancel", &damaged]).ok();
    assert_eq!(job(&env, &damaged)["state"], "cancelled");

    // Now a worker receives a message whose call record is damaged. The job fails, and the message becomes a dead letter.
    let met = schedule(&env, &["fib", "{\"n\": 2}"]);
    block_on(env.backend().store().put(&key, "damaged".into())).expect("put");
    let worker = env.worker(&[]);
    eventually("the job has failed", || {
        let job = job(&env, &met);
        if job["state"] == "failed" { Ok(()) } else { Err(job.to_string()) }
    });
    let dead = env.run(["dlq", "list", "--output", "json"]).json();
    let of_met = |dead_letter: &Value| dead_letter["job"] == met.as_str();
    assert!(dead["dead-letters"].as_array().expect("a list").iter().any(of_met), "{dead}");
    let sent = env.run(["dlq", "send", "--all", "--output", "json"]);
    // The message of the cancelled job became a dead letter too.
    assert_eq!((sent.code, sent.json()), (Some(42), json!({"sent": [], "refused": 2})), "{sent:#?}");
    assert_eq!(env.run(["dlq", "drop", "--all"]).code, Some(0));
    eventually("the other job is done", || match job(&env, &other)["state"].as_str() {
        Some("completed") => Ok(()),
        state => Err(format!("{state:?}")),
    });
    worker.stop().ok();
}

#[test]
fn times_beyond_all_bounds_are_refused() {
    let env = Env::new();
    for flag in ["--timeout", "--task-timeout", "--retry-delay", "--max-retry-delay"] {
        let ended = env.run(["schedule", "noop", flag, "1000000y"]);
        assert_eq!(ended.code, Some(2), "{flag}: {ended:#?}");
        assert!(ended.stderr.contains("100 years"), "{ended:#?}");
    }
}
