//! What guests and their failures can write to logs and tables that people read.

use serde_json::json;

use crate::harness::{Env, guest};

/// A text that begins a new line, reverses the text direction, and has invisible characters.
const FORGED: &str = "x\r\n2026-01-01T00:00:00Z ERROR all is lost\u{202e}\u{200b}\u{2028}\u{1b}[2J";

#[track_caller]
fn forges_no_line(what: &str, text: &str) {
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{202e}' | '\u{200b}' | '\u{2028}' | '\u{1b}')
    };
    assert!(!text.chars().any(hidden), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z")), "{what}: {text}");
}

#[test]
fn a_text_of_a_guest_forges_no_log_line() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let arguments = json!({"message": FORGED}).to_string();
    let called = env.run(["call", "fails", &arguments]);
    assert_eq!(called.code, Some(30), "{called:#?}");
    forges_no_line("call", &called.stderr);
    worker.wait_for_stderr("all is lost");
    let jobs = env.run(["jobs", "--output", "json"]).json();
    let job = jobs["jobs"][0]["job"].as_str().expect("a job");
    for args in [&["job", job][..], &["job", job, "--output", "json"], &["jobs"], &["jobs", "--output", "json"]] {
        forges_no_line(args[0], env.run(args).ok());
    }
    let ended = worker.stop();
    forges_no_line("the worker", &ended.stderr);
    assert!(
        ended.stderr.lines().any(|line| line.contains("failed:") && line.contains(r"x\r\n2026-01-01")),
        "{ended:?}"
    );
}

/// The limit for a call's output counts all its attempts. So does the limit for log lines about it.
#[test]
fn a_call_that_is_retried_forever_fills_no_disk() {
    let env = Env::new();
    let hostile = guest().with_file_name("rust-hostile.wasm");
    env.write(
        "brrr.toml",
        "[tasks.stdout]\ntimeout = \"50ms\"\nmax-retries = 4000000000\nretry-delay = \"0s\"\nretry-backoff = \"fixed\"\n",
    );
    let worker = env.start(["run", hostile.to_str().expect("UTF-8")]);
    worker.wait_for_stderr("serving topic");
    env.run(["schedule", "stdout"]).ok();
    worker.wait_for_stderr("attempt 32 in");
    let (printed, logged) = (worker.stdout(), worker.stderr());
    assert!(printed.contains("left out from here on"), "{} bytes", printed.len());
    assert!(printed.len() < (5 << 20), "{} bytes", printed.len());
    let attempt_lines = logged.lines().filter(|line| line.contains("attempt")).count();
    assert!(attempt_lines <= 13, "{logged}");
}
