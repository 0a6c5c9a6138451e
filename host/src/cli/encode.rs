//! A call as the user types it: a task and a payload, encoded by a codec.

use std::io::Read as _;

use anyhow::Context as _;
use brrr_protocol::codec::{python, typescript};
use brrr_protocol::model::CallHash;
use brrr_worker::json::{self, Json};
use bytes::Bytes;
use clap::ValueEnum;
use serde_json::{Map, Value};

use super::ExitError;
use crate::exit::Exit;

/// The encoding of a payload. It decides which workers share the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// A JSON object of named arguments, as in Python and most other SDKs.
    #[default]
    Python,
    /// A JSON list of arguments, or an object as the only argument, as in TypeScript.
    Typescript,
    /// The bytes as they are.
    Raw,
}

/// The call: a task and its arguments.
#[derive(Debug, clap::Args)]
pub struct CallArgs {
    /// The task.
    pub task: String,

    /// The arguments of the task: JSON, `@FILE`, or `-` for stdin. Not given: no arguments.
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub payload: Option<String>,

    /// How the arguments are encoded. This decides which workers share the result.
    #[arg(long, value_enum, default_value_t)]
    pub codec: Codec,
}

/// A call, encoded by its codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub hash: CallHash,
    pub payload: Bytes,
}

impl CallArgs {
    /// # Errors
    /// When the payload can't be read, or the codec does not accept it.
    pub fn encode(&self) -> anyhow::Result<Encoded> {
        let payload = match self.payload.as_deref() {
            None => Vec::new(),
            Some("-") => {
                let mut bytes = Vec::new();
                std::io::stdin().lock().read_to_end(&mut bytes).context("could not read the payload from stdin")?;
                bytes
            }
            Some(text) => match text.strip_prefix('@') {
                Some(path) => std::fs::read(path)
                    .map_err(|e| ExitError::new(Exit::Usage, format!("could not read the payload from {path}: {e}")))?,
                None => text.as_bytes().to_vec(),
            },
        };
        encode(self.codec, &self.task, payload).map_err(|text| ExitError::new(Exit::Usage, text).into())
    }
}

/// Encodes the arguments of a task as they were given.
///
/// # Errors
/// Why the codec does not accept them.
pub fn encode(codec: Codec, task: &str, given: Vec<u8>) -> Result<Encoded, String> {
    match codec {
        Codec::Python => {
            let kwargs = match json(&given)? {
                None => Json::of(Value::Object(Map::new())),
                Some(json) if json.value.is_object() => json,
                Some(Json { value, .. }) => {
                    return Err(format!(
                        "the payload is {}; the python codec takes a JSON object of named arguments, like {{\"n\": 30}}",
                        kind(&value)
                    ));
                }
            };
            let payload = kwargs.written(python::payload(&kwargs.value));
            Ok(Encoded { hash: python::call_hash_of_payload(task, &payload).into(), payload: payload.into() })
        }
        Codec::Typescript => {
            let mut arguments = json(&given)?.unwrap_or_else(|| Json::of(Value::Array(Vec::new())));
            let list = match arguments.value.take() {
                Value::Array(list) => list,
                object @ Value::Object(_) => vec![object],
                other => {
                    return Err(format!(
                        "the payload is {}; the typescript codec takes a JSON list of arguments, or an object as the only one",
                        kind(&other)
                    ));
                }
            };
            if let Some(number) = typescript::inexact(&list) {
                return Err(format!(
                    "JavaScript can't hold {number}: its whole numbers are exact up to 9007199254740991; pass it as text"
                ));
            }
            let payload = arguments.written(typescript::payload(&list));
            Ok(Encoded { hash: typescript::call_hash_of_payload(task, &payload).into(), payload: payload.into() })
        }
        Codec::Raw => Ok(Encoded { hash: CallHash::derive(task, &given), payload: given.into() }),
    }
}

/// The given JSON, if there is any. The error says where the text stops being JSON.
fn json(given: &[u8]) -> Result<Option<Json>, String> {
    if given.trim_ascii().is_empty() { Ok(None) } else { json::read("the payload", given).map(Some) }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_encoded_by_their_codec() {
        let encoded =
            |codec, text: &str| String::from_utf8(encode(codec, "t", text.into()).unwrap().payload.to_vec()).unwrap();
        assert_eq!(encoded(Codec::Python, ""), "[{}]");
        assert_eq!(encoded(Codec::Python, "{\"n\":30}"), "[{\"n\": 30}]");
        assert_eq!(encoded(Codec::Typescript, "{\"n\":30}"), "[{\"n\":30}]");
        assert_eq!(encoded(Codec::Typescript, "[1, 2]"), "[1,2]");
        assert_eq!(encoded(Codec::Raw, "x y"), "x y");
    }

    /// Texts that the peers wrote keep their bytes, also if `serde_json` can't hold them.
    #[test]
    fn lone_surrogates_have_the_bytes_and_hashes_of_peers() {
        for (file, codec) in [("python", Codec::Python), ("typescript", Codec::Typescript)] {
            let path = format!("{}/../tests/support/vectors/json_calls_{file}.json", env!("CARGO_MANIFEST_DIR"));
            let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let mut found = 0;
            for vector in vectors.iter().filter(|vector| text(&vector["payload"]["text"]).contains("\\ud800\"")) {
                let payload = text(&vector["payload"]["text"]);
                let given = payload.trim_start_matches('[').trim_end_matches(']');
                let encoded = encode(codec, &text(&vector["task_name"]), given.into()).unwrap();
                assert_eq!(encoded.payload, payload.as_bytes());
                assert_eq!(encoded.hash.as_str(), text(&vector["call_hash"]));
                found += 1;
            }
            assert!(found > 0, "{file}");
        }
    }

    #[test]
    fn invalid_json_is_shown_at_the_position_of_the_error() {
        let error = encode(Codec::Python, "t", "{\"n\": thirty}".into()).unwrap_err();
        assert!(error.contains("line 1 column"), "{error}");
        assert!(error.contains("{\"n\": t>>>hirty}") || error.contains("{\"n\": >>>thirty}"), "{error}");
        assert!(encode(Codec::Python, "t", "[1]".into()).unwrap_err().contains("a list"));
    }
}
