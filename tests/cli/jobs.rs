//! The commands `jobs`, `job` and `retry`.

use serde_json::{Value, json};

use crate::control::{job, schedule};
use crate::harness::{Env, eventually};

fn eventually_state(env: &Env, id: &str, state: &str) {
    eventually(&format!("the job is {state}"), || {
        let job = job(env, id);
        if job["state"] == state { Ok(()) } else { Err(job.to_string()) }
    });
}

#[test]
fn jobs_are_listed_newest_first_and_counted() {
    let env = Env::new();
    let worker = env.worker(&[]);
    env.run(["call", "fib", "{\"n\": 5}"]).ok();
    env.run(["call", "fails", "{\"message\": \"no\"}"]);
    worker.stop().ok();
    let cancelled = schedule(&env, &["noop"]);
    env.run(["cancel", &cancelled]).ok();
    let late = schedule(&env, &["hello", "{\"greetee\": \"x\"}", "--timeout", "1ms"]);
    let running = schedule(&env, &["leaf", "{\"i\": 1}"]);

    let listed = env.run(["jobs", "--counts", "--output", "json"]).json();
    assert_eq!(
        listed["counts"],
        json!({"scheduled": 0, "running": 1, "completed": 1, "failed": 1, "cancelled": 1, "timed-out": 1}),
        "{listed}"
    );
    let jobs = listed["jobs"].as_array().expect("jobs");
    let states: Vec<_> = jobs.iter().map(|job| (job["task"].clone(), job["state"].clone())).collect();
    let expected =
        [("leaf", "running"), ("hello", "timed-out"), ("noop", "cancelled"), ("fails", "failed"), ("fib", "completed")];
    assert_eq!(states, expected.map(|(task, state)| (json!(task), json!(state))), "newest first");
    assert_eq!(jobs[0]["job"], *running);
    assert_eq!(jobs[1]["job"], *late);
    assert!(jobs[4]["messages"].as_u64().expect("messages") >= 6, "one a call at least: {}", jobs[4]);
    for key in ["created", "ended"] {
        assert!(jobs[4][key].as_str().expect(key).ends_with('Z'), "{}", jobs[4]);
    }
    assert_eq!(jobs[0]["ended"], Value::Null);

    let text = env.run(["jobs"]);
    let lines: Vec<&str> = text.ok().lines().collect();
    assert!(lines[0].starts_with("JOB ") && lines.len() == 6, "{text:#?}");
    assert!(lines[1].starts_with(&running) && lines[1].contains("leaf") && lines[1].contains("running"), "{text:#?}");
    assert_eq!(text.stderr, "");
    let counted = env.run(["jobs", "--counts"]);
    assert_eq!(counted.stderr, "0 scheduled, 1 running, 1 completed, 1 failed, 1 cancelled, 1 timed out\n");
    assert_eq!(counted.ok().lines().count(), 6);
    let failed = env.run(["jobs", "--state", "failed"]);
    assert!(failed.ok().lines().count() == 2 && failed.stdout.contains("fails"), "{failed:#?}");
    let one = env.run(["jobs", "--limit", "1"]);
    assert!(one.ok().lines().count() == 2 && one.stderr.contains("there are more jobs"), "{one:#?}");
    let none = env.run(["jobs", "--limit", "0"]);
    assert!(none.ok().is_empty(), "{none:#?}");
}

#[test]
fn jobs_are_filtered_and_come_in_pages() {
    let env = Env::new();
    let list = |flags: &[&str]| env.run(["jobs", "--output", "json"].iter().chain(flags)).json();
    let ids = |listed: &Value| -> Vec<String> {
        let jobs = listed["jobs"].as_array().expect("jobs");
        jobs.iter().map(|job| job["job"].as_str().expect("an id").to_owned()).collect()
    };
    let leaf = |n: u64| format!("{{\"i\": {n}}}");
    let mut expected: Vec<String> = (0..5).map(|n| schedule(&env, &["leaf", &leaf(n)])).collect();
    let noop = schedule(&env, &["noop"]);
    env.run(["cancel", &expected[1]]).ok();
    expected.reverse();

    assert_eq!(ids(&list(&["--task", "leaf"])), expected);
    assert_eq!(ids(&list(&["--task", "noop"])), [noop]);
    assert_eq!(ids(&list(&["--task", "leaf", "--state", "cancelled"])), expected[3..4]);
    assert_eq!(ids(&list(&["--task", "leaf", "--state", "running"])).len(), 4);
    assert!(ids(&list(&["--label", "nobody"])).is_empty());
    assert!(ids(&list(&["--topic", "other"])).is_empty());
    assert_eq!(ids(&list(&["--since", "1h"])).len(), 6);
    assert!(ids(&list(&["--until", "1h"])).is_empty());
    assert!(ids(&list(&["--since", "2100-01-01T00:00:00Z"])).is_empty());

    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut flags = vec!["--task", "leaf", "--limit", "2"];
        if !cursor.is_empty() {
            flags.extend(["--cursor", &cursor]);
        }
        let page = list(&flags);
        found.extend(ids(&page));
        // A job that is added meanwhile changes no later page.
        schedule(&env, &["leaf", &leaf(100 + found.len() as u64)]);
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(found, expected);
    let text = env.run(["jobs", "--limit", "2"]);
    assert!(text.stderr.starts_with("there are more jobs; list them with --cursor "), "{text:#?}");
    for wrong in [["--cursor", "x"], ["--since", "yesterday"], ["--until", ""]] {
        let refused = env.run(["jobs"].iter().chain(&wrong));
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.starts_with("error: ") && refused.stderr.contains(wrong[0]), "{refused:?}");
    }
}

#[test]
fn the_tree_of_a_partly_failed_job() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let id = schedule(&env, &["catches", "{\"message\": \"out of eggs\"}"]);
    eventually_state(&env, &id, "completed");
    let document = job(&env, &id);
    assert_eq!((&document["task"], &document["cut"]), (&json!("catches"), &json!(false)));
    let tree = &document["tree"];
    assert_eq!((&tree["task"], &tree["state"]), (&json!("catches"), &json!("completed")));
    assert!(tree["duration_ms"].is_u64(), "{tree}");
    let children = tree["children"].as_array().expect("children");
    let states: Vec<_> = children.iter().map(|child| (child["task"].clone(), child["state"].clone())).collect();
    assert_eq!(states, [("fails", "failed"), ("leaf", "completed")].map(|(t, s)| (json!(t), json!(s))), "in its order");
    assert_eq!(children[0]["failure"]["message"], "out of eggs");

    let text = env.run(["job", &id]);
    let lines: Vec<&str> = text.ok().lines().collect();
    let top = lines.iter().position(|line| line.starts_with("catches ")).expect("the tree");
    assert!(lines[top].contains("  completed ("), "{text:#?}");
    assert!(lines[top + 1].starts_with("├─ fails ") && lines[top + 1].ends_with(": out of eggs"), "{text:#?}");
    assert!(lines[top + 2].starts_with("└─ leaf ") && lines[top + 2].contains("completed"), "{text:#?}");
    assert!(!text.stdout.contains('\x1b'), "no colour off a terminal");

    let id = schedule(&env, &["calls_always_fails", "{\"catch\": false}"]);
    eventually_state(&env, &id, "failed");
    let text = env.run(["job", &id]);
    assert!(text.ok().contains(": a call failed and it was not caught"), "{text:#?}");
    assert!(text.stdout.contains("failed (3 attempts") && text.stdout.contains(": never works"), "{text:#?}");
    worker.stop().ok();
}

#[test]
fn a_tree_shows_labels_repeats_and_waiting_calls() {
    let env = Env::new();
    let worker = env.worker(&["--unknown-task-grace", "10m"]);
    let id = schedule(&env, &["with_options"]);
    eventually_state(&env, &id, "completed");
    let text = env.run(["job", &id]);
    assert!(text.ok().contains("└─ brief (loops) ") && text.stdout.contains("timed-out"), "{text:#?}");

    let id = schedule(&env, &["fib", "{\"n\": 6}"]);
    eventually_state(&env, &id, "completed");
    let text = env.run(["job", &id]);
    let shown = text.ok().lines().filter(|line| line.contains("fib ")).count();
    assert_eq!(shown, 11, "each of 7 calls once, and 4 mentions: {text:#?}");
    assert_eq!(text.stdout.matches("(see above)").count(), 3, "a call without children is just shown: {text:#?}");
    let text = env.run(["job", &id, "--depth", "2"]);
    assert_eq!(text.ok().lines().filter(|line| line.contains("fib ")).count(), 3, "{text:#?}");
    assert!(text.stdout.contains("└─ … and 2 more") && text.stdout.contains("(cut: "), "{text:#?}");
    assert_eq!(env.run(["job", &id, "--depth", "2", "--output", "json"]).json()["cut"], true);

    let id = schedule(&env, &["unknown_child"]);
    eventually("it waits", || {
        let job = job(&env, &id);
        if job["tree"]["state"] == "deferred" { Ok(()) } else { Err(job.to_string()) }
    });
    let document = job(&env, &id);
    assert_eq!((&document["state"], &document["tree"]["waiting"]), (&json!("running"), &json!(1)));
    assert_eq!(document["tree"]["children"][0]["state"], "ready");
    let text = env.run(["job", &id]);
    assert!(text.ok().contains("deferred (waits for 1"), "{text:#?}");
    env.run(["cancel", &id]).ok();
    let document = job(&env, &id);
    assert_eq!((&document["state"], &document["tree"]["state"]), (&json!("cancelled"), &json!("cancelled")));
    assert_eq!(document["tree"]["children"][0]["state"], "cancelled", "it will never have an outcome: {document}");
    worker.stop().ok();
    env.run(["job", "nobody"]).refused(40, &["no job nobody", "brrr-host jobs"]);
}

#[test]
fn a_retry_is_a_new_job_that_reuses_successful_calls() {
    let env = Env::new();
    let worker = env.worker(&[]);
    // The same arguments as the guest sends for its child, so the job below reuses this value.
    env.run(["call", "fib", "{\"n\": 4, \"salt\": null}"]).ok();
    worker.stop().ok();
    let old = schedule(&env, &["fib", "{\"n\": 6}", "--max-retries", "7"]);
    let alive = env.run(["retry", &old]);
    alive.refused(42, &["not over yet", "brrr-host cancel"]);
    env.run(["cancel", &old]).ok();
    let retried = env.run(["retry", &old, "--output", "json"]);
    assert_eq!(retried.code, Some(0), "{retried:#?}");
    let new = retried.json()["job"].as_str().expect("a job").to_owned();
    let worker = env.worker(&[]);
    eventually_state(&env, &new, "completed");
    assert_eq!(job(&env, &old)["state"], "cancelled", "the old one stays as it was");
    let document = job(&env, &new);
    assert_eq!((&document["retry_of"], &document["options"]["max-retries"]), (&json!(old), &json!("7")));
    let reused: Vec<_> =
        document["tree"]["children"].as_array().expect("children").iter().map(|c| c["reused"].clone()).collect();
    assert_eq!((&document["tree"]["reused"], reused), (&json!(false), vec![json!(true), json!(false)]), "{document}");
    assert!(env.run(["job", &new]).ok().contains("completed (reused)"));

    // The value is there now.
    let again = env.run(["retry", &old]);
    assert!(again.code == Some(0) && again.stderr.contains("the value is there"), "{again:#?}");
    assert_eq!(env.run(["retry", &old, "--wait"]).ok(), "8");
    let failed = schedule(&env, &["fails", "{\"message\": \"no\"}"]);
    eventually_state(&env, &failed, "failed");
    let ended = env.run(["retry", &failed, "--wait", "30s"]);
    assert!(ended.code == Some(30) && ended.stderr.contains("fails: error: no"), "{ended:#?}");
    env.run(["retry", "nobody"]).refused(40, &["no job nobody"]);
    worker.stop().ok();
}
