//! The data of calls: bytes, text, topics and hashes.

use std::sync::Arc;

use async_trait::async_trait;
use brrr_protocol::model::{FailureKind, hex};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::replay::Replay;
use serde_json::{Value, json};

use crate::fleet::{Fleet, topic};
use crate::languages::root;

/// A text with everything that encoders often get wrong.
const TEXT: &str = "Jöhn 🇺🇸 日本 \"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}\u{2028}\u{2029}<>&é\u{ffee}😀";

const MEBIBYTE: usize = 1 << 20;

pub async fn raw_bytes(fleet: &Fleet) {
    let all: Vec<u8> = (0..=255).collect();
    for payload in [&b""[..], b"not JSON", TEXT.as_bytes(), &all, &all.repeat(MEBIBYTE / all.len())] {
        let value = fleet.call_raw("echo", payload).await.unwrap();
        assert!(value == payload, "{} bytes came back as {}", payload.len(), value.len());
    }
    for bytes in [0, 1, 1000, MEBIBYTE] {
        assert_eq!(fleet.value("call_raw", json!({"bytes": bytes})).await, json!([bytes, true]));
    }
}

pub async fn text_of_any_kind(fleet: &Fleet) {
    for text in ["", " ", TEXT] {
        assert_eq!(fleet.value("hello", json!({"greetee": text})).await, json!(format!("Hello, {text}!")));
        // The guest's own codec reads, writes and reads this again.
        let relayed = json!({"task": "hello", "topic": null, "args": {"greetee": text}});
        assert_eq!(fleet.value("relays", relayed).await, json!(format!("Hello, {text}!")));
    }
}

pub async fn large_values(fleet: &Fleet) {
    let big = fleet.call("big_result", json!({"bytes": MEBIBYTE})).await.unwrap();
    assert_eq!((big.len(), &big[..2]), (MEBIBYTE, &b"\"x"[..]));
    let long = "é".repeat(MEBIBYTE / 2);
    let relayed = json!({"task": "hello", "topic": null, "args": {"greetee": long}});
    assert_eq!(fleet.value("relays", relayed).await, json!(format!("Hello, {long}!")));
}

/// Wrong arguments fail at once, because no retry can help.
pub async fn nonsense(fleet: &Fleet) {
    for payload in [&b"not JSON"[..], b"\xff", b""] {
        let failure = fleet.call_raw("flaky", payload).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.attempts), ("error", 1), "{failure}");
        assert!(!failure.message.is_empty());
    }
}

pub async fn another_topic(fleet: &Fleet) {
    fleet.serve("elsewhere", fleet.program.handler.clone());
    assert_eq!(fleet.value("call_topic", json!({"topic": "elsewhere", "i": 7})).await, json!(7));
    let relayed = json!({"task": "about", "topic": "elsewhere", "args": {}});
    assert_eq!(fleet.value("relays", relayed).await["topic"], "elsewhere");
}

pub async fn an_explicit_hash(fleet: &Fleet) {
    let failure = fleet.call("call_hash", json!({"hash": "my own"})).await.unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (FailureKind::Conflict, 1));
    let call = fleet.client.call(&"my own".into(), &topic()).await.unwrap().unwrap();
    assert_eq!(
        (call.task.as_str(), &call.payload[..]),
        ("leaf", &(fleet.language.codec.payload)(&json!({"i": 1}))[..])
    );
}

/// This handler returns what it is given for a call, whatever the task is.
struct Mirror;

#[async_trait]
impl Handler for Mirror {
    fn task(&self, _: &str) -> Option<Arc<Task>> {
        Some(Arc::new(Task::new("mirror", Options::default())))
    }

    async fn run(&self, request: Request, replay: Replay) -> brrr_protocol::Result<(Ended, Replay)> {
        let seen = json!({"payload": hex(&request.payload), "call_hash": request.call.as_str()});
        Ok((Ended::Completed(seen.to_string().into()), replay))
    }
}

/// Makes the same calls as the existing worker of this codec, and compares bytes and hashes.
pub async fn the_peers_hashes(fleet: &Fleet) {
    fleet.serve("mirror", Arc::new(Mirror));
    let vectors = std::fs::read(root().join("tests/support/vectors").join(fleet.language.codec.vectors)).unwrap();
    let vectors: Vec<Value> = serde_json::from_slice(&vectors).unwrap();
    let mut compared = 0;
    for vector in &vectors {
        // These are not strict JSON: lone surrogates, NaN.
        let text = vector["payload"]["text"].as_str().unwrap_or_default();
        let Ok(Value::Array(arguments)) = serde_json::from_str(text) else { continue };
        // Only arguments by name, and only such values as every language has.
        let [args @ Value::Object(_)] = &arguments[..] else { continue };
        if !representable(args) {
            continue;
        }
        let task = vector["task_name"].as_str().unwrap();
        let seen = fleet.value("relays", json!({"task": task, "topic": "mirror", "args": args})).await;
        let expected = json!({"payload": vector["payload"]["hex"], "call_hash": vector["call_hash"]});
        assert_eq!(seen, expected, "{task} {text}");
        compared += 1;
    }
    assert!(compared >= 16, "only {compared} vectors could be used");
}

fn representable(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_i64() || number.is_u64() || number.to_string().contains(['.', 'e']),
        Value::Array(all) => all.iter().all(representable),
        Value::Object(all) => all.values().all(representable),
        _ => true,
    }
}

pub async fn what_it_is_told(fleet: &Fleet) {
    let (job_id, hash) = fleet.schedule("about", json!({})).await;
    let told = crate::fleet::json(fleet.wait(&job_id, &hash).await);
    let expected = json!({
        "task": "about",
        "call_hash": hash.as_str(),
        "root_id": job_id.as_str(),
        "topic": topic().as_str(),
        "attempt": 1,
        "has_deadline": false,
    });
    assert_eq!(told, expected);
}
