//! Golden vectors: bytes that the existing Python and TypeScript implementations wrote or could not read.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use brrr_protocol::error::ErrorKind;
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};
use bytes::Bytes;
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("{}/../../tests/support/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&text).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn bytes(case: &Value) -> Vec<u8> {
    unhex(case["bytes"]["hex"].as_str().unwrap())
}

fn str<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no string {key} in {value}"))
}

fn cases(name: &str) -> Vec<Value> {
    let cases = vectors(name).as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{name} has no cases");
    cases
}

#[test]
fn messages_byte_for_byte() {
    for case in cases("schedule_message.json") {
        let message =
            Message { job_id: str(&case["in"], "root_id").into(), call: str(&case["in"], "call_hash").into() };
        assert_eq!(message.encode().as_bytes(), bytes(&case), "{case}");
        assert_eq!(message.encode(), str(&case, "queue_body"));
        assert_eq!(Message::decode(&bytes(&case)).unwrap(), message);
    }
}

#[test]
fn call_records_byte_for_byte() {
    for case in cases("call_record.json") {
        let payload = unhex(str(&case["in"], "payload_hex"));
        let task = str(&case["in"], "task_name");
        assert_eq!(CallRecord::encode(task, &payload), bytes(&case), "{case}");
        let decoded = CallRecord::decode(&bytes(&case).into()).unwrap();
        assert_eq!((decoded.task.as_str(), &decoded.payload[..]), (task, &payload[..]));
    }
}

fn pending(case: &Value) -> PendingReturns {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let returns = case["in"]["returns"].as_array().unwrap().iter();
    PendingReturns {
        returns: returns
            .map(|r| Return { job_id: text(&r[0]).into(), parent: text(&r[1]).into(), topic: text(&r[2]).into() })
            .collect(),
        // Python omits 0, and TypeScript writes it. For both, 0 means the same as an absent value.
        scheduled_at: case["in"]["scheduled_at"].as_u64().filter(|at| *at != 0),
    }
}

#[test]
fn pending_returns_of_python_byte_for_byte() {
    for case in cases("pending_returns_python.json") {
        assert_eq!(PendingReturns::decode(&bytes(&case)).unwrap(), pending(&case), "{case}");
        assert_eq!(pending(&case).encode(), bytes(&case), "{case}");
    }
}

#[test]
fn pending_returns_of_typescript_are_read_in_their_own_order() {
    let mut in_another_order = 0;
    for case in cases("pending_returns_typescript.json") {
        let decoded = PendingReturns::decode(&bytes(&case)).unwrap();
        assert_eq!(decoded, pending(&case), "{case}");
        // Our own order is Python's order. The bytes may differ, but the set must be the same.
        let ours = decoded.encode();
        in_another_order += usize::from(ours != bytes(&case));
        assert_eq!(PendingReturns::decode(&ours).unwrap(), decoded);
    }
    assert!(in_another_order > 0, "no vector shows the other order");
}

#[test]
fn records_in_the_peers_table() {
    let samples = &vectors("dynamodb_items.json")["samples"];
    let values = |kind: &str| -> Vec<Bytes> {
        let items = samples[kind].as_array().unwrap();
        assert!(!items.is_empty());
        items.iter().map(|item| unhex(str(&item["value"], "B_hex")).into()).collect()
    };
    for bytes in values("call") {
        let record = CallRecord::decode(&bytes).unwrap();
        assert_eq!(CallRecord::encode(&record.task, &record.payload), bytes);
    }
    for bytes in values("pending_returns") {
        assert_eq!(PendingReturns::decode(&bytes).unwrap().encode(), bytes);
    }
}

/// Every malformed input gives an error that says which input was read and what is wrong with it.
#[test]
fn malformed_bytes_are_refused() {
    let all = vectors("malformed.json");
    let check = |kind: &str, what: &str, decode: &dyn Fn(&[u8]) -> Option<brrr_protocol::Error>| {
        let cases = all[kind].as_object().unwrap();
        assert!(!cases.is_empty());
        // A case without bytes is a missing record, so there is nothing to decode.
        for (name, case) in cases.iter().filter(|(_, case)| case["hex"].is_string()) {
            let error = decode(&unhex(str(case, "hex"))).unwrap_or_else(|| panic!("{kind}: {name} was read"));
            assert_eq!(error.kind, ErrorKind::Malformed, "{kind}: {name}");
            let text = error.to_string();
            assert!(text.contains(what) && error.reason.len() > 10, "{kind}: {name}: {text}");
        }
    };
    check("schedule_message", "a message", &|b| Message::decode(b).err());
    check("call", "a call record", &|b| CallRecord::decode(&Bytes::copy_from_slice(b)).err());
    check("pending_returns", "a pending_returns record", &|b| PendingReturns::decode(b).err());
}

/// Every prefix and every single-byte change of every valid record gives an error or a value, and never a panic.
#[test]
fn damage_never_panics() {
    let mut inputs: Vec<Vec<u8>> = Vec::new();
    for name in ["schedule_message.json", "call_record.json", "pending_returns_python.json"] {
        inputs.extend(cases(name).iter().map(bytes).filter(|b| b.len() < 400));
    }
    let read = |b: &[u8]| {
        let _ = Message::decode(b);
        let _ = CallRecord::decode(&Bytes::copy_from_slice(b));
        let _ = PendingReturns::decode(b);
    };
    for input in inputs {
        for end in 0..input.len() {
            read(&input[..end]);
            let mut changed = input.clone();
            for byte in [b'0', b'9', b'e', b'i', b'l', b'd', b':', b'-', 0xff] {
                changed[end] = byte;
                read(&changed);
            }
        }
    }
}
