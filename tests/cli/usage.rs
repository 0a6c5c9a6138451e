//! Arguments without a meaning, and payloads that a codec does not accept.

use std::net::TcpListener;

use crate::harness::{Env, Running, guest};

#[test]
fn unknown_flags_and_missing_arguments_are_usage() {
    let env = Env::new();
    for (args, word) in [
        (vec!["run", "--bogus", "x.wasm"], "--bogus"),
        (vec!["frobnicate"], "frobnicate"),
        (vec!["run", "x.wasm", "--memory", "lots"], "16MiB"),
        (vec!["run", "x.wasm", "--timeout", "5"], "30s"),
        (vec!["run", "x.wasm", "--http", "here"], "127.0.0.1:8080"),
        (vec!["read"], "TASK"),
        (vec!["call", "fib", "--timeout", "5"], "30s"),
        (vec!["call", "fib", "--deadline", "tomorrow"], "2030-01-31T18:00:00Z"),
        (vec!["call", "fib", "--retry-backoff", "linear"], "exponential"),
        (vec!["call", "fib", "--max-messages", "0"], "--max-messages"),
        (vec!["jobs", "--state", "dead"], "timed-out"),
        (vec!["job"], "JOB"),
        (vec!["job", "j", "--depth", "0"], "--depth"),
        (vec!["cancel"], "JOB"),
        (vec!["retry"], "JOB"),
        (vec!["dlq"], "list"),
        (vec!["dlq", "drop", "1", "--all"], "--all"),
        (vec!["events", "--since", "yesterday"], "--since"),
        (vec!["call", "fib", "--log-level", "%%%"], "log-level"),
    ] {
        let ended = env.run(&args);
        assert_eq!(ended.code, Some(2), "{args:?} {ended:#?}");
        assert!(ended.stderr.contains(word) && ended.stdout.is_empty(), "{args:?} {ended:#?}");
    }
    let mut command = env.command(["call", "fib"]);
    command.env_remove("BRRR_TOPIC");
    let ended = Running::start(command).end();
    assert!(ended.code == Some(2) && ended.stderr.contains("--topic"), "{ended:#?}");
}

/// `run` with a missing component ends as soon as its arguments are parsed.
#[test]
fn a_flag_in_the_environment_is_switched_on_and_off_in_the_usual_words() {
    let env = Env::new();
    let with = |variable: &str, value: &str, args: &[&str]| {
        let mut command = env.command(args);
        command.env(variable, value);
        Running::start(command).end()
    };
    for variable in ["BRRR_WATCH", "BRRR_PUBLISH_EVENTS", "BRRR_YES"] {
        for value in ["1", "true", "on", "yes", "0", "false", "off", "no"] {
            let ended = with(variable, value, &["run", "none.wasm"]);
            assert!(ended.code == Some(10) && ended.stderr.contains("none.wasm"), "{variable}={value}: {ended:#?}");
        }
        let ended = with(variable, "perhaps", &["run", "none.wasm"]);
        assert!(ended.code == Some(2) && ended.stderr.contains("perhaps"), "{variable}: {ended:#?}");
    }
}

#[test]
fn a_flag_in_the_environment_does_what_it_says() {
    let env = Env::new();
    let guest = guest();
    for (value, publishes) in [("0", false), ("1", true)] {
        let mut command = env.command(["run", guest.to_str().expect("UTF-8")]);
        command.env("BRRR_PUBLISH_EVENTS", value);
        let worker = Running::start(command);
        worker.wait_for_stderr("serving topic");
        env.run(["call", "fib", "{\"n\": 3}", "--fresh"]).ok();
        worker.stop().ok();
        assert_eq!(env.run(["events"]).ok().contains("\"task\":\"fib\""), publishes, "BRRR_PUBLISH_EVENTS={value}");
    }
}

#[test]
fn a_payload_that_is_not_json() {
    let env = Env::new();
    env.run(["call", "fib", "{\"n\": thirty}"]).refused(2, &["not JSON", "line 1 column", "hirty}"]);
    env.run(["schedule", "fib", "[30]"]).refused(2, &["a list", "JSON object"]);
    env.run(["call", "fib", "{\"n\": [9007199254740993]}", "--codec", "typescript"])
        .refused(2, &["9007199254740993 at [0].n[0]", "pass it as text"]);
    env.run(["call", "fib", "30", "--codec", "typescript"]).refused(2, &["a number", "JSON list"]);
    env.run(["call", "fib", "@nowhere.json"]).refused(2, &["nowhere.json"]);
    assert!(!env.path(".brrr").exists(), "refused before anything was touched");
}

#[test]
fn a_port_in_use_is_an_error_before_anything_runs() {
    let env = Env::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let guest = guest();
    env.run(["run", guest.to_str().expect("UTF-8"), "--http", &address]).refused(50, &[&address, "another program"]);
    env.run(["serve", "--http", &address]).refused(50, &[&address]);
    assert!(!env.path(".brrr").exists(), "refused before anything was touched");
}
