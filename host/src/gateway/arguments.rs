//! The named arguments of a call, from a query and a body.

use brrr_protocol::codec::{self, python};
use brrr_protocol::model::CallHash;
use bytes::Bytes;
use serde_json::{Map, Value};

/// A call as a request asks for it, in the form that all Python workers and most SDKs share.
#[derive(Debug)]
pub struct Arguments {
    pub hash: CallHash,
    pub payload: Bytes,
}

/// Query values stay texts, as the existing workers' gateway hands them over; a JSON body can say more.
///
/// # Errors
/// What is wrong, for the client.
pub fn read(task: &str, query: Vec<(String, String)>, body: &[u8]) -> Result<Arguments, String> {
    let mut named = if body.trim_ascii().is_empty() {
        Map::new()
    } else {
        match serde_json::from_slice(body) {
            Ok(Value::Object(named)) => named,
            Ok(_) => return Err("the body must be a JSON object of named arguments".to_owned()),
            Err(error) => return Err(format!("the body is not JSON: {error}")),
        }
    };
    for (name, value) in query {
        if named.insert(name.clone(), Value::String(value)).is_some() {
            return Err(format!("the argument `{name}` is given twice"));
        }
    }
    let named = Value::Object(named);
    if let Some(number) = codec::beyond_floats(&named) {
        return Err(format!("the body has {number}, which is beyond the range of numbers; give it as a text"));
    }
    Ok(Arguments { hash: python::call_hash(task, &named).into(), payload: python::payload(&named).into() })
}

#[cfg(test)]
mod tests {
    #[test]
    fn query_values_stay_texts_and_meet_the_body() {
        let read = |query: &[(&str, &str)], body: &str| {
            let query = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            super::read("t", query, body.as_bytes()).map(|a| String::from_utf8(a.payload.to_vec()).unwrap())
        };
        assert_eq!(read(&[("op", "fib"), ("n", "11")], ""), Ok(r#"[{"n": "11", "op": "fib"}]"#.to_owned()));
        assert_eq!(read(&[("a", "1")], r#"{"n": 11}"#), Ok(r#"[{"a": "1", "n": 11}]"#.to_owned()));
        assert!(read(&[("n", "1"), ("n", "2")], "").unwrap_err().contains("`n` is given twice"));
        assert!(read(&[], "[1]").is_err() && read(&[], "{").is_err());
        assert!(read(&[], "{\"a\": [1e400]}").unwrap_err().contains(".a[0]"));
    }
}
