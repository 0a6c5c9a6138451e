//! A line of a file, for error messages.

use std::fmt;

/// A longer line would hide the message.
const SHOWN: usize = 80;

/// A line of a file, with its number and text. `FileLine(None)`: no particular line.
#[derive(Debug, PartialEq, Eq)]
pub struct FileLine(Option<(usize, String)>);

impl FileLine {
    /// The line of a byte in a text.
    #[must_use]
    pub fn at(text: &str, offset: Option<usize>) -> Self {
        Self(offset.map(|offset| {
            let line = line_of(text, offset);
            (line, text.lines().nth(line - 1).unwrap_or_default().trim().to_owned())
        }))
    }

    /// Changes the text of the line, for a message that must not show all of it.
    #[must_use]
    pub fn map(self, change: impl FnOnce(&str) -> String) -> Self {
        Self(self.0.map(|(line, text)| (line, change(&text))))
    }
}

impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((line, text)) if text.is_empty() => write!(f, ", line {line}"),
            Some((line, text)) if text.chars().count() > SHOWN => {
                write!(f, ", line {line} ({}…)", text.chars().take(SHOWN).collect::<String>())
            }
            Some((line, text)) => write!(f, ", line {line} ({text})"),
            None => Ok(()),
        }
    }
}

/// The line, from 1, of a byte in a text.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    // This counts bytes, because an offset may be in the middle of a character.
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_its_number_and_text() {
        let shown = |offset| FileLine::at("a = 1\n\n  b = 2\n", offset).to_string();
        assert_eq!(shown(Some(0)), ", line 1 (a = 1)");
        assert_eq!(shown(Some(6)), ", line 2");
        assert_eq!(shown(Some(10)), ", line 3 (b = 2)");
        assert_eq!(shown(None), "");
        assert_eq!(shown(Some(1000)), ", line 4");
    }
}
