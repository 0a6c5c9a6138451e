//! Workers that share the work, workers that die, and workers that receive messages that they can't read.

use std::thread::sleep;
use std::time::Duration;

use brrr_protocol::ports::Outgoing;
use rustix::process::Signal;

use crate::control::lock;
use crate::harness::{Env, Running, TOPIC, block_on, depth, eventually};

#[test]
fn two_workers_share_one_file_and_both_work() {
    let env = Env::new();
    // One call at a time for each worker. So one worker can't take all calls before the other one is ready.
    let workers = [env.worker(&["--max-running", "1"]), env.worker(&["--max-running", "1"])];
    let calls: Vec<_> = (0..40).map(|i| env.start(["call", "prints", &format!("{{\"line\": \"{i}.\"}}")])).collect();
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(call.end().ok(), format!("{i}."));
    }
    let printed = workers.map(|worker| worker.stop().stdout);
    for (i, out) in printed.iter().enumerate() {
        assert!(out.lines().count() > 5, "worker {i} did nearly nothing: {printed:#?}");
    }
    for i in 0..40 {
        let line = format!("after {i}.\n");
        assert_eq!(printed.iter().map(|out| out.matches(&line).count()).sum::<usize>(), 1, "{line}");
    }
}

#[test]
fn a_killed_worker_loses_nothing() {
    let env = Env::new();
    let lease = ["--lease", "1s"];
    let first = env.worker(&lease);
    let job = env.run(["schedule", "fib", "{\"n\":16, \"salt\": \"x\"}", "--output", "json"]).json();
    let job = job["job"].as_str().expect("a job");
    // The job is half done: it has many calls, and its top call has no value yet.
    eventually("the tree grows", || if depth(&env) > 100 { Ok(()) } else { Err(depth(&env).to_string()) });
    first.signal(Signal::KILL);
    drop(first);
    assert_eq!(env.run(["read", "--job", job]).code, Some(40), "killed too late to prove anything");

    let second = env.worker(&lease);
    let answer = eventually("the job ends", || {
        let read = env.run(["read", "--job", job]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(answer, "987\n");
    eventually("nothing is left in the queue", || match depth(&env) {
        0 => Ok(()),
        left => Err(left.to_string()),
    });
    second.stop().ok();
}

#[test]
fn a_message_that_kills_its_workers_becomes_a_dead_letter() {
    let env = Env::new();
    let limits = ["--lease", "1s", "--max-deliveries", "2", "--events", "-"];
    let job = env.run(["schedule", "loops", "--output", "json"]).json()["job"].as_str().expect("a job").to_owned();
    for delivery in 1..=2 {
        let worker = env.worker(&limits);
        // Wait until the handler runs. The delivery alone is not enough.
        eventually(&format!("delivery {delivery}"), || match worker.stdout() {
            text if text.contains("\"to\":\"running\"") => Ok(()),
            text => Err(text),
        });
        worker.signal(Signal::KILL);
    }
    let worker = env.worker(&limits);
    let failed = eventually("its message is a dead letter", || match env.run(["read", "--job", &job]) {
        ended if ended.code == Some(40) => Err(ended.stderr),
        ended => Ok(ended),
    });
    assert_eq!(failed.code, Some(30), "{failed:#?}");
    assert!(failed.stderr.contains("dead-letter: delivered 2 times without being settled"), "{failed:#?}");
    assert_eq!(worker.stdout().matches("\"to\":\"running\"").count(), 0, "it is not run once more");
    worker.stop().ok();
}

#[test]
fn garbage_becomes_a_dead_letter_and_the_worker_continues() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let backend = env.backend();
    let garbage = ["", "garbage", "li2e1:r", "li3e1:r1:ce", "li2e1:r64:no such call"];
    let messages = garbage.map(|body| Outgoing { topic: TOPIC.into(), body: body.into(), delay: Duration::ZERO });
    block_on(backend.queue().send_many(&messages)).expect("sent");
    assert_eq!(env.run(["call", "fib", "{\"n\":10}"]).ok(), "55");
    let dead_letters = eventually("all are dead letters", || {
        let dead_letters = block_on(backend.queue().dead_letters(&TOPIC.into(), 10)).expect("dead letters");
        if dead_letters.len() == garbage.len() { Ok(dead_letters) } else { Err(format!("{dead_letters:?}")) }
    });
    assert!(dead_letters.iter().all(|dead_letter| !dead_letter.reason.is_empty()), "{dead_letters:?}");
    assert_eq!(depth(&env), 0);
    let ended = worker.stop();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stderr.matches("is a dead letter now").count(), garbage.len(), "{ended:#?}");
}

#[test]
fn a_long_call_keeps_its_lease() {
    let env = Env::new();
    // The call runs for three leases, while a second worker waits for the message.
    let args = ["--lease", "1s", "--timeout", "3s"];
    let workers = [env.worker(&args), env.worker(&args)];
    let ended = env.run(["call", "loops"]);
    assert_eq!(ended.code, Some(32), "{ended:#?}");
    sleep(Duration::from_millis(200));
    let failures: usize = workers.map(|w| w.stop().stderr.matches("failed: ").count()).iter().sum();
    assert_eq!(failures, 1, "it was run once");
}

#[test]
fn hostile_calls_cost_only_themselves() {
    let env = Env::new();
    let worker = env.worker(&["--timeout", "1s", "--memory", "64MiB"]);
    let hostile = ["loops", "grows", "recurses"].map(|task| (task, env.start(["call", task, "{}"])));
    assert_eq!(env.run(["call", "fib", "{\"n\":20}"]).ok(), "6765");
    for (task, call) in hostile {
        let ended = call.end();
        assert_eq!(ended.code, Some(if task == "loops" { 32 } else { 30 }), "{task}: {ended:#?}");
    }
    assert_eq!(env.run(["call", "panics", "{\"message\": \"oh\"}"]).code, Some(30));
    assert_eq!(env.run(["call", "fib", "{\"n\":21}"]).ok(), "10946");
    worker.stop().ok();
}

/// Another program locks the database for longer than a lease. The running handlers go on, and each is run once.
#[test]
fn runs_outlast_a_lock_that_another_program_holds() {
    let env = Env::new();
    let worker = env.worker(&["--max-running", "8", "--events", "events"]);
    for n in 0..8 {
        env.run(["schedule", "sleeper", &format!("{{\"seconds\": 9.{n}}}")]).ok();
    }
    let count = |state: &str| {
        let text = std::fs::read_to_string(env.path("events")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|event| event["subject"] == "task" && event["to"] == state).count()
    };
    let reaches = |state: &str| match count(state) {
        8 => Ok(()),
        other => Err(format!("{other} are {state}")),
    };
    eventually("all run", || reaches("running"));
    let locked = lock(&env);
    // The lock lasts longer than a lease, which is 5 s.
    std::thread::sleep(Duration::from_secs(7));
    drop(locked);
    eventually("all have completed", || reaches("completed"));
    assert_eq!(count("running"), 8, "each is run once: {}", worker.stderr());
    worker.stop().ok();
}

#[test]
fn workers_and_topics_are_listed() {
    let env = Env::new();
    let first = env.worker(&["--max-running", "3"]);
    let second = env.worker(&[]);
    let listed = |expected: usize| {
        eventually(&format!("{expected} workers"), || {
            let listed = env.run(["workers", "--output", "json"]).json();
            let workers = listed.as_array().expect("a list").clone();
            if workers.len() == expected { Ok(workers) } else { Err(listed.to_string()) }
        })
    };
    let pid = |worker: &Running| worker.id().as_raw_nonzero().get();
    let workers = listed(2);
    assert_ne!(workers[0]["worker"], workers[1]["worker"]);
    assert!(workers.iter().any(|worker| worker["slots"] == 3), "{workers:?}");
    for worker in &workers {
        assert_eq!((&worker["topic"], &worker["stopping"]), (&TOPIC.into(), &false.into()), "{worker}");
        assert!(worker["host"].as_str().is_some_and(|host| !host.is_empty()), "{worker}");
        assert!([pid(&first), pid(&second)].iter().any(|pid| worker["pid"] == *pid), "{worker}");
    }
    let text = env.run(["workers", "--topic", TOPIC]);
    assert_eq!(text.ok().lines().count(), 3, "{text:#?}");
    assert_eq!(env.run(["workers", "--topic", "other"]).stderr, "no workers run\n");
    let topics = env.run(["topics", "--output", "json"]).json();
    assert_eq!(
        (&topics[0]["topic"], &topics[0]["depth"], &topics[0]["workers"]),
        (&TOPIC.into(), &0.into(), &2.into())
    );
    assert!(topics[0]["tasks"].as_array().expect("tasks").iter().any(|task| task == "fib"), "{topics}");
    // A worker that stops says so. One that is killed is listed for a while.
    first.stop().ok();
    let left = listed(1);
    assert_eq!(left[0]["pid"], pid(&second));
    second.signal(Signal::KILL);
    second.end();
    assert_eq!(listed(1)[0]["worker"], left[0]["worker"]);
}
