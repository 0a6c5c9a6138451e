//! The JSON codecs of the two existing workers (Python and TypeScript): how they write the arguments of a call, and how they
//! derive the call hash.
//!
//! The hash is a call's identity, so these bytes decide whether two workers share a result. The existing implementations wrote
//! the test vectors in `tests/support/vectors/json_calls_*.json`.
//!
//! Numbers are read from their text. With `arbitrary_precision`, `serde_json` keeps all digits of an integer of any size.
//! Without it, `serde_json` itself turns an integer that does not fit 64 bits into a float before this code sees it.

use serde_json::{Map, Number, Value};

pub mod python;
pub mod typescript;
pub mod unfit;

#[cfg(test)]
mod tests;

/// The content of a payload, whichever worker wrote it.
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// `[{"n": 1}]`: arguments by name. Also a bare `{"n": 1}`, as people type it, and `[]`, which has no arguments.
    Named(Map<String, Value>),
    /// `[1, "a"]`: TypeScript's list of arguments, unless it is a single object.
    Positional(Vec<Value>),
}

impl Arguments {
    /// The list that TypeScript's codec writes for these arguments.
    pub fn into_list(self) -> Vec<Value> {
        match self {
            Self::Named(named) => vec![Value::Object(named)],
            Self::Positional(list) => list,
        }
    }
}

/// The first number that is too large for a float, and where it is, for example `1e400 at .a[3]`. Python reads such a number as
/// infinity and writes `Infinity`. JavaScript writes `null`.
pub fn beyond_floats(value: &Value) -> Option<String> {
    let is_beyond = |number: &Number| {
        let text = number.to_string();
        text.contains(['.', 'e', 'E']) && !text.parse::<f64>().is_ok_and(f64::is_finite)
    };
    let (number, path) = first_number(value, &is_beyond)?;
    Some(format!("{number} at {}", if path.is_empty() { "its top" } else { &path }))
}

/// The first number in the value that is so, and the path to it, for example `.a[3]`.
fn first_number<'v>(value: &'v Value, is_so: &dyn Fn(&Number) -> bool) -> Option<(&'v Number, String)> {
    match value {
        Value::Number(number) => is_so(number).then(|| (number, String::new())),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let (number, path) = first_number(item, is_so)?;
            Some((number, format!("[{index}]{path}")))
        }),
        Value::Object(map) => map.iter().find_map(|(key, item)| {
            let (number, path) = first_number(item, is_so)?;
            Some((number, format!(".{key}{path}")))
        }),
        _ => None,
    }
}

/// A value's JSON. A value without bytes is null: handlers that return nothing give such values, in some languages.
pub fn json(value: &[u8]) -> &[u8] {
    if value.is_empty() { b"null" } else { value }
}

/// Why a payload can't be read as arguments.
#[derive(Debug)]
pub enum Error {
    /// The payload is not JSON. (Python also writes `NaN`, `Infinity` and lone surrogates, which are not JSON.)
    Json(serde_json::Error),
    /// The payload is JSON, but neither a list nor an object.
    Shape(&'static str),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the arguments are not JSON: {error}"),
            Self::Shape(found) => write!(f, "the arguments must be a JSON list or object, not {found}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Shape(_) => None,
        }
    }
}

/// Reads a payload in any of the forms of [`Arguments`].
///
/// # Errors
/// When the bytes are not JSON, or are a single string, number, boolean or `null`.
pub fn decode(payload: &[u8]) -> Result<Arguments, Error> {
    match serde_json::from_slice(payload).map_err(Error::Json)? {
        Value::Object(named) => Ok(Arguments::Named(named)),
        Value::Array(mut list) => Ok(match list.as_mut_slice() {
            [] => Arguments::Named(Map::new()),
            [Value::Object(named)] => Arguments::Named(std::mem::take(named)),
            _ => Arguments::Positional(list),
        }),
        Value::Null => Err(Error::Shape("null")),
        Value::Bool(_) => Err(Error::Shape("a boolean")),
        Value::Number(_) => Err(Error::Shape("a number")),
        Value::String(_) => Err(Error::Shape("a string")),
    }
}
