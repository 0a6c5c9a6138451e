//! Stuck work is found and started again, by `doctor` and by a worker. `gc` removes the records that ended jobs leave.

use std::time::Duration;

use brrr_protocol::ports::Outgoing;
use serde_json::{Value, json};

use crate::control::{job, schedule};
use crate::harness::{Env, TOPIC, block_on, eventually};

/// Takes a message off the queue, as a worker of another SDK does that then dies.
fn lose_message(env: &Env) {
    let backend = env.backend();
    block_on(async {
        let delivery = backend.queue().receive(&TOPIC.into(), 1, Duration::ZERO).await.expect("a queue").remove(0);
        backend.queue().ack(&delivery.receipt).await.expect("acknowledged");
    });
}

fn doctor(env: &Env, more: &[&str]) -> (Option<i32>, Value) {
    let ended = env.run(["doctor", "--older-than", "0s", "--output", "json"].iter().chain(more));
    (ended.code, ended.json())
}

#[test]
fn a_lost_message_is_found_and_sent_again() {
    let env = Env::new();
    env.backend();
    let all_well = env.run(["doctor"]);
    assert_eq!(
        (all_well.ok(), &*all_well.stderr),
        ("", "0 running jobs, 0 calls that somebody waits for, 0 messages: 0 stuck, 0 repaired\n")
    );
    let job_id = schedule(&env, &["fib", "{\"n\": 3}"]);
    assert_eq!(doctor(&env, &[]).0, Some(0), "it is queued");
    lose_message(&env);
    assert_eq!(env.run(["doctor"]).code, Some(0), "it is not old yet");
    let (code, found) = doctor(&env, &[]);
    assert_eq!((code, &found["findings"][0]["kind"]), (Some(43), &json!("not-queued")), "{found}");
    assert_eq!((&found["findings"][0]["job"], &found["findings"][0]["task"]), (&json!(job_id), &json!("fib")));
    let text = env.run(["doctor", "--older-than", "0s"]);
    assert!(text.stdout.contains("it is waited for, and has no message") && text.stdout.contains("fib"), "{text:#?}");
    assert!(text.stderr.ends_with("1 stuck, 0 repaired; --fix sets it going again\n"), "{text:#?}");
    let (code, repaired) = doctor(&env, &["--fix"]);
    assert_eq!((code, &repaired["findings"][0]["state"]), (Some(0), &json!("repaired")), "{repaired}");
    assert_eq!(doctor(&env, &["--fix"]).1["findings"], json!([]));
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 3}"]).ok(), "2");
    assert_eq!(job(&env, &job_id)["state"], "completed");
    worker.stop().ok();
}

#[test]
fn a_worker_finds_stuck_work_by_itself() {
    let env = Env::new();
    let job_id = schedule(&env, &["fib", "{\"n\": 4}"]);
    lose_message(&env);
    let idle = env.worker(&["--repair-interval", "off"]);
    let worker = env.worker(&["--repair-interval", "1s"]);
    eventually("the job ends", || {
        let job = job(&env, &job_id);
        if job["state"] == "completed" { Ok(()) } else { Err(job.to_string()) }
    });
    let ended = worker.stop();
    assert!(ended.stderr.contains("stuck work was set going again"), "{ended:#?}");
    assert!(!idle.stop().stderr.contains("stuck"), "it does not look");
    let refused = env.run(["run", "--repair-interval", "0s", "x.wasm"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("1s or more, or `off`"), "{refused:#?}");
}

#[test]
fn dead_letters_are_counted_and_sent_again_on_request() {
    let env = Env::new();
    let garbage = Outgoing { topic: TOPIC.into(), body: "garbage".into(), delay: Duration::ZERO };
    schedule(&env, &["fib", "{\"n\": 2}"]);
    let backend = env.backend();
    block_on(async {
        backend.queue().send_many(&[garbage]).await.expect("sent");
        for delivery in backend.queue().receive(&TOPIC.into(), 9, Duration::ZERO).await.expect("a queue") {
            match delivery.body.as_str() {
                "garbage" => backend.queue().move_to_dlq(&delivery, "garbage").await.expect("moved"),
                _ => backend.queue().nack(&delivery.receipt, Duration::ZERO).await.expect("nacked"),
            }
        }
    });
    let text = env.run(["doctor"]);
    assert_eq!(text.code, Some(0), "they are stuck on purpose");
    assert!(text.stderr.contains("topic demo: 1 dead letters; `brrr-host dlq list --topic demo`"), "{text:#?}");
    env.run(["doctor", "--fix", "--dead-letters"]).ok();
    let (_, left) = doctor(&env, &[]);
    assert_eq!((&left["topics"][0]["dead_letters"], &left["topics"][0]["messages"]), (&json!(0), &json!(2)), "{left}");
    let refused = env.run(["doctor", "--dead-letters"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--fix"), "{refused:#?}");
}

#[test]
fn records_of_ended_jobs_are_removed() {
    let env = Env::new();
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 9}"]).ok(), "34");
    let failed = env.run(["call", "always_fails", "--max-retries", "0"]);
    assert_eq!(failed.code, Some(30));
    let counts = || env.run(["jobs", "--counts", "--output", "json"]).json()["counts"].clone();
    let dry = env.run(["gc", "--older-than", "0s", "--dry-run", "--output", "json"]).json();
    assert_eq!((&dry["jobs"], &dry["values"], &dry["busy_jobs"]), (&json!(2), &json!(10), &json!(0)), "{dry}");
    assert_eq!((&counts()["completed"], &counts()["failed"]), (&json!(1), &json!(1)));
    assert!(env.run(["gc", "--older-than", "1h"]).stderr.starts_with("removed 0 jobs that ended more than 1h ago"));
    assert_eq!(env.run(["gc", "--older-than", "0s", "--output", "json"]).json()["jobs"], 2);
    assert_eq!((&counts()["completed"], &counts()["failed"]), (&json!(0), &json!(0)));
    assert_eq!(env.run(["read", "fib", "{\"n\": 9}"]).code, Some(40), "its value was removed");
    assert_eq!(env.run(["call", "fib", "{\"n\": 9}"]).ok(), "34", "and is computed again");
    worker.stop().ok();
    // After `gc` the file holds nothing of a call that no job needs.
    env.run(["gc", "--older-than", "0s"]).ok();
    let file = rusqlite::Connection::open(env.path(".brrr/state.db")).expect("the file");
    let count = |table: &str| {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).expect(table)
    };
    // The topic's own records and name stay.
    assert_eq!((count("record"), count("name"), count("counter")), (2, 1, 0));
    let refused = env.run(["gc"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--older-than"), "{refused:#?}");
}
