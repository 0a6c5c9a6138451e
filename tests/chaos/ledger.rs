//! What the workers said of their runs, and how many of those were in vain.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Read};
use std::sync::Mutex;

use serde::Deserialize;

/// A line of `run --events -`, as far as it matters here.
#[derive(Deserialize)]
struct Event<'a> {
    subject: &'a str,
    job: &'a str,
    call: &'a str,
    task: &'a str,
    to: &'a str,
    attempt: u32,
}

/// A call in a job, by a hash; and the attempt.
type Attempt = (u64, u64, u32);

#[derive(Default)]
struct Tally {
    runs: u32,
    /// How often it began to wait.
    waits: u32,
    /// Of those, how many its task has need of; `None`: who knows.
    most_waits: Option<u32>,
    /// It came to a value, or to a failure.
    completed: bool,
    failed: bool,
}

#[derive(Default)]
pub struct Ledger {
    attempts: Mutex<HashMap<Attempt, Tally>>,
}

/// Runs of guests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    pub all: u64,
    /// Beyond those that the graphs ask for: begun and killed, or done by two.
    pub extra: u64,
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// How often a call of this task waits at the most, if all goes well; `None`: it depends.
fn most_waits(task: &str) -> Option<u32> {
    match task {
        "dag" => None,
        "fib" | "relays" | "calls_always_fails" => Some(1),
        _ => Some(0),
    }
}

impl Ledger {
    /// Reads what a worker says until it ends. The last line of one that is killed may be half there.
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
        // On its way back to `ready` an event has the number of the attempt to come.
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
            // A call has one value, whoever asked for it.
            let ended = (tally.completed && valued.insert(call)) || tally.failed;
            let needed = tally.waits.min(tally.most_waits.unwrap_or(u32::MAX)) + u32::from(ended);
            runs.all += u64::from(tally.runs);
            runs.extra += u64::from(tally.runs.saturating_sub(needed));
        }
        runs
    }
}
