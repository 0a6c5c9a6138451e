//! TypeScript's format (`NaiveJsonCodec`): compact JSON as `JSON.stringify` writes it, with the keys of objects sorted.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use super::first_number;
use super::python::{Decimal, Whole, hex, write_escape};

/// The payload of a call with this list of arguments.
pub fn payload(arguments: &[Value]) -> Vec<u8> {
    let mut out = String::with_capacity(64);
    write_list(&mut out, arguments);
    out.into_bytes()
}

/// The call hash that the TypeScript worker derives: SHA-256, in hex, of compact JSON `[task, arguments]`.
pub fn call_hash(task: &str, arguments: &[Value]) -> String {
    call_hash_of_payload(task, &payload(arguments))
}

/// The same as [`call_hash`], for a payload that [`payload`] has already written.
pub fn call_hash_of_payload(task: &str, payload: &[u8]) -> String {
    let mut head = String::from("[");
    write_string(&mut head, task);
    head.push(',');
    hex(&Sha256::new().chain_update(head).chain_update(payload).chain_update("]").finalize())
}

/// Appends the value as this codec writes it.
pub fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(string) => write_string(out, string),
        Value::Array(items) => write_list(out, items),
        Value::Object(map) => write_object(out, map),
    }
}

/// The first whole number that a JavaScript handler would take for another number, with its place: `9007199254740993 at [0].x`.
pub fn inexact(arguments: &[Value]) -> Option<String> {
    let is_another = |number: &Number| {
        let text = number.to_string();
        let is_whole = text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
        let mut written = String::new();
        write_number(&mut written, number);
        is_whole && text != "-0" && written != text
    };
    arguments.iter().enumerate().find_map(|(index, argument)| {
        let (number, path) = first_number(argument, &is_another)?;
        Some(format!("{number} at [{index}]{path}"))
    })
}

fn write_list(out: &mut String, items: &[Value]) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn write_object(out: &mut String, map: &Map<String, Value>) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by(|(a, _), (b, _)| key_order(a, b));
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write(out, value);
    }
    out.push('}');
}

/// The order of keys: array indices come first, by value, and then the other keys, by UTF-16 units. The reason: the codec adds
/// the sorted keys to a new object, and a JavaScript object lists its array indices before all other keys, in whatever order
/// they were added.
fn key_order(a: &str, b: &str) -> Ordering {
    match (array_index(a), array_index(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

/// The value of a key that ECMAScript treats as an array index: a decimal number in canonical form, at most 2^32 - 2.
fn array_index(key: &str) -> Option<u32> {
    let canonical = key == "0" || (key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0'));
    key.parse().ok().filter(|index| canonical && *index != u32::MAX)
}

fn write_string(out: &mut String, string: &str) {
    out.push('"');
    for c in string.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => write_escape(out, c as u16),
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn write_number(out: &mut String, number: &Number) {
    let decimal = match Decimal::of(number) {
        Ok(decimal) => Some(decimal),
        Err(Whole::Integer(text)) => text.parse().ok().and_then(Decimal::of_float),
        Err(Whole::Infinite { .. }) => None,
    };
    match decimal {
        Some(decimal) => decimal.write_javascript(out),
        // JSON.parse reads such a number as infinity, and JSON.stringify writes infinity as null.
        None => out.push_str("null"),
    }
}
