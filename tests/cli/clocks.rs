//! Workers and clients with wrong clocks. All of them use the clock of the server that they share. The tests run on
//! Redis, and on DynamoDB with Redis.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::aws;
use crate::harness::{Env, eventually, skip};
use crate::redis::{env_on, url};
use crate::servers::redis::Flavour;
use crate::servers::{dynamodb, elasticmq};

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

/// A clock that the test moves: for the servers, the worker and the client.
struct MovedClock {
    library: PathBuf,
    /// Says by how many seconds the clock is ahead.
    file: tempfile::NamedTempFile,
}

impl MovedClock {
    fn new(library: PathBuf) -> Self {
        let clock = Self { library, file: tempfile::NamedTempFile::new().expect("a file") };
        clock.set(0);
        clock
    }

    fn set(&self, seconds: u64) {
        // By a rename, so that nobody reads half of it.
        let next = self.file.path().with_extension("next");
        std::fs::write(&next, format!("+{seconds}")).expect("a file");
        std::fs::rename(&next, self.file.path()).expect("a renamed file");
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        vec![
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(self.file.path())),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // Otherwise Java's waits end at once, and the servers take all of the machine.
            ("FAKETIME_FORCE_MONOTONIC_FIX", "0".to_owned()),
        ]
    }
}

/// SQS delays a message by fifteen minutes at most, so a longer sleep takes several messages.
#[test]
fn a_sleep_of_forty_minutes_on_sqs_ends_in_time() {
    let Some(library) = library() else { return skip("no libfaketime: scripts/setup/faketime.sh") };
    let clock = MovedClock::new(library);
    let (records, queues) = (dynamodb::start_in(&clock.variables()), elasticmq::start_in(&clock.variables()));
    let (Some(records), Some(queues)) = (records, queues) else { return };
    let mut env = aws::env_on(&records);
    env.set("BRRR_QUEUE", "sqs:");
    env.set("AWS_ENDPOINT_URL_SQS", format!("http://127.0.0.1:{}", queues.port));
    for (name, value) in clock.variables() {
        env.set(name, value);
    }
    env.run(["setup"]).ok();
    let worker = env.worker(&[]);
    let job = env.run(["schedule", "sleeps", "{\"ms\": 2400000}", "--output", "json"]).json();
    let job = job["job"].as_str().expect("a job").to_owned();
    let read = || env.run(["read", "--job", &job]);
    eventually("the job sleeps", || {
        let shown = env.run(["job", &job]).stdout;
        if shown.contains("sleeps until") { Ok(()) } else { Err(shown) }
    });
    for minutes in [15, 30] {
        clock.set(60 * minutes);
        // While these calls run, the worker gets the message of the sleeping call, if the queue delivers it.
        for n in 0..2 {
            env.run(["call", "fib", &format!("{{\"n\": 1, \"salt\": \"{minutes} {n}\"}}")]).ok();
        }
        let early = read();
        assert_ne!(early.code, Some(0), "after {minutes} minutes: {early:?}");
    }
    clock.set(60 * 40 + 10);
    let slept = eventually("the job ends", || match read() {
        read if read.code == Some(0) => Ok(read.stdout),
        read => Err(format!("{read:?}")),
    });
    let slept: u64 = slept.trim().parse().expect("a number");
    assert!((2_400_000..2_700_000).contains(&slept), "{slept} ms");
    worker.stop().ok();
}
