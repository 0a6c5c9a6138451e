//! The simulation checks that no call is lost and that no job is stuck. It runs the multi-step transitions in a world where a
//! worker can die before and after every single access. Messages are delivered twice and in any order, jobs are cancelled or
//! reach their deadline, and peers take part.
//!
//! The tests are exhaustive first: every fault at every access, and pairs of faults, in every graph. By default only a part of
//! the pairs is run; `BRRR_ALL=1` runs every pair. Then random histories follow (`random`); each history prints its seed when it
//! fails.
//!
//! - `world`: the store, the queue and the counters, access by access
//! - `run`: which participant makes the next access; `plan`: the faults
//! - `graph`, `graphs`, `handler`, `peer`, `actions`: the actions of workers, peers and clients
//! - `watch`: what no write may do; `oracle`: what must be true at the end
//! - the tests: this file tests crashes, zombies and jobs that end early. The other tests are in `unanswered`, `clients`,
//!   `dead_letters`, `peers`, `stable_outcomes`, `cycles`, `claims`, `joining`, `starting`, `detached`, `removal`,
//!   `repairs`, `logs`, `traces`, `progress`, `promises`, `schedules`, `shipping`, `bounds`, `random`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod actions;
mod bounds;
mod claims;
mod clients;
mod cycles;
mod dead_letters;
mod detached;
mod graph;
mod graphs;
mod handler;
mod joining;
mod logs;
mod oracle;
mod peer;
mod peers;
mod plan;
mod progress;
mod promises;
mod random;
mod removal;
mod repairs;
mod run;
mod schedules;
mod shipping;
mod stable_outcomes;
mod starting;
mod traces;
mod transactions;
mod unanswered;
mod watch;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actions::Action;
use graph::{Graph, Node};
use graphs::{GRAPHS, SMALL};
use plan::{Event, Plan};
use run::run;

/// The number of histories that this process has run so far.
static HISTORIES: AtomicU64 = AtomicU64::new(0);

fn check(graph: &Arc<Graph>, plan: Plan, what: impl FnOnce() -> String) -> run::History {
    let count = HISTORIES.fetch_add(1, Ordering::Relaxed) + 1;
    run(graph, plan).unwrap_or_else(|e| panic!("{}: {}: {e} (history {count})", graph.name, what()))
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// The number of accesses that a history with these events takes.
fn length_of(graph: &Arc<Graph>, events: &[(i64, Event)]) -> i64 {
    check(graph, Plan::of(events), || format!("{events:?}")).length
}

/// Every graph, with the number of accesses that a run without faults takes.
fn graphs() -> impl Iterator<Item = (Arc<Graph>, i64)> {
    GRAPHS.iter().map(|graph| {
        let graph = Arc::new(graph.complete());
        let length = check(&graph, Plan::of(&[]), || "no faults".to_owned()).length;
        (graph, length)
    })
}

/// How a job can be ended from outside: by a client that does it completely, or by a client that dies between its two writes.
fn ends(graph: &Graph) -> Vec<Event> {
    let jobs = 0..graph.job_ids.len();
    let cancel = |n| [Event::Does(Action::Cancel(n)), Event::Dies(Action::Cancel(n), 4)];
    let mut events: Vec<Event> = jobs.flat_map(cancel).collect();
    if graph.deadline > 0 {
        events.push(Event::Late);
    }
    events
}

fn events(graph: &Arc<Graph>, events: &[(i64, Event)]) {
    check(graph, Plan::of(events), || format!("{events:?}"));
}

#[test]
fn every_graph_ends_without_faults() {
    assert!(graphs().count() > 0);
}

/// Can a job of the graph be over before its calls end?
fn races(graph: &Graph) -> bool {
    graph.nodes.iter().any(|(_, node)| matches!(node, Node::Race(..)))
}

/// A call that fails runs as often as its options say. Without faults it does not run more often.
#[test]
fn failing_calls_run_as_often_as_their_options_say() {
    for (graph, _) in graphs() {
        let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        for (name, node) in graph.nodes {
            let Node::Flaky(times, children) = node else { continue };
            let state = history.world.state();
            let runs = state.runs.get(&("R0".into(), (*name).to_owned())).copied().unwrap_or(0);
            let attempts = times.min(&graph.retries) + 1;
            // The first attempt runs once more, because the call waits for its children. A call runs less often if the job ends
            // before.
            let most = attempts + u32::from(!children.is_empty()) * attempts;
            assert!(runs <= most, "{}: {name} was run {runs} times", graph.name);
            let may_be_over = graph.deadline > 0 || graph.job_ids.len() > 1 || races(&graph);
            assert!(may_be_over || runs >= attempts, "{}: {name}: {runs}", graph.name);
        }
    }
}

/// At every access, each worker dies, is stopped, or loses its lease without noticing.
#[test]
fn every_fault_heals() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for at in 0..=length {
            for event in [
                Event::Crash,
                Event::Preempt,
                Event::Zombie,
                Event::Pause,
                Event::Late,
                Event::Early,
                Event::NoCounters,
            ] {
                events(&graph, &[(at, event)]);
                histories += 1;
            }
        }
    }
    println!("{histories} histories with one fault");
}

/// The distance between the first and the second fault, in accesses. It covers a few deliveries.
const WINDOW: i64 = 40;

/// Where there are many pairs, the test runs only every n-th pair. All pairs (`BRRR_ALL=1`) take some minutes.
fn stride() -> usize {
    if number("BRRR_ALL").is_some() { 1 } else { 31 }
}

/// Is the history with this number run? Where one history in `n` is a good sample, neighbours take turns, so that each access and
/// each event has its turn.
fn is_sampled(number_of_history: i64, n: i64) -> bool {
    number("BRRR_ALL").is_some() || number_of_history % n == 0
}

/// In small graphs the distance between the faults is not limited.
#[test]
fn every_pair_of_crashes_heals() {
    let (mut histories, mut points) = (0, 0);
    assert!(SMALL.iter().all(|name| GRAPHS.iter().any(|graph| graph.name == *name)), "a graph has another name now");
    for (graph, length) in graphs() {
        let window = if SMALL.contains(&graph.name) { length } else { WINDOW };
        let stride = if SMALL.contains(&graph.name) { 1 } else { stride().min(17) };
        points += length + 1;
        for first in 0..=length {
            for second in (first + first % stride as i64..=first + window).step_by(stride) {
                events(&graph, &[(first, Event::Crash), (second, Event::Crash)]);
                histories += 1;
            }
        }
    }
    println!("{points} crash points, {histories} histories with two crashes");
}

/// A job is cancelled, and two workers die.
#[test]
fn every_pair_of_crashes_heals_beside_a_cancellation() {
    let (mut histories, stride) = (0, stride());
    for (graph, length) in graphs().filter(|(graph, _)| SMALL.contains(&graph.name)) {
        for first in 0..=length {
            let cancel = [Event::Does(Action::Cancel(0)), Event::Dies(Action::Cancel(0), 4)];
            for (end, cancel) in (0..=length).step_by(stride).flat_map(|end| cancel.map(|cancel| (end, cancel))) {
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    let mut plan = vec![(end, cancel), (first, Event::Crash), (second, Event::Crash)];
                    plan.sort_by_key(|(at, _)| *at);
                    events(&graph, &plan);
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories of a job that is cancelled and two crashes");
}

/// A worker pauses in the middle of an action, and a client dies while it ends the job. Then both continue. The records that the
/// worker read before the pause and the records that it reads afterwards need not be consistent.
#[test]
fn a_slow_worker_sees_a_job_end() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for at in 0..=length {
            for job in 0..graph.job_ids.len() {
                for accesses in [4, 5] {
                    for (n, slow) in [Event::Pause, Event::Zombie].into_iter().enumerate() {
                        if is_sampled(at + job as i64 + accesses + n as i64, 3) {
                            events(&graph, &[(at, slow), (at, Event::Dies(Action::Cancel(job), accesses))]);
                            histories += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{histories} histories of a slow worker and a job that ends");
}

/// A worker loses its lease and does not know it. It continues in the middle of the actions of its successor, or after them, and
/// then it dies.
#[test]
fn every_zombie_is_harmless() {
    let (mut histories, stride) = (0, stride().min(23));
    for (graph, length) in graphs() {
        for first in 0..=length {
            for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                for fault in [Event::Crash, Event::Switch] {
                    events(&graph, &[(first, Event::Zombie), (second, fault)]);
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories with a zombie");
}

/// A worker loses its lease and does not know it. It continues while other workers use the records that its successor has
/// written, and then it dies. Its own message is acknowledged by then, so no delivery repeats its action.
#[test]
fn a_zombie_that_dies_loses_nothing() {
    let (mut histories, stride) = (0, stride().min(3) as i64);
    for (graph, length) in graphs().filter(|(graph, _)| matches!(graph.name, "one child" | "tried again")) {
        for first in 0..=length {
            for second in first..=first + WINDOW {
                for third in (second + (first + second) % stride..=second + 20).step_by(stride as usize) {
                    events(&graph, &[(first, Event::Zombie), (second, Event::Switch), (third, Event::Crash)]);
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories with a zombie that dies");
}

/// A run whose lease is lost does not reset the count of attempts. Each such run adds at most one run too many.
#[test]
fn each_attempt_is_counted_once() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        let leaves =
            graph.nodes.iter().filter(|(_, node)| matches!(node, Node::Flaky(_, children) if children.is_empty()));
        let leaves: Vec<_> = leaves.map(|(name, _)| *name).collect();
        for (first, second) in (0..=length).flat_map(|first| {
            let stride = stride().min(5);
            let seconds = (first + first % stride as i64..=first + WINDOW).step_by(stride);
            seconds.map(move |second| (first, second))
        }) {
            if leaves.is_empty() {
                break;
            }
            for fault in [Event::Late, Event::Switch] {
                let plan = Plan::of(&[(first, Event::Zombie), (second, fault)]);
                let history = check(&graph, plan, || format!("[({first}, Zombie), ({second}, {fault:?})]"));
                for ((job_id, task), runs) in &history.world.state().runs {
                    let most = graph.retries + 2;
                    let is_bounded = *runs <= most || !leaves.contains(&task.as_str());
                    assert!(
                        is_bounded,
                        "{}: {first}, {second} {fault:?}: {runs} runs of {task} in {job_id}",
                        graph.name
                    );
                }
                histories += 1;
            }
        }
    }
    println!("{histories} histories of retries");
}

/// Each job ends early at every access. Its worker continues, is stopped, or dies.
#[test]
fn a_job_can_end_at_every_access() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for end in ends(&graph) {
            for at in 0..=length + 1 {
                events(&graph, &[(at, end)]);
                histories += 1;
                for (n, fault) in [Event::Preempt, Event::Crash].into_iter().enumerate() {
                    if is_sampled(at + n as i64, 2) {
                        events(&graph, &[(at, end), (at, fault)]);
                        histories += 1;
                    }
                }
            }
        }
    }
    println!("{histories} histories of a job that ends early");
}

/// As above, and another event happens before or after the end of the job.
#[test]
fn a_job_can_end_at_every_access_beside_every_fault() {
    let (mut histories, stride) = (0, if stride() == 1 { 1 } else { 2 * stride() });
    for (graph, length) in graphs() {
        for end in ends(&graph) {
            for first in 0..=length {
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    let pairs = [(end, Event::Crash), (Event::Crash, end), (Event::Zombie, end)];
                    for (n, (a, b)) in pairs.into_iter().enumerate() {
                        if is_sampled(first + n as i64, 3) {
                            events(&graph, &[(first, a), (second, b)]);
                            histories += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{histories} histories of a job that ends early, with a fault");
}

/// Two jobs are cancelled. Or one of them is cancelled by a client that dies in the middle and repeats the cancel.
#[test]
fn a_job_may_be_ended_twice() {
    let (mut histories, stride) = (0, if stride() == 1 { 2 } else { 3 * stride() });
    for (graph, length) in graphs() {
        let ends = ends(&graph);
        for (n, (a, b)) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))).enumerate() {
            for first in (0..=length).filter(|first| is_sampled(first + n as i64, 3)) {
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    events(&graph, &[(first, a), (second, b)]);
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories of two ends");
}

/// The only test of random histories that other tests of this crate run by name; see `random`.
#[test]
fn random_histories_end() {
    random::histories_end(false);
}

/// The same test where each transition is one access.
#[test]
fn random_histories_of_transactions_end() {
    random::histories_end(true);
}
