//! A call as the user types it: task and payload, in a codec's form.

use std::io::Read as _;

use anyhow::Context as _;
use brrr_protocol::codec::{python, typescript};
use brrr_protocol::model::{CallHash, Root};
use bytes::Bytes;
use clap::ValueEnum;
use serde_json::{Map, Value};

use super::Told;
use crate::exit::Exit;

/// How a payload is written, and with that which workers share the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// A JSON object of named arguments, as Python and most SDKs write it.
    #[default]
    Python,
    /// A JSON list of arguments, or an object as the only one, as TypeScript writes it.
    Typescript,
    /// Bytes as they are.
    Raw,
}

/// What is called.
#[derive(Debug, clap::Args)]
pub struct CallArgs {
    /// The task.
    pub task: String,

    /// Its arguments: JSON, `@FILE`, or `-` for stdin. None: no arguments.
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub payload: Option<String>,

    /// How the arguments are written, and with that which workers share the result.
    #[arg(long, value_enum, default_value_t)]
    pub codec: Codec,
}

/// A call in its codec's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub hash: CallHash,
    pub payload: Bytes,
}

impl CallArgs {
    /// # Errors
    /// When the payload can't be read or is not what the codec takes.
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
                    .map_err(|e| Told::new(Exit::BadPayload, format!("could not read the payload from {path}: {e}")))?,
                None => text.as_bytes().to_vec(),
            },
        };
        encode(self.codec, &self.task, payload).map_err(|text| Told::new(Exit::BadPayload, text).into())
    }
}

fn encode(codec: Codec, task: &str, given: Vec<u8>) -> Result<Encoded, String> {
    match codec {
        Codec::Python => {
            let kwargs = match json(&given)? {
                None => Value::Object(Map::new()),
                Some(object @ Value::Object(_)) => object,
                Some(other) => {
                    return Err(format!(
                        "the payload is {}; the python codec takes a JSON object of named arguments, like {{\"n\": 30}}",
                        kind(&other)
                    ));
                }
            };
            Ok(Encoded { hash: python::call_hash(task, &kwargs).into(), payload: python::payload(&kwargs).into() })
        }
        Codec::Typescript => {
            let list = match json(&given)? {
                None => Vec::new(),
                Some(Value::Array(list)) => list,
                Some(object @ Value::Object(_)) => vec![object],
                Some(other) => {
                    return Err(format!(
                        "the payload is {}; the typescript codec takes a JSON list of arguments, or an object as the only one",
                        kind(&other)
                    ));
                }
            };
            Ok(Encoded { hash: typescript::call_hash(task, &list).into(), payload: typescript::payload(&list).into() })
        }
        Codec::Raw => Ok(Encoded { hash: CallHash::derive(task, &given), payload: given.into() }),
    }
}

/// The JSON that was given, if any; otherwise where it stops being JSON.
fn json(given: &[u8]) -> Result<Option<Value>, String> {
    if given.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(given).map(Some).map_err(|error| {
        let text = String::from_utf8_lossy(given);
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        // serde_json counts columns in bytes, from 1.
        let mut cut = error.column().saturating_sub(1).min(line.len());
        while !line.is_char_boundary(cut) {
            cut -= 1;
        }
        let before: String = line[..cut].chars().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect();
        let after: String = line[cut..].chars().take(20).collect();
        format!("the payload is not JSON: {error}: {before}>>>{after}")
    })
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

/// The hash of a call that is to be run again under `root`, whatever is known of it.
pub fn fresh(hash: &CallHash, root: &Root) -> CallHash {
    CallHash::derive(root.as_str(), hash.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_take_their_codecs_form() {
        let encoded =
            |codec, text: &str| String::from_utf8(encode(codec, "t", text.into()).unwrap().payload.to_vec()).unwrap();
        assert_eq!(encoded(Codec::Python, ""), "[{}]");
        assert_eq!(encoded(Codec::Python, "{\"n\":30}"), "[{\"n\": 30}]");
        assert_eq!(encoded(Codec::Typescript, "{\"n\":30}"), "[{\"n\":30}]");
        assert_eq!(encoded(Codec::Typescript, "[1, 2]"), "[1,2]");
        assert_eq!(encoded(Codec::Raw, "x y"), "x y");
    }

    #[test]
    fn what_is_not_json_is_shown_where_it_ends() {
        let error = encode(Codec::Python, "t", "{\"n\": thirty}".into()).unwrap_err();
        assert!(error.contains("line 1 column"), "{error}");
        assert!(error.contains("{\"n\": t>>>hirty}") || error.contains("{\"n\": >>>thirty}"), "{error}");
        assert!(encode(Codec::Python, "t", "[1]".into()).unwrap_err().contains("a list"));
    }
}
