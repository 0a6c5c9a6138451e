//! The environment variables that a guest gets. Every value is treated as a secret.

use std::env::{self, VarError};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::PermissionError;

/// `KEY`: the variable with its value in this process. `KEY=VALUE`: the variable with this value.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvRule {
    key: String,
    value: Option<String>,
}

impl EnvRule {
    /// The name of the variable.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Does the rule have a value of its own?
    #[must_use]
    pub fn has_value(&self) -> bool {
        self.value.is_some()
    }

    /// The value that the guest gets.
    pub(super) fn value(&self) -> Result<String, PermissionError> {
        if let Some(value) = &self.value {
            return Ok(value.clone());
        }
        env::var(&self.key).map_err(|error| match error {
            VarError::NotPresent => PermissionError::MissingVariable { key: self.key.clone() },
            VarError::NotUnicode(_) => PermissionError::NotText { key: self.key.clone() },
        })
    }
}

impl FromStr for EnvRule {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        // The text may be a value without a key, by mistake. So the error does not repeat it.
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let reason = "the name of a variable is not empty and has no spaces; write KEY or KEY=VALUE";
            return Err(PermissionError::Rule(reason.to_owned()));
        }
        if value.as_ref().is_some_and(|value| value.contains('\0')) {
            return Err(PermissionError::Rule(format!("the value of {key} has a NUL in it")));
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

/// The output does not contain the value.
impl fmt::Display for EnvRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.key, if self.has_value() { "=…" } else { "" })
    }
}

impl fmt::Debug for EnvRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvRule({self})")
    }
}

/// Does the name of a variable suggest that its value is secret?
#[must_use]
pub fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    let anywhere = ["TOKEN", "SECRET", "PASSW", "CREDENTIAL"];
    anywhere.iter().any(|word| key.contains(word))
        || key.split(['_', '-', '.']).any(|part| part.ends_with("KEY") || part == "PASS" || part == "AUTH")
}

/// Reads a file of `KEY=VALUE` lines. Empty lines and lines that begin with `#` are ignored. `KEY` alone takes the
/// value of this process. Quotes around a whole value are removed. All other text is literal, because a password may
/// contain a `$` or a `#`. (Crates for such files replace `$X` by other variables, and repeat lines in their errors.)
///
/// # Errors
/// When the file can't be read, or a line has no key. The error has the number of the line, not its text.
pub fn read_env_file(path: &Path) -> Result<Vec<EnvRule>, PermissionError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| PermissionError::EnvFile { path: path.to_owned(), source })?;
    parse_env_lines(&text).map_err(|(line, reason)| PermissionError::EnvLine { path: path.to_owned(), line, reason })
}

/// Parses the text of such a file.
///
/// # Errors
/// The number of the wrong line, and what is wrong.
pub fn parse_env_lines(text: &str) -> Result<Vec<EnvRule>, (usize, String)> {
    let mut rules = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let line = match line.split_once('=') {
            Some((key, value)) => format!("{}={}", key.trim(), unquoted(value.trim())),
            None => line.trim().to_owned(),
        };
        rules.push(line.parse().map_err(|error: PermissionError| (index + 1, error.to_string()))?);
    }
    Ok(rules)
}

fn unquoted(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_literal_except_for_comments_and_quotes() {
        let text = "\u{feff}# secrets\n\nTOKEN=a#b$c=d\n export NAME = \"two words\" \r\nQ='x'\nPATH\nEMPTY=\nONE=\"\n";
        let rules = parse_env_lines(text).unwrap();
        let parsed: Vec<_> = rules.iter().map(|rule| (rule.key(), rule.value.as_deref())).collect();
        let expected = [
            ("TOKEN", Some("a#b$c=d")),
            ("NAME", Some("two words")),
            ("Q", Some("x")),
            ("PATH", None),
            ("EMPTY", Some("")),
            ("ONE", Some("\"")),
        ];
        assert_eq!(parsed, expected);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number_only() {
        let (line, reason) = parse_env_lines("A=1\n\nmy secret is hunter2\n").unwrap_err();
        assert_eq!(line, 3);
        assert!(!reason.contains("hunter2"), "{reason}");
        assert!("=hunter2".parse::<EnvRule>().is_err_and(|error| !error.to_string().contains("hunter2")));
    }

    #[test]
    fn no_text_form_contains_the_value() {
        let rule: EnvRule = "A=hunter2".parse().unwrap();
        assert_eq!(format!("{rule} {rule:?}"), "A=… EnvRule(A=…)");
        assert_eq!("A".parse::<EnvRule>().unwrap().to_string(), "A");
    }

    #[test]
    fn secrets_are_recognised_by_their_names() {
        for key in ["API_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "APIKEY", "HTTP_AUTH", "PGPASSWORD", "DB_PASS"]
        {
            assert!(looks_secret(key), "{key}");
        }
        for key in ["HOME", "KEYBOARD", "COMPASS", "AUTHOR", "LANG", "REGION"] {
            assert!(!looks_secret(key), "{key}");
        }
    }
}
