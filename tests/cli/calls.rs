//! `call`, `schedule`, `read` and `forget` against a worker.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Env, eventually};

#[test]
fn a_call_prints_its_result_and_the_second_one_answers_at_once() {
    let env = Env::new();
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\":30}"]).ok(), "832040");
    assert_eq!(env.run(["call", "hello", "{\"greetee\": \"John\"}"]).ok(), "Hello, John!");
    worker.stop().ok();
    // No worker runs any more, so this value comes from the store.
    assert_eq!(env.run(["call", "fib", "{\"n\": 30}"]).ok(), "832040");
    let json = env.run(["call", "fib", "{\"n\":30}", "--output", "json"]).json();
    assert_eq!((&json["status"], &json["result"]), (&json!("ok"), &json!(832_040)));
}

#[test]
fn a_call_waits_for_a_worker_to_come() {
    let env = Env::new();
    let call = env.start(["call", "fib", "{\"n\":20}"]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(call.stdout(), "");
    let _worker = env.worker(&[]);
    let ended = call.end();
    assert_eq!(ended.ok(), "6765");
    assert_eq!(ended.stderr, "", "no progress off a terminal");
}

#[test]
fn a_call_gives_up_after_its_time_and_the_job_goes_on() {
    let env = Env::new();
    let start = Instant::now();
    let ended = env.run(["call", "fib", "{\"n\":5}", "--wait", "300ms", "--output", "json"]);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(ended.code, Some(41), "{ended:#?}");
    assert!(ended.stderr.contains("no worker has served topic demo yet"), "{ended:#?}");
    let job = ended.json()["job"].as_str().expect("a job").to_owned();
    assert_eq!(env.run(["read", "--job", &job]).code, Some(40));
    let _worker = env.worker(&[]);
    eventually("the job ends", || {
        let read = env.run(["read", "--job", &job]);
        if read.code == Some(0) { Ok(()) } else { Err(format!("{read:?}")) }
    });
}

#[test]
fn a_failure_shows_the_chain() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let ended = env.run(["call", "fails_child", "{\"message\": \"out of eggs\"}"]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("error: fails_child failed"), "{ended:#?}");
    assert!(lines[1].starts_with("  fails_child: "), "{ended:#?}");
    assert!(lines[2].starts_with("    fails: error: ") && lines[2].contains("out of eggs"), "{ended:#?}");
    assert_eq!(ended.stdout, "");
    let json = env.run(["read", "fails_child", "{\"message\": \"out of eggs\"}", "--output", "json"]);
    assert_eq!(json.code, Some(30));
    let failure = &json.json()["failure"];
    assert_eq!((&failure["kind"], &failure["task"]), (&json!("error"), &json!("fails_child")));
    assert_eq!(failure["chain"].as_array().expect("a chain").len(), 2);
    let log = worker.stop();
    assert_eq!(log.stderr.matches("failed: ").count(), 2, "once a call: {log:#?}");
}

/// The first line of a message is in the chain. The others are shown below it, in `call` and in `job`.
#[test]
fn all_of_a_failure_is_shown() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let ended = env.run(["call", "panics", r#"{"message": "out of eggs\nand \u001b[31mmilk"}"#]);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    let job = env.run(["jobs", "--output", "json"]).json()["jobs"][0]["job"].as_str().expect("a job").to_owned();
    let shown = env.run(["job", &job]);
    for text in [&ended.stderr, &shown.stdout] {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for line in ["stderr: out of eggs", "stderr: and \\u{1b}[31mmilk"] {
            assert!(lines.contains(&line), "{line:?} is not in {text}");
        }
        assert!(text.contains("it gave up") && text.contains("stderr: panicked at "), "{text}");
        assert!(!text.contains("RUST_BACKTRACE"), "{text}");
    }
}

#[test]
fn nothing_is_null_and_so_is_a_value_without_bytes() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    assert_eq!(env.run(["call", "nothing"]).ok(), "null");
    let empty = crate::control::schedule(&env, &["echo", "", "--codec", "raw"]);
    eventually("the job ends", || {
        let read = env.run(["read", "--job", &empty]);
        if read.code == Some(0) { Ok(()) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(env.run(["read", "--job", &empty]).ok(), "null");
    let document = env.run(["read", "--job", &empty, "--output", "json"]).json();
    assert_eq!(document["result"], json!(null));
    assert_eq!(env.run(["read", "--job", &empty, "--codec", "raw"]).ok(), "");
}

#[test]
fn a_number_keeps_its_digits_or_is_refused() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let relay = |number: &str| {
        env.run(["call", "relays", &format!(r#"{{"task": "leaf", "topic": null, "args": {{"i": {number}}}}}"#)])
    };
    assert_eq!(relay("9007199254740993").ok(), "9007199254740993");
    assert_eq!(env.run(["call", "leaf", r#"{"i": 18446744073709551615}"#]).ok(), "18446744073709551615");
    relay("1e400").refused(2, &["1e+400", "another number"]);
    relay("NaN").refused(2, &["not JSON"]);
}

#[test]
fn a_task_without_a_handler_fails_after_its_grace() {
    let env = Env::new();
    let _worker = env.worker(&["--unknown-task-grace", "300ms"]);
    let ended = env.run(["call", "nobody"]);
    assert_eq!(ended.code, Some(31), "{ended:#?}");
    assert!(ended.stderr.contains("nobody failed (unknown-task)"), "{ended:#?}");
}

#[test]
fn output_of_a_guest_is_on_stdout_with_task_and_hash() {
    let env = Env::new();
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "prints", "{\"line\": \"me\"}"]).ok(), "me");
    let call = env.run(["schedule", "prints", "{\"line\": \"me\"}", "--output", "json"]).json();
    let short = &call["call"].as_str().expect("a hash")[..8];
    worker.wait_for_stdout("after me");
    let ended = worker.stop();
    let expected =
        format!("prints {short} │ before me\nprints {short} │ warn: warning me\nprints {short} │ after me\n");
    // Each line appears once, although the handler ran twice. A guest without stdio logs its output; this adds the prefix.
    assert_eq!(ended.stdout.replace("info: ", ""), expected);
}

#[test]
fn fresh_runs_a_call_again() {
    let env = Env::new();
    let worker = env.worker(&[]);
    env.run(["call", "prints", "{\"line\": \"x\"}"]).ok();
    env.run(["call", "prints", "{\"line\": \"x\"}"]).ok();
    assert_eq!(env.run(["call", "prints", "{\"line\": \"x\"}", "--fresh"]).ok(), "x");
    let ended = worker.stop();
    assert_eq!(ended.stdout.matches("before x").count(), 2, "{ended:#?}");
}

#[test]
fn raw_payloads_are_bytes_in_and_bytes_out() {
    use std::io::Write as _;
    let env = Env::new();
    let _worker = env.worker(&[]);
    env.write("bytes", b"\x01 not json \x7f");
    assert_eq!(env.run(["call", "echo", "@bytes", "--codec", "raw"]).stdout, "\x01 not json \x7f");
    let mut child = env
        .command(["call", "echo", "-", "--codec", "raw"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary");
    child.stdin.take().expect("stdin").write_all(b"from stdin").expect("a pipe");
    assert_eq!(child.wait_with_output().expect("an end").stdout, b"from stdin");
    // A JSON codec can't show such a value.
    let hash = env.run(["schedule", "echo", "@bytes", "--codec", "raw", "--output", "json"]).json();
    env.run(["read", "--call", hash["call"].as_str().expect("a hash")]).refused(3, &["not JSON", "--codec raw"]);
}

#[test]
fn schedule_read_and_forget() {
    let env = Env::new();
    let scheduled = env.run(["schedule", "fib", "{\"n\":10}"]);
    let words: Vec<&str> = scheduled.ok().split_whitespace().collect();
    let ["job", job, "call", call] = words[..] else { panic!("{scheduled:#?}") };
    assert_eq!(env.run(["read", "fib", "{\"n\":10}"]).code, Some(40));
    assert_eq!(env.run(["read", "--job", "nobody"]).code, Some(40));
    assert_eq!(env.run(["forget", "--call", call]).code, Some(40), "no value yet");
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\":10}"]).ok(), "55");
    for by in [vec!["fib", "{\"n\":10}"], vec!["--job", job], vec!["--call", call]] {
        assert_eq!(env.run(["read"].iter().chain(&by)).ok(), "55", "{by:?}");
    }
    worker.stop().ok();

    let alive = env.run(["schedule", "fib", "{\"n\":11}", "--output", "json"]).json();
    let refused = env.run(["forget", "fib", "{\"n\":10}"]);
    assert_eq!(refused.code, Some(42), "{refused:#?}");
    assert!(refused.stderr.contains(alive["job"].as_str().expect("a job")), "{refused:#?}");

    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\":11}"]).ok(), "89");
    env.run(["forget", "fib", "{\"n\":10}"]).ok();
    assert_eq!(env.run(["read", "--job", job]).code, Some(40), "forgotten");
    assert_eq!(env.run(["call", "fib", "{\"n\":10}"]).ok(), "55", "computed again");
    worker.stop().ok();
}
