//! Workers and clients with wrong clocks. All of them use the clock of the server that they share. The tests run on
//! Redis, and on DynamoDB with Redis.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::aws;
use crate::harness::{Env, eventually, skip};
use crate::redis::{env_on, url};
use crate::servers::dynamodb;
use crate::servers::redis::Flavour;

/// The library (libfaketime) that gives a program a clock of its own. `None`: it is not installed.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let library = |folder: std::fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    folders.map(library).find(|library| library.exists())
}

/// Shifts the clock of all commands that `env` starts from now on by this many seconds.
fn shift(env: &mut Env, library: &Path, seconds: i64) {
    env.set("LD_PRELOAD", library.to_str().expect("UTF-8"));
    env.set("FAKETIME", format!("{seconds:+}"));
    // Only the time of day is wrong. The monotonic clock, which measures durations, is right.
    env.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// Runs a test once for each backend. The test gets a function that makes folders which use that backend.
fn on_each_backend(test: impl Fn(&dyn Fn() -> Env)) {
    let Some(redis) = Flavour::Redis.start(None, &[]) else { return skip("no Redis") };
    test(&|| env_on(url(&redis)));
    let Some(records) = dynamodb::shared() else { return skip("no DynamoDB") };
    let mut table = aws::env_on(records);
    table.set("BRRR_QUEUE", "redis:");
    table.set("REDIS_URL", url(&redis));
    table.run(["setup"]).ok();
    test(&|| table.again());
}

#[test]
fn a_worker_with_a_wrong_clock_ends_jobs_in_time() {
    let Some(library) = library() else { return skip("no libfaketime: scripts/setup/faketime.sh") };
    on_each_backend(|env| {
        let client = env();
        // This worker's clock is behind. It is the only worker, so it must end the job.
        let mut behind = env();
        shift(&mut behind, &library, -3600);
        let worker = behind.worker(&[]);
        let begun = Instant::now();
        let job =
            client.run(["schedule", "sleeper", "{\"seconds\": 600}", "--timeout", "2s", "--output", "json"]).json();
        let job = job["job"].as_str().expect("a job").to_owned();
        eventually("the job times out", || match behind.run(["read", "--job", &job]) {
            read if read.code == Some(32) => Ok(()),
            read => Err(format!("{read:?}")),
        });
        // DynamoDB gives whole seconds, so a worker that has just started knows the server's time to half a second.
        assert!(begun.elapsed() >= Duration::from_millis(1_500), "{:?}", begun.elapsed());
        worker.stop().ok();
        // This worker's clock is ahead. It must not end a job that has time left.
        let mut ahead = env();
        shift(&mut ahead, &library, 120);
        let worker = ahead.worker(&[]);
        client.run(["call", "sleeper", "{\"seconds\": 0.3}", "--timeout", "60s"]).ok();
        worker.stop().ok();
    });
}

#[test]
fn a_timeout_holds_for_a_client_with_a_wrong_clock() {
    let Some(library) = library() else { return skip("no libfaketime: scripts/setup/faketime.sh") };
    on_each_backend(|env| {
        let worker = env().worker(&[]);
        for seconds in [-3600, 3600] {
            let mut client = env();
            shift(&mut client, &library, seconds);
            let payload = format!("{{\"seconds\": 0.2{}}}", seconds.unsigned_abs() + u64::from(seconds > 0));
            client.run(["call", "sleeper", &payload, "--timeout", "60s"]).ok();
            let late = client.run(["call", "sleeper", "{\"seconds\": 600}", "--timeout", "1s", "--fresh"]);
            assert_eq!(late.code, Some(32), "{late:#?}");
        }
        worker.stop().ok();
    });
}

/// A retry comes after its delay, also if another worker than the one that failed decides when.
#[test]
fn a_retry_comes_in_time_on_any_worker() {
    let Some(library) = library() else { return skip("no libfaketime: scripts/setup/faketime.sh") };
    on_each_backend(|env| {
        let (mut behind, mut ahead) = (env(), env());
        shift(&mut behind, &library, -3600);
        shift(&mut ahead, &library, 3600);
        let workers = [behind.worker(&["--max-running", "1"]), ahead.worker(&["--max-running", "1"])];
        for until in 2..5 {
            let payload = format!("{{\"until\": {until}}}");
            let options = ["--max-retries", "4", "--retry-delay", "200ms", "--timeout", "60s"];
            env().run([["call", "flaky", &payload].as_slice(), &options].concat()).ok();
        }
        for worker in workers {
            worker.stop().ok();
        }
    });
}
