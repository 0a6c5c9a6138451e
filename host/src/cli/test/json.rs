//! The report as one JSON document.

use std::collections::BTreeMap;

use brrr_protocol::codec;
use brrr_protocol::model::Outcome;
use brrr_worker::view::FailureView;
use serde_json::{Value, json};

use super::{Effort, Summary, word};
use crate::testing::CaseReport;

pub fn document(summary: &Summary) -> Value {
    let cases: Vec<Value> = summary.reports.iter().map(|report| case(summary, report)).collect();
    let tasks: BTreeMap<_, _> = summary.tasks().into_iter().map(|(task, effort)| (task, of_task(&effort))).collect();
    json!({
        "component": summary.component.display().to_string(),
        "cases_file": summary.cases.display().to_string(),
        "seed": summary.seed,
        "passed": summary.reports.len() - summary.failures(),
        "failed": summary.failures(),
        "seconds": summary.time.as_secs_f64(),
        "untested": summary.untested,
        "tasks": tasks,
        "cases": cases,
    })
}

fn of_task(effort: &Effort) -> Value {
    json!({
        "cases": effort.cases,
        "runs": effort.runs,
        "seconds": effort.time.as_secs_f64(),
        "peak_memory": effort.memory,
    })
}

fn case(summary: &Summary, report: &CaseReport) -> Value {
    let wrote = summary.changes.iter().find(|change| change.index == report.index).map(|change| &change.wrote);
    json!({
        "name": report.name,
        "task": report.task,
        "line": report.line,
        "passed": !summary.failed(report),
        "ended": word(report.end.as_ref()),
        "end": report.end.as_ref().map(end),
        "other_ends": report.other_ends.iter().map(end).collect::<Vec<_>>(),
        "output": report.output,
        "findings": report.findings,
        "wrote": wrote,
        "orders": report.orders,
        "runs": report.runs,
        "child_runs": report.child_runs,
        "calls": report.calls,
        "replayed_at": report.sampled.map(|(points, of)| json!({"points": points, "of": of})),
        "seconds": report.time.as_secs_f64(),
        "peak_memory": report.memory,
    })
}

fn end(outcome: &Outcome) -> Value {
    match outcome {
        Ok(bytes) => match serde_json::from_slice::<Value>(codec::json(bytes)) {
            Ok(result) => json!({"result": result}),
            Err(_) => json!({"text": String::from_utf8_lossy(bytes)}),
        },
        Err(failure) => json!({"failure": FailureView::from(failure)}),
    }
}
