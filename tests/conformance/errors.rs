//! What an author sees of a fault: texts that are no Unicode, causes, values that JSON does not have, forgotten calls.

use std::sync::Arc;

use async_trait::async_trait;
use brrr_protocol::model::{Failure, FailureKind};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::replay::Replay;
use brrr_worker::wasm::{LogLevel, Stream};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::fleet::Fleet;

const WHOLE: &str = "ab😀c";

/// Half a character does not stop a run. It becomes U+FFFD, in output, logs and errors.
pub async fn text_that_is_not_unicode(fleet: &Fleet) {
    let arguments = |kind: &str| json!({"kind": kind, "text": WHOLE});
    for kind in ["output", "log"] {
        let (job_id, hash) = fleet.schedule("cut", arguments(kind)).await;
        assert_eq!(crate::fleet::json(fleet.wait(&job_id, &hash).await), json!("done"), "{kind}");
        let lines = fleet.printed(&hash);
        let [(stream, text)] = &lines[..] else { panic!("{kind}: {lines:?}") };
        has_the_part(kind, text);
        assert_eq!(*stream == Stream::Log(LogLevel::Warn), kind == "log", "{kind}: {stream:?}");
    }
    for (kind, attempts) in [("error", 2), ("permanent", 1)] {
        let failure = failed(fleet, "cut", arguments(kind)).await;
        has_the_part(kind, &failure.message);
        assert_eq!(failure.attempts, attempts, "{kind}: {failure}");
    }
}

/// The text up to the half, then at least one U+FFFD, and nothing of what followed.
fn has_the_part(kind: &str, text: &str) {
    assert!(text.contains("cut: ab\u{fffd}"), "{kind}: {text:?}");
    assert!(!text.contains('😀') && !text.contains("\u{fffd}c"), "{kind}: {text:?}");
}

pub async fn causes_are_told(fleet: &Fleet) {
    for (task, both) in
        [("causes", ["outer trouble", "inner trouble"]), ("several", ["first trouble", "second trouble"])]
    {
        let failure = failed(fleet, task, json!({})).await;
        for part in both {
            assert!(failure.message.contains(part), "{task} does not say {part:?}: {}", failure.message);
        }
    }
}

/// This handler returns no bytes, as those of raw tasks and of other workers may.
struct Silent;

#[async_trait]
impl Handler for Silent {
    fn task(&self, _: &str) -> Option<Arc<Task>> {
        Some(Arc::new(Task::new("silent", Options::default())))
    }

    async fn run(&self, _: Request, replay: Replay) -> brrr_protocol::Result<(Ended, Replay)> {
        Ok((Ended::Completed(Bytes::new()), replay))
    }
}

pub async fn nothing_is_null(fleet: &Fleet) {
    assert_eq!(&fleet.call("nothing", json!({})).await.unwrap()[..], b"null");
    fleet.serve("silent", Arc::new(Silent));
    // A parent reads null as null, and no bytes as well.
    for (task, topic) in [("nothing", Value::Null), ("says_nothing", json!("silent"))] {
        assert_eq!(
            fleet.value("relays", json!({"task": task, "topic": topic, "args": {}})).await,
            Value::Null,
            "{task}"
        );
    }
}

pub async fn no_number_is_refused(fleet: &Fleet) {
    let failure = failed(fleet, "no_number", json!({})).await;
    assert!(failure.message.contains("NaN") && failure.message.contains("values[1]"), "{}", failure.message);
    assert_eq!(failure.attempts, 1, "no further run can help: {failure}");
}

/// A language has time zones, or says that it has none.
pub async fn time_zones(fleet: &Fleet) {
    match fleet.call("zone", json!({})).await {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            assert!(text.contains("14:00"), "it is 14:00 in Zurich: {text}");
        }
        Err(failure) => {
            assert_eq!(failure.kind, FailureKind::Error, "{failure}");
            let said = failure.message.to_lowercase();
            assert!(["time zone", "timezone", "tzdata", "intl"].iter().any(|word| said.contains(word)), "{failure}");
        }
    }
}

pub async fn what_was_not_awaited(fleet: &Fleet) {
    let failure = failed(fleet, "forgotten", json!({})).await;
    let named = failure.message.split(|c: char| !c.is_alphanumeric()).any(|word| word == "x");
    assert!(named, "it does not name the key x: {}", failure.message);
    assert_eq!(failure.attempts, 1, "no further run can help: {failure}");

    let (job_id, hash) = fleet.schedule("floating", json!({})).await;
    assert_eq!(crate::fleet::json(fleet.wait(&job_id, &hash).await), json!("done"));
    let lines = fleet.printed(&hash);
    let warning = Stream::Log(LogLevel::Warn);
    let found =
        lines.iter().any(|(stream, text)| *stream == warning && text.starts_with("brrr: ") && text.contains("leaf"));
    assert!(found, "no warning about the call of leaf: {lines:?}");
}

pub async fn odd_errors_and_promises(fleet: &Fleet) {
    for (kind, shown) in
        [("cycle", "500"), ("bigint", "10"), ("getter", "inner trouble"), ("unhandled", "nobody looks")]
    {
        let failure = failed(fleet, "throws", json!({"kind": kind})).await;
        assert!(failure.message.contains(shown), "{kind} does not show {shown:?}: {}", failure.message);
    }
    let failure = failed(fleet, "mapped", json!({})).await;
    assert!(failure.message.contains("[0]") && failure.attempts == 1, "{failure}");
    assert_eq!(fleet.value("from_async", json!({})).await, json!([1, 2]));
    for (x, may_fail) in [(9_007_199_254_740_991_u64, false), (9_007_199_254_740_993, true)] {
        // A JavaScript caller can't write the second number.
        match fleet.call_raw("same", format!("[{{\"x\":{x}}}]").as_bytes()).await {
            Ok(value) => assert_eq!(value, x.to_string(), "another number"),
            Err(failure) => assert!(may_fail && failure.kind == FailureKind::Error, "{x}: {failure}"),
        }
    }
}

pub async fn groups_cancellations_and_sockets(fleet: &Fleet) {
    assert_eq!(fleet.value("group", json!({})).await, json!([1, 2]));
    let failure = failed(fleet, "group_fails", json!({"n": 2})).await;
    for part in ["part 0 has no price", "part 1 has no price"] {
        assert!(failure.message.contains(part), "it does not say {part:?}: {}", failure.message);
    }
    failed(fleet, "cancelled", json!({})).await;
    let said = fleet.value("resolve", json!({"host": "example.com"})).await;
    assert!(said.as_str().is_some_and(|said| said.contains("OSError") && said.contains("brrr.http")), "{said}");
}

pub async fn the_words_of_the_library(fleet: &Fleet) {
    assert_eq!(fleet.value("format_number", json!({"n": 42})).await, json!("42"));
    assert_eq!(fleet.value("to_number", json!({"text": "42"})).await, json!(42));
    let failure = fleet.call("to_number", json!({"text": "x"})).await.expect_err("no number");
    assert!(failure.message.contains("stoi"), "{failure}");
}

/// The failure of a call, which is the handler's own error, not a trap.
async fn failed(fleet: &Fleet, task: &str, arguments: Value) -> Failure {
    let failure = fleet.call(task, arguments.clone()).await.expect_err(task);
    assert_eq!(failure.kind, FailureKind::Error, "{task} {arguments}: {failure}");
    failure
}
