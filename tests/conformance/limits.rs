//! Failures, retries, options, and limits that stop a run.

use std::time::{Duration, Instant};

use brrr_protocol::options::{Backoff, Options};
use serde_json::json;

use crate::fleet::Fleet;

pub async fn its_own_error(fleet: &Fleet) {
    let own = fleet.call("fails", json!({"message": "no luck"})).await.unwrap_err();
    assert_eq!((own.kind.as_str(), own.task.as_str(), own.attempts), ("error", "fails", 1), "{own}");
    assert!(own.message.contains("no luck"), "{}", own.message);
}

pub async fn a_failure_caught(fleet: &Fleet) {
    let caught = fleet.value("catches", json!({"message": "no luck"})).await;
    assert_eq!((&caught["kind"], &caught["task"], &caught["fine"]), (&json!("error"), &json!("fails"), &json!(1)));
    assert!(caught["message"].as_str().unwrap().contains("no luck"), "{caught}");
}

pub async fn a_failure_uncaught(fleet: &Fleet) {
    let uncaught = fleet.call("fails_child", json!({"message": "no luck"})).await.unwrap_err();
    assert_eq!((uncaught.task.as_str(), uncaught.chain.len()), ("fails_child", 2), "{:?}", uncaught.chain);
    assert!(uncaught.chain[1].contains("no luck"), "{:?}", uncaught.chain);
}

pub async fn an_unknown_task(fleet: &Fleet) {
    let child = fleet.call("unknown_child", json!({})).await.unwrap_err();
    assert_eq!((child.kind.as_str(), child.task.as_str()), ("unknown-task", "unknown_child"), "{child}");
    let top = fleet.call("no_such_task_at_all", json!({})).await.unwrap_err();
    assert_eq!((top.kind.as_str(), top.task.as_str()), ("unknown-task", "no_such_task_at_all"), "{top}");
}

pub async fn retries(fleet: &Fleet) {
    assert_eq!(fleet.value("flaky", json!({"until": 3})).await, json!({"attempt": 3}));

    let tired = fleet.call("always_fails", json!({})).await.unwrap_err();
    assert_eq!((tired.kind.as_str(), tired.attempts), ("error", 3), "{tired}");
    assert!(tired.message.contains("never works"), "{tired}");

    let permanent = fleet.call("stubborn", json!({})).await.unwrap_err();
    assert_eq!(permanent.attempts, 1, "{permanent}");
    assert!(permanent.message.contains("no use"), "{permanent}");

    // A child's failure is not repeated by the parent, although the parent is retried after failures of its own.
    let uncaught = fleet.call("calls_always_fails", json!({"catch": false})).await.unwrap_err();
    assert_eq!((uncaught.task.as_str(), uncaught.attempts), ("calls_always_fails", 1), "{:?}", uncaught.chain);
    assert!(uncaught.chain[1].contains("never works"), "{:?}", uncaught.chain);

    let caught = fleet.value("calls_always_fails", json!({"catch": true})).await;
    assert_eq!((&caught["kind"], &caught["task"]), (&json!("error"), &json!("always_fails")), "{caught}");
    assert_eq!(caught["attempts"], 3, "{caught}");
    assert!(caught["message"].as_str().unwrap().contains("never works"), "{caught}");
}

pub async fn options(fleet: &Fleet) {
    let task = fleet.program.handler.tasks().find(|task| task.name == "full_options").unwrap();
    let all = Options {
        timeout: Some(Duration::from_secs(10)),
        max_retries: Some(1),
        retry_delay: Some(Duration::from_millis(10)),
        max_retry_delay: Some(Duration::from_secs(1)),
        backoff: Some(Backoff::Exponential),
        max_running: Some(2),
        memory: Some(128 << 20),
        ..Options::default()
    };
    assert_eq!((&task.options, task.leaf), (&all, false));
    let leaf = fleet.program.handler.tasks().find(|task| task.name == "patient").unwrap();
    assert_eq!((leaf.options.timeout, leaf.leaf), (Some(Duration::from_millis(500)), true));
    assert_eq!(fleet.value("full_options", json!({})).await, json!(null));
}

pub async fn a_loop_is_stopped_by_its_timeout(fleet: &Fleet) {
    let begun = Instant::now();
    let stopped = fleet.call("spin_briefly_limited", json!({})).await.unwrap_err();
    assert_eq!((stopped.kind.as_str(), stopped.attempts), ("timeout", 1), "{stopped}");
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

/// The task asks how much time it has left, and ends before the time is used up.
pub async fn time_left(fleet: &Fleet) {
    assert_eq!(fleet.value("patient", json!({})).await, json!("stopped in time"));
}

/// An option of the caller, for this one call, stops the run.
pub async fn a_call_with_options(fleet: &Fleet) {
    assert_eq!(fleet.value("with_options", json!({})).await, json!("timeout"));
}

pub async fn a_bad_guest_costs_its_own_call_only(fleet: &Fleet) {
    for (task, kinds) in [("grows", ["limit", "error", "trap"]), ("recurses", ["trap", "error", "limit"])] {
        let failure = fleet.call(task, json!({})).await.unwrap_err();
        assert!(kinds.contains(&failure.kind.as_str()) && failure.attempts == 1, "{task}: {failure}");
        if task == "recurses" && failure.kind.as_str() == "trap" {
            let called = failure.message.starts_with("its stack") && failure.message.contains("does it recurse");
            assert!(called, "{}", failure.message);
        }
        let hello = fleet.value("hello", json!({"greetee": task})).await;
        assert_eq!(hello, json!(format!("Hello, {task}!")));
    }
}
