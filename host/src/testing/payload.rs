//! Payloads of calls, as handlers get them and as users read them.

use brrr_protocol::codec::{self, Arguments, python, typescript};
use brrr_protocol::model::{Call, CallHash};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::values::{Value, brief, same, show};

/// How the arguments of a case are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    #[default]
    Python,
    Typescript,
    Raw,
}

/// The hash and the payload of a call, the same as `brrr-host call` makes of this input.
pub fn encode(codec: Codec, task: &str, input: Option<Value>) -> Result<(CallHash, Bytes), String> {
    match (codec, input) {
        // Bytes need no encoding, whatever the codec is.
        (_, Some(Value::Bytes(bytes))) => Ok((CallHash::derive(task, &bytes), bytes.into())),
        (Codec::Raw, None) => Ok((CallHash::derive(task, b""), Bytes::new())),
        (Codec::Raw, Some(Value::Json(_))) => {
            Err("with codec = \"raw\", write the input as `input-text` or `input-file`".to_owned())
        }
        (Codec::Python, input) => {
            let kwargs = match input {
                None => Json::Object(Map::new()),
                Some(Value::Json(object @ Json::Object(_))) => object,
                Some(other) => {
                    return Err(format!(
                        "`input` is a table of named arguments, like {{ n = 30 }}, not {}; a list of arguments is for \
                         codec = \"typescript\"",
                        other.show()
                    ));
                }
            };
            Ok((python::call_hash(task, &kwargs).into(), python::payload(&kwargs).into()))
        }
        (Codec::Typescript, input) => {
            let list = match input {
                None => Vec::new(),
                Some(Value::Json(Json::Array(list))) => list,
                Some(Value::Json(object @ Json::Object(_))) => vec![object],
                Some(other) => {
                    return Err(format!("`input` is a list of arguments or one table, not {}", other.show()));
                }
            };
            Ok((typescript::call_hash(task, &list).into(), typescript::payload(&list).into()))
        }
    }
}

/// Are these the arguments of the call, in the notation of any language?
pub fn is_input(input: &Value, call: &Call) -> bool {
    match input {
        Value::Bytes(bytes) => call.payload == bytes,
        Value::Json(json) => match (codec::decode(&call.payload), json) {
            (Ok(Arguments::Named(named)), Json::Object(_)) => same(&Json::Object(named), json),
            (Ok(arguments), Json::Array(_)) => same(&Json::Array(arguments.into_list()), json),
            _ => false,
        },
    }
}

/// A call as text: its task and arguments, without the list that codecs put around the arguments.
pub fn show_call(call: &Call) -> String {
    if call.is_promise() {
        return brief(&format!("the promise {}", String::from_utf8_lossy(&call.payload)), 160);
    }
    let arguments = match codec::decode(&call.payload) {
        Ok(Arguments::Named(named)) => Json::Object(named).to_string(),
        Ok(Arguments::Positional(list)) => Json::Array(list).to_string(),
        Err(_) => show(&call.payload),
    };
    brief(&format!("{} {arguments}", call.task), 160)
}
