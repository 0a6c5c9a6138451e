//! What all decoders promise.

use std::fmt::{Debug, Display};

use brrr_protocol::bencode::{self, Encoder, Value};
use brrr_protocol::{Error, ErrorKind};

/// A decoder refuses an input only as malformed (or as a newer version), with a short message.
pub fn refused(error: &Error) {
    let kind = error.kind;
    assert!(matches!(kind, ErrorKind::Malformed | ErrorKind::NewerRecord), "{kind:?}: {error}");
    assert!(error.to_string().len() < 1_000, "too long for a log: {error}");
}

/// Decodes the input, encodes the result, and decodes that. Both results and both encodings must be the same, and the
/// encoding must be bencode. Returns the result and its encoding.
pub fn round_trip<T: PartialEq + Debug>(
    input: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Error>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Option<(T, Vec<u8>)> {
    let first = match decode(input) {
        Ok(first) => first,
        Err(error) => {
            refused(&error);
            return None;
        }
    };
    let bytes = encode(&first);
    bencode::decode(&bytes).expect("an encoding is bencode");
    let second = decode(&bytes).expect("an encoding can be decoded");
    assert_eq!(first, second, "decode(encode(x)) is x");
    assert_eq!(encode(&second), bytes, "an encoding is stable");
    Some((first, bytes))
}

/// Checks that `after` has each entry of the dictionary `before` whose key is not in `known`, unchanged.
pub fn keeps_unknown_keys(before: &[u8], after: &[u8], known: &[&str]) {
    let (before, after) = (entries(before), entries(after));
    for entry in before.into_iter().filter(|(key, _)| !known.iter().any(|k| k.as_bytes() == key)) {
        assert!(after.contains(&entry), "lost {:?}", String::from_utf8_lossy(&entry.0));
    }
}

fn entries(dict: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Ok(Value::Dict(entries)) = bencode::decode(dict) else { return Vec::new() };
    let encoded = |value: &Value<'_>| {
        let mut e = Encoder::new();
        e.value(value);
        e.finish()
    };
    entries.into_iter().map(|(key, value)| (key.to_vec(), encoded(&value))).collect()
}

/// The input as text, or `None`. Decoders of texts get only valid UTF-8.
pub fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Checks that the text form of a value parses to the same value.
pub fn shows_what_it_reads<T: PartialEq + Debug + Display + std::str::FromStr<Err: Debug>>(value: &T) {
    let shown = value.to_string();
    assert_eq!(&shown.parse::<T>().expect(&shown), value, "{shown:?}");
}
