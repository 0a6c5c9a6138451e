//! Every language, every case, through the real worker: what a handler may rely on does not depend on its language.
//!
//! The guests are built by `scripts/guests.sh`. A case that a language lacks is a failure, not a skip.

mod fleet;

use brrr_protocol::model::Outcome;
use fleet::{Fleet, LANGUAGES};
use serde_json::{Value, json};

/// Runs `test` for each language, each on its own fleet.
async fn in_every_language(test: impl AsyncFn(&Fleet)) {
    for language in LANGUAGES {
        eprintln!("{}", language.name);
        let fleet = Fleet::start(language).await;
        test(&fleet).await;
        fleet.stop().await;
    }
}

fn json_of(outcome: Outcome) -> Value {
    let value = outcome.unwrap_or_else(|failure| panic!("failed: {failure}\n{}", failure.chain.join("\n")));
    serde_json::from_slice(&value).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&value)))
}

#[tokio::test(flavor = "multi_thread")]
async fn values() {
    in_every_language(async |fleet| {
        let value = async |task, kwargs| json_of(fleet.call(task, kwargs).await);
        assert_eq!(value("hello", json!({"greetee": "Jöhn 🇺🇸"})).await, json!("Hello, Jöhn 🇺🇸!"));
        assert_eq!(value("noop", json!({})).await, Value::Null);
        assert_eq!(value("fib", json!({"n": 20, "salt": null})).await, json!(6765));
        assert_eq!(value("fib", json!({"n": 9, "salt": "s"})).await, json!(34));
        assert_eq!(value("fan_out", json!({"n": 300})).await, json!(300 * 299 / 2));
        assert_eq!(value("sequential", json!({"n": 3})).await, json!(3));
        let big = value("big_result", json!({"bytes": 1 << 20})).await;
        assert!(big.as_str().unwrap().len() >= (1 << 20) - 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gather_is_one_batch() {
    in_every_language(async |fleet| {
        json_of(fleet.call("fan_out", json!({"n": 50})).await);
        // The job's message, a child each, one wake-up: so the parent was run twice.
        assert_eq!(fleet.messages().await, 52, "{}", fleet.language.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures() {
    in_every_language(async |fleet| {
        let own = fleet.call("fails", json!({"message": "no luck"})).await.unwrap_err();
        assert_eq!(own.kind.as_str(), "error");
        assert!(own.message.contains("no luck"), "{}", own.message);

        let caught = json_of(fleet.call("catches", json!({"message": "no luck"})).await);
        assert!(caught.to_string().contains("no luck"), "{caught}");

        let uncaught = fleet.call("fails_child", json!({"message": "no luck"})).await.unwrap_err();
        assert_eq!((uncaught.task.as_str(), uncaught.chain.len()), ("fails_child", 2), "{:?}", uncaught.chain);
        assert!(uncaught.chain[1].contains("no luck"), "{:?}", uncaught.chain);

        let unknown = fleet.call("unknown_child", json!({})).await.unwrap_err();
        assert_eq!(unknown.kind.as_str(), "unknown-task");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries() {
    in_every_language(async |fleet| {
        let third = json_of(fleet.call("flaky", json!({"until": 3})).await);
        assert_eq!(third, json!({"attempt": 3}));

        let tired = fleet.call("always_fails", json!({})).await.unwrap_err();
        assert_eq!((tired.kind.as_str(), tired.attempts), ("error", 3), "{tired}");
        assert!(tired.message.contains("never works"), "{tired}");

        let permanent = fleet.call("stubborn", json!({})).await.unwrap_err();
        assert_eq!(permanent.attempts, 1, "{permanent}");
        assert!(permanent.message.contains("no use"), "{permanent}");

        // A child's failure is not the parent's to repeat, though it may be run again for failures of its own.
        let uncaught = fleet.call("calls_always_fails", json!({"catch": false})).await.unwrap_err();
        assert_eq!((uncaught.task.as_str(), uncaught.attempts), ("calls_always_fails", 1), "{:?}", uncaught.chain);
        assert!(uncaught.chain[1].contains("never works"), "{:?}", uncaught.chain);

        let caught = json_of(fleet.call("calls_always_fails", json!({"catch": true})).await);
        assert_eq!((&caught["kind"], &caught["task"]), (&json!("error"), &json!("always_fails")), "{caught}");
        assert_eq!(caught["attempts"], 3, "{caught}");
        assert!(caught["message"].as_str().unwrap().contains("never works"), "{caught}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_limits() {
    in_every_language(async |fleet| {
        let stopped = fleet.call("spin_briefly_limited", json!({})).await.unwrap_err();
        assert_eq!((stopped.kind.as_str(), stopped.attempts), ("timeout", 1), "{stopped}");
        // It asks how much time it has left, and ends before that is used up.
        assert_eq!(json_of(fleet.call("patient", json!({})).await), json!("stopped in time"));
        // Stopped by what its caller says of this one call.
        assert_eq!(json_of(fleet.call("with_options", json!({})).await), json!("timeout"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_guest_costs_its_own_call_only() {
    in_every_language(async |fleet| {
        for (task, kwargs, kinds) in [
            ("loops", json!({}), &["timeout"][..]),
            ("grows", json!({}), &["limit", "error", "trap"]),
            // Rust takes how deep to go.
            (
                "recurses",
                if fleet.language.name == "rust" { json!({"n": 1_000_000_000}) } else { json!({}) },
                &["trap", "error", "limit"],
            ),
        ] {
            let failure = fleet.call(task, kwargs).await.unwrap_err();
            assert!(kinds.contains(&failure.kind.as_str()), "{task}: {failure}");
            let hello = json_of(fleet.call("hello", json!({"greetee": task})).await);
            assert_eq!(hello, json!(format!("Hello, {task}!")));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_appears_once() {
    in_every_language(async |fleet| {
        let kwargs = if fleet.language.name == "rust" { json!({"line": "line 0"}) } else { json!({"lines": 1}) };
        json_of(fleet.call("prints", kwargs).await);
        let lines = fleet.printed("prints");
        let first = lines.iter().filter(|line| line.contains("line 0")).count();
        // Printed by the first run, suppressed in the second.
        assert!(first >= 1, "{lines:?}");
        let mut distinct = lines.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), lines.len(), "{lines:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_and_random_are_the_same_in_every_replay() {
    in_every_language(async |fleet| {
        // A task that read the clock differently in its replay would have asked for another child, or says so by its
        // two readings, of which the first is from the run that was suspended only in a broken host.
        let before = fleet.now();
        let clock = json_of(fleet.call("clock", json!({})).await);
        let readings: Vec<f64> = clock.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        assert!(readings[0] >= before as f64 - 1.0, "{readings:?} before {before}");
        assert!(readings[1] - readings[0] < 1.0, "{readings:?}");
        let random = json_of(fleet.call("random", json!({})).await);
        assert_ne!(random[0], random[1]);
    })
    .await;
}
