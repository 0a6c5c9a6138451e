//! Bencode, as far as the protocol uses it: integers that fit an `i64`, byte strings, lists, dictionaries.
//!
//! This decoder is strict. The two existing implementations are lenient, each in another way, about a leading zero, a negative
//! zero, unsorted or repeated keys, and trailing data. No worker writes these. So such bytes are damaged, and they are refused
//! with the offset of the first wrong byte.

use std::fmt;

/// How deep lists and dictionaries may be nested. The protocol needs 4. A hostile record must not exhaust the stack.
const MAX_DEPTH: usize = 16;

/// A decoded value. Its strings are borrowed from the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer: `i42e`.
    Int(i64),
    /// A byte string: `4:spam`.
    Bytes(&'a [u8]),
    /// A list: `l…e`.
    List(Vec<Value<'a>>),
    /// The entries, sorted by key.
    Dict(Vec<(&'a [u8], Value<'a>)>),
}

/// What is wrong with bytes that are not bencode, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The offset in bytes from the start of the input.
    pub offset: usize,
    /// What is wrong at this offset, in words.
    pub reason: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not bencode at byte {}: {}", self.offset, self.reason)
    }
}

impl<'a> Value<'a> {
    /// The type of this value in words, for error messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Int(_) => "an integer",
            Value::Bytes(_) => "a string",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dictionary",
        }
    }

    /// The value of this key in a dictionary. `None` if the key is missing, or if this value is not a dictionary.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        match self {
            Value::Dict(entries) => entries.iter().find(|(k, _)| *k == key.as_bytes()).map(|(_, v)| v),
            _ => None,
        }
    }
}

/// Decodes exactly one value that takes up the whole input.
///
/// # Errors
/// When the input is not bencode, ends early, or continues after the value.
pub fn decode(input: &[u8]) -> Result<Value<'_>, SyntaxError> {
    let mut decoder = Decoder { input, at: 0 };
    let value = decoder.value(0)?;
    if decoder.at != input.len() {
        return Err(decoder.error("data after the end of the value"));
    }
    Ok(value)
}

#[derive(Clone)]
struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError { offset: self.at, reason }
    }

    fn peek(&self) -> Result<u8, SyntaxError> {
        self.input.get(self.at).copied().ok_or_else(|| self.error("the input ends here"))
    }

    fn enter(&mut self, tag: u8, otherwise: &'static str) -> Result<(), SyntaxError> {
        if self.peek()? != tag {
            return Err(self.error(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        match self.peek()? {
            b'i' => {
                self.at += 1;
                self.number(b'e', true).map(Value::Int)
            }
            b'l' => {
                self.at += 1;
                let mut items = Vec::new();
                while self.peek()? != b'e' {
                    items.push(self.value(depth + 1)?);
                }
                self.at += 1;
                Ok(Value::List(items))
            }
            b'd' => {
                self.at += 1;
                let mut entries: Vec<(&[u8], Value<'a>)> = Vec::new();
                while self.peek()? != b'e' {
                    let start = self.at;
                    let key = self.string()?;
                    if entries.last().is_some_and(|(last, _)| *last >= key) {
                        return Err(SyntaxError { offset: start, reason: "keys unsorted or repeated" });
                    }
                    entries.push((key, self.value(depth + 1)?));
                }
                self.at += 1;
                Ok(Value::Dict(entries))
            }
            b'0'..=b'9' => self.string().map(Value::Bytes),
            _ => Err(self.error("expected an integer, a string, a list or a dictionary")),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], SyntaxError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.error("expected the length of a string"));
        }
        let length = self.number(b':', false)?;
        let rest = &self.input[self.at..];
        let length = usize::try_from(length)
            .ok()
            .filter(|n| *n <= rest.len())
            .ok_or_else(|| self.error("the string is longer than the input"))?;
        self.at += length;
        Ok(&rest[..length])
    }

    /// Reads digits up to the byte `end`, and skips that byte.
    fn number(&mut self, end: u8, signed: bool) -> Result<i64, SyntaxError> {
        let start = self.at;
        if signed && self.peek()? == b'-' {
            self.at += 1;
        }
        let digits = self.at;
        while self.peek()?.is_ascii_digit() {
            self.at += 1;
        }
        if self.at == digits || self.peek()? != end {
            return Err(self.error("expected a digit"));
        }
        let text = &self.input[digits..self.at];
        if (text[0] == b'0' && text.len() > 1) || (text == b"0" && digits > start) {
            return Err(SyntaxError { offset: digits, reason: "a number with a leading zero" });
        }
        // Digits and a sign are ASCII, so they are always UTF-8.
        let number = std::str::from_utf8(&self.input[start..self.at])
            .ok()
            .and_then(|t| t.parse().ok())
            .ok_or(SyntaxError { offset: start, reason: "a number beyond 64 bits" })?;
        self.at += 1;
        Ok(number)
    }
}

/// Reads a dictionary entry by entry. It does not keep or check values that the caller skips.
#[derive(Clone)]
pub struct Reader<'a>(Decoder<'a>);

impl<'a> Reader<'a> {
    /// Starts to read a dictionary.
    ///
    /// # Errors
    /// When the input does not begin with a dictionary.
    pub fn dict(input: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut decoder = Decoder { input, at: 0 };
        decoder.enter(b'd', "expected a dictionary")?;
        Ok(Self(decoder))
    }

    /// Starts to read inside a value.
    pub(crate) fn within(input: &'a [u8]) -> Self {
        Self(Decoder { input, at: 0 })
    }

    /// The next key. The caller must then read or skip its value. `None`: the dictionary has ended.
    ///
    /// # Errors
    /// When the input is not bencode.
    pub fn key(&mut self) -> Result<Option<&'a [u8]>, SyntaxError> {
        self.next_string()
    }

    /// Reads an integer.
    ///
    /// # Errors
    /// When the value is not an integer.
    pub fn int(&mut self) -> Result<i64, SyntaxError> {
        self.0.enter(b'i', "expected an integer")?;
        self.0.number(b'e', true)
    }

    /// Starts to read a list.
    ///
    /// # Errors
    /// When the value is not a list.
    pub fn enter_list(&mut self) -> Result<(), SyntaxError> {
        self.0.enter(b'l', "expected a list")
    }

    /// The next string of a list. `None`: the list has ended.
    ///
    /// # Errors
    /// When the next item is not a string.
    pub fn next_string(&mut self) -> Result<Option<&'a [u8]>, SyntaxError> {
        if self.0.peek()? == b'e' {
            return Ok(None);
        }
        self.0.string().map(Some)
    }

    /// Skips a value.
    ///
    /// # Errors
    /// When the input is not bencode.
    pub fn skip(&mut self) -> Result<(), SyntaxError> {
        let mut open = 0;
        loop {
            match self.0.peek()? {
                b'i' => drop(self.int()?),
                b'l' | b'd' => {
                    self.0.at += 1;
                    open += 1;
                }
                b'e' if open > 0 => {
                    self.0.at += 1;
                    open -= 1;
                }
                _ => drop(self.0.string()?),
            }
            if open == 0 {
                return Ok(());
            }
        }
    }
}

/// Writes bencode. The caller must write the keys of a dictionary in the order of their bytes.
#[derive(Default)]
pub struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    /// An encoder that has written nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes an integer.
    pub fn int(&mut self, n: i64) -> &mut Self {
        self.out.push(b'i');
        self.decimal(n);
        self.out.push(b'e');
        self
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, s: &[u8]) -> &mut Self {
        self.decimal(s.len() as i64);
        self.out.push(b':');
        self.out.extend_from_slice(s);
        self
    }

    /// Writes a text, as the byte string of its UTF-8.
    pub fn str(&mut self, s: &str) -> &mut Self {
        self.bytes(s.as_bytes())
    }

    /// Begins a list. `end` ends it.
    pub fn list(&mut self) -> &mut Self {
        self.out.push(b'l');
        self
    }

    /// Begins a dictionary. Its entries follow, each a key and a value. `end` ends it.
    pub fn dict(&mut self) -> &mut Self {
        self.out.push(b'd');
        self
    }

    /// Ends the innermost open list or dictionary.
    pub fn end(&mut self) -> &mut Self {
        self.out.push(b'e');
        self
    }

    /// Writes a decoded value. The entries of a dictionary are written in the order that they have.
    pub fn value(&mut self, value: &Value<'_>) -> &mut Self {
        match value {
            Value::Int(n) => self.int(*n),
            Value::Bytes(b) => self.bytes(b),
            Value::List(items) => {
                self.list();
                for item in items {
                    self.value(item);
                }
                self.end()
            }
            Value::Dict(entries) => {
                self.dict();
                for (key, item) in entries {
                    self.bytes(key).value(item);
                }
                self.end()
            }
        }
    }

    /// The bytes that were written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn decimal(&mut self, n: i64) {
        use std::io::Write;
        // Writing to a Vec does not fail.
        let _ = write!(self.out, "{n}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in ["i0e", "i-7e", "0:", "4:spam", "le", "de", "li2e2:r12:h1e", "d1:ai1e1:bl1:xee"] {
            let value = decode(text.as_bytes()).unwrap();
            let mut encoder = Encoder::new();
            encoder.value(&value);
            assert_eq!(encoder.finish(), text.as_bytes());
        }
    }

    #[test]
    fn errors_name_the_position() {
        for (text, offset) in [
            ("", 0),
            ("hello", 0),
            ("i01e", 1),
            ("i-0e", 2),
            ("ie", 1),
            ("i99999999999999999999e", 1),
            ("03:abc", 0),
            ("5:abc", 2),
            ("li1e", 4),
            ("i1ei2e", 3),
            ("di1ei1ee", 1),
            ("d1:bi1e1:ai1ee", 7),
            ("d1:ai1e1:ai1ee", 7),
        ] {
            assert_eq!(decode(text.as_bytes()).unwrap_err().offset, offset, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "l".repeat(100_000);
        assert_eq!(decode(deep.as_bytes()).unwrap_err().reason, "nested too deeply");
    }
}
