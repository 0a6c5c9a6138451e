//! Counts the runs that the workers' events report, and how many of them were not needed.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Read};
use std::sync::Mutex;

use serde::Deserialize;

/// The fields of an event (a line of `run --events -`) that this module needs.
#[derive(Deserialize)]
struct Event<'a> {
    subject: &'a str,
    job: &'a str,
    call: &'a str,
    task: &'a str,
    to: &'a str,
    attempt: u32,
}

/// The hash of a call, the hash of its job, and the number of the attempt.
type Attempt = (u64, u64, u32);

#[derive(Default)]
struct Tally {
    runs: u32,
    /// How often a run ended because the call had to wait.
    waits: u32,
    /// How many of these waits the task needs at most. `None`: not known.
    most_waits: Option<u32>,
    /// Whether the attempt ended with a value, or with a failure.
    completed: bool,
    failed: bool,
}

#[derive(Default)]
pub struct Ledger {
    attempts: Mutex<HashMap<Attempt, Tally>>,
}

/// Numbers of runs of guests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    pub all: u64,
    /// Runs beyond those that the graphs need: killed runs, and runs that two workers made.
    pub extra: u64,
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// How often a call of this task waits at most, without faults. `None`: it depends on the call.
fn most_waits(task: &str) -> Option<u32> {
    match task {
        "dag" => None,
        "fib" | "relays" | "calls_always_fails" => Some(1),
        _ => Some(0),
    }
}

impl Ledger {
    /// Reads a worker's events until the worker ends. The last line of a killed worker may be incomplete.
    pub fn read(&self, events: impl Read) {
        let mut lines = BufReader::new(events);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            match serde_json::from_slice(&line) {
                Ok(event) => self.note(&event),
                Err(error) => {
                    assert!(line.last() != Some(&b'\n'), "no event: {error}: {}", String::from_utf8_lossy(&line))
                }
            }
            line.clear();
        }
    }

    fn note(&self, event: &Event<'_>) {
        if event.subject != "task" {
            return;
        }
        // An event for the return to `ready` has the number of the next attempt.
        let attempt = if event.to == "ready" { event.attempt.saturating_sub(1) } else { event.attempt };
        let mut attempts = self.attempts.lock().expect("no panic");
        let tally = attempts.entry((hash(event.call), hash(event.job), attempt)).or_default();
        tally.most_waits = most_waits(event.task);
        match event.to {
            "running" => tally.runs += 1,
            "deferred" => tally.waits += 1,
            "completed" => tally.completed = true,
            "ready" | "failed" | "cancelled" | "timed-out" => tally.failed = true,
            _ => {}
        }
    }

    pub fn runs(&self) -> Runs {
        let attempts = self.attempts.lock().expect("no panic");
        let mut runs = Runs::default();
        let mut valued = HashSet::new();
        for ((call, ..), tally) in attempts.iter() {
            // A call has one value, for all jobs.
            let ended = (tally.completed && valued.insert(call)) || tally.failed;
            let needed = tally.waits.min(tally.most_waits.unwrap_or(u32::MAX)) + u32::from(ended);
            runs.all += u64::from(tally.runs);
            runs.extra += u64::from(tally.runs.saturating_sub(needed));
        }
        runs
    }
}
