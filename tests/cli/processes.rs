//! `run --processes`: several worker processes on one machine. Dead processes are replaced, and all end together.

use std::collections::HashSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::harness::{Env, PATIENCE, Running, depth, eventually, guest};

/// Starts two serving processes, with these further arguments.
fn two(env: &Env, more: &[&str]) -> Running {
    let guest = guest();
    let args = ["run", guest.to_str().expect("UTF-8"), "--processes", "2"];
    let fleet = env.start(args.iter().chain(more));
    fleet.wait_for_stderr("2 processes serve");
    fleet
}

/// The living processes that this one has started.
fn children(fleet: &Running) -> HashSet<Pid> {
    let parent = fleet.id().as_raw_nonzero().to_string();
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let of_parent = ids.filter(|id| {
        // The format is "ID (NAME) STATE PARENT …". The name may have any character.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let mut rest = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        rest.next().is_some_and(|state| state != "Z") && rest.next() == Some(&parent)
    });
    of_parent.filter_map(Pid::from_raw).collect()
}

fn are_gone(processes: &HashSet<Pid>) {
    eventually("the processes have ended", || {
        let left: Vec<_> = processes.iter().filter(|id| test_kill_process(**id).is_ok()).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// Waits until this many tasks have completed. Returns all events.
fn events(env: &Env, completed: usize) -> Vec<Value> {
    eventually("all events are written", || {
        let text = std::fs::read_to_string(env.path("events")).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("a whole line")).collect();
        let done = lines.iter().filter(|line| line["to"] == "completed" && line["subject"] == "task").count();
        if done >= completed { Ok(lines) } else { Err(done.to_string()) }
    })
}

/// The arguments for a `sleeper` that no test waits for.
fn seconds(i: usize) -> String {
    json!({ "seconds": 1000 + i }).to_string()
}

/// Schedules this many long handlers, and waits until they run.
fn busy(env: &Env, count: usize) {
    for i in 0..count {
        env.run(["schedule", "sleeper", &seconds(i)]).ok();
    }
    eventually("they run", || {
        let text = std::fs::read_to_string(env.path("events")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let running = lines.filter(|line| line["to"] == "running" && line["subject"] == "task").count();
        if running == count { Ok(()) } else { Err(text) }
    });
}

#[test]
fn they_share_the_work_and_its_output() {
    let env = Env::new();
    let fleet = two(&env, &["--max-running", "1", "--events", "events"]);
    assert_eq!(children(&fleet).len(), 2);
    let calls: Vec<_> =
        (0..40).map(|i| env.start(["call", "prints", &json!({"line": format!("{i}.")}).to_string()])).collect();
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(call.end().ok(), format!("{i}."));
    }
    // 40 parents, and one child that all of them share.
    let workers: HashSet<_> = events(&env, 41).iter().map(|event| event["worker"].to_string()).collect();
    assert_eq!(workers.len(), 2, "{workers:?}");
    let ended = fleet.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for i in 0..40 {
        assert_eq!(ended.stdout.matches(&format!("after {i}.\n")).count(), 1, "{i}: {}", ended.stdout);
    }
    assert_eq!(ended.stderr.matches("once more stops at once").count(), 1, "{ended:#?}");
    assert!(!ended.stderr.contains("events were not written"), "{ended:#?}");
}

#[test]
fn a_killed_process_is_replaced_and_loses_nothing() {
    let env = Env::new();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port().to_string();
    let fleet = two(&env, &["--lease", "1s", "--http", &port]);
    let before = children(&fleet);
    let answers = || {
        let answer = ureq::post(format!("http://127.0.0.1:{port}/noop")).send("{}");
        answer.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(answers(), Ok(()));
    let job = env.run(["schedule", "fib", "{\"n\":16, \"salt\": \"x\"}", "--output", "json"]).json();
    let job = job["job"].as_str().expect("a job");
    eventually("the tree grows", || if depth(&env) > 100 { Ok(()) } else { Err(depth(&env).to_string()) });
    for process in &before {
        kill_process(*process, Signal::KILL).expect("killed");
    }
    assert_eq!(env.run(["read", "--job", job]).code, Some(40), "killed too late to prove anything");
    let answer = eventually("the job ends", || {
        let read = env.run(["read", "--job", job]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}\n{}", fleet.stderr())) }
    });
    assert_eq!(answer, "987\n");
    eventually("two are there again", || {
        let after = children(&fleet);
        if after.len() == 2 && after.is_disjoint(&before) { Ok(()) } else { Err(fleet.stderr()) }
    });
    eventually("the gateway answers again", answers);
    let ended = fleet.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.stderr.matches("ended unexpectedly").count(), 2, "{ended:#?}");
}

/// A process that can't start ends all others only if this is the first start. Once the processes serve, the others go on.
#[test]
fn a_process_that_can_not_restart_is_tried_again() {
    let env = Env::new();
    let good = std::fs::read(guest()).expect("the guest");
    // The file is written completely and then renamed, as builds do.
    let put = |bytes: &[u8]| std::fs::rename(env.write("new", bytes), env.path("guest.wasm")).expect("renamed");
    put(&good);
    let fleet = env.start(["run", "guest.wasm", "--processes", "2", "--lease", "1s"]);
    fleet.wait_for_stderr("2 processes serve");
    let before = children(&fleet);
    put(b"half of it");
    kill_process(*before.iter().next().expect("two"), Signal::KILL).expect("killed");
    fleet.wait_for_stderr("not WebAssembly");
    fleet.wait_for_stderr("exit status: 10");
    assert_eq!(env.run(["call", "fib", "{\"n\":10}"]).ok(), "55");
    put(&good);
    eventually("two are there again", || {
        let serving = fleet.stderr().matches("serving topic").count();
        if serving == 3 && children(&fleet).len() == 2 { Ok(()) } else { Err(fleet.stderr()) }
    });
    assert_eq!(fleet.stop().code, Some(0));
}

#[test]
fn events_on_stdout_are_whole_lines() {
    let env = Env::new();
    let fleet = two(&env, &["--events", "-"]);
    assert_eq!(env.run(["call", "fib", "{\"n\":12, \"salt\": \"x\"}"]).ok(), "144");
    let ended = fleet.stop();
    assert_eq!(ended.code, Some(0));
    let lines: Vec<Value> = ended.stdout.lines().map(|l| serde_json::from_str(l).expect("a whole line")).collect();
    // Each of the 465 calls has at least one event for ready, running and completed.
    assert!(lines.len() >= 3 * 465, "{}", lines.len());
    assert_eq!(lines.iter().map(|line| line["worker"].to_string()).collect::<HashSet<_>>().len(), 2);
}

#[test]
fn no_process_outlives_its_parent() {
    let env = Env::new();
    let fleet = two(&env, &["--events", "events", "--shutdown-timeout", "300ms"]);
    let children = children(&fleet);
    busy(&env, 2);
    fleet.signal(Signal::KILL);
    are_gone(&children);
    assert_eq!(depth(&env), 2, "the messages of the running calls are nacked");
}

#[test]
fn all_processes_let_their_calls_end_after_repeated_signals() {
    let env = Env::new();
    let fleet = two(&env, &["--timeout", "2s", "--max-running", "1", "--events", "events"]);
    let children = children(&fleet);
    busy(&env, 2);
    // As a service manager does: all processes get the signal, and the parent sends it to its children too.
    for process in &children {
        kill_process(*process, Signal::TERM).expect("a signal");
    }
    let ended = fleet.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    are_gone(&children);
    for i in 0..2 {
        let read = env.run(["read", "sleeper", &seconds(i)]);
        assert_eq!(read.code, Some(32), "it ran to its end, a timeout: {read:#?}");
    }
}

#[test]
fn a_second_signal_stops_all_at_once() {
    let env = Env::new();
    let fleet = two(&env, &["--events", "events"]);
    let children = children(&fleet);
    busy(&env, 2);
    fleet.signal(Signal::INT);
    fleet.wait_for_stderr("once more stops at once");
    let start = Instant::now();
    fleet.signal(Signal::INT);
    assert_eq!(fleet.end().code, Some(130));
    are_gone(&children);
    assert!(start.elapsed() < PATIENCE / 6, "{:?}", start.elapsed());
    assert_eq!(depth(&env), 2, "nothing is lost");
}

#[test]
fn an_error_is_printed_once() {
    let env = Env::new();
    env.run(["run", "missing.wasm", "--processes", "3"]).refused(10, &["missing.wasm", "no such file"]);
    let guest = guest();
    let guest = guest.to_str().expect("UTF-8");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    env.run(["run", guest, "--processes", "2", "--http", &port]).refused(50, &[&port]);
    env.run(["run", guest, "--processes", "2", "--backend", "memory:"]).refused(20, &["memory:", "--processes 1"]);
    for count in ["0", "513", "many"] {
        let ended = env.run(["run", guest, "--processes", count]);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains("1 to 512, or `auto`"), "{ended:#?}");
    }
}

#[test]
fn one_process_for_each_core() {
    let env = Env::new();
    let guest = guest();
    let fleet = env.start(["run", guest.to_str().expect("UTF-8"), "--processes", "auto"]);
    let cores = std::thread::available_parallelism().expect("a number").get();
    fleet.wait_for_stderr(&if cores > 1 { format!("{cores} processes serve") } else { "serving topic".to_owned() });
    assert_eq!(children(&fleet).len(), if cores > 1 { cores } else { 0 });
    assert_eq!(env.run(["call", "fib", "{\"n\":10}"]).ok(), "55");
    let start = Instant::now();
    assert_eq!(fleet.stop().code, Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
