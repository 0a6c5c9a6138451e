//! Prints the output of guests on the worker's stdout, or on stderr if stdout is used for events. It prints whole
//! lines, each with its task and a short call hash. The output of one call is limited over all its attempts.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use brrr_protocol::model::CallHash;
use brrr_worker::text;
use brrr_worker::topic_worker::{Shutdown, StopReason};
use brrr_worker::wasm::{LogLevel, Output, OutputLine, Stream};

use super::output::{colour_on_stderr, colour_on_stdout};

/// The worker's stdout or stderr.
pub struct Console {
    stderr: bool,
    colour: bool,
    shutdown: Shutdown,
    budgets: Budgets,
}

impl Console {
    /// A console that asks the worker to stop when the reader of its output is gone.
    pub fn stdout(shutdown: Shutdown) -> Self {
        Self { stderr: false, colour: colour_on_stdout(), shutdown, budgets: Budgets::default() }
    }

    /// As `stdout`, on stderr.
    pub fn stderr(shutdown: Shutdown) -> Self {
        Self { stderr: true, colour: colour_on_stderr(), shutdown, budgets: Budgets::default() }
    }

    fn format(&self, line: &OutputLine<'_>) -> String {
        let (task, call) = (text::line(line.task), text::line(line.call.short()));
        let level = match line.stream {
            Stream::Stdout => "",
            Stream::Stderr => "stderr: ",
            Stream::Log(LogLevel::Trace) => "trace: ",
            Stream::Log(LogLevel::Debug) => "debug: ",
            Stream::Log(LogLevel::Info) => "info: ",
            Stream::Log(LogLevel::Warn) => "warn: ",
            Stream::Log(LogLevel::Error) => "error: ",
        };
        let text = text::line(line.text);
        if self.colour {
            format!("\x1b[36m{task}\x1b[0m \x1b[2m{call} │\x1b[0m {level}{text}\n")
        } else {
            format!("{task} {call} │ {level}{text}\n")
        }
    }
}

impl Output for Console {
    fn write(&self, line: OutputLine<'_>) {
        let mut text = self.format(&line);
        match self.budgets.spend(line.call, text.len(), Instant::now()) {
            Spent::Enough => {}
            Spent::TheLast => {
                let note = format!("(the output of this call is left out from here on: more than {} MiB)", BURST >> 20);
                text = self.format(&OutputLine { text: &note, ..line });
            }
            Spent::Nothing => return,
        }
        // The lines are built first and written at once, so that the lines of concurrent calls are not mixed.
        let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes()).and_then(|()| out.flush());
        let written = if self.stderr { write(&mut io::stderr().lock()) } else { write(&mut io::stdout().lock()) };
        if written.is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            self.shutdown.begin(StopReason::OutputClosed);
        }
    }
}

/// The bytes that one call may print at once. All attempts of the call share this budget, because several runs may
/// print.
const BURST: usize = 4 << 20;

/// The bytes that are added to this budget each second, so that a call that is retried for days can still print.
const PER_SECOND: usize = 4 << 10;

/// The number of entries at which unneeded entries are removed.
const CALLS: usize = 1_000;

/// The bytes that each call may still print. A call that has printed little lately needs no entry.
struct Budgets(Mutex<Calls>);

struct Calls {
    spent: HashMap<CallHash, Budget>,
    /// The number of entries at which unneeded entries are looked for next.
    full_at: usize,
}

struct Budget {
    spent: usize,
    at: Instant,
    /// The call has used its whole budget. Nothing is printed until half of the budget is available again.
    muted: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Spent {
    Enough,
    TheLast,
    Nothing,
}

impl Default for Budgets {
    fn default() -> Self {
        Self(Mutex::new(Calls { spent: HashMap::new(), full_at: CALLS }))
    }
}

impl Budgets {
    fn spend(&self, call: &CallHash, bytes: usize, now: Instant) -> Spent {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.spent.len() >= calls.full_at {
            calls.spent.retain(|_, budget| budget.left_to_pay(now) > 0);
            calls.full_at = CALLS.max(2 * calls.spent.len());
        }
        let budget = calls.spent.entry(call.clone()).or_insert_with(|| Budget { spent: 0, at: now, muted: false });
        (budget.spent, budget.at) = (budget.left_to_pay(now), now);
        if budget.muted && budget.spent > BURST / 2 {
            return Spent::Nothing;
        }
        budget.muted = budget.spent + bytes > BURST;
        if budget.muted {
            return Spent::TheLast;
        }
        budget.spent += bytes;
        Spent::Enough
    }
}

impl Budget {
    fn left_to_pay(&self, now: Instant) -> usize {
        let earned = now.duration_since(self.at).as_millis().saturating_mul(PER_SECOND as u128) / 1_000;
        self.spent.saturating_sub(usize::try_from(earned).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_budget_of_a_call_covers_all_attempts_and_is_renewed_later() {
        let (budgets, now) = (Budgets::default(), Instant::now());
        let (call, other) = (CallHash::from("a"), CallHash::from("b"));
        let spend = |call: &CallHash, at: Instant| budgets.spend(call, 1 << 20, at);
        let spent: Vec<_> = (0..7).map(|_| spend(&call, now)).collect();
        assert!(spent[..4].iter().all(|spent| *spent == Spent::Enough), "{spent:?}");
        assert_eq!(spent[4..], [Spent::TheLast, Spent::Nothing, Spent::Nothing]);
        assert_eq!(spend(&other, now), Spent::Enough);
        assert_eq!(spend(&call, now + Duration::from_mins(1)), Spent::Nothing, "reported once");
        assert_eq!(spend(&call, now + Duration::from_mins(10)), Spent::Enough);
    }

    #[test]
    fn calls_with_little_output_are_forgotten() {
        let (budgets, begun) = (Budgets::default(), Instant::now());
        for n in 0..50_000_u32 {
            let call = CallHash::from(n.to_string().as_str());
            budgets.spend(&call, 40, begun + n * Duration::from_millis(1));
        }
        assert!(budgets.0.lock().unwrap().spent.len() <= 2 * CALLS);
    }
}
