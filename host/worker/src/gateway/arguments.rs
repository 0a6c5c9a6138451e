//! The named arguments of a call, from a query and a body.

use brrr_protocol::codec::python;
use brrr_protocol::model::CallHash;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::json::{self, Json};

/// A call that a request asks for. It is encoded as by all Python workers and by most SDKs.
#[derive(Debug)]
pub struct Arguments {
    /// The hash of the call, from the task's name and the payload.
    pub hash: CallHash,
    /// The arguments as JSON: `[{…}]`, one object with all named arguments.
    pub payload: Bytes,
}

/// Reads the arguments. Values of the query stay strings, as in the gateway of the peers' workers. A JSON body
/// can have other types.
///
/// # Errors
/// What is wrong, as a text for the client.
pub fn read(task: &str, query: Vec<(String, String)>, body: &[u8]) -> Result<Arguments, String> {
    let mut named =
        if body.trim_ascii().is_empty() { Json::of(Value::Object(Map::new())) } else { json::read("the body", body)? };
    if query.iter().any(|(name, value)| named.clashes_with(name) || named.clashes_with(value)) {
        return Err("the query has characters of U+10F000 to U+10F7FF, and the body half a surrogate pair".to_owned());
    }
    let Value::Object(map) = &mut named.value else {
        return Err("the body must be a JSON object of named arguments".to_owned());
    };
    for (name, value) in query {
        if map.insert(name.clone(), Value::String(value)).is_some() {
            return Err(format!("the argument `{name}` is given twice"));
        }
    }
    let payload = named.written(python::payload(&named.value));
    Ok(Arguments { hash: python::call_hash_of_payload(task, &payload).into(), payload: payload.into() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn query_values_stay_texts_and_are_merged_with_the_body() {
        let read = |query: &[(&str, &str)], body: &str| {
            let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            super::read("t", query, body.as_bytes()).map(|a| String::from_utf8(a.payload.to_vec()).unwrap())
        };
        assert_eq!(read(&[("op", "fib"), ("n", "11")], ""), Ok(r#"[{"n": "11", "op": "fib"}]"#.to_owned()));
        assert_eq!(read(&[("a", "1")], r#"{"n": 11}"#), Ok(r#"[{"a": "1", "n": 11}]"#.to_owned()));
        assert!(read(&[("n", "1"), ("n", "2")], "").unwrap_err().contains("`n` is given twice"));
        assert!(read(&[], "[1]").is_err() && read(&[], "{").is_err());
        assert!(read(&[], "{\"a\": [1e400]}").unwrap_err().starts_with("the body has 1e"));
    }

    /// Expected: what Python writes.
    #[test]
    fn lone_surrogates_stay_and_no_query_is_taken_for_one() {
        let read = |query: &str, body: &str| {
            let query = vec![("q".to_owned(), query.to_owned())];
            super::read("t", query, body.as_bytes()).map(|a| String::from_utf8(a.payload.to_vec()).unwrap())
        };
        assert_eq!(read("é", r#"{"a": "\uD83D"}"#), Ok(r#"[{"a": "\ud83d", "q": "\u00e9"}]"#.to_owned()));
        assert_eq!(read("\u{10f000}", r#"{"a": "b"}"#), Ok(r#"[{"a": "b", "q": "\udbfc\udc00"}]"#.to_owned()));
        assert!(read("\u{10f000}", r#"{"a": "\ud83d"}"#).unwrap_err().contains("U+10F000"));
    }
}
