//! Runs the simulation with one mutant after the other, and reads from its output what the simulation found.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::list::{HISTORIES, Mutant};

/// The tests that run for every mutant, the cheapest first. Tests that enumerate crash points are slow. If only such a test finds
/// a mutant, the mutant names that test.
const TESTS: [&str; 8] = [
    "every_graph_ends_without_faults",
    "failing_calls_run_as_often_as_their_options_say",
    "a_fan_out_costs_no_more_than_it_must",
    "no_run_is_wasted",
    "a_job_ends_when_it_should",
    "a_spawn_limit_holds",
    "calls_that_kill_workers_or_have_no_handler_fail",
    "random_histories_end",
];

/// The seed of the first random history. It is fixed, so that the same mutants are found in every run.
const SEED: &str = "1";

/// The time limit of one test for one mutant. It is many times the usual time, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(300);

pub struct Hunt {
    simulation: PathBuf,
    /// The tests of the simulation, by their full names.
    tests: Vec<String>,
}

pub enum Verdict {
    Found {
        test: String,
        message: String,
    },
    /// All tests passed.
    Missed,
    /// The simulation failed, but not in one of its own checks.
    Broken(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found { test, message } => write!(f, "found by {test}: {message}"),
            Self::Missed => write!(f, "NOT found"),
            Self::Broken(what) => write!(f, "the simulation itself broke: {what}"),
        }
    }
}

impl Hunt {
    /// Builds the simulation of the copy in `target`.
    pub fn build(target: &Path) -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "test",
            "--offline",
            "--no-run",
            "--test",
            "simulation",
            "--message-format",
            "json-render-diagnostics",
        ]);
        cargo.current_dir(target).env("CARGO_TARGET_DIR", target.join("target"));
        // Environment variables that set the profile and flags of the outer build.
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PROFILE_") || name == "CARGO_INCREMENTAL")
        {
            cargo.env_remove(name);
        }
        let built = cargo.stderr(Stdio::inherit()).output().expect("cargo can be run");
        assert!(built.status.success(), "the copy with the mutants does not compile: see cargo's message above");
        let text = String::from_utf8_lossy(&built.stdout);
        let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let simulation = messages.filter_map(|m| m["executable"].as_str().map(PathBuf::from)).next_back();
        let simulation = simulation.expect("cargo names the test that it built");
        let list = Command::new(&simulation)
            .args(["--list", "--format", "terse"])
            .output()
            .expect("the simulation can be run");
        let list = String::from_utf8_lossy(&list.stdout).into_owned();
        let tests = list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
        Self { simulation, tests }
    }

    /// Without a mutant the simulation must find nothing. So each failure is caused by its mutant.
    pub fn finds_nothing_without_a_mutant(&self) {
        for test in TESTS {
            let verdict = self.run("", HISTORIES, test);
            assert!(verdict.is_none(), "without a mutant: {}", verdict.unwrap());
        }
    }

    pub fn hunt(&self, mutant: &Mutant) -> Verdict {
        let named = Some(mutant.look).filter(|look| !look.is_empty());
        let found = named.into_iter().chain(TESTS).find_map(|test| self.run(mutant.name, mutant.histories, test));
        found.unwrap_or(Verdict::Missed)
    }

    /// Returns `None` if the test passes.
    fn run(&self, mutant: &str, histories: u32, test: &str) -> Option<Verdict> {
        let is_it = |name: &&String| name.rsplit("::").next() == Some(test);
        let Some(name) = self.tests.iter().find(is_it) else {
            return Some(Verdict::Broken(format!("it has no test {test}")));
        };
        let mut command = Command::new(&self.simulation);
        command.args([name, "--exact", "--test-threads", "1"]);
        command.env("BRRR_MUTANT", mutant).env("RUST_BACKTRACE", "0");
        command.env("BRRR_SEED", SEED).env("BRRR_HISTORIES", histories.to_string());
        match wait(command) {
            None => Some(Verdict::Broken(format!("{test} had no end after {PATIENCE:?}"))),
            Some(output) if output.status.success() => None,
            Some(output) => Some(read(test, &String::from_utf8_lossy(&output.stdout))),
        }
    }
}

/// The output of a test that failed: the location of its panic, and its message.
fn read(test: &str, output: &str) -> Verdict {
    let broken = || Verdict::Broken(format!("{test}: {output}"));
    let Some((_, panic)) = output.split_once("panicked at ") else { return broken() };
    let Some((location, message)) = panic.split_once('\n') else { return broken() };
    if !location.contains("simulation") {
        return broken();
    }
    let message = message.split("\nnote: ").next().unwrap_or_default().trim().to_owned();
    Verdict::Found { test: test.to_owned(), message }
}

/// The output of a process that ends in time. A process that does not end in time is stopped.
fn wait(mut command: Command) -> Option<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the simulation can be run");
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        // The standard library has no wait with a timeout for a process, so this loop polls.
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(child.wait_with_output().unwrap())
}
