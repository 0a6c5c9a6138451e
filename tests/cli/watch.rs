//! `run --watch`: changed files are built and served while calls run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::harness::{Env, PATIENCE, Running, eventually, guest};

/// The conformance guest of another language: the same tasks, another component.
fn other_guest() -> PathBuf {
    let path = guest().with_file_name("../typescript/conformance.wasm");
    path.canonicalize().expect("the TypeScript guests: scripts/guests/typescript.sh")
}

/// Replaces a file by another one, as compilers do.
fn put(env: &Env, from: &Path, to: &str) {
    let new = env.path("new");
    std::fs::copy(from, &new).expect("a copy");
    std::fs::rename(&new, env.path(to)).expect("a rename");
}

fn greet(env: &Env, name: &str) -> String {
    env.run(["call", "hello", &format!("{{\"greetee\": \"{name}\"}}")]).ok().to_owned()
}

/// Waits until the worker's log has this text this many times. The text says that a new component is served, or why it is not.
fn wait_for_log(worker: &Running, text: &str, times: usize) {
    eventually(&format!("{text:?}, {times} times"), || {
        let stderr = worker.stderr();
        if stderr.matches(text).count() >= times { Ok(()) } else { Err(stderr) }
    });
}

#[test]
fn a_project_is_built_again_when_a_source_changes() {
    let env = Env::new();
    env.run(["new", "--lang", "javascript", "app"]).ok();
    let worker = env.start(["run", "--watch", "app"]);
    wait_for_log(&worker, "serving topic", 1);
    assert_eq!(greet(&env, "A"), "Hello, A!");

    let source = std::fs::read_to_string(env.path("app/app.js")).expect("a source");
    env.write("app/app.js", source.replace("Hello, ", "Goodbye, "));
    wait_for_log(&worker, "serving topic demo anew", 1);
    assert_eq!(greet(&env, "B"), "Goodbye, B!");

    env.write("app/app.js", format!("{source}\n((("));
    wait_for_log(&worker, "what was there before goes on", 1);
    assert!(worker.stderr().contains("Unexpected end of file"), "{}", worker.stderr());
    assert_eq!(greet(&env, "C"), "Goodbye, C!");

    env.write("app/app.js", source.replace("Hello, ", "Welcome, "));
    wait_for_log(&worker, "serving topic demo anew", 2);
    assert_eq!(greet(&env, "D"), "Welcome, D!");
    let stderr = worker.stop().stderr;
    assert_eq!(stderr.matches("building app").count(), 4, "{stderr}");
}

/// A component in a language that the program does not know, with a command of the user's that builds it.
#[test]
fn a_command_of_the_user_builds_a_component_again_when_a_source_changes() {
    let env = Env::new();
    std::fs::create_dir_all(env.path("own/src")).expect("a folder");
    env.write("own/src/which", guest().with_file_name("rust-hello.wasm").display().to_string());
    env.write("own/brrr.toml", "[[components]]\npath = \"out/app.wasm\"\nbuild = \"mkdir -p out && cp \\\"$(cat src/which)\\\" out/app.wasm\"\n");
    let component = env.run(["build", "own"]).ok().to_owned();
    assert_eq!(component, "own/out/app.wasm");
    let worker = env.start(["run", "--watch", "own"]);
    wait_for_log(&worker, "serving topic", 1);
    assert_eq!(greet(&env, "A"), "Hello, A!");

    env.write("own/src/which", "nothing.wasm");
    wait_for_log(&worker, "what was there before goes on", 1);
    assert!(worker.stderr().contains("nothing.wasm"), "what the command printed: {}", worker.stderr());
    assert_eq!(greet(&env, "B"), "Hello, B!");

    env.write("own/src/which", guest().display().to_string());
    wait_for_log(&worker, "serving topic demo anew", 1);
    assert_eq!(env.run(["call", "fan_out", "{\"n\": 3}"]).ok(), "3");
    worker.stop().ok();

    // The components that a file lists are built, too.
    let listed = env.start(["run", "--config", "own/brrr.toml", "--topic", "other"]);
    wait_for_log(&listed, "serving topic other", 1);
    listed.stop().ok();
}

#[test]
fn running_calls_continue_on_the_replaced_component() {
    let env = Env::new();
    // Compiled in advance, so that the swap is fast.
    env.run([std::ffi::OsStr::new("inspect"), other_guest().as_os_str()]).ok();
    put(&env, &guest(), "app.wasm");
    let worker = env.start(["run", "--watch", "app.wasm", "--events", "events", "--call-topic", "elsewhere"]);
    wait_for_log(&worker, "serving topic", 1);
    let events = || std::fs::read_to_string(env.path("events")).unwrap_or_default();
    let happened = |task: &str, to: &str| {
        events().lines().any(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            event["task"] == task && event["to"] == to
        })
    };
    let until = |task: &str, to: &str| {
        eventually(&format!("{task} is {to}"), || if happened(task, to) { Ok(()) } else { Err(events()) });
    };

    // One call that runs on the old component, and one whose run on it has ended: it waits for a child on a topic that
    // has no worker yet.
    let running = env.start(["call", "sleeper", "{\"seconds\": 15}"]);
    let waiting = env.start(["call", "call_topic", "{\"topic\": \"elsewhere\", \"i\": 7}"]);
    until("sleeper", "running");
    until("call_topic", "deferred");
    put(&env, &other_guest(), "app.wasm");
    wait_for_log(&worker, "serving topic demo anew", 1);
    assert!(!happened("sleeper", "completed"), "the swap came while it ran");

    let app = env.path("app.wasm");
    let elsewhere = env.start(["run", app.to_str().expect("UTF-8"), "--topic", "elsewhere"]);
    assert_eq!(waiting.end().ok(), "7");
    let slept: f64 = running.end().ok().parse().expect("seconds");
    assert!((15.0..60.0).contains(&slept), "{slept}");
    assert!(!events().contains("\"to\":\"failed\""), "{}", events());
    elsewhere.stop().ok();
    worker.stop().ok();
}

#[test]
fn an_invalid_component_is_not_served() {
    let env = Env::new();
    put(&env, &guest().with_file_name("rust-hello.wasm"), "app.wasm");
    let worker = env.start(["run", "--watch", "app.wasm"]);
    wait_for_log(&worker, "serving topic", 1);
    let broken = env.write("broken", "not a component");
    put(&env, &broken, "app.wasm");
    wait_for_log(&worker, "what was there before goes on", 1);
    assert!(worker.stderr().contains("app.wasm: not WebAssembly"), "{}", worker.stderr());
    assert_eq!(greet(&env, "A"), "Hello, A!");

    put(&env, &guest(), "app.wasm");
    wait_for_log(&worker, "serving topic demo anew", 1);
    assert!(worker.stderr().contains("fan_out (new)"), "{}", worker.stderr());
    assert_eq!(env.run(["call", "fan_out", "{\"n\": 3}"]).ok(), "3");
    worker.stop().ok();
}

#[test]
fn a_component_that_attacks_is_not_served() {
    let env = Env::new();
    put(&env, &guest(), "app.wasm");
    // One slot. Loading a changed component does not take the slot from calls.
    let worker = env.start(["run", "--watch", "app.wasm", "--max-running", "1", "--events", "events"]);
    wait_for_log(&worker, "serving topic", 1);
    assert_eq!(greet(&env, "A"), "Hello, A!");
    let before = worker.memory("VmRSS");
    let attack = |describe: &str, cut: usize, reason: &str| {
        let component = Fixture { describe: Some(describe), ..Fixture::default() }.component();
        let new = env.write("hostile", &component[..component.len() - cut]);
        put(&env, &new, "app.wasm");
        // Meanwhile calls are served as usual.
        let refused = || worker.stderr().lines().any(|line| line.contains("app.wasm: ") && line.contains(reason));
        let (begun, mut calls) = (Instant::now(), 0);
        while !refused() {
            assert!(begun.elapsed() < PATIENCE, "{}", worker.stderr());
            let start = Instant::now();
            assert_eq!(greet(&env, &format!("{reason} {calls}")), format!("Hello, {reason} {calls}!"));
            assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
            calls += 1;
        }
        assert_eq!(greet(&env, reason), format!("Hello, {reason}!"));
    };
    attack("(loop $forever (br $forever)) (unreachable)", 0, "within 10 s");
    attack("(unreachable)", 0, "it gave up");
    attack("(loop $more (drop (memory.grow (i32.const 16))) (br $more)) (unreachable)", 0, "memory limit");
    attack("(unreachable)", 40, "could not be compiled");
    assert!(worker.stderr().contains("what was there before goes on"), "{}", worker.stderr());
    let after = worker.memory("VmRSS");
    assert!(after < before + 100, "{before} MiB before, {after} after");

    // A call that has the only slot does not prevent the worker from loading a good component.
    let long = env.start(["call", "sleeper", "{\"seconds\": 600}"]);
    eventually("it runs", || {
        let events = std::fs::read_to_string(env.path("events")).expect("events");
        let runs = |line: &str| line.contains("\"sleeper\"") && line.contains("\"to\":\"running\"");
        if events.lines().any(runs) { Ok(()) } else { Err(events) }
    });
    put(&env, &guest().with_file_name("rust-hello.wasm"), "app.wasm");
    wait_for_log(&worker, "serving topic demo anew", 1);
    drop(long);
}

#[test]
fn several_processes_do_not_watch() {
    let env = Env::new();
    let guest = guest();
    let args = ["run", guest.to_str().expect("UTF-8"), "--watch", "--processes", "2"];
    env.run(args).refused(2, &["--watch", "--processes"]);
}
