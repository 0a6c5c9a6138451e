//! The report in JUnit's format, for continuous integration.

use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Summary;
use crate::cli::ExitError;
use crate::exit::Exit;
use crate::testing::{CaseReport, Level};

/// # Errors
/// When the file can't be written.
pub fn write(path: &Path, summary: &Summary) -> anyhow::Result<()> {
    let mut suite = TestSuite::new(summary.component.display().to_string());
    suite.set_time(summary.time);
    for report in &summary.reports {
        suite.add_test_case(case(summary, report));
    }
    let mut report = Report::new("brrr-host test");
    report.set_time(summary.time);
    report.add_test_suite(suite);
    std::fs::write(path, report.to_string()?)
        .map_err(|error| ExitError::new(Exit::Usage, format!("--junit {}: {error}", path.display())).into())
}

fn case(summary: &Summary, report: &CaseReport) -> TestCase {
    let texts = |level: Level| {
        let found = report.findings.iter().filter(move |finding| finding.level == level);
        found.map(|finding| finding.text.as_str()).collect::<Vec<_>>().join("\n\n")
    };
    let errors = texts(Level::Error);
    let status = if summary.failed(report) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(errors.lines().next().unwrap_or_default());
        status.set_description(format!("{}:{}\n{errors}", summary.cases.display(), report.line));
        status
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new(report.name.clone(), status);
    case.set_classname(report.task.clone());
    case.set_time(report.time);
    case.set_system_out(report.output.join("\n"));
    case.set_system_err([texts(Level::Warning), texts(Level::Note)].join("\n").trim().to_owned());
    case
}
