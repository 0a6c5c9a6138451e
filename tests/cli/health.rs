//! `/healthz` and `/readyz` of the real binary: while it starts, works, loses its backend, gets nowhere, and stops.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::control::schedule;
use crate::gateway::Http;
use crate::harness::{Env, Running, eventually, guest};
use crate::redis;
use crate::servers::free_port;
use crate::servers::redis::Flavour;

/// The answer of `/readyz`, which must be consistent with its status.
fn ready(http: &Http) -> Result<(), String> {
    let answer = http.get("/readyz");
    let body = answer.json();
    match answer.status {
        200 => assert_eq!(body, json!({"status": "ready"})),
        503 => assert!(body["status"] == "not-ready" && body["reasons"][0].is_string(), "{body}"),
        other => panic!("{other}: {body}"),
    }
    if answer.status == 200 { Ok(()) } else { Err(body["reasons"].to_string()) }
}

fn becomes_ready(http: &Http) {
    eventually("ready", || ready(http));
}

fn becomes_unready(http: &Http, reason: &str) {
    eventually(&format!("not ready: {reason}"), || match ready(http) {
        Err(reasons) if reasons.contains(reason) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(http.get("/healthz").json(), json!({"status": "ok"}), "alive all the same");
}

/// A component whose build waits until somebody writes the file `go`.
fn build_that_waits(env: &Env) {
    env.write("stamp", "");
    let copy = format!("while [ ! -e go ]; do sleep 0.02; done; cp {} app.wasm", guest().display());
    let components = format!("[[components]]\npath = \"app.wasm\"\nbuild = {}\nsources = [\"stamp\"]\n", json!(copy));
    env.write("brrr.toml", components);
}

#[test]
fn a_worker_is_ready_from_its_start_to_the_signal_to_stop() {
    let env = Env::new();
    build_that_waits(&env);
    let (metrics, gateway) = (free_port(), free_port());
    let listen = [format!("127.0.0.1:{metrics}"), format!("127.0.0.1:{gateway}")];
    let worker = env.start(["run", "--metrics", &listen[0], "--http", &listen[1]]);
    worker.wait_for_stderr("metrics and health on");
    let (metrics, gateway) = (Http::at(metrics), Http::at(gateway));
    for http in [&metrics, &gateway] {
        becomes_unready(http, "it starts");
    }
    env.write("go", "");
    for http in [&metrics, &gateway] {
        becomes_ready(http);
    }
    // A call that still runs when the worker is asked to stop.
    schedule(&env, &["sleeper", "{\"seconds\": 3}"]);
    eventually("the call runs", || {
        let jobs = env.run(["jobs", "--output", "json"]).stdout;
        if jobs.contains("running") { Ok(()) } else { Err(jobs) }
    });
    worker.signal(Signal::TERM);
    becomes_unready(&metrics, "it stops");
    let ended = worker.end();
    ended.ok();
    assert!(env.run(["jobs"]).ok().contains("completed"), "the call was let end");
}

#[test]
fn probes_need_no_token_and_tell_no_more_than_they_must() {
    let mut env = Env::new();
    env.set("BRRR_HTTP_TOKEN", "a-token-of-more-than-sixteen-characters");
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    becomes_ready(&http);
    assert_eq!(http.get("/healthz").json(), json!({"status": "ok"}));
    assert_eq!(http.get("/v1/jobs").status, 401);
    assert_eq!(http.get("/hello").status, 401);
    assert_eq!(http.get("/metrics").status, 401, "the gateway has no metrics");
    assert_eq!(http.post("/readyz", "").status, 405);
    // A page of another site that makes its name lead here.
    assert_eq!(http.send("GET", "/readyz", &[("host", "evil.example")], None).status, 421);
    worker.stop().ok();
}

#[test]
fn a_worker_without_its_backend_is_not_ready() {
    let Some(server) = Flavour::Redis.start(None, &["--requirepass", "hunter2"]) else { return };
    let env = redis::env_on(format!("redis://:hunter2@127.0.0.1:{}", server.port));
    let worker = env.worker(&["--metrics", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    becomes_ready(&http);
    let port = server.port;
    drop(server);
    becomes_unready(&http, "the backend can't be reached");
    let reasons = ready(&http).unwrap_err();
    assert!(!reasons.contains("hunter2") && !reasons.contains("redis://"), "{reasons}");
    let _again = Flavour::Redis.start(Some(port), &["--requirepass", "hunter2"]);
    becomes_ready(&http);
    worker.stop().ok();
}

#[test]
fn a_worker_whose_messages_wait_for_long_is_not_ready() {
    let env = Env::new();
    let worker = env.worker(&["--metrics", "127.0.0.1:0", "--stalled-after", "1s"]);
    let http = Http::of(&worker);
    becomes_ready(&http);
    schedule(&env, &["hello", "{\"greetee\": \"before\"}"]);
    // Another program holds the right to write. It leaves a message, so that the worker sees one that it can't take.
    let file = rusqlite::Connection::open(env.path(".brrr/state.db")).expect("the database");
    file.busy_timeout(Duration::from_secs(30)).expect("a setting");
    let later = eventually("a message waits that nobody can take", || {
        let job = schedule(&env, &["hello", "{\"greetee\": \"late\"}", "--delay", "1h"]);
        file.execute_batch(
            "BEGIN IMMEDIATE; INSERT INTO ready SELECT topic, number, receives, body FROM delayed; DELETE FROM delayed; COMMIT;
             BEGIN IMMEDIATE",
        )
        .expect("transactions");
        let there: u32 = file.query_row("SELECT count(*) FROM ready", [], |row| row.get(0)).expect("a count");
        if there > 0 {
            return Ok(job);
        }
        // The worker has taken it in between.
        file.execute_batch("COMMIT").expect("the end of the transaction");
        Err(job)
    });
    becomes_unready(&http, "none was settled");
    file.execute_batch("COMMIT").expect("the end of the transaction");
    becomes_ready(&http);
    env.run(["cancel", &later]).ok();
    worker.stop().ok();
}

#[test]
fn a_gateway_without_a_worker_is_ready_while_it_reaches_its_backend() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = redis::env_on(redis::url(&server));
    let serve: Running = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&serve);
    becomes_ready(&http);
    // No worker takes the message. That is not the gateway's fault.
    assert_eq!(http.post("/hello?greetee=you", "").status, 202);
    drop(server);
    becomes_unready(&http, "the backend can't be reached");
    assert_eq!(http.get("/healthz").json()["status"], Value::from("ok"));
    serve.stop().ok();
}
