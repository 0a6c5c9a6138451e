//! Nothing lost, nothing stuck: the stepwise transitions in a world where a worker can die before and after every
//! single access, messages come twice and in any order, jobs are cancelled and run out of time, and peers take part.
//!
//! Exhaustive first: every fault at every access, and pairs of them, in every graph. Then random histories; each prints
//! its seed when it fails: `BRRR_SEED=n cargo test -p brrr-protocol --test simulation` runs that one alone,
//! `BRRR_HISTORIES=n` sets how many (with a seed: from that one on). `BRRR_ALL=1` makes every pair where otherwise a part of them is made.

mod graph;
mod peer;
mod run;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use graph::{GRAPHS, Graph, Node};
use run::{Errand, Event, Plan, What, run};
use world::Crash;

/// Histories run so far, by this process.
static HISTORIES: AtomicU64 = AtomicU64::new(0);

fn check(graph: &Arc<Graph>, plan: Plan, what: impl FnOnce() -> String) -> run::History {
    let count = HISTORIES.fetch_add(1, Ordering::Relaxed) + 1;
    run(graph, plan).unwrap_or_else(|e| panic!("{}: {}: {e} (history {count})", graph.name, what()))
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Every graph, with the number of accesses that it takes without faults.
fn graphs() -> impl Iterator<Item = (Arc<Graph>, i64)> {
    GRAPHS.iter().map(|graph| {
        let graph = Arc::new(graph.complete());
        let length = check(&graph, Plan::of(&[]), || "no faults".to_owned()).length;
        (graph, length)
    })
}

/// How a job can be ended from outside, in one go or by a client that dies between its two writes.
fn ends(graph: &Graph) -> Vec<Event> {
    let jobs = 0..graph.roots.len();
    let mut events: Vec<Event> = jobs.flat_map(|n| [Event::Cancel(n), Event::CancelPart(n, 4)]).collect();
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

/// A call that fails is run as often as its options say, and no oftener where nothing goes wrong.
#[test]
fn what_fails_is_tried_as_often_as_it_may_be() {
    for (graph, _) in graphs() {
        let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        for (name, node) in graph.nodes {
            let Node::Flaky(times, children) = node else { continue };
            let state = history.world.state();
            let runs = state.runs.get(&("R0".into(), (*name).to_owned())).copied().unwrap_or(0);
            let attempts = times.min(&graph.retries) + 1;
            // Once more to wait for its children, in the first attempt; less if the job ends before.
            let most = attempts + u32::from(!children.is_empty()) * attempts;
            assert!(runs <= most, "{}: {name} was run {runs} times", graph.name);
            assert!(graph.deadline > 0 || runs >= attempts || graph.roots.len() > 1, "{}: {name}: {runs}", graph.name);
        }
    }
}

/// Each worker dies, is stopped, or loses its lease unawares, at every access.
#[test]
fn every_fault_heals() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for at in 0..=length {
            for event in [Event::Crash, Event::Preempt, Event::Zombie, Event::Late] {
                events(&graph, &[(at, event)]);
                histories += 1;
            }
        }
    }
    println!("{histories} histories with one fault");
}

/// How far behind the first fault the second one comes, in accesses: within a few deliveries.
const WINDOW: i64 = 40;

/// Where pairs are many, every so manieth of them: all of them (`BRRR_ALL=1`) take some minutes.
fn stride() -> usize {
    if number("BRRR_ALL").is_some() { 1 } else { 11 }
}

#[test]
fn every_pair_of_crashes_heals() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for first in 0..=length {
            for second in first..=first + WINDOW {
                events(&graph, &[(first, Event::Crash), (second, Event::Crash)]);
                histories += 1;
            }
        }
    }
    println!("{histories} histories with two crashes");
}

/// A worker that does not know that it has lost its lease, and goes on in the middle of what its successor does; or
/// afterwards, and dies of it.
#[test]
fn every_zombie_is_harmless() {
    let (mut histories, stride) = (0, stride().min(3));
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

/// A run that nobody waits for any more does not set back the count of attempts: each such run is one too many, no more.
#[test]
fn what_is_tried_again_is_counted_once() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        let leaves =
            graph.nodes.iter().filter(|(_, node)| matches!(node, Node::Flaky(_, children) if children.is_empty()));
        let leaves: Vec<_> = leaves.map(|(name, _)| *name).collect();
        for (first, second) in
            (0..=length).flat_map(|first| (first..=first + WINDOW).map(move |second| (first, second)))
        {
            if leaves.is_empty() {
                break;
            }
            for fault in [Event::Late, Event::Switch] {
                let plan = Plan::of(&[(first, Event::Zombie), (second, fault)]);
                let history = check(&graph, plan, || format!("[({first}, Zombie), ({second}, {fault:?})]"));
                for ((root, task), runs) in &history.world.state().runs {
                    let most = graph.retries + 2;
                    let is_bounded = *runs <= most || !leaves.contains(&task.as_str());
                    assert!(is_bounded, "{}: {first}, {second} {fault:?}: {runs} runs of {task} in {root}", graph.name);
                }
                histories += 1;
            }
        }
    }
    println!("{histories} histories of what is tried again");
}

/// Each job ends early at every access; its worker goes on, is stopped, or dies.
#[test]
fn a_job_can_end_at_every_access() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for end in ends(&graph) {
            for at in 0..=length + 1 {
                events(&graph, &[(at, end)]);
                for fault in [Event::Preempt, Event::Crash] {
                    events(&graph, &[(at, end), (at, fault)]);
                }
                histories += 3;
            }
        }
    }
    println!("{histories} histories of a job that ends early");
}

/// As above, and something else happens before or after it.
#[test]
fn a_job_can_end_at_every_access_beside_every_fault() {
    let (mut histories, stride) = (0, stride());
    for (graph, length) in graphs() {
        for end in ends(&graph) {
            for first in 0..=length {
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    events(&graph, &[(first, end), (second, Event::Crash)]);
                    events(&graph, &[(first, Event::Crash), (second, end)]);
                    events(&graph, &[(first, Event::Zombie), (second, end)]);
                    histories += 3;
                }
            }
        }
    }
    println!("{histories} histories of a job that ends early, with a fault");
}

/// Two jobs are cancelled, or one of them by a client that dies in the middle and comes again.
#[test]
fn two_ends_are_as_good_as_one() {
    let (mut histories, stride) = (0, 2 * stride());
    for (graph, length) in graphs() {
        let ends = ends(&graph);
        for (a, b) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            for first in 0..=length {
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    events(&graph, &[(first, a), (second, b)]);
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories of two ends");
}

#[test]
fn random_histories_end() {
    let (first, count) = match number("BRRR_SEED") {
        Some(seed) => (seed, number("BRRR_HISTORIES").unwrap_or(1)),
        None => (fastrand::u64(..u64::MAX / 2), number("BRRR_HISTORIES").unwrap_or(20_000)),
    };
    let graphs: Vec<Arc<Graph>> = graphs().map(|(graph, _)| graph).collect();
    for seed in first..first + count {
        let mut random = fastrand::Rng::with_seed(seed);
        let graph = &graphs[random.usize(..graphs.len())];
        check(graph, random_plan(graph, random), || format!("BRRR_SEED={seed}"));
    }
    println!("{count} random histories from seed {first}");
}

fn random_plan(graph: &Graph, mut random: fastrand::Rng) -> Plan {
    let peers = if peers_can_run(graph) { random.usize(..3) } else { 0 };
    let crashes = (0..random.usize(..6)).map(|_| Crash(random.i64(0..25))).collect();
    let mut errands = Vec::new();
    let errand = |random: &mut fastrand::Rng, what, latest| Errand {
        step: random.usize(..latest),
        what,
        crash: (random.u8(..3) == 0).then(|| Crash(random.i64(0..8))),
        gives_up: matches!(what, What::Cancel(_)) && random.u8(..3) == 0,
    };
    for job in 0..graph.roots.len() {
        errands.push(errand(&mut random, What::Schedule(job), 150));
        if random.u8(..3) == 0 {
            errands.push(errand(&mut random, What::Cancel(job), 500));
        }
    }
    Plan { workers: random.usize(1..4), peers, crashes, errands, events: Vec::new(), random: Some(random) }
}

/// A peer knows neither failures nor races, and waits for ever in a cycle.
fn peers_can_run(graph: &Graph) -> bool {
    let is_plain = |name: &str| matches!(graph.node(name), Node::All(_) | Node::Each(_));
    let plain = graph.nodes.iter().all(|(name, _)| *name == graph::LAST || is_plain(name));
    plain && graph.roots.iter().all(|root| !graph.expected(root).contains(&None))
}

/// N children: about two runs, N+1 messages, reads that grow as N.
#[test]
fn a_fan_out_costs_no_more_than_it_must() {
    const NAMES: &[&str] = &[
        "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15", "c16",
        "c17", "c18", "c19",
    ];
    let nodes: Vec<(&'static str, Node)> =
        std::iter::once(("a", Node::All(NAMES))).chain(NAMES.iter().map(|name| (*name, Node::All(&[])))).collect();
    let graph = Graph { name: "fan-out", nodes: nodes.leak(), ..GRAPHS[0].clone() };
    let graph = Arc::new(graph.complete());
    let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
    let n = NAMES.len();
    let state = history.world.state();
    let runs: u32 = state.runs.iter().filter(|((root, _), _)| root.as_str() == "R0").map(|(_, runs)| runs).sum();
    assert_eq!(state.counters["brrr_count/R0"] as usize, n + 2, "N children, the job, and one wake-up");
    assert_eq!(runs as usize, n + 2, "each child once, the parent twice");
    assert!(state.value_reads <= 10 * n, "{} value reads for {n} children", state.value_reads);
}
