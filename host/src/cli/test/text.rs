//! The report as text.

use std::fmt::Write as _;
use std::time::Duration;

use bytesize::ByteSize;

use super::{Effort, Summary};
use crate::cli::output::{colour_on_stdout, print, table};
use crate::testing::{CaseReport, Finding, Level};

/// Prints one case: a line, and the findings below it.
pub fn case(summary: &Summary, report: &CaseReport) -> anyhow::Result<()> {
    let word = if summary.updated(report) {
        paint("36", "wrote")
    } else if summary.failed(report) {
        paint("1;31", "FAIL ")
    } else {
        paint("32", "ok   ")
    };
    let mut out = format!("{word} {}", report.name);
    if !report.name.contains(&report.task) {
        let _ = write!(out, " ({})", report.task);
    }
    let _ = write!(out, "  {}", paint("2", &effort(report)));
    if summary.failed(report) {
        let _ = write!(out, "\n      {}:{}", summary.cases.display(), report.line);
    }
    if let Some(change) = summary.changes.iter().find(|change| change.index == report.index) {
        for line in &change.wrote {
            let _ = write!(out, "\n      wrote {line}");
        }
    } else {
        report.findings.iter().for_each(|found| finding(&mut out, found));
        // The output of a failed case helps to find the cause.
        if summary.failed(report) && !report.output.is_empty() {
            let _ = write!(out, "\n      printed:");
            let lines = report.output.iter().take(MOST_PRINTED);
            lines.for_each(|line| {
                let _ = write!(out, "\n        {}", clean(line));
            });
            if report.output.len() > MOST_PRINTED {
                let _ = write!(out, "\n        … and {} more lines", report.output.len() - MOST_PRINTED);
            }
        }
    }
    Ok(print(out)?)
}

/// The most lines of output that are shown of a failed case.
const MOST_PRINTED: usize = 10;

/// The effort as text: "5 orders, 31 runs, 12ms, 1.1 MiB".
fn effort(report: &CaseReport) -> String {
    let orders = plural(report.orders, "order");
    let mut text =
        format!("{orders}, {}, {}, {}", plural(report.runs, "run"), time(report.time), ByteSize(report.memory as u64));
    if let Some((points, of)) = report.sampled {
        let _ = write!(text, "; replayed at {points} of {of} points");
    }
    text
}

fn finding(out: &mut String, found: &Finding) {
    let label = match found.level {
        Level::Error => paint("31", "error:"),
        Level::Warning => paint("33", "warning:"),
        Level::Note => paint("2", "note:"),
    };
    let mut lines = found.text.lines();
    let _ = write!(out, "\n      {label} {}", clean(lines.next().unwrap_or_default()));
    for line in lines {
        let line = clean(line);
        let line = match line.as_bytes() {
            [b'+', b' ', ..] => paint("32", &line),
            [b'-', b' ', ..] => paint("31", &line),
            _ => line,
        };
        let _ = write!(out, "\n        {line}");
    }
}

/// Prints the effort of the tasks, the skipped cases, and the totals.
pub fn end(summary: &Summary) -> anyhow::Result<()> {
    let mut rows = vec![["TASK", "CASES", "RUNS", "TIME", "PEAK MEMORY"].map(str::to_owned).to_vec()];
    rows.extend(summary.tasks().into_iter().map(|(task, Effort { cases, runs, time: spent, memory })| {
        vec![task.to_owned(), cases.to_string(), runs.to_string(), time(spent), ByteSize(memory as u64).to_string()]
    }));
    print(format_args!("\n{}", table(&rows)?))?;
    if !summary.untested.is_empty() {
        print(format_args!("no case for: {}", summary.untested.join(", ")))?;
    }
    let (all, failed) = (summary.reports.len(), summary.failures());
    let warnings = summary.reports.iter().filter(|report| !summary.updated(report)).flat_map(|report| &report.findings);
    let warnings = warnings.filter(|finding| finding.level == Level::Warning).count();
    let updated = summary.changes.len();
    let mut parts = vec![format!("{} passed", all - failed)];
    if failed > 0 {
        parts.push(format!("{failed} failed"));
    }
    if updated > 0 {
        parts.push(format!("{updated} of them written"));
    }
    if warnings > 0 {
        parts.push(plural(warnings, "warning"));
    }
    let line =
        format!("{}: {} in {} (seed {})", plural(all, "case"), parts.join(", "), time(summary.time), summary.seed);
    Ok(print(paint(if failed > 0 { "1;31" } else { "1;32" }, &line))?)
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn time(span: Duration) -> String {
    let span = if span >= Duration::from_secs(1) {
        Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX) / 10 * 10)
    } else {
        Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX) / 100 * 100)
    };
    format!("{span:?}")
}

/// A guest's text without control characters, which could affect a terminal.
fn clean(text: &str) -> String {
    brrr_worker::text::line(text).into_owned()
}

fn paint(colour: &str, text: &str) -> String {
    if colour_on_stdout() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}
