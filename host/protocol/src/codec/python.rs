//! Python's format: exactly the bytes that `json.dumps(…, sort_keys=True)` writes.
//!
//! This file must not use the rest of this crate: the Rust SDK compiles this same file into every guest
//! (`guests/rust/sdk/src/codec.rs`), where more dependencies would cost build time.

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

/// The payload of a call with these keyword arguments: `json.dumps([kwargs], sort_keys=True)`.
pub fn payload(kwargs: &Value) -> Vec<u8> {
    let mut out = String::with_capacity(64);
    out.push('[');
    write(&mut out, kwargs);
    out.push(']');
    out.into_bytes()
}

/// The call hash that the Python worker derives: SHA-256, in hex, of `json.dumps([task, [kwargs]], sort_keys=True)`.
pub fn call_hash(task: &str, kwargs: &Value) -> String {
    call_hash_of_payload(task, &payload(kwargs))
}

/// The same as [`call_hash`], for a payload that [`payload`] has already written.
pub fn call_hash_of_payload(task: &str, payload: &[u8]) -> String {
    let mut head = String::with_capacity(task.len() + 5);
    head.push('[');
    write_string(&mut head, task);
    head.push_str(", ");
    let digest = Sha256::new().chain_update(head).chain_update(payload).chain_update("]").finalize();
    hex(&digest)
}

/// Appends `json.dumps(value, sort_keys=True)`.
pub fn write(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(string) => write_string(out, string),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => write_object(out, map),
    }
}

fn write_object(out: &mut String, map: &Map<String, Value>) {
    // The keys are sorted here, although serde_json's map usually is sorted. Any crate in the build may turn on the feature
    // `preserve_order`, which would change call hashes. UTF-8 sorts in the order of code points, which is Python's order. The
    // keys are sorted by insertion, usually at the end, because the standard library's sort would add 5 KB to each guest.
    let mut entries: Vec<(&String, &Value)> = Vec::with_capacity(map.len());
    for (key, value) in map {
        let at = entries.partition_point(|(before, _)| *before < key);
        entries.insert(at, (key, value));
    }
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_string(out, key);
        out.push_str(": ");
        write(out, value);
    }
    out.push('}');
}

/// Writes a string as `ensure_ascii` does: everything outside printable ASCII is escaped, and a character beyond the BMP
/// becomes a surrogate pair.
fn write_string(out: &mut String, string: &str) {
    out.push('"');
    for c in string.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write_escape(out, *unit);
                }
            }
        }
    }
    out.push('"');
}

/// Writes one UTF-16 unit as `\uXXXX`, in lower case as Python does.
pub(crate) fn write_escape(out: &mut String, unit: u16) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(nibble((unit >> shift) as u8));
    }
}

fn write_number(out: &mut String, number: &Number) {
    match Decimal::of(number) {
        Ok(decimal) => decimal.write_python(out),
        Err(Whole::Integer(text)) => out.push_str(&text),
        // A number that is too large for a float is `inf` in Python, and json.dumps writes it in this form.
        Err(Whole::Infinite { negative }) => out.push_str(if negative { "-Infinity" } else { "Infinity" }),
    }
}

/// A float as the fewest digits that read back as the same float: ±d.ddd × 10^exponent. Python and JavaScript choose the same
/// digits, but write them in different layouts.
#[derive(Debug)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    exponent: i32,
}

/// A JSON number that can't be a `Decimal`.
#[derive(Debug)]
pub(crate) enum Whole {
    /// Written without point and exponent. It may have any size.
    Integer(String),
    /// Too large for a float.
    Infinite { negative: bool },
}

impl Decimal {
    pub(crate) fn of(number: &Number) -> Result<Self, Whole> {
        if !number.is_f64() {
            let text = number.to_string();
            // `-0` is the integer 0 in Python.
            return Err(Whole::Integer(if text == "-0" { "0".into() } else { text }));
        }
        // With `arbitrary_precision` a number still has the digits of its text. These may be more or fewer than the fewest
        // digits.
        match number.as_f64().and_then(Number::from_f64) {
            Some(float) => Ok(Self::parse(&float.to_string())),
            None => Err(Whole::Infinite { negative: number.to_string().starts_with('-') }),
        }
    }

    /// A number as JavaScript sees it. JavaScript has no integers.
    pub(crate) fn of_float(float: f64) -> Option<Self> {
        Number::from_f64(float).map(|float| Self::parse(&float.to_string()))
    }

    /// Reads a number as `serde_json` writes it: always the fewest digits, in one of several layouts.
    fn parse(text: &str) -> Self {
        let (number, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let negative = whole.starts_with('-');
        let whole = whole.trim_start_matches('-');
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let shift = whole.len() as i32 - 1 - (all.len() - digits.len()) as i32;
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            return Self { negative, digits: "0".into(), exponent: 0 };
        }
        Self { negative, digits: digits.into(), exponent: exponent.parse::<i32>().unwrap_or(0) + shift }
    }

    /// Writes a float as `repr(float)` does: decimal for exponents from -4 to 15, otherwise scientific with a sign and at least
    /// two digits.
    fn write_python(&self, out: &mut String) {
        if (-4..16).contains(&self.exponent) {
            self.write_plain(out);
            if self.exponent >= self.digits.len() as i32 - 1 {
                out.push_str(".0");
            }
        } else {
            self.write_scientific(out, 2);
        }
    }

    /// Writes a number as `Number.prototype.toString` does: plain from 1e-6 to below 1e21, otherwise scientific.
    pub(crate) fn write_javascript(&self, out: &mut String) {
        if self.digits == "0" {
            // This is also the form of -0.
            out.push('0');
        } else if (-6..21).contains(&self.exponent) {
            self.write_plain(out);
        } else {
            self.write_scientific(out, 1);
        }
    }

    /// Writes `-123.45`, `0.00012` or `12000`: without an exponent, and without a point if the number is whole.
    fn write_plain(&self, out: &mut String) {
        if self.negative {
            out.push('-');
        }
        let whole = self.exponent + 1;
        if whole <= 0 {
            out.push_str("0.");
            (whole..0).for_each(|_| out.push('0'));
            out.push_str(&self.digits);
        } else if let Some((head, tail)) = self.digits.split_at_checked(whole as usize).filter(|(_, t)| !t.is_empty()) {
            out.push_str(head);
            out.push('.');
            out.push_str(tail);
        } else {
            out.push_str(&self.digits);
            (self.digits.len() as i32..whole).for_each(|_| out.push('0'));
        }
    }

    /// Writes `1.5e+21` or `1e-07`. `width` is the least number of digits of the exponent.
    fn write_scientific(&self, out: &mut String, width: usize) {
        if self.negative {
            out.push('-');
        }
        let (head, tail) = self.digits.split_at(1);
        out.push_str(head);
        if !tail.is_empty() {
            out.push('.');
            out.push_str(tail);
        }
        let sign = if self.exponent < 0 { '-' } else { '+' };
        out.push_str(&format!("e{sign}{:0width$}", self.exponent.unsigned_abs()));
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        out.push(nibble(byte >> 4));
        out.push(nibble(byte & 15));
    }
    out
}

fn nibble(value: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(value & 15)])
}
