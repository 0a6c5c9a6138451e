//! The command `dlq`: dead letters are listed, shown, sent again and dropped.

use std::time::Duration;

use brrr_protocol::model::{Failure, FailureKind};
use brrr_protocol::ports::{Outgoing, Work};
use brrr_protocol::wire::Message;
use serde_json::{Value, json};

use crate::control::{job, schedule};
use crate::harness::{Env, TOPIC, block_on, eventually};

fn list(env: &Env) -> Vec<Value> {
    let listed = env.run(["dlq", "list", "--output", "json"]).json();
    listed["dead-letters"].as_array().expect("a list").clone()
}

pub fn lists(env: &Env, n: usize) -> Vec<Value> {
    eventually(&format!("{n} dead letters"), || {
        let dead = list(env);
        if dead.len() == n { Ok(dead) } else { Err(format!("{dead:?}")) }
    })
}

pub fn id(dead_letter: &Value) -> String {
    dead_letter["id"].as_str().expect("an id").to_owned()
}

/// Does what a worker does with a message that kills its workers: fails its call, and moves the message to the
/// dead-letter queue.
fn move_to_dlq(env: &Env) {
    let backend = env.backend();
    block_on(async {
        let delivery = backend.queue().receive(&TOPIC.into(), 1, Duration::ZERO).await.expect("a queue").remove(0);
        let message = Message::decode(delivery.body.as_bytes()).expect("a message");
        let work = Work { message, topic: TOPIC.into(), receipt: None, ends_job: true, now: 1, log: None };
        let failure = Failure::new(FailureKind::DeadLetter, "fib", "it kills its workers");
        backend.fail(&work, &failure).await.expect("failed");
        backend.queue().move_to_dlq(&delivery, "it kills its workers").await.expect("moved");
    });
}

#[test]
fn garbage_is_listed_sent_as_it_is_and_dropped() {
    let env = Env::new();
    env.run(["dlq", "list"]).refused(22, &["no such file"]);
    let worker = env.worker(&[]);
    assert_eq!(env.run(["dlq", "list"]).stderr, "0 dead letters of topic demo\n");
    let garbage = ["garbage", "li3e1:r1:ce\x1b[31m"];
    let messages = garbage.map(|body| Outgoing { topic: TOPIC.into(), body: body.into(), delay: Duration::ZERO });
    block_on(env.backend().queue().send_many(&messages)).expect("sent");
    let mut dead = lists(&env, 2);
    // The two messages are worked on at the same time, so their order is open.
    dead.sort_by_key(|dead_letter| dead_letter["body"] != "garbage");
    assert_eq!((&dead[0]["body"], &dead[0]["job"], &dead[0]["task"]), (&json!("garbage"), &json!(null), &json!(null)));
    assert!(dead[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{dead:?}");
    let first = id(&dead[0]);
    let text = env.run(["dlq", "list"]);
    assert!(text.ok().starts_with("ID ") && text.stdout.contains("REASON"), "{text:#?}");
    let text = env.run(["dlq", "show", &id(&dead[1])]);
    assert!(text.ok().contains("body     li3e1:r1:ce\\u{1b}[31m"), "no terminal obeys a message: {text:#?}");

    // The message fails again, and becomes a new dead letter.
    let sent = env.run(["dlq", "send", &first, "--output", "json"]);
    assert_eq!(sent.code, Some(0), "{sent:#?}");
    assert_eq!(sent.json(), json!({"sent": [{"id": first, "job": null}], "refused": 0}));
    let dead = eventually("it is back", || {
        let dead = list(&env);
        if dead.len() == 2 && dead.iter().all(|dead_letter| id(dead_letter) != first) {
            Ok(dead)
        } else {
            Err(format!("{dead:?}"))
        }
    });
    assert_eq!(dead[1]["body"], "garbage");
    worker.stop().ok();

    assert_eq!(env.run(["dlq", "drop", &id(&dead[0])]).code, Some(0));
    assert_eq!(list(&env).len(), 1);
    assert_eq!(env.run(["dlq", "drop", "--all", "--output", "json"]).json(), json!({"dropped": [id(&dead[1])]}));
    assert_eq!(list(&env).len(), 0);
    for command in ["show", "send", "drop"] {
        env.run(["dlq", command, "999"]).refused(40, &["no dead letter 999", "dlq list"]);
        assert_eq!(env.run(["dlq", command]).code, Some(2), "{command} of nothing");
    }
}

#[test]
fn a_call_that_failed_is_sent_as_a_new_job() {
    let env = Env::new();
    let old = schedule(&env, &["fib", "{\"n\": 7}", "--timeout", "1h"]);
    move_to_dlq(&env);
    assert_eq!(job(&env, &old)["state"], "failed");
    let dead = lists(&env, 1);
    assert_eq!((&dead[0]["job"], &dead[0]["task"]), (&json!(old), &json!("fib")));
    let shown = env.run(["dlq", "show", &id(&dead[0]), "--output", "json"]).json();
    assert_eq!((&shown["payload"], &shown["failure"]["kind"]), (&json!("[{\"n\": 7}]"), &json!("dead-letter")));
    assert!(env.run(["dlq", "show", &id(&dead[0])]).ok().contains("it kills its workers"));

    let sent = env.run(["dlq", "send", "--all", "--output", "json"]).json();
    let new = sent["sent"][0]["job"].as_str().expect("a job").to_owned();
    assert_eq!(list(&env).len(), 0);
    let worker = env.worker(&[]);
    eventually("the new job ends", || {
        let job = job(&env, &new);
        if job["state"] == "completed" { Ok(()) } else { Err(job.to_string()) }
    });
    let document = job(&env, &new);
    assert_eq!((&document["retry_of"], document["deadline"].is_string()), (&json!(old), true), "{document}");
    assert_eq!(env.run(["read", "--job", &new]).ok(), "13");
    worker.stop().ok();
}

#[test]
fn a_call_without_a_description_is_not_sent() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let body = Message { job_id: "r".into(), call: "no such call".into() }.encode();
    block_on(env.backend().queue().send_many(&[Outgoing { topic: TOPIC.into(), body, delay: Duration::ZERO }]))
        .expect("sent");
    let dead = lists(&env, 1);
    let sent = env.run(["dlq", "send", &id(&dead[0])]);
    assert!(sent.code == Some(42) && sent.stderr.contains("no record describes it"), "{sent:#?}");
    assert_eq!(list(&env).len(), 1, "it stays");
    worker.stop().ok();
}
