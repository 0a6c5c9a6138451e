//! What is told about a case.

use std::time::Duration;

use brrr_protocol::model::Outcome;
use serde::Serialize;

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Probably not as it is meant; the case passes.
    Warning,
    /// The case fails.
    Error,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// A word that stays, for scripts: `result`, `output`, `no-result`, `calls-differ`, …
    pub what: &'static str,
    /// The first line stands for itself.
    pub text: String,
}

/// What came of a case.
#[derive(Debug)]
pub struct CaseReport {
    pub name: String,
    pub task: String,
    /// Where it is in the file.
    pub line: usize,
    /// Its place in the file, from 0.
    pub index: usize,
    pub findings: Vec<Finding>,
    /// How it ended with all results at once; `None`: it did not come so far.
    pub end: Option<Outcome>,
    /// How it ended where the order of arrival changed that, beside `end`.
    pub other_ends: Vec<Outcome>,
    /// What was printed, once.
    pub output: Vec<String>,
    /// Orders of arrival that were tried.
    pub orders: usize,
    /// Runs of its task, and of the tasks that it calls.
    pub runs: usize,
    pub child_runs: usize,
    /// Calls that its task made, in all orders.
    pub calls: usize,
    /// The largest batch was replayed after each single arrival; if not, so many points of so many.
    pub sampled: Option<(usize, usize)>,
    pub time: Duration,
    /// The most memory of a run of its task, in bytes.
    pub memory: usize,
}

impl CaseReport {
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }

    pub fn find(&mut self, level: Level, what: &'static str, text: impl Into<String>) {
        let finding = Finding { level, what, text: text.into() };
        // In another order it is the same mistake.
        if !self.findings.iter().any(|known| known.what == finding.what && known.level == level) {
            self.findings.push(finding);
        }
    }
}
