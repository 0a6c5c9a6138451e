//! Decides which findings are errors, warnings or notes, and writes their texts.

use std::collections::HashMap;

use brrr_protocol::codec;
use brrr_protocol::model::{Call, CallHash, FailureKind, Outcome};
use brrr_protocol::replay::Want;
use brrr_worker::wasm::{Touch, WasmHandler};

use super::cases::Case;
use super::children::Children;
use super::expected::{Expected, show_end, show_failure};
use super::explore::{History, PLANTED};
use super::life::{Ran, RunEnd};
use super::orders::Order;
use super::payload::show_call;
use super::report::{CaseReport, Level};
use super::trace::{Difference, Poll, Trace, diff, other_call, parted, up_to_a_race};
use super::values::same;

/// The report of a case before its first run.
pub fn empty(case: &Case) -> CaseReport {
    CaseReport {
        name: case.name.clone(),
        task: case.call.task.clone(),
        line: case.line,
        index: case.index,
        findings: Vec::new(),
        end: None,
        other_ends: Vec::new(),
        output: Vec::new(),
        orders: 0,
        runs: 0,
        child_runs: 0,
        calls: 0,
        sampled: None,
        time: std::time::Duration::ZERO,
        memory: 0,
    }
}

/// The report of a case that can't be run.
pub fn unknown_task(case: &Case, handler: &WasmHandler) -> CaseReport {
    let mut report = empty(case);
    let tasks: Vec<&str> = handler.tasks().map(|task| task.name.as_str()).collect();
    let text = format!("the component has no task {}\nits tasks: {}", case.call.task, tasks.join(", "));
    report.find(Level::Error, "unknown-task", text);
    report
}

/// Are the result or the failure, and the output, as the case expects?
pub fn expected(report: &mut CaseReport, case: &Case, history: &History, leaf: bool) {
    let Some(end) = &history.end else { return };
    match (&case.expected, end) {
        (Some(expected), end) if expected.is(end) => {}
        (Some(Expected::Result(value)), Ok(bytes)) => {
            let pretty = |bytes: &[u8]| {
                let json = serde_json::from_slice::<serde_json::Value>(codec::json(bytes)).ok();
                json.and_then(|json| serde_json::to_string_pretty(&json).ok())
            };
            let text = match (pretty(&value.bytes()), pretty(bytes)) {
                // Two long lines are hard to compare, so the text shows only the difference.
                (Some(expected), Some(got)) if expected.len().max(got.len()) > 60 => {
                    format!("the result is not the expected one (-expected +got):\n{}", diff(&expected, &got))
                }
                _ => {
                    format!("the result is not the expected one\nexpected {}\ngot      {}", value.show(), show_end(end))
                }
            };
            report.find(Level::Error, "result", text);
        }
        (Some(expected), Err(failure)) => {
            let hint = match failure.kind {
                FailureKind::Timeout if !leaf => {
                    "\nthe clock of a handler moves only when it sleeps, so waiting in a loop has no end; --timeout gives it longer"
                }
                _ => "",
            };
            let text = format!("it failed\nexpected {}\ngot      {}{hint}", expected.show(), show_end(end));
            report.find(Level::Error, "result", text);
        }
        (Some(expected), Ok(_)) => {
            let text =
                format!("the result is not the expected one\nexpected {}\ngot      {}", expected.show(), show_end(end));
            report.find(Level::Error, "result", text);
        }
        (None, Err(failure)) => {
            let text = format!(
                "it failed, and the case does not expect that\n{}\nif it is meant: error = \"a part of the message\"",
                show_failure(failure)
            );
            report.find(Level::Error, "result", text);
        }
        (None, Ok(_)) => {
            let text = format!(
                "nothing is expected of it; it gave {}\n--update writes that down; any-result = true says that it doesn't matter",
                show_end(end)
            );
            report.find(Level::Warning, "nothing-expected", text);
        }
    }
    output(report, case, history);
}

fn output(report: &mut CaseReport, case: &Case, history: &History) {
    if let Some(lines) = &case.output
        && *lines != history.output
    {
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let difference = diff(&text(lines), &text(&history.output));
        let text =
            format!("what is printed is not as expected (-expected +got), with {}:\n{difference}", history.order);
        report.find(Level::Error, "output", text);
    }
}

/// Did another order of arrival lead to the same end?
pub fn same_as(
    report: &mut CaseReport,
    case: &Case,
    base: &History,
    history: &History,
    seen: &HashMap<CallHash, Call>,
) {
    // The calls after a race may depend on the winner. The calls before it may not.
    let (before, now) = (up_to_a_race(&base.trace), up_to_a_race(&history.trace));
    let failed = matches!(history.end, Some(Err(_))) || matches!(base.end, Some(Err(_)));
    if let Some(difference) = parted(&before, &now).filter(|_| !failed) {
        let text = format!(
            "the calls depend on the order in which results arrive\n- with {}\n+ with {}\nin {}\n{}\n{RULE}",
            base.order,
            history.order,
            position_of(&difference),
            difference.show(seen)
        );
        report.find(Level::Error, "calls-differ", text);
        return;
    }
    if let Some(call) = other_call(&base.trace, &history.trace).filter(|_| !failed) {
        let shown = seen.get(&call).map_or_else(|| format!("call {}", call.short()), show_call);
        let text = format!(
            "the calls depend on the order in which results arrive\nonly one of the two asks for {shown}: with {}, and with \
             {}\n{RULE}",
            base.order, history.order
        );
        report.find(Level::Error, "calls-differ", text);
        return;
    }
    let (Some(first), Some(end)) = (&base.end, &history.end) else { return };
    if same_end(first, end) {
        output(report, case, history);
        return;
    }
    if !report.other_ends.iter().any(|known| same_end(known, end)) {
        report.other_ends.push(end.clone());
    }
    let accepted = match &case.expected {
        // "Any result" says nothing of an order that changes it.
        Some(expected @ (Expected::AnyOf(_) | Expected::Error(_))) => expected.is(end),
        _ => false,
    };
    if !accepted && !case.any_order {
        let race = base
            .trace
            .iter()
            .find(|poll| poll.want != Want::Progress && poll.is_race())
            .map(|race| show_race(race, seen))
            .unwrap_or_default();
        let text = format!(
            "the result depends on the order in which results arrive\n{race}{}: {}\n{}: {}\nif it is meant to (a race), list what \
             may come: result-any-of = […], or any-order = true;\nelse make no use of which came first",
            base.order,
            show_end(first),
            history.order,
            show_end(end)
        );
        report.find(Level::Error, "order", text);
    }
}

/// What does the handler do when the time of a wait passes before its calls end? Another end is meant to be.
pub fn late(report: &mut CaseReport, case: &Case, base: &History, history: &History) {
    let (Some(first), Some(end)) = (&base.end, &history.end) else { return };
    if same_end(first, end) {
        return;
    }
    match &case.expected {
        Some(expected @ Expected::AnyOf(_)) if !expected.is(end) => {
            let text =
                format!("with {}, the result is none of the expected ones\ngot {}", history.order, show_end(end));
            report.find(Level::Error, "result", text);
        }
        Some(Expected::AnyOf(_)) => {}
        _ => {
            let text = format!(
                "with {}: {}\nlist what may come, to test it: result-any-of = […]",
                history.order,
                show_end(end)
            );
            report.find(Level::Note, "too-late", text);
        }
    }
}

/// Another job has another clock and other random numbers. A case that depends on them gets a note, not an error.
pub fn other_job(report: &mut CaseReport, base: &History, other: &History, seen: &HashMap<CallHash, Call>) {
    // A call of the scope `job`, and a promise, have another hash in each job.
    let named = |trace: &Trace| -> Trace {
        let name = |call: &CallHash| match seen.get(call) {
            Some(call) => CallHash::derive(&call.task, &call.payload),
            None => call.clone(),
        };
        trace.iter().map(|poll| Poll { calls: poll.calls.iter().map(name).collect(), ..poll.clone() }).collect()
    };
    let same = match (&base.end, &other.end) {
        (Some(a), Some(b)) => same_end(a, b),
        _ => false,
    };
    if !same || parted(&named(&up_to_a_race(&base.trace)), &named(&up_to_a_race(&other.trace))).is_some() {
        let what = if same { "its calls depend" } else { "its result depends" };
        let text = format!(
            "{what} on the clock or on random numbers\nthis is safe: every replay of a job sees the same ones. In a test they are \
             fixed (clock = \"…\" in the case)"
        );
        report.find(Level::Note, "clock-or-random", text);
    }
}

/// Does the handler behave well when one of its calls fails? `false`: the other calls need no test.
pub fn after_failure(report: &mut CaseReport, call: &Call, base: &History, history: &History) -> bool {
    let Some(end) = &history.end else { return false };
    let Err(failure) = end else { return true };
    // The case also fails without this failure, or another failure was passed on as well.
    if base.end.as_ref().is_some_and(|known| same_end(known, end)) || failure.chain.len() > 1 {
        return true;
    }
    if failure.kind == FailureKind::Error && failure.message.contains(PLANTED) {
        return true;
    }
    let call = show_call(call);
    match failure.kind {
        FailureKind::Error => {
            let text = format!(
                "when {call} fails, it fails with an error of its own that does not say why\n{}\nlet the call's failure \
                 through, or name it in the error",
                show_failure(failure)
            );
            report.find(Level::Warning, "failure-hidden", text);
        }
        _ => {
            let text = format!(
                "when {call} fails, it does not end as it should\n{}\nlet the call's failure through (`?`, no `catch`, no \
                 `except`), or catch it and go on",
                show_failure(failure)
            );
            report.find(Level::Error, "child-failure", text);
        }
    }
    false
}

/// A replay asked for different calls than the run before it.
pub fn nondeterminism(
    report: &mut CaseReport,
    history: &History,
    difference: &Difference,
    touched: &[Touch],
    seen: &HashMap<CallHash, Call>,
) {
    let (what, why) = if has_effects(touched) { ("effects", EFFECTS) } else { ("calls-differ", RULE) };
    let level = if difference.is_of_order() { Level::Warning } else { Level::Error };
    let text = format!(
        "a replay asks for other calls than the run before it (- before, + now)\nwith {}, in {}\n{}\n{why}",
        history.order,
        position_of(difference),
        difference.show(seen)
    );
    report.find(level, what, text);
}

/// Two runs of the same call with the same outcomes ended differently.
pub fn twice(
    report: &mut CaseReport,
    history: &History,
    (first, second): (&Ran, &Ran),
    difference: Option<Difference>,
    seen: &HashMap<CallHash, Call>,
) {
    let (what, legend, why) = if second.asked_time_left {
        (
            "time-left",
            "- with a day left, + with no time left",
            "the time left differs from run to run: only a leaf may call or return what depends on it",
        )
    } else if has_effects(&first.touched) || has_effects(&second.touched) {
        ("effects", "- a run, + the same again", EFFECTS)
    } else {
        ("calls-differ", "- a run, + the same again", RULE)
    };
    let order = &history.order;
    let shown = match difference {
        Some(difference) => format!(
            "two runs that know the same results ask for different calls ({legend})\nwith {order}, in {}\n{}",
            position_of(&difference),
            difference.show(seen)
        ),
        None => format!(
            "two runs that know the same results end differently ({legend})\nwith {order}\n- {}\n+ {}",
            show_run(&first.end),
            show_run(&second.end)
        ),
    };
    report.find(Level::Error, what, format!("{shown}\n{why}"));
}

/// A run asked for a call without any outcome.
pub fn nobody(report: &mut CaseReport, order: &Order, call: &Call) {
    let shown = show_call(call);
    let entry = format!("[[case.child]]\ntask = \"{}\"\nresult = …", call.task);
    match order {
        // What a handler asks for in another job can't be known in advance.
        Order::OtherJob => {}
        Order::Fails(_, failing) => {
            let text = format!(
                "when {failing} fails, it calls {shown}, and nothing says what that gives: this was not tried to its end. To do \
                 so:\n{entry}"
            );
            report.find(Level::Note, "no-result", text);
        }
        _ if call.is_promise() => {
            let name = String::from_utf8_lossy(&call.payload);
            let text = format!(
                "it waits for the promise {name}, and nothing says what its answer is. Under the \
                 case:\n[[case.child]]\npromise = {name:?}\nresult = …"
            );
            report.find(Level::Error, "no-result", text);
        }
        _ => {
            let text = format!(
                "it calls {shown}, which this component does not handle, and nothing says what that gives. Under the case:\n{entry}"
            );
            report.find(Level::Error, "no-result", text);
        }
    }
}

/// The calls seem to have no end.
pub fn no_end(report: &mut CaseReport, order: &Order, what: &str) {
    let text = format!("{what}, with {order}\nis there an end? if so, allow more: --max-calls N");
    report.find(Level::Error, "no-end", text);
}

/// Effects belong into leaves, because a leaf runs only once.
pub fn touched(report: &mut CaseReport, touched: &[Touch], leaf: bool) {
    let words: Vec<&str> = touched
        .iter()
        .filter_map(|touch| match touch {
            Touch::Http => Some("HTTP"),
            Touch::Dirs => Some("files"),
            Touch::Env => None,
        })
        .collect();
    if !words.is_empty() && !leaf && report.calls > 0 {
        let text = format!(
            "it uses {} and calls other tasks: every replay does so again. Put that work into a task of its own, marked as a \
             leaf, and call it",
            words.join(" and ")
        );
        report.find(Level::Warning, "effects-repeated", text);
    }
}

/// What the SDK has found: a mistake that the handler's result does not show.
pub fn sdk_finding(report: &mut CaseReport, task: &str, text: &str, order: &Order) {
    let own = if task == report.task { String::new() } else { format!("{task}: ") };
    let with = if *order == Order::AtOnce { String::new() } else { format!("\nwith {order}") };
    report.find(Level::Error, "sdk", format!("{own}{text}{with}"));
}

/// Entries of the case that no run asked for. Mostly they contain a typing error.
pub fn unused(report: &mut CaseReport, children: &Children<'_>) {
    let lines: Vec<String> = children.unused().map(|child| format!("{} (line {})", child.task, child.line)).collect();
    if !lines.is_empty() {
        let text = format!("nothing asked for the [[case.child]] {}", lines.join(", "));
        report.find(Level::Warning, "unused-child", text);
    }
}

const EFFECTS: &str =
    "it uses HTTP or files, which may answer otherwise the next time: put that into a leaf task, and call it";

fn has_effects(touched: &[Touch]) -> bool {
    touched.iter().any(|touch| *touch != Touch::Env)
}

const RULE: &str = "a handler is run again from its beginning, and must then come to the same calls: they may depend on nothing \
                    but\nits arguments, the results of calls, the clock and random numbers";

/// The calls of a race, with a line break at the end.
fn show_race(race: &Poll, seen: &HashMap<CallHash, Call>) -> String {
    const MOST: usize = 3;
    let calls = race.calls.iter().filter_map(|call| seen.get(call));
    let mut shown: Vec<String> = calls.take(MOST).map(show_call).collect();
    if race.calls.len() > MOST {
        shown.push(format!("… of {} calls", race.calls.len()));
    }
    let need = if race.need() == 1 { "the first".to_owned() } else { format!("the first {}", race.need()) };
    format!("it takes {need} of: {}\n", shown.join(", "))
}

/// The position as text: "batch 1 (3 calls), at call 2", counted from 1.
fn position_of(difference: &Difference) -> String {
    let size = |poll: &Option<Poll>| poll.as_ref().map(|poll| poll.calls.len());
    let (before, now) = (&difference.before, &difference.now);
    let calls = |poll: &Option<Poll>| poll.as_ref().map(|poll| poll.calls.clone()).unwrap_or_default();
    let (old, new) = (calls(before), calls(now));
    let call = old.iter().zip(&new).position(|(a, b)| a != b).unwrap_or(old.len().min(new.len())) + 1;
    let of = size(before).or(size(now)).unwrap_or_default();
    let batch = difference.poll + 1;
    if of == 1 { format!("batch {batch} (one call)") } else { format!("batch {batch} ({of} calls), at call {call}") }
}

fn show_run(end: &RunEnd) -> String {
    match end {
        RunEnd::Ended(end) => show_end(end),
        RunEnd::TryAgain(failure) => format!("a failure that is tried again: {}", show_failure(failure)),
        RunEnd::Waits(wait) => format!("it waits for {} calls", wait.calls.len()),
    }
}

fn same_end(a: &Outcome, b: &Outcome) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => {
            a == b
                || matches!(
                    (serde_json::from_slice(codec::json(a)), serde_json::from_slice(codec::json(b))),
                    (Ok(a), Ok(b)) if same(&a, &b)
                )
        }
        _ => a == b,
    }
}
