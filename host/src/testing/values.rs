//! The notation of values in `cases.toml`, and in reports.

use brrr_protocol::codec::{self, python};
use serde_json::{Map, Number, Value as Json};

/// The input or the result of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Json(Json),
    /// The bytes of a task that takes or returns bytes without an encoding.
    Bytes(Vec<u8>),
}

impl Value {
    /// The bytes as a handler returns them.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Json(json) => {
                let mut text = String::new();
                python::write(&mut text, json);
                text.into_bytes()
            }
        }
    }

    /// Do these bytes stand for the value?
    pub fn is(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Bytes(own) => own == bytes,
            Self::Json(own) => serde_json::from_slice(codec::json(bytes)).is_ok_and(|other| same(own, &other)),
        }
    }

    pub fn show(&self) -> String {
        match self {
            Self::Json(json) => json.to_string(),
            Self::Bytes(bytes) => show(bytes),
        }
    }
}

/// Are two values the same in a language that has only one type of number? (Integers are the same only in all digits: a
/// float may be near to one that it can't hold.)
pub fn same(a: &Json, b: &Json) -> bool {
    let is_integer = |number: &Number| !number.to_string().contains(['.', 'e', 'E']);
    match (a, b) {
        (Json::Number(a), Json::Number(b)) if is_integer(a) && is_integer(b) => a == b,
        (Json::Number(a), Json::Number(b)) => a == b || a.as_f64().is_some_and(|a| Some(a) == b.as_f64()),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// TOML's values as JSON. (A date becomes a string.)
///
/// # Errors
/// When a number is not finite.
pub fn of_toml(value: &toml::Value) -> Result<Json, String> {
    Ok(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) if !number.is_finite() => {
            return Err(format!("{number} is no value of JSON; a handler can neither get nor return it"));
        }
        toml::Value::Float(number) => Json::from(*number),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(moment) => moment.to_string().into(),
        toml::Value::Array(items) => Json::Array(items.iter().map(of_toml).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => {
            let entry = |(key, value): (&String, _)| Ok((key.clone(), of_toml(value)?));
            Json::Object(table.iter().map(entry).collect::<Result<Map<_, _>, String>>()?)
        }
    })
}

/// The most bytes of a value in one line of a report.
const MAX_SHOWN: usize = 200;

/// Bytes as text for the user: as JSON, else as text, else only the number of bytes.
pub fn show(bytes: &[u8]) -> String {
    let text = match serde_json::from_slice::<Json>(codec::json(bytes)) {
        Ok(json) => json.to_string(),
        Err(_) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("{text:?} (not JSON)"),
            Err(_) => {
                let head: Vec<String> = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
                let dots = if bytes.len() > 16 { " …" } else { "" };
                format!("{} bytes ({}{dots})", bytes.len(), head.join(" "))
            }
        },
    };
    brief(&text, MAX_SHOWN)
}

/// At most `most` bytes of a text, on one line.
pub fn brief(text: &str, most: usize) -> String {
    let clean = brrr_worker::text::line(&text.replace(['\n', '\r', '\t'], " ")).into_owned();
    if clean.len() <= most { clean } else { format!("{}…", &clean[..clean.floor_char_boundary(most)]) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(same(&json!({"a": [1, 2.5]}), &json!({"a": [1.0, 2.5]})));
        assert!(!same(&json!([1]), &json!([1, 2])));
        assert!(!same(&json!({"a": null}), &json!({})));
        assert!(!same(&json!("1"), &json!(1)));
        assert!(!same(&json!(9_007_199_254_740_993_u64), &json!(9_007_199_254_740_992_u64)));
        assert!(Value::Json(Json::Null).is(b"") && !Value::Json(json!("")).is(b""), "no bytes are null");
        assert!(Value::Json(json!(7)).is(b"7.0") && !Value::Json(json!(7)).is(b"no JSON"));
    }

    #[test]
    fn shown_values_are_short_and_harmless() {
        assert_eq!(show(b"{\"a\": 1}"), r#"{"a":1}"#);
        assert_eq!(show(b"x"), "\"x\" (not JSON)");
        assert_eq!(show(b""), "null");
        assert_eq!(show(b"\xff\x00"), "2 bytes (ff 00)");
        assert!(brief(&"é".repeat(300), 200).len() < 210);
        assert_eq!(brief("a\x1b[31m\nb", 200), "a\\u{1b}[31m b");
    }
}
