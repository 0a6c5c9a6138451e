//! The keys of one JSON object, taken one by one; every error names the object, the key, and what it should be.

use std::fmt;

use serde_json::{Map, Value};

/// Why a job file is not run: what is wrong, where, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub struct Fields {
    /// What the object is, for messages: `the job`, `task "blend"`.
    pub of: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// `None` when it is no object.
    pub fn new(of: impl Into<String>, value: Value) -> Option<Self> {
        match value {
            Value::Object(left) => Some(Self { of: of.into(), left, known: Vec::new() }),
            _ => None,
        }
    }

    pub fn refuse(&self, problem: impl fmt::Display) -> Refused {
        Refused(format!("{}: {problem}", self.of))
    }

    /// The value of a key, where it is there; `read` gives `None` for one that is not `what` says.
    pub fn take<T>(
        &mut self,
        key: &'static str,
        what: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Refused> {
        self.known.push(key);
        let Some(value) = self.left.remove(key) else {
            return Ok(None);
        };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.refuse(format_args!("{key:?} must be {what}, and is {}", shown(&value)))),
        }
    }

    /// A name: text that is not empty.
    pub fn name(&mut self, key: &'static str) -> Result<Option<String>, Refused> {
        self.take(key, "text that is not empty", |value| {
            value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
        })
    }

    pub fn map(&mut self, key: &'static str) -> Result<Option<Map<String, Value>>, Refused> {
        self.take(key, "an object", |value| value.as_object().cloned())
    }

    /// Refuses what was not taken: a misspelt key would otherwise be ignored.
    pub fn end(self) -> Result<(), Refused> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(key) => {
                Err(self.refuse(format_args!("there is no key {key:?}; the keys are {}", self.known.join(", "))))
            }
        }
    }
}

/// A value in a message, cut where it is long.
pub fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
