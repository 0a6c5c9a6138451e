//! What all decoders promise.

use std::fmt::{Debug, Display};

use brrr_protocol::bencode::{self, Encoder, Value};
use brrr_protocol::{Error, ErrorKind};

/// Whatever is refused is refused as malformed (or as of a newer version), in a few words.
pub fn refused(error: &Error) {
    let kind = error.kind;
    assert!(matches!(kind, ErrorKind::Malformed | ErrorKind::NewerRecord), "{kind:?}: {error}");
    assert!(error.to_string().len() < 1_000, "too long for a log: {error}");
}

/// Decodes, encodes what came of it, and decodes that: it is the same, and says the same, and the encoding is bencode. Gives
/// what was decoded.
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

/// Every entry of the dictionary `before` whose key is not `known` is in `after`, as it was.
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

/// Bytes as text; decoders of texts are not asked about anything else.
pub fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// What is written of a thing is read as the same thing.
pub fn shows_what_it_reads<T: PartialEq + Debug + Display + std::str::FromStr<Err: Debug>>(value: &T) {
    let shown = value.to_string();
    assert_eq!(&shown.parse::<T>().expect(&shown), value, "{shown:?}");
}
