//! What guests log and print: `logs`, and what guests and their failures can write to logs and tables that people read.

use serde_json::{Value, json};

use crate::control::schedule;
use crate::harness::{Env, Running, guest};

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
    let job = &newest(&env);
    env.run(["call", "prints", &json!({"line": FORGED}).to_string()]).ok();
    let printing = &newest(&env);
    for args in [&["logs", printing][..], &["logs", printing, "--output", "json"]] {
        let logged = env.run(args);
        assert!(logged.ok().contains("all is lost"), "{logged:?}");
        forges_no_line(args[0], logged.ok());
    }
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

/// The job that was started last.
fn newest(env: &Env) -> String {
    let jobs = env.run(["jobs", "--output", "json"]).json();
    jobs["jobs"][0]["job"].as_str().expect("a job").to_owned()
}

/// Runs a call to its end. Returns its job.
fn called(env: &Env, args: &[&str], code: i32) -> String {
    let ended = env.run([&["call"], args].concat());
    assert_eq!(ended.code, Some(code), "{ended:?}");
    newest(env)
}

/// The lines of a job as JSON.
fn lines(env: &Env, args: &[&str]) -> Vec<Value> {
    let ended = env.run([&["logs"], args, &["--output", "json"]].concat());
    ended.ok().lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
}

fn texts(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["text"].as_str()).collect()
}

/// A run and its replay print the same again.
#[test]
fn a_line_is_kept_once() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let job = called(&env, &["prints", "{\"line\": \"me\"}"], 0);
    let found = lines(&env, &[&job]);
    assert_eq!(texts(&found), ["before me", "warning me", "after me"]);
    let of = |key: &str| found.iter().map(|line| line[key].clone()).collect::<Vec<_>>();
    // The Rust SDK prints by the log of the host.
    assert_eq!(of("stream"), ["log", "log", "log"]);
    assert_eq!(of("level"), ["info", "warn", "info"]);
    assert_eq!((of("number"), of("task")), (vec![json!(0), json!(1), json!(2)], vec![json!("prints"); 3]));
    let text = env.run(["logs", &job]);
    let text: Vec<&str> = text.ok().lines().collect();
    assert!(text[1].ends_with("  warning me") && text[1].contains(" warn   prints "), "{text:?}");
    // One call, and one level.
    let call = found[0]["call"].as_str().expect("a hash");
    assert_eq!(lines(&env, &[&job, "--call", &call[..12]]), found);
    assert_eq!(texts(&lines(&env, &[&job, "--level", "warn"])), ["warning me"]);
    env.run(["logs", &job, "--call", "zz"]).refused(40, &["zz", &job]);
    env.run(["logs", "nobody"]).refused(40, &["nobody"]);
    assert_eq!(env.run(["logs", &job, "--level", "loud"]).code, Some(2));

    let job = called(&env, &["logs_fields"], 0);
    assert_eq!(lines(&env, &[&job])[0]["fields"], json!({"a": "1", "b": "two"}));
    assert!(env.run(["logs", &job]).ok().ends_with("  with fields a=1 b=two"));
    worker.stop().ok();
    env.run(["gc", "--older-than", "0s"]).ok();
    assert!(env.run(["logs", &job]).code == Some(40));
}

/// Runs that trap and that time out. Of too many lines, the newest are kept.
#[test]
fn what_a_run_has_logged_before_its_end_is_kept() {
    let env = Env::new();
    let hostile = guest().with_file_name("rust-hostile.wasm");
    env.write(
        "brrr.toml",
        "[tasks.panics]\nmax-retries = 1\nretry-delay = \"0s\"\n[tasks.stdout]\nmax-retries = 0\ntimeout = \"1s\"\n",
    );
    let worker = env.worker(&[hostile.to_str().expect("UTF-8"), "--keep-logs", "2KiB"]);
    let job = called(&env, &["panics", "{\"message\": \"help\"}"], 30);
    let found = lines(&env, &[&job]);
    for attempt in [1, 2] {
        let has = |line: &Value| {
            line["attempt"] == attempt
                && line["level"] == "error"
                && line["text"].as_str().is_some_and(|t| t.contains("help"))
        };
        assert_eq!(found.iter().filter(|line| has(line)).count(), 1, "{found:?}");
    }
    assert!(env.run(["logs", &job]).ok().contains("#2  "));

    let job = called(&env, &["stdout"], 32);
    let found = lines(&env, &[&job]);
    assert!(found[0]["cut"].as_u64().is_some_and(|cut| cut > 100), "{found:?}");
    assert!(texts(&found).last().is_some_and(|text| text.contains("cut off here")), "{found:?}");
    assert!(found.iter().map(|line| line.to_string().len()).sum::<usize>() < 10_000, "{found:?}");
    assert!(env.run(["logs", &job]).ok().lines().next().is_some_and(|line| line.contains("are not kept")));
    worker.stop().ok();
}

#[test]
fn nothing_is_kept_if_nobody_wants_it() {
    let env = Env::new();
    let worker = env.worker(&["--keep-logs", "0"]);
    let job = called(&env, &["prints", "{\"line\": \"me\"}"], 0);
    let ended = env.run(["logs", &job]);
    assert_eq!(ended.ok(), "");
    assert!(ended.stderr.contains("--keep-logs 0"), "{ended:?}");
    worker.stop().ok();
    env.run(["run", "x.wasm", "--keep-logs", "1GiB"]).code.filter(|code| *code == 2).expect("a wrong argument");
}

/// New lines come while the job is alive. The command ends with the job.
#[test]
fn lines_are_followed_until_the_job_is_over() {
    for publish in [true, false] {
        let env = Env::new();
        // The job stays alive after its first attempt.
        env.write("brrr.toml", "[tasks.panics]\nmax-retries = 1\nretry-delay = \"1h\"\n");
        let job = schedule(&env, &["panics", "{\"message\": \"help\"}"]);
        let follow = env.start(["logs", &job, "--follow"]);
        let worker = env.worker(if publish { &["--publish-events"] } else { &[] });
        follow.wait_for_stdout("help");
        env.run(["cancel", &job]).ok();
        let ended = Running::end(follow);
        assert_eq!(ended.ok().matches("help").count(), 1, "{ended:?}");
        worker.stop().ok();
    }
}

/// A run that is stopped because its job was cancelled.
#[test]
fn what_a_cancelled_run_has_logged_is_kept() {
    let env = Env::new();
    let hostile = guest().with_file_name("rust-hostile.wasm");
    let worker = env.worker(&[hostile.to_str().expect("UTF-8")]);
    let job = schedule(&env, &["stdout"]);
    worker.wait_for_stdout("cut off here");
    env.run(["cancel", &job]).ok();
    crate::harness::eventually("the lines of the stopped run are there", || {
        let ended = env.run(["logs", &job]);
        if ended.ok().contains("cut off here") { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    worker.stop().ok();
}
