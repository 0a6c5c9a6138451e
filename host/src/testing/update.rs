//! Writes results into `cases.toml`, and leaves the rest of the file as it is.

use brrr_protocol::codec;
use brrr_protocol::model::{Outcome, first_line};
use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use super::cases::Case;
use super::expected::Expected;
use super::report::{CaseReport, Level};

/// The changes to a case.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// The index of the case in the file, from 0.
    pub index: usize,
    /// The keys with their new values.
    pub wrote: Vec<String>,
}

/// Returns the text with missing and different results filled in, and a list of the changes.
///
/// Only `result`, its other forms, `error` and `output` are changed. A case with any other finding is not changed,
/// because a result that differs from run to run can't be expected.
#[must_use]
pub fn update(text: &str, cases: &[Case], reports: &[CaseReport]) -> (String, Vec<Change>) {
    let Ok(mut document) = text.parse::<DocumentMut>() else { return (text.to_owned(), Vec::new()) };
    let mut changes = Vec::new();
    for report in reports {
        let Some(case) = cases.get(report.index) else { continue };
        let tables = document.get_mut("case").and_then(Item::as_array_of_tables_mut);
        let Some(table) = tables.and_then(|tables| tables.get_mut(report.index)) else { continue };
        let mine = ["result", "output", "nothing-expected"];
        let mut findings = report.findings.iter();
        if findings.any(|finding| finding.level == Level::Error && !mine.contains(&finding.what)) {
            continue;
        }
        let found = |what: &str| report.findings.iter().any(|finding| finding.what == what);
        let mut wrote = Vec::new();
        if let Some(end) = &report.end
            && (found("result") || found("nothing-expected"))
        {
            let (key, value) = written(end, matches!(case.expected, Some(Expected::Error(_))));
            let others =
                ["result", "result-json", "result-text", "result-file", "result-any-of", "any-result", "error"];
            others.into_iter().filter(|other| *other != key).for_each(|other| {
                table.remove(other);
            });
            wrote.push(format!("{key} = {value}"));
            put(table, key, value);
        }
        if found("output") {
            let lines: Array = report.output.iter().map(String::as_str).collect();
            wrote.push(format!("output = {lines}"));
            put(table, "output", lines.into());
        }
        if !wrote.is_empty() {
            changes.push(Change { index: report.index, wrote });
        }
    }
    (document.to_string(), changes)
}

/// Replaces the value and keeps the comment beside it, or adds the key at the end.
fn put(table: &mut Table, key: &str, mut value: Value) {
    if let Some(old) = table.get_mut(key).and_then(Item::as_value_mut) {
        *value.decor_mut() = old.decor().clone();
        *old = value;
    } else {
        table.insert(key, Item::Value(value));
    }
}

fn written(end: &Outcome, with_kind: bool) -> (&'static str, Value) {
    match end {
        Ok(bytes) => match serde_json::from_slice::<Json>(codec::json(bytes)) {
            Ok(json) => match of_json(&json) {
                Some(value) => ("result", value),
                // TOML has no null.
                None => ("result-json", json.to_string().into()),
            },
            Err(_) => match std::str::from_utf8(bytes) {
                Ok(text) => ("result-text", text.into()),
                Err(_) => ("result-text", String::from_utf8_lossy(bytes).into_owned().into()),
            },
        },
        Err(failure) => {
            // The other lines tell where the failure happened, and change with every build.
            let message = first_line(&failure.message);
            if !with_kind && failure.kind.as_str() == "error" {
                return ("error", message.into());
            }
            let mut table = InlineTable::new();
            table.insert("kind", failure.kind.as_str().into());
            table.insert("message", message.into());
            ("error", table.into())
        }
    }
}

/// `None`: TOML can't express the value.
fn of_json(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(truth) => (*truth).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None if number.is_f64() => number.as_f64()?.into(),
            None => return None,
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(of_json).collect::<Option<Array>>()?.into(),
        Json::Object(map) => {
            let mut table = InlineTable::new();
            for (key, value) in map {
                table.insert(key, of_json(value)?);
            }
            table.into()
        }
    })
}
