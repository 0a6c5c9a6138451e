//! `brrr.toml`, and which level goes before which.

use crate::harness::{Ended, Env, Running, guest};

fn flaky(env: &Env, more: &[&str]) -> Ended {
    env.run(["call", "flaky", "{\"until\": 2}", "--fresh"].iter().chain(more))
}

#[test]
fn flag_over_environment_over_file_over_component() {
    let env = Env::new();
    // The component says 3 retries.
    let worker = env.worker(&[]);
    flaky(&env, &[]).ok();
    worker.stop().ok();

    env.write("brrr.toml", "[tasks.flaky]\nmax-retries = 0\n");
    let worker = env.worker(&[]);
    assert_eq!(flaky(&env, &[]).code, Some(30), "the file says none");
    flaky(&env, &["--max-retries", "1"]).ok();
    let mut command = env.command(["call", "flaky", "{\"until\": 2}"]);
    command.env("BRRR_JOB_MAX_RETRIES", "1");
    Running::start(command).end().ok();

    // The worker has read its file; this is for `call`.
    env.write("brrr.toml", "[job]\nmax-retries = 1\n");
    flaky(&env, &[]).ok();
    let mut command = env.command(["call", "flaky", "{\"until\": 2}", "--fresh"]);
    command.env("BRRR_JOB_MAX_RETRIES", "0");
    assert_eq!(Running::start(command).end().code, Some(30));
    let mut command = env.command(["call", "flaky", "{\"until\": 2}", "--fresh", "--max-retries", "1"]);
    command.env("BRRR_JOB_MAX_RETRIES", "0");
    Running::start(command).end().ok();
    worker.stop().ok();
}

#[test]
fn a_star_is_for_all_other_tasks() {
    let env = Env::new();
    env.write("all.toml", "[tasks.\"*\"]\ntimeout = \"300ms\"\nmax-retries = 0\n[tasks.flaky]\nmax-retries = 5\n");
    let worker = env.worker(&["--config", "all.toml"]);
    let ended = env.run(["call", "loops"]);
    assert!(ended.code == Some(32) && ended.stderr.contains("300ms"), "{ended:#?}");
    let ended = env.run(["call", "always_fails"]);
    assert!(ended.code == Some(30) && !ended.stderr.contains("attempts"), "{ended:#?}");
    flaky(&env, &[]).ok();
    worker.stop().ok();
}

#[test]
fn a_worker_has_its_section() {
    let env = Env::new();
    env.write("brrr.toml", "[worker]\ntimeout = \"300ms\"\nmemory = \"32MiB\"\nmax-running = 1\n");
    let worker = env.worker(&[]);
    let ended = env.run(["call", "loops"]);
    assert!(ended.code == Some(32) && ended.stderr.contains("300ms"), "{ended:#?}");
    let ended = env.run(["call", "grows"]);
    assert!(ended.code == Some(30) && ended.stderr.contains("32"), "{ended:#?}");
    worker.stop().ok();
    let worker = env.worker(&["--timeout", "400ms"]);
    let ended = env.run(["call", "loops", "--fresh"]);
    assert!(ended.code == Some(32) && ended.stderr.contains("400ms"), "{ended:#?}");
    worker.stop().ok();
}

#[test]
fn a_job_has_its_section() {
    let env = Env::new();
    env.write("brrr.toml", "[job]\ntimeout = \"300ms\"\n");
    let ended = env.run(["call", "fib"]);
    assert!(ended.code == Some(32) && ended.stderr.contains("within its 300ms"), "{ended:#?}");
    assert_eq!(env.run(["call", "fib", "--timeout", "1h", "--wait", "1s"]).code, Some(41));
}

#[test]
fn a_broken_file_stops_who_reads_it() {
    let env = Env::new();
    env.write("brrr.toml", "[tasks.flaky]\nmax-retrys = 1\n");
    let guest = guest();
    for args in [vec!["run", guest.to_str().expect("UTF-8")], vec!["call", "fib"], vec!["schedule", "fib"]] {
        env.run(&args).refused(2, &["brrr.toml, line 2", "max-retrys", "max-retries"]);
    }
    assert!(!env.path(".brrr").exists(), "refused before anything was touched");
    assert_eq!(env.run(["jobs"]).code, Some(0), "who doesn't read it doesn't mind");
    env.write("good.toml", "");
    assert_eq!(env.run(["schedule", "fib", "--config", "good.toml"]).code, Some(0));
    let mut command = env.command(["schedule", "fib"]);
    command.env("BRRR_CONFIG", "good.toml");
    assert_eq!(Running::start(command).end().code, Some(0));
    env.run(["schedule", "fib", "--config", "none.toml"]).refused(2, &["none.toml", "no such file"]);
    std::fs::create_dir(env.path("folder.toml")).expect("a folder");
    env.run(["schedule", "fib", "--config", "folder.toml"]).refused(2, &["folder.toml", "can't be read"]);
}
