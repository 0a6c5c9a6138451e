//! `cases.toml`: calls to test, and their expected outcomes. `guests/TESTING.md` describes the file for users.

use std::io;
use std::path::{Path, PathBuf};

use brrr_protocol::codec::beyond_floats;
use brrr_protocol::model::{Call, Failure, FailureKind, Millis, Outcome, PROMISE};
use brrr_protocol::options::Options;
use bytes::Bytes;
use serde::Deserialize;
use toml::Spanned;

use super::expected::{Expected, ExpectedError, Parts};
use super::payload::{Codec, encode, is_input};
use super::values::{Value, brief, of_toml};
use crate::config::{FileLine, line_of};
use crate::units;

/// The file beside the component that is read if the user names no other.
pub const DEFAULT: &str = "cases.toml";

/// The time at which the first run of a call begins, unless the case sets another time. Any fixed time would do.
const CLOCK: &str = "2026-01-01T00:00:00Z";

/// The topic of a case's call.
pub const TOPIC: &str = "test";

/// The content of a file of cases.
#[derive(Debug)]
pub struct Cases {
    pub path: PathBuf,
    /// The text of the file.
    pub text: String,
    pub cases: Vec<Case>,
}

/// A call, and its expected outcome.
#[derive(Clone, Debug)]
pub struct Case {
    /// The index of the case in the file, from 0.
    pub index: usize,
    /// The line where the case begins, from 1.
    pub line: usize,
    pub name: String,
    pub call: Call,
    /// The clock that its first run sees.
    pub clock: Millis,
    pub expected: Option<Expected>,
    /// The result may depend on the order in which results arrive.
    pub any_order: bool,
    /// The lines that are printed, the same for every order of arrival.
    pub output: Option<Vec<String>>,
    pub children: Vec<Child>,
    /// Also test what happens when each child fails.
    pub fail_children: bool,
}

/// The outcome of a call that the case's task makes.
#[derive(Clone, Debug)]
pub struct Child {
    pub line: usize,
    pub task: String,
    /// The arguments of the call. `None`: any arguments.
    input: Option<Value>,
    pub outcome: Outcome,
}

/// A file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    #[error("{}: there is no such file", path.display())]
    NotFound { path: PathBuf },
    #[error("{} can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}{line}: {reason}", path.display())]
    Wrong { path: PathBuf, line: FileLine, reason: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    case: Vec<Spanned<RawCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawCase {
    name: Option<String>,
    task: String,
    #[serde(default)]
    codec: Codec,
    input: Option<toml::Value>,
    input_json: Option<String>,
    input_text: Option<String>,
    input_file: Option<PathBuf>,
    clock: Option<toml::Value>,
    result: Option<toml::Value>,
    result_json: Option<String>,
    result_text: Option<String>,
    result_file: Option<PathBuf>,
    result_any_of: Option<Vec<toml::Value>>,
    #[serde(default)]
    any_result: bool,
    error: Option<ExpectedError>,
    #[serde(default)]
    any_order: bool,
    output: Option<Vec<String>>,
    #[serde(default = "yes")]
    fail_children: bool,
    /// `[[case.child]]`, or a list in one place.
    #[serde(default, alias = "children")]
    child: Vec<Spanned<RawChild>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawChild {
    task: Option<String>,
    /// The name of a promise, in place of a task.
    promise: Option<String>,
    input: Option<toml::Value>,
    input_json: Option<String>,
    input_text: Option<String>,
    input_file: Option<PathBuf>,
    result: Option<toml::Value>,
    result_json: Option<String>,
    result_text: Option<String>,
    result_file: Option<PathBuf>,
    error: Option<ExpectedError>,
}

fn yes() -> bool {
    true
}

impl Cases {
    /// Reads a file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// When the file does not exist, can't be read, or is not valid.
    pub fn load(path: &Path) -> Result<Self, CasesError> {
        let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CasesError::NotFound { path: path.to_owned() },
            _ => CasesError::Unreadable { path: path.to_owned(), source },
        })?;
        Self::parse(path, text)
    }

    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, CasesError> {
        let wrong = |at, reason| CasesError::Wrong { path: path.to_owned(), line: FileLine::at(&text, at), reason };
        let file: File = toml::from_str(&text)
            .map_err(|error| wrong(error.span().map(|span| span.start), error.message().to_owned()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut cases = Vec::with_capacity(file.case.len());
        for (index, case) in file.case.into_iter().enumerate() {
            let start = case.span().start;
            let case = read(case.into_inner(), index, line_of(&text, start), folder, &text);
            cases.push(case.map_err(|Bad { at, reason }| wrong(at.or(Some(start)), reason))?);
        }
        Ok(Self { path: path.to_owned(), text, cases })
    }
}

/// An error in a case, with its byte in the file. Without a byte, the error is shown at the beginning of the case.
struct Bad {
    at: Option<usize>,
    reason: String,
}

impl From<String> for Bad {
    fn from(reason: String) -> Self {
        Self { at: None, reason }
    }
}

fn read(raw: RawCase, index: usize, line: usize, folder: &Path, text: &str) -> Result<Case, Bad> {
    let input = value(folder, "input", raw.input, raw.input_json, raw.input_text, raw.input_file)?;
    let shown = input.as_ref().map(Value::show).unwrap_or_default();
    let (hash, payload) = encode(raw.codec, &raw.task, input)?;
    let call = Call { hash, task: raw.task, payload, topic: TOPIC.into(), options: Options::default() };
    let result = value(folder, "result", raw.result, raw.result_json, raw.result_text, raw.result_file)?;
    let any_of = match &raw.result_any_of {
        Some(all) => {
            let values = all.iter().map(|one| of_toml(one).map(Value::Json)).collect::<Result<_, _>>();
            Some(Expected::AnyOf(values.map_err(|reason| format!("`result-any-of`: {reason}"))?))
        }
        None => None,
    };
    let anything = raw.any_result.then_some(Expected::Anything);
    let ends = [result.map(Expected::Result), any_of, anything, raw.error.map(Expected::Error)];
    let mut ends = ends.into_iter().flatten();
    let expected = ends.next();
    if ends.next().is_some() {
        return Err("a case ends one way: give one of `result`, `result-any-of`, `any-result` and `error`"
            .to_owned()
            .into());
    }
    let clock = match raw.clock {
        None => CLOCK.to_owned(),
        Some(toml::Value::String(text)) => text,
        Some(toml::Value::Datetime(moment)) => moment.to_string(),
        Some(other) => {
            return Err(format!("`clock` is a moment such as {CLOCK}, not a {}", other.type_str()).into());
        }
    };
    let clock = units::moment(&clock).map_err(|reason| format!("`clock`: {reason}"))?;
    let mut children = Vec::with_capacity(raw.child.len());
    for child in raw.child {
        let at = child.span().start;
        let child = read_child(child.into_inner(), line_of(text, at), folder);
        children.push(child.map_err(|reason| Bad { at: Some(at), reason })?);
    }
    Ok(Case {
        index,
        line,
        name: raw.name.unwrap_or_else(|| brief(format!("{} {shown}", call.task).trim_end(), 60)),
        call,
        clock,
        expected,
        any_order: raw.any_order,
        output: raw.output,
        children,
        fail_children: raw.fail_children,
    })
}

fn read_child(raw: RawChild, line: usize, folder: &Path) -> Result<Child, String> {
    let input = value(folder, "input", raw.input, raw.input_json, raw.input_text, raw.input_file)?;
    let (task, input, failed) = match (raw.task, raw.promise, input) {
        (Some(task), None, input) => (task, input, FailureKind::Error),
        (None, Some(name), None) => (PROMISE.to_owned(), Some(Value::Bytes(name.into_bytes())), FailureKind::Rejected),
        _ => return Err("a child has a `task`, or the name of a `promise` (which has no input)".into()),
    };
    let result = value(folder, "result", raw.result, raw.result_json, raw.result_text, raw.result_file)?;
    let outcome = match (result, raw.error) {
        (Some(value), None) => Ok(Bytes::from(value.bytes())),
        (None, Some(ExpectedError::Text(message))) => Err(Failure::new(failed, &task, message)),
        (None, Some(ExpectedError::Parts(Parts { kind, task: of, message }))) => {
            let kind = kind.as_deref().map_or(failed, FailureKind::from);
            Err(Failure::new(kind, of.as_deref().unwrap_or(&task), message.unwrap_or_default()))
        }
        _ => {
            return Err(
                "a child gives one thing: `result` or `error` (or leave the entry out: it is run for real)".into()
            );
        }
    };
    Ok(Child { line, task, input, outcome })
}

/// The value, if one of the four ways to write a value was used.
fn value(
    folder: &Path,
    key: &str,
    toml: Option<toml::Value>,
    json: Option<String>,
    text: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<Value>, String> {
    let mut given = Vec::new();
    if let Some(toml) = toml {
        given.push(Value::Json(of_toml(&toml).map_err(|reason| format!("`{key}`: {reason}"))?));
    }
    if let Some(json) = json {
        let json = serde_json::from_str(&json).map_err(|error| format!("`{key}-json` is not JSON: {error}"))?;
        if let Some(number) = beyond_floats(&json) {
            return Err(format!("`{key}-json` has {number}, which no float can hold"));
        }
        given.push(Value::Json(json));
    }
    given.extend(text.map(|text| Value::Bytes(text.into_bytes())));
    if let Some(file) = file {
        let path = folder.join(file);
        let bytes = std::fs::read(&path).map_err(|error| format!("`{key}-file`: {}: {error}", path.display()))?;
        given.push(Value::Bytes(bytes));
    }
    if given.len() > 1 {
        return Err(format!("give one of `{key}`, `{key}-json`, `{key}-text` and `{key}-file`"));
    }
    Ok(given.pop())
}

impl Child {
    /// Is the entry about this call?
    pub fn is_for(&self, call: &Call) -> bool {
        self.task == call.task && self.input.as_ref().is_none_or(|input| is_input(input, call))
    }
}

#[cfg(test)]
mod tests {
    use brrr_protocol::codec::python;
    use serde_json::{Value as Json, json};

    use super::*;

    fn promise_call() -> Call {
        let (task, payload) = (PROMISE.to_owned(), Bytes::from_static(b"approval"));
        Call { hash: "p".into(), task, payload, topic: "t".into(), options: brrr_protocol::options::Options::default() }
    }

    fn parse(text: &str) -> Result<Vec<Case>, String> {
        Cases::parse(Path::new("cases.toml"), text.to_owned()).map(|file| file.cases).map_err(|error| error.to_string())
    }

    #[test]
    fn a_case_is_parsed() {
        let cases = parse(
            r#"
[[case]]
name = "adds"
task = "total"
input = { cart = "c1" }
result-json = "null"
output = ["one"]
clock = 2030-01-31T18:00:00Z

[[case.child]]
task = "price"
input = { item = "pear" }
result = 3

[[case.child]]
task = "price"
error = { kind = "timeout", message = "slow" }

[[case.child]]
promise = "approval"
error = "no"

[[case]]
task = "echo"
codec = "raw"
input-text = "x"
result-text = "x"
"#,
        )
        .unwrap();
        let adds = &cases[0];
        assert_eq!((adds.line, adds.name.as_str(), adds.clock), (2, "adds", 1_896_112_800_000));
        assert_eq!(adds.call.payload, br#"[{"cart": "c1"}]"#.as_slice());
        assert_eq!(adds.expected, Some(Expected::Result(Value::Json(json!(null)))));
        let call =
            |input: Json| Call { payload: python::payload(&input).into(), task: "price".into(), ..adds.call.clone() };
        let which = |call: &Call| adds.children.iter().position(|child| child.is_for(call));
        assert_eq!(which(&call(json!({"item": "pear"}))), Some(0));
        assert_eq!(which(&call(json!({"item": "plum"}))), Some(1));
        assert_eq!(adds.children[1].outcome.as_ref().unwrap_err().kind, FailureKind::Timeout);
        assert_eq!(adds.children[1].line, 15);
        let promise = &adds.children[2];
        assert_eq!((promise.task.as_str(), promise.is_for(&promise_call())), (PROMISE, true));
        assert_eq!(promise.outcome.as_ref().unwrap_err().kind, FailureKind::Rejected);
        assert_eq!(cases[1].name, "echo \"x\" (not JSON)");
        assert_eq!(cases[1].expected, Some(Expected::Result(Value::Bytes(b"x".into()))));
    }

    #[test]
    fn errors_name_the_line() {
        for (text, words) in [
            ("[[case]]\ntsak = \"a\"", vec!["line 2", "tsak", "task"]),
            ("[[case]]\nname = \"a\"", vec!["line 1", "task"]),
            ("[[cases]]\ntask = \"a\"", vec!["line 1", "cases", "case"]),
            ("[[case]]\ntask = 5", vec!["line 2 (task = 5)", "string"]),
            ("\n[[case]]\ntask = \"a\"\ninput = [1]", vec!["line 2", "typescript"]),
            ("[[case]]\ntask = \"a\"\nresult = 1\nerror = \"x\"", vec!["line 1", "result-any-of"]),
            ("[[case]]\ntask = \"a\"\nresult-json = \"{\"", vec!["line 1", "result-json", "not JSON"]),
            ("[[case]]\ntask = \"a\"\ninput-file = \"no such\"", vec!["line 1", "input-file", "no such"]),
            ("[[case]]\ntask = \"a\"\ninput = { n = [nan] }", vec!["line 1", "`input`", "NaN is no value of JSON"]),
            ("[[case]]\ntask = \"a\"\nresult-any-of = [inf]", vec!["line 1", "`result-any-of`", "inf is no value"]),
            ("[[case]]\ntask = \"a\"\ninput-json = \"{\\\"n\\\": 1e400}\"", vec!["line 1", "1e+400 at .n"]),
            ("[[case]]\ntask = \"a\"\nclock = \"noon\"", vec!["line 1", "clock", "2030-01-31"]),
            ("[[case]]\ntask = \"a\"\n[[case.child]]\ntask = \"b\"", vec!["line 3", "result"]),
            ("[[case]]\ntask = \"a\"\n[[case.child]]\ntask = \"b\"\nresutl = 1", vec!["line 5", "resutl"]),
            ("[[case]]\ntask = \"a\"\ncodec = \"xml\"", vec!["line 3", "xml", "python"]),
            ("[[case", vec!["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{word:?} is not in {error:?}");
            }
        }
    }
}
