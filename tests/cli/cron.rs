//! Schedules: `brrr-host cron`, `[[schedules]]` in `brrr.toml`, and the workers that start their jobs.

use std::collections::BTreeSet;

use brrr_protocol::model::Millis;
use brrr_protocol::ports::Key;
use brrr_protocol::records::{Schedule, SchedulesRecord};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Env, TOPIC, block_on, eventually};

const HELLO: [&str; 2] = ["hello", "{\"greetee\": \"you\"}"];

/// Adds a schedule that has a tick each second.
fn add(env: &Env, name: &str, more: &[&str]) {
    let args = ["cron", "add", name, "* * * * * *"];
    env.run(args.iter().chain(&HELLO).chain(more)).ok();
}

/// The record of the schedule.
fn schedule(env: &Env, name: &str) -> Schedule {
    let key = Key::schedules(&TOPIC.into());
    let bytes = block_on(env.backend().store().get(&key)).expect("a store").expect("a record");
    SchedulesRecord::decode(&bytes).expect("schedules").schedules.remove(name).expect("the schedule")
}

/// The jobs that there are, by their ids.
fn jobs(env: &Env) -> Vec<Value> {
    env.run(["jobs", "--limit", "100000", "--output", "json"]).json()["jobs"].as_array().expect("a list").clone()
}

/// The ids that the jobs of all ticks of a second's schedule have, up to this tick.
fn expected(name: &str, schedule: &Schedule) -> BTreeSet<String> {
    let first = schedule.created / 1_000 * 1_000 + 1_000;
    let ticks = (first..=schedule.last).step_by(1_000);
    let id = |tick: Millis| brrr_protocol::model::JobId::of_tick(&TOPIC.into(), name, schedule.created, tick);
    ticks.map(|tick| id(tick).to_string()).collect()
}

/// Waits until the schedule has come to this many ticks after this moment.
fn until_ticks(env: &Env, name: &str, after: Millis, ticks: u64) {
    eventually("ticks are decided", || {
        let last = schedule(env, name).last;
        if last >= after + ticks * 1_000 { Ok(()) } else { Err(format!("{last} after {after}")) }
    });
}

#[test]
fn a_schedule_starts_a_job_each_second_whatever_is_killed() {
    let env = Env::new();
    add(&env, "each-second", &[]);
    let created = schedule(&env, "each-second").created;
    let (first, second) = (env.worker(&[]), env.worker(&[]));
    until_ticks(&env, "each-second", created, 3);
    first.signal(Signal::KILL);
    until_ticks(&env, "each-second", created, 5);
    second.signal(Signal::KILL);
    drop((first, second));
    // Nobody is there for a while. What was missed is caught up.
    let killed = schedule(&env, "each-second").last;
    eventually("two ticks are missed", || {
        let now = env.backend().now();
        if now >= killed + 2_500 { Ok(()) } else { Err(now.to_string()) }
    });
    let third = env.worker(&[]);
    until_ticks(&env, "each-second", killed, 4);
    env.run(["cron", "pause", "each-second"]).ok();
    // What is decided is started, also what a killed worker has left.
    let last = eventually("nothing is left to start", || {
        let schedule = schedule(&env, "each-second");
        if schedule.starting.is_empty() { Ok(schedule) } else { Err(format!("{schedule:?}")) }
    });
    let found = eventually("all jobs end", || {
        let jobs = jobs(&env);
        if jobs.iter().all(|job| job["state"] == "completed") { Ok(jobs) } else { Err(format!("{jobs:?}")) }
    });
    let ids: BTreeSet<String> = found.iter().map(|job| job["job"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(ids, expected("each-second", &last));
    assert_eq!(ids.len(), found.len());
    assert!(ids.len() >= 9, "{ids:?}");
    third.stop().ok();
}

#[test]
fn schedules_are_added_shown_and_removed() {
    let env = Env::new();
    let nightly = ["cron", "add", "nightly", "0 3 * * *", "hello", "{\"greetee\": 1.5}", "--tz", "Europe/Berlin"];
    let more = ["--overlap", "skip", "--catch-up", "2h", "--timeout", "90m", "--max-retries", "2", "--output", "json"];
    let added = env.run(nightly.iter().chain(&more));
    added.ok();
    let shown = env.run(["cron", "show", "nightly", "--output", "json"]);
    assert_eq!(added.json(), shown.json());
    let mut document = shown.json();
    let next = document["next"].take();
    assert!(next.as_str().expect("a time").ends_with("00:00.000Z"), "{next}");
    assert_eq!(
        document,
        json!({
            "name": "nightly", "topic": TOPIC, "task": "hello", "cron": "0 3 * * *", "tz": "Europe/Berlin",
            "input": {"greetee": 1.5}, "options": {"timeout": "1h 30m", "max_retries": 2}, "overlap": "skip",
            "catch_up": "2h", "paused": false, "next": null, "last": null, "last_job": null,
        })
    );
    env.run(["cron", "add", "weekly", "@weekly", "raw", "x", "--codec", "raw", "--paused"]).ok();
    let list = env.run(["cron", "list", "--output", "json"]).json();
    let names: Vec<_> = list["schedules"].as_array().expect("a list").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["nightly", "weekly"]);
    assert_eq!(
        (&list["schedules"][1]["payload_base64"], &list["schedules"][1]["next"]),
        (&json!("eA=="), &json!(null))
    );
    let text = env.run(["cron", "list"]);
    for words in ["NAME", "nightly", "0 3 * * *", "Europe/Berlin", "paused"] {
        assert!(text.ok().contains(words), "{words}: {text:#?}");
    }
    let text = env.run(["cron", "show", "nightly"]);
    for words in ["0 3 * * * (Europe/Berlin)", "timeout=1h 30m", "cron add", "{\"greetee\": 1.5}"] {
        assert!(text.ok().contains(words), "{words}: {text:#?}");
    }

    // The same once more changes nothing. Another one must be meant.
    let again = env.run(nightly.iter().chain(&more));
    assert!(again.ok().contains("nightly") && again.stderr.contains("already, exactly so"), "{again:#?}");
    let other = ["cron", "add", "nightly", "0 4 * * *", "hello"];
    env.run(other).refused(42, &["another schedule nightly", "--replace"]);
    let replaced = env.run(other.iter().chain(&["--replace"]));
    assert!(replaced.ok().is_empty() && replaced.stderr.contains("is replaced"), "{replaced:#?}");

    let resumed = env.run(["cron", "resume", "weekly", "--output", "json"]);
    assert_eq!(resumed.json()["paused"], json!(false), "{resumed:#?}");
    assert_eq!(env.run(["cron", "pause", "weekly", "--output", "json"]).json()["paused"], json!(true));
    let removed = env.run(["cron", "remove", "weekly", "--output", "json"]);
    assert_eq!(removed.json(), json!({"status": "removed", "name": "weekly", "topic": TOPIC}));
    for command in ["show", "pause", "resume", "remove", "run-now"] {
        env.run(["cron", command, "weekly"]).refused(40, &["topic demo has no schedule weekly", "cron list"]);
    }
    let none = env.run(["cron", "list", "--topic", "other"]);
    assert!(none.ok().is_empty() && none.stderr.contains("has no schedules"), "{none:#?}");
}

#[test]
fn what_can_not_be_added_is_said_in_one_line() {
    let env = Env::new();
    for (args, words) in [
        (vec!["a", "0 3 * *", "hello"], vec!["\"0 3 * *\" has 4 fields", "day of week"]),
        (vec!["a", "0 24 * * *", "hello"], vec!["its hour is \"24\"", "0 to 23"]),
        (vec!["a", "@reboot", "hello"], vec!["@reboot", "@daily"]),
        (vec!["a", "0 0 31 4 *", "hello"], vec!["never comes"]),
        (vec!["a", "@daily", "hello", "--tz", "Berlin"], vec!["no time zone \"Berlin\"", "Europe/Berlin"]),
        (vec!["a", "@daily", "hello", "[1]"], vec!["the payload is a list"]),
        (vec!["a", "@daily", "hello", "--dry-run", "--tz", "Mars"], vec!["no time zone \"Mars\""]),
    ] {
        let ended = env.run(["cron", "add"].iter().chain(&args));
        ended.refused(2, &words);
    }
    for args in [["a b", "@daily", "hello"], ["", "@daily", "hello"], ["..", "@daily", "hello"]] {
        let ended = env.run(["cron", "add"].iter().chain(&args));
        assert!(ended.code == Some(2) && ended.stderr.contains("the schedule's name"), "{ended:#?}");
    }
    let ended = env.run(["cron", "add", "a", "@daily", "hello", "--overlap", "perhaps"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("cancel-previous"), "{ended:#?}");
    // Nothing was made.
    assert!(!env.path(".brrr").exists());
    let large = env.write("large.json", format!("{{\"greetee\": \"{}\"}}", "x".repeat(400_000)));
    let ended = env.run(["cron", "add", "a", "@daily", "hello", &format!("@{}", large.display())]);
    ended.refused(20, &["at most 350000", "smaller"]);
}

#[test]
fn the_next_ticks_are_shown_without_a_backend() {
    let env = Env::new();
    let next = env.run(["cron", "next", "30 2 * * *", "--tz", "Europe/Berlin", "--count", "3"]);
    assert_eq!(next.ok().lines().count(), 3, "{next:#?}");
    assert!(next.stdout.lines().all(|line| line.contains("02:30:00") || line.contains("03:00:00")), "{next:#?}");
    let next = env.run(["cron", "next", "@hourly", "--output", "json"]).json();
    assert_eq!((&next["cron"], next["next"].as_array().expect("a list").len()), (&json!("@hourly"), 5));
    let dry = env.run(["cron", "add", "a", "@daily", "hello", "--dry-run"]);
    assert_eq!(dry.ok().lines().count(), 5, "{dry:#?}");
    env.run(["cron", "next", "* * *"]).refused(2, &["has 3 fields"]);
    assert!(!env.path(".brrr").exists());
}

#[test]
fn a_job_of_a_schedule_can_be_started_now() {
    let env = Env::new();
    env.run(["cron", "add", "yearly", "@yearly", "--paused"].iter().chain(&HELLO)).ok();
    let queued = env.run(["cron", "run-now", "yearly", "--output", "json"]).json();
    let id = queued["job"].as_str().expect("an id").to_owned();
    assert_eq!(queued, json!({"status": "queued", "name": "yearly", "job": id}));
    let shown = env.run(["cron", "show", "yearly", "--output", "json"]).json();
    assert_eq!((&shown["last_job"], &shown["last"]), (&json!(id), &json!(null)));
    let worker = env.worker(&[]);
    let done = eventually("the job ends", || {
        let read = env.run(["read", "--job", &id]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert!(done.contains("you"), "{done}");
    worker.stop().ok();
}

#[test]
fn a_file_declares_schedules() {
    let env = Env::new();
    env.run(["cron", "add", "mine", "@yearly"].iter().chain(&HELLO)).ok();
    let entry = |name: &str, more: &str| {
        format!(
            "[[schedules]]\nname = \"{name}\"\ncron = \"* * * * * *\"\ntask = \"hello\"\ninput = {{ greetee = \"you\" }}\n{more}\n"
        )
    };
    let names = || {
        let list = env.run(["cron", "list", "--output", "json"]).json();
        let names = list["schedules"].as_array().expect("a list").iter().map(|one| one["name"].to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    env.write(
        "brrr.toml",
        entry("a", "overlap = \"skip\"\ntimeout = \"1m\"") + &entry("b", "paused = true") + &entry("mine", ""),
    );
    let worker = env.worker(&[]);
    worker.wait_for_stderr("schedule mine of topic demo stays as `cron add` has made it");
    assert_eq!(names(), "\"a\" \"b\" \"mine\"");
    let shown = env.run(["cron", "show", "a", "--output", "json"]).json();
    assert_eq!((&shown["overlap"], &shown["options"]), (&json!("skip"), &json!({"timeout": "1m"})));
    let a = schedule(&env, "a");
    until_ticks(&env, "a", a.created, 1);
    assert!(schedule(&env, "b").is_paused && schedule(&env, "b").last == 0);
    worker.stop().ok();

    // The file no longer has `b`. What it has stays as it was, and goes on where it was.
    env.write("brrr.toml", entry("a", "overlap = \"skip\"\ntimeout = \"1m\""));
    let worker = env.worker(&[]);
    worker.wait_for_stderr("as brrr.toml has them: removed: b");
    assert_eq!(names(), "\"a\" \"mine\"");
    assert_eq!((schedule(&env, "a").created, schedule(&env, "a").changed), (a.created, a.changed));
    worker.stop().ok();

    // A file that says nothing of schedules leaves them alone. An empty list removes those of files.
    env.write("brrr.toml", "");
    let worker = env.worker(&[]);
    worker.wait_for_stderr("`schedules = []` removes them");
    assert_eq!(names(), "\"a\" \"mine\"");
    worker.stop().ok();
    env.write("brrr.toml", "schedules = []\n");
    env.worker(&[]).stop().ok();
    assert_eq!(names(), "\"mine\"");

    for (text, words) in [
        (entry("a", "") + &entry("a", ""), vec!["the schedule a", "two of this name"]),
        (entry("a", "payload = '{}'"), vec!["the schedule a", "give one of them"]),
        (entry("a", "tz = \"Berlin\""), vec!["line 6", "Europe/Berlin"]),
    ] {
        env.write("brrr.toml", text);
        env.run(["run", crate::harness::guest().to_str().expect("UTF-8")]).refused(2, &words);
    }
}

#[test]
fn doctor_reports_schedules_that_no_worker_can_follow() {
    let env = Env::new();
    add(&env, "a", &[]);
    let key = Key::schedules(&TOPIC.into());
    let store = |bytes: &str| block_on(env.backend().store().put(&key, bytes.to_owned().into())).expect("a store");
    let bytes = block_on(env.backend().store().get(&key)).expect("a store").expect("a record");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    for (record, reason) in
        [(text.replace("11:* * * * * *", "11:* * * * * x"), "its day of week"), ("damage".into(), "bencode")]
    {
        store(&record);
        let found = env.run(["doctor"]);
        assert_eq!(found.code, Some(43), "{found:#?}");
        for words in ["`schedules` of demo is damaged", reason] {
            assert!(found.stdout.contains(words), "{words}: {found:#?}");
        }
    }
    env.run(["cron", "list"]).refused(20, &["schedules of demo"]);
    // A worker tells of it, and does everything else.
    let worker = env.worker(&[]);
    worker.wait_for_stderr("the schedules of topic demo are not followed");
    env.run(["call"].iter().chain(&HELLO)).ok();
    worker.stop().ok();
}
