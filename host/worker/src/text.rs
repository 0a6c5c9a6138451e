//! Makes text that guests, clients and peers chose safe for logs, tables and terminals.
//!
//! Such a text must not begin a line of its own in a log, move a terminal's cursor, or look like another text.
//! Characters that could do so are shown as escapes (`\n`, `\u{202e}`). If they were left out, the text would look like
//! a text without them.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Control characters, line breaks of Unicode, invisible characters, and characters that change the direction of
/// others.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Is `c` a joiner that the script or emoji before it needs? After an ASCII character no joiner is needed.
fn is_joiner(c: char, before: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}') && !before.is_ascii()
}

/// The text as one line. Tabs stay.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, &['\t'])
}

/// The text as several lines. Tabs and line breaks stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, &['\t', '\n'])
}

/// The text as one line of at most about `most` bytes. What is left out is shown by `…`.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let mut out = String::new();
    // Writing to memory never fails.
    let _ = Escaping::one_line(&mut out, most).write_str(text);
    out
}

/// A message with the fields that were logged with it: `message name=value`. The fields are on the message's last line.
#[must_use]
pub fn with_fields<'a>(message: &'a str, fields: &[(String, String)]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(message);
    for (name, value) in fields {
        let is_plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '"' || c == '=');
        let value = if is_plain { Cow::Borrowed(value.as_str()) } else { Cow::Owned(format!("{value:?}")) };
        text.to_mut().push_str(&format!(" {}={value}", line(name)));
    }
    text
}

fn escape<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    if !text.chars().any(|c| is_hidden(c) && !kept.contains(&c)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut writer = Escaping { to: &mut escaped, kept, left: usize::MAX, before: ' ' };
    // Writing to memory never fails.
    let _ = writer.write_str(text);
    Cow::Owned(escaped)
}

/// The JSON document on one line, with the same meaning.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(is_hidden) {
        return Cow::Borrowed(document);
    }
    let mut escaped = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        match c {
            // White space between the parts of the document. Inside a string these characters are escaped already.
            '\n' | '\r' | '\t' => escaped.push(' '),
            c if is_hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// A writer that escapes its input as a part of one line. Input beyond a number of bytes is dropped.
pub struct Escaping<'a, W> {
    to: &'a mut W,
    kept: &'a [char],
    left: usize,
    before: char,
}

impl<'a, W: Write> Escaping<'a, W> {
    /// Writes to `to`, at most about `most` bytes.
    pub fn one_line(to: &'a mut W, most: usize) -> Self {
        Self { to, kept: &['\t'], left: most, before: ' ' }
    }
}

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.left == 0 {
                return Ok(());
            }
            let before = std::mem::replace(&mut self.before, c);
            if is_hidden(c) && !self.kept.contains(&c) && !is_joiner(c, before) {
                write!(self.to, "{}", c.escape_default())?;
            } else {
                self.to.write_char(c)?;
            }
            self.left = self.left.saturating_sub(c.len_utf8());
            if self.left == 0 {
                self.to.write_str("…")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(line("a\r\n2026 ERROR b\x1b[2J\tc\u{9b}"), "a\\r\\n2026 ERROR b\\u{1b}[2J\tc\\u{9b}");
        assert_eq!(line("pay\u{202e}lla\u{200b}\u{2028}"), "pay\\u{202e}lla\\u{200b}\\u{2028}");
        assert_eq!(lines("a\nb\rc"), "a\nb\\rc");
        assert!(matches!(line("grüße 日本 👨\u{200d}👩 می\u{200c}خواهم"), Cow::Borrowed(_) | Cow::Owned(_)));
        for text in ["grüße 日本", "👨\u{200d}👩\u{fe0f}", "می\u{200c}خواهم"] {
            assert_eq!(line(text), text);
        }
        assert_eq!(line("admin\u{200d}"), "admin\\u{200d}", "looks like `admin`");
    }

    #[test]
    fn a_document_keeps_its_meaning() {
        let document = serde_json::json!({"a": "x\u{202e}\u{9b}\u{e0041}\n", "b": [1]});
        let escaped = json(&document.to_string()).into_owned();
        assert!(!escaped.chars().any(is_hidden), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), document);
        assert_eq!(json("{\n \"a\": 1}"), "{  \"a\": 1}");
    }

    #[test]
    fn a_part_of_a_line_is_bounded() {
        let mut text = String::new();
        let mut writer = Escaping::one_line(&mut text, 4);
        writer.write_str("ab\nc").unwrap();
        writer.write_str("defg").unwrap();
        assert_eq!(text, "ab\\nc…");
    }
}
