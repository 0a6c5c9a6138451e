//! The report of a case.

use std::time::Duration;

use brrr_protocol::model::Outcome;
use serde::Serialize;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Information only; nothing is wrong.
    Note,
    /// Probably not what the author wants. The case passes.
    Warning,
    /// The case fails.
    Error,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// A word for scripts, which never changes: `result`, `output`, `no-result`, `calls-differ`, …
    pub what: &'static str,
    /// The text for the user. Its first line can be shown alone.
    pub text: String,
}

/// The result of a case.
#[derive(Debug)]
pub struct CaseReport {
    pub name: String,
    pub task: String,
    /// The line of the case in the file.
    pub line: usize,
    /// The index of the case in the file, from 0.
    pub index: usize,
    pub findings: Vec<Finding>,
    /// How the case ended when all results arrived at once. `None`: it did not end.
    pub end: Option<Outcome>,
    /// The other ends of the case, for orders of arrival that changed its end.
    pub other_ends: Vec<Outcome>,
    /// The output of the case, without the repetitions of replays.
    pub output: Vec<String>,
    /// The number of orders of arrival that were tried.
    pub orders: usize,
    /// The number of runs of the case's task, and of the tasks that it calls.
    pub runs: usize,
    pub child_runs: usize,
    /// The number of calls that the task made, in all orders.
    pub calls: usize,
    /// `None`: the largest batch was replayed after each single arrival. `Some((n, of))`: at `n` of `of` points only.
    pub sampled: Option<(usize, usize)>,
    pub time: Duration,
    /// The most memory of one run of the task, in bytes.
    pub memory: usize,
}

impl CaseReport {
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }

    pub fn find(&mut self, level: Level, what: &'static str, text: impl Into<String>) {
        let finding = Finding { level, what, text: text.into() };
        // The same finding in another order is the same mistake. An SDK may find several mistakes.
        let first = |finding: &Finding| finding.text.lines().next().map(str::to_owned);
        let same = |known: &Finding| {
            known.what == finding.what && known.level == level && (what != "sdk" || first(known) == first(&finding))
        };
        if !self.findings.iter().any(same) {
            self.findings.push(finding);
        }
    }
}
