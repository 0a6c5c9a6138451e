//! JSON as Python writes it by `json.dumps(value, sort_keys=True)`, in which the arguments of a call have a hash that is shared.
//!
//! Objects are sorted already: `serde_json` keeps them so. Numbers are whole here; a float would have to have Python's form, too.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

pub fn dumps(value: &Value) -> String {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Python)).expect("a JSON value can be written");
    String::from_utf8(bytes).expect("JSON is text")
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    /// Everything outside of ASCII is escaped, in units of UTF-16.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for c in fragment.chars() {
            match c {
                ' '..='~' => write!(writer, "{c}")?,
                _ => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::dumps;

    #[test]
    fn arguments_are_written_as_python_writes_them() {
        let arguments = json!([{"n": 9, "b": ["ä😀\n\u{7f}", null, true], "a": {}}]);
        let written = r#"[{"a": {}, "b": ["\u00e4\ud83d\ude00\n\u007f", null, true], "n": 9}]"#;
        assert_eq!(dumps(&arguments), written);
    }
}
