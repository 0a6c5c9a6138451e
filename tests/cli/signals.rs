//! Ctrl-C and SIGTERM, once and twice; SIGHUP; and an output whose reader has closed it.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Env, Running, TOPIC, block_on, depth, eventually, guest};

/// A worker that writes its events, with these further arguments.
fn worker(env: &Env, more: &[&str]) -> Running {
    env.worker(&[&["--events", "events"], more].concat())
}

/// Waits until a handler runs. A stopping worker gives back a message at once if its handler does not run yet.
fn started(env: &Env) {
    eventually("a handler runs", || {
        let text = std::fs::read_to_string(env.path("events")).unwrap_or_default();
        if text.contains("\"to\":\"running\"") { Ok(()) } else { Err(text) }
    });
}

#[test]
fn an_idle_worker_stops_soon() {
    let env = Env::new();
    for signal in [Signal::TERM, Signal::INT] {
        let worker = env.worker(&[]);
        let start = Instant::now();
        worker.signal(signal);
        let ended = worker.end();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

#[test]
fn running_calls_end_before_the_worker_does() {
    let env = Env::new();
    let worker = worker(&env, &["--timeout", "2s"]);
    env.run(["schedule", "loops"]).ok();
    started(&env);
    worker.signal(Signal::TERM);
    sleep(Duration::from_millis(200));
    // From now on the worker takes no new messages.
    env.run(["schedule", "noop"]).ok();
    let ended = worker.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let read = env.run(["read", "loops"]);
    assert_eq!(read.code, Some(32), "it ran to its end, a timeout: {read:#?}");
    assert!(read.stderr.contains("loops failed (timeout)"), "{read:#?}");
    assert_eq!(depth(&env), 1, "the new message is left");
}

/// A terminal that closes sends SIGHUP. Its shell may send it again.
#[test]
fn a_terminal_that_closes_lets_running_calls_end() {
    let env = Env::new();
    let worker = worker(&env, &["--timeout", "2s"]);
    env.run(["schedule", "loops"]).ok();
    started(&env);
    worker.signal(Signal::HUP);
    worker.wait_for_stderr("SIGHUP: letting running calls end");
    worker.signal(Signal::HUP);
    let ended = worker.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let read = env.run(["read", "loops"]);
    assert_eq!(read.code, Some(32), "it ran to its end, a timeout: {read:#?}");
}

#[test]
fn a_worker_that_was_started_with_nohup_ignores_hangups() {
    let env = Env::new();
    let guest = guest();
    let plain = env.command(["run", guest.to_str().expect("UTF-8")]);
    // As `nohup` does.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(env.path("")).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let worker = Running::start(command);
    worker.wait_for_stderr("serving topic");
    worker.signal(Signal::HUP);
    assert_eq!(env.run(["call", "fib", "{\"n\":10}"]).ok(), "55");
    let ended = worker.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.stderr.contains("SIGHUP"), "{ended:#?}");
}

#[test]
fn messages_of_calls_that_do_not_end_in_time_are_nacked() {
    let env = Env::new();
    let worker = worker(&env, &["--shutdown-timeout", "300ms"]);
    env.run(["schedule", "loops"]).ok();
    started(&env);
    worker.signal(Signal::TERM);
    let ended = worker.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains("given back"), "{ended:#?}");
    let free = block_on(env.backend().queue().receive(&TOPIC.into(), 10, Duration::ZERO)).expect("a queue");
    assert_eq!(free.len(), 1, "at once, without waiting for its lease");
    assert_eq!(free[0].receives, 1, "and it counted for nothing");
}

#[test]
fn a_second_signal_stops_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let env = Env::new();
        let worker = worker(&env, &[]);
        env.run(["schedule", "loops"]).ok();
        started(&env);
        worker.signal(signal);
        worker.wait_for_stderr("once more stops at once");
        let start = Instant::now();
        worker.signal(signal);
        assert_eq!(worker.end().code, Some(code));
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(depth(&env), 1, "nothing is lost");
    }
}

#[test]
fn a_call_that_is_interrupted_says_how_to_go_on() {
    let env = Env::new();
    let call = env.start(["call", "fib", "{\"n\":5}"]);
    eventually("the call is queued", || if depth(&env) == 1 { Ok(()) } else { Err(call.stderr()) });
    // The command begins to listen for signals right after it has scheduled the job.
    sleep(Duration::from_millis(300));
    call.signal(Signal::INT);
    let ended = call.end();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(ended.stderr.contains("brrr-host read --job"), "{ended:#?}");
    assert!(ended.stderr.contains("brrr-host cancel"), "{ended:#?}");
}

#[test]
fn a_reader_that_has_closed_the_pipe_causes_no_panic() {
    let env = Env::new();
    // Repeated, because a fork of another test may hold the reader for a moment.
    eventually("the output has no reader", || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = env.command(["completions", "bash"]);
        let ended = command.stdout(writer).stderr(Stdio::piped()).spawn().and_then(Child::wait_with_output);
        let ended = ended.expect("the binary");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
        if ended.status.code() == Some(141) { Ok(()) } else { Err(ended.status.to_string()) }
    });
}
