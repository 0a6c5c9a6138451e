//! Reads JSON that a user typed or a client sent, without a loss. The peers' codecs pass on two things that
//! `serde_json` can't hold. The first is half of a surrogate pair (`"\ud83d"`): Python and JavaScript write it for a
//! text that was cut inside a pair. The second is nesting beyond 127 levels.

use brrr_protocol::codec;
use serde_json::{Map, Value};

/// The deepest nesting. All code that writes or drops a value recurses once for each level.
const DEEPEST: usize = 2_000;

/// While a document is processed, half of a surrogate pair is replaced by one of these private-use characters.
const MARKS: std::ops::RangeInclusive<char> = '\u{10f000}'..='\u{10f7ff}';
const FIRST_MARK: u32 = 0x10_f000;
const FIRST_SURROGATE: u16 = 0xd800;

/// A JSON document.
#[derive(Debug)]
pub struct Json {
    /// The document. It may contain marks in place of halves of surrogate pairs.
    pub value: Value,
    /// The document contains marks for halves of surrogate pairs.
    is_marked: bool,
}

impl Json {
    /// A document without marks.
    pub fn of(value: Value) -> Self {
        Self { value, is_marked: false }
    }

    /// Would a part of this text be taken for a mark if it were put into the document?
    pub fn clashes_with(&self, text: &str) -> bool {
        self.is_marked && has_marks(text)
    }

    /// Takes what a codec wrote of the document, and puts the halves of surrogate pairs in place of the marks.
    pub fn written(&self, bytes: Vec<u8>) -> Vec<u8> {
        if !self.is_marked {
            return bytes;
        }
        // Codecs always write UTF-8.
        let Ok(text) = String::from_utf8(bytes) else { return Vec::new() };
        let (mut out, mut rest) = (String::with_capacity(text.len()), text.as_str());
        while let Some(c) = rest.chars().next() {
            // The Python codec writes a mark as two escapes, because it writes only ASCII. The TypeScript codec writes
            // the character.
            let (mark, length) = match rest.get(..12).and_then(pair) {
                Some(mark) => (mark, 12),
                None if c == '\\' => ('\\', 2),
                None => (c, c.len_utf8()),
            };
            if MARKS.contains(&mark) {
                let unit = u32::from(mark) - FIRST_MARK + u32::from(FIRST_SURROGATE);
                out.push_str(&format!("\\u{unit:04x}"));
            } else {
                out.push_str(rest.get(..length).unwrap_or(rest));
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        out.into_bytes()
    }
}

/// The character of two consecutive escapes.
fn pair(escapes: &str) -> Option<char> {
    let (high, low) = (unit(escapes)?, unit(escapes.get(6..)?)?);
    char::decode_utf16([high, low]).next()?.ok()
}

/// The UTF-16 unit of an escape `\uXXXX` at the beginning of a text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// Does a text contain characters that are used as marks?
fn has_marks(text: &str) -> bool {
    text.chars().any(|c| MARKS.contains(&c))
}

/// Reads a document. `what` names it in errors.
///
/// # Errors
/// Where the text stops being JSON, or which number no float can hold.
pub fn read(what: &str, given: &[u8]) -> Result<Json, String> {
    let text = std::str::from_utf8(given).map_err(|error| format!("{what} is not UTF-8: {error}"))?;
    let marked = mark(text)
        .ok_or_else(|| format!("{what} has half a surrogate pair beside characters of U+10F000 to U+10F7FF"))?;
    let value = match serde_json::from_str(marked.as_deref().unwrap_or(text)) {
        Err(error) if error.to_string().starts_with("recursion limit") => {
            let text = marked.as_deref().unwrap_or(text);
            deep(text).map_err(|at| match at {
                Stop::TooDeep => format!("{what} is nested deeper than {DEEPEST}"),
                Stop::At(at) => format!("{what} is not JSON: at byte {at}: {}", around(text, at)),
            })?
        }
        read => read.map_err(|error| {
            let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            // serde_json counts columns in bytes, from 1.
            format!("{what} is not JSON: {error}: {}", around(line, error.column().saturating_sub(1)))
        })?,
    };
    if let Some(number) = codec::beyond_floats(&value) {
        return Err(format!("{what} has {number}; the peers would read another number. Give it as a text"));
    }
    if marked.is_some() && has_marked_key(&value) {
        return Err(format!("{what} has half a surrogate pair in the name of an argument or field"));
    }
    Ok(Json { value, is_marked: marked.is_some() })
}

fn around(text: &str, at: usize) -> String {
    let cut = text.floor_char_boundary(at);
    let before: String = text[..cut].chars().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect();
    let after: String = text[cut..].chars().take(20).collect();
    format!("{before}>>>{after}")
}

/// The text with marks for halves of surrogate pairs. `Some(None)`: the text has no halves. `None`: the text contains
/// the mark characters already.
fn mark(text: &str) -> Option<Option<String>> {
    let (mut out, mut from, mut at) = (String::new(), 0, 0);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        let rest = &text[at..];
        let escape = unit(rest).filter(|unit| (0xd800..0xe000).contains(unit));
        match escape {
            None => at += 2,
            Some(_) if rest.get(..12).and_then(pair).is_some() => at += 12,
            Some(unit) => {
                out.push_str(&text[from..at]);
                out.extend(char::from_u32(FIRST_MARK + u32::from(unit - FIRST_SURROGATE)));
                at += 6;
                from = at;
            }
        }
    }
    if from == 0 {
        return Some(None);
    }
    out.push_str(&text[from..]);
    // An escaped mark character is found as well: its escape begins with `\udbfc` or `\udbfd`.
    if has_marks(text)
        || text.to_ascii_lowercase().contains("\\udbfc\\u")
        || text.to_ascii_lowercase().contains("\\udbfd\\u")
    {
        return None;
    }
    Some(Some(out))
}

/// Does a key contain a mark? The codecs sort keys, and a mark does not sort like the half that it stands for.
fn has_marked_key(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_marked_key),
        Value::Object(map) => map.iter().any(|(key, value)| has_marks(key) || has_marked_key(value)),
        _ => false,
    }
}

/// Why a deep document can't be read.
enum Stop {
    At(usize),
    TooDeep,
}

/// A list or an object whose end was not read yet.
enum OpenValue {
    List(Vec<Value>),
    Object(Map<String, Value>, String),
}

/// Reads a document without recursion.
fn deep(text: &str) -> Result<Value, Stop> {
    let bytes = text.as_bytes();
    let skip = |at: usize| at + bytes[at.min(bytes.len())..].iter().take_while(|b| b" \t\r\n".contains(b)).count();
    let name = |at: usize| -> Result<(String, usize), Stop> {
        let end = end_of_scalar(bytes, at);
        let name: String = serde_json::from_str(&text[at..end]).map_err(|_| Stop::At(at))?;
        let colon = skip(end);
        if bytes.get(colon) == Some(&b':') { Ok((name, colon + 1)) } else { Err(Stop::At(colon)) }
    };
    let (mut open, mut at) = (Vec::new(), 0);
    loop {
        at = skip(at);
        let begun = bytes.get(at).copied();
        let mut value = match begun {
            Some(b'[' | b'{') => {
                let inside = skip(at + 1);
                let is_list = begun == Some(b'[');
                if bytes.get(inside) == Some(if is_list { &b']' } else { &b'}' }) {
                    at = inside + 1;
                    if is_list { Value::Array(Vec::new()) } else { Value::Object(Map::new()) }
                } else if open.len() >= DEEPEST {
                    return Err(Stop::TooDeep);
                } else {
                    let (begun, next) = if is_list {
                        (OpenValue::List(Vec::new()), inside)
                    } else {
                        let (name, next) = name(inside)?;
                        (OpenValue::Object(Map::new(), name), next)
                    };
                    open.push(begun);
                    at = next;
                    continue;
                }
            }
            _ => {
                let end = end_of_scalar(bytes, at);
                let value = serde_json::from_str(&text[at..end]).map_err(|_| Stop::At(at))?;
                at = end;
                value
            }
        };
        // The value may end the list or object around it, and this one may end the next.
        loop {
            at = skip(at);
            let next = bytes.get(at).copied();
            value = match (open.pop(), next) {
                (None, None) => return Ok(value),
                (Some(OpenValue::List(mut items)), Some(b',' | b']')) => {
                    items.push(value);
                    at += 1;
                    if next == Some(b',') {
                        open.push(OpenValue::List(items));
                        break;
                    }
                    Value::Array(items)
                }
                (Some(OpenValue::Object(mut map, key)), Some(b',' | b'}')) => {
                    map.insert(key, value);
                    at += 1;
                    if next == Some(b',') {
                        let (name, after) = name(skip(at))?;
                        open.push(OpenValue::Object(map, name));
                        at = after;
                        break;
                    }
                    Value::Object(map)
                }
                _ => return Err(Stop::At(at)),
            };
        }
    }
}

/// The end of the string, number or word that begins here.
fn end_of_scalar(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at.min(bytes.len())..];
    if rest.first() != Some(&b'"') {
        return at + rest.iter().take_while(|b| !b",:]}[{\" \t\r\n".contains(b)).count();
    }
    let mut end = 1;
    while end < rest.len() && rest[end] != b'"' {
        end += if rest[end] == b'\\' { 2 } else { 1 };
    }
    at + (end + 1).min(rest.len())
}

#[cfg(test)]
mod tests {
    use brrr_protocol::codec::{python, typescript};

    use super::*;

    fn both(text: &str) -> (String, String) {
        let json = read("it", text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let (mut py, mut ts) = (String::new(), String::new());
        python::write(&mut py, &json.value);
        typescript::write(&mut ts, &json.value);
        let text = |written: String| String::from_utf8(json.written(written.into_bytes())).unwrap();
        (text(py), text(ts))
    }

    /// Expected: `json.dumps(json.loads(text))` by `CPython`, `JSON.stringify(JSON.parse(text))` by V8.
    #[test]
    fn lone_surrogates_stay_as_peers_write_them() {
        for (text, py, ts) in [
            (r#"["\ud83d"]"#, r#"["\ud83d"]"#, r#"["\ud83d"]"#),
            (r#"["a\uD800b", "\udfff\udc00"]"#, r#"["a\ud800b", "\udfff\udc00"]"#, r#"["a\ud800b","\udfff\udc00"]"#),
            (r#"["\ud83d\ude00 \ud83d\ud83d\ude00"]"#, r#"["\ud83d\ude00 \ud83d\ud83d\ude00"]"#, r#"["😀 \ud83d😀"]"#),
            (r#"["\\ud83d \\\ud83d"]"#, r#"["\\ud83d \\\ud83d"]"#, r#"["\\ud83d \\\ud83d"]"#),
            (r#"["\\udbfc\\udc00", "\ud800"]"#, "", ""),
            ("[9007199254740993]", "[9007199254740993]", "[9007199254740992]"),
        ] {
            if py.is_empty() {
                // The text contains a mark character, so it must be refused or stay unchanged.
                assert!(read("it", text.as_bytes()).is_err() || both(text).0 == text, "{text}");
                continue;
            }
            assert_eq!(both(text), (py.to_owned(), ts.to_owned()), "{text}");
        }
        for text in [r#"{"\ud83d": 1}"#, "[\"\\ud83d\u{10f000}\"]", r#"["\ud83d", "\udbfc\udc00"]"#] {
            assert!(read("it", text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(both("[\"\u{10f000}\"]").1, "[\"\u{10f000}\"]");
    }

    #[test]
    fn deep_documents_are_read_to_a_bound() {
        let nested = |depth: usize, open: &str, inner: &str, close: &str| {
            [open.repeat(depth), inner.to_owned(), close.repeat(depth)].concat()
        };
        for depth in [1, 127, 128, 1_500, 2_000] {
            let lists = nested(depth, "[", "1, \"a]\\\"\"", "]");
            assert_eq!(both(&lists).0, lists);
            let objects = nested(depth, "{\"a\":[", "null", "],\"b\":{}}");
            assert_eq!(read("it", objects.as_bytes()).is_ok(), 2 * depth <= DEEPEST, "{depth}");
        }
        for wrong in ["[1,]", "[1 2]", "{\"a\" 1}", "{\"a\":1,}", "[\"", "[", "[]]", "{1:2}", "[nul]", "[1]x"] {
            let text = nested(200, "[", wrong, "]");
            let error = read("it", text.as_bytes()).unwrap_err();
            assert!(error.contains("not JSON") && error.contains(">>>"), "{wrong}: {error}");
        }
        let far = nested(1_000_000, "[", "", "]");
        assert!(read("it", far.as_bytes()).unwrap_err().contains("deeper than 2000"));
    }

    /// The gateway reads on threads with stacks of 2 MiB. A client must not be able to end the process by a stack
    /// overflow. An optimised build needs much less: here a value is dropped by code that was compiled for another
    /// crate, without optimisation.
    #[test]
    fn the_deepest_document_takes_less_than_three_quarters_of_such_a_stack() {
        for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("[0,[],", "]"), ("{\"a\":{},\"b\":", "}")] {
            let text = [&open.repeat(DEEPEST), "\"\\ud83d\"", &close.repeat(DEEPEST)].concat();
            let thread = std::thread::Builder::new().stack_size(3 << 19).spawn(move || both(&text).0.len());
            assert!(thread.unwrap().join().unwrap() > DEEPEST, "{open}");
        }
    }

    #[test]
    fn a_text_that_looks_like_a_mark_clashes_with_marks() {
        let clashes = |document: &str, text| read("it", document.as_bytes()).unwrap().clashes_with(text);
        assert!(clashes(r#"["\ud83d"]"#, "a\u{10f03d}") && clashes(r#"["\udfff"]"#, "\u{10f000}"));
        assert!(!clashes(r#"["\ud83d"]"#, "a\u{10efff}\u{10f800}"));
        assert!(!clashes(r#"["a"]"#, "\u{10f03d}"), "where nothing is marked, nothing is replaced");
    }

    #[test]
    fn a_number_is_exact_or_refused_at_its_position() {
        assert_eq!(both("[1e308, 123456789012345678901234567890]").0, "[1e+308, 123456789012345678901234567890]");
        let error = read("the payload", br#"{"a": [1, {"b": -1e400}]}"#).unwrap_err();
        assert!(error.contains("-1e400") || error.contains("-1e+400"), "{error}");
        assert!(error.contains(".a[1].b"), "{error}");
    }
}
