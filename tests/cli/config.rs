//! `brrr.toml`, and which level of settings wins over which.

use crate::harness::{Ended, Env, Running, guest};

/// The words of a table, by line.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// A command that gets its topic from the file only.
fn without_topic(env: &Env, args: &[&str]) -> Running {
    let mut command = env.command(args);
    command.env_remove("BRRR_TOPIC");
    Running::start(command)
}

fn flaky(env: &Env, more: &[&str]) -> Ended {
    env.run(["call", "flaky", "{\"until\": 2}", "--fresh"].iter().chain(more))
}

#[test]
fn flag_over_environment_over_file_over_component() {
    let env = Env::new();
    // The component asks for 3 retries.
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

    // The worker has already read its file. So this change affects only `call`.
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
fn a_broken_file_stops_every_command_that_reads_it() {
    let env = Env::new();
    env.write("brrr.toml", "[tasks.flaky]\nmax-retrys = 1\n");
    let guest = guest();
    let run = vec!["run", guest.to_str().expect("UTF-8")];
    for args in [run, vec!["call", "fib"], vec!["schedule", "fib"], vec!["jobs"], vec!["config"]] {
        env.run(&args).refused(2, &["brrr.toml, line 2", "max-retrys", "max-retries"]);
    }
    assert!(!env.path(".brrr").exists(), "refused before anything was touched");
    for args in [vec!["completions", "bash"], vec!["run", "--help"], vec!["--version"]] {
        assert_eq!(env.run(args).code, Some(0), "a command that does not need the file does not read it");
    }
    env.write("good.toml", "");
    assert_eq!(env.run(["schedule", "fib", "--config", "good.toml"]).code, Some(0));
    let mut command = env.command(["schedule", "fib"]);
    command.env("BRRR_CONFIG", "good.toml");
    assert_eq!(Running::start(command).end().code, Some(0));
    env.run(["schedule", "fib", "--config", "none.toml"]).refused(2, &["none.toml", "no such file"]);
    std::fs::create_dir(env.path("folder.toml")).expect("a folder");
    env.run(["schedule", "fib", "--config", "folder.toml"]).refused(2, &["folder.toml", "can't be read"]);
}

#[test]
fn a_file_with_all_settings_needs_no_flags() {
    let env = Env::new();
    std::fs::create_dir(env.path("parts")).expect("a folder");
    std::fs::copy(guest(), env.path("parts/app.wasm")).expect("a copy");
    let file = "topic = \"one\"\nbackend = \"sqlite:here.db\"\n
        [worker]\nhttp = \"127.0.0.1:0\"\n
        [[components]]\npath = \"parts/app.wasm\"\n
        [[components]]\npath = \"parts/app.wasm\"\ntopic = \"two\"\n";
    env.write("brrr.toml", file);
    let worker = without_topic(&env, &["run"]);
    worker.wait_for_stderr("gateway on");
    assert!(worker.stderr().contains("serving topic one") && worker.stderr().contains("serving topic two"));
    assert_eq!(without_topic(&env, &["call", "fib", "{\"n\": 10}"]).end().ok(), "55");
    // A flag for the topic wins over the file.
    assert_eq!(env.run(["call", "fib", "{\"n\": 11}", "--topic", "two"]).ok(), "89");
    assert!(env.path("here.db").exists() && !env.path(".brrr").exists());
    worker.stop().ok();

    // The settings for a component apply however its path is written.
    env.write("brrr.toml", "[[components]]\npath = \"parts/app.wasm\"\ntopic = \"two\"\n");
    let worker = env.start(["run", "./parts/../parts/app.wasm"]);
    worker.wait_for_stderr("serving topic two");
    worker.stop().ok();
}

/// A unit test beside `cli/settings.rs` checks for all commands that each one uses the settings of the file.
#[test]
fn dlq_uses_the_topic_and_backend_of_the_file() {
    let env = Env::new();
    env.write("brrr.toml", "topic = \"one\"\nbackend = \"sqlite:here.db\"\n");
    without_topic(&env, &["schedule", "fib"]).end().ok();
    without_topic(&env, &["dlq", "list"]).end().ok();
    without_topic(&env, &["dlq", "show", "7"]).end().refused(40, &["one"]);
    assert!(env.path("here.db").exists() && !env.path(".brrr").exists());
}

#[test]
fn a_flag_that_names_a_backend_means_all_of_it() {
    let env = Env::new();
    env.write("brrr.toml", "queue = \"sqlite:a.db\"\nstore = \"sqlite:b.db\"\n");
    env.run(["schedule", "fib"]).ok();
    assert!(env.path("a.db").exists() && env.path("b.db").exists());
    env.run(["schedule", "fib", "--backend", "sqlite:c.db"]).ok();
    let jobs =
        |url: &str| env.run(["jobs", "--output", "json", "--backend", url]).json()["jobs"].as_array().map(Vec::len);
    assert_eq!((jobs("sqlite:b.db"), jobs("sqlite:c.db")), (Some(1), Some(1)));
}

#[test]
fn run_names_the_settings_that_are_missing() {
    let env = Env::new();
    without_topic(&env, &["run"]).end().refused(2, &["which component", "brrr.toml", "[[components]]"]);
    let guest = guest();
    without_topic(&env, &["run", guest.to_str().expect("UTF-8")]).end().refused(2, &["--topic", "brrr.toml"]);
    env.write("brrr.toml", "[[components]]\npath = \"none.wasm\"\n");
    env.run(["run"]).refused(10, &["none.wasm"]);
    env.write("brrr.toml", "[[components]]\npath = \"none.wasm\"\nenv = [\"A KEY=hunter2\"]\n");
    let ended = env.run(["run"]);
    ended.refused(2, &["brrr.toml, line 3", "KEY=VALUE"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
}

#[test]
fn config_shows_the_settings_and_their_sources() {
    let env = Env::new();
    let file = "topic = \"mine\"\nbackend = \"redis://:hunter2@host\"\n\n[worker]\ntimeout = \"1m\"\nmax-running = 3\n
        [[components]]\npath = \"app.wasm\"\nallow-http = [\"example.com\"]\nenv = [\"TOKEN=hunter2\"]\n
        [tasks.blend]\nmax-retries = 3\n";
    env.write("brrr.toml", file);
    let mut command = env.command(["config", "run", "--memory", "1MiB"]);
    command.env("BRRR_SHUTDOWN_TIMEOUT", "7s");
    let ended = Running::start(command).end();
    let rows = rows(ended.ok());
    for row in [
        "file brrr.toml",
        "topic demo BRRR_TOPIC",
        "backend redis://host brrr.toml, line 2",
        "timeout 1m brrr.toml, line 5",
        "max-running 3 brrr.toml, line 6",
        "memory 1MiB flag",
        "shutdown-timeout 7s BRRR_SHUTDOWN_TIMEOUT",
        "max-result 16MiB default",
        "app.wasm allow-http example.com, env TOKEN=…",
        "blend max-retries=3",
    ] {
        assert!(rows.contains(&row.split(' ').collect()), "{row:?} is not in {rows:#?}");
    }
    assert!(!ended.stdout.contains("hunter2"), "{ended:#?}");

    let json = env.run(["config", "--output", "json"]).json();
    let setting = |command: &str, name: &str| {
        let all = json["settings"].as_array().expect("a list");
        all.iter().find(|s| s["command"] == command && s["name"] == name).expect("a setting").clone()
    };
    assert_eq!(setting("run", "timeout")["line"], 5);
    assert_eq!(setting("call", "backend")["value"], "redis://host");
    assert_eq!(setting("serve", "http")["from"], "default");
    assert_eq!(json["components"][0]["permissions"][0], "allow-http example.com");
    assert!(!json.to_string().contains("hunter2"));

    let ended = env.run(["config", "nothing"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("nothing"), "{ended:#?}");
}

#[test]
fn the_schema_of_the_file_is_printed() {
    let schema = Env::new().run(["config", "--schema"]).json();
    assert_eq!(schema["properties"]["topic"]["description"], "The topic: the queue of the tasks.");
    assert!(schema["properties"]["components"].is_object());
}
