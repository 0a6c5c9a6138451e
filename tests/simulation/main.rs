//! Nothing lost, nothing stuck: the stepwise transitions in a world where a worker can die before and after every
//! single access, messages come twice and in any order, and peers take part.
//!
//! Exhaustive first: every crash point, and every pair of crash points, of every graph. Then random histories; each
//! prints its seed when it fails: `BRRR_SEED=n cargo test -p brrr-protocol --test simulation` runs that one alone,
//! `BRRR_HISTORIES=n` sets how many.

mod graph;
mod peer;
mod run;
mod world;

use std::sync::Arc;

use graph::{GRAPHS, Graph, Node};
use run::{Plan, run};
use world::Crash;

fn check(graph: &Arc<Graph>, plan: Plan, what: &str) -> run::History {
    let history = run(graph, plan).unwrap_or_else(|e| panic!("{}: {what}: {e}", graph.name));
    history.check(graph).unwrap_or_else(|e| panic!("{}: {what}: {e}", graph.name));
    history
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

#[test]
fn every_graph_ends_without_faults() {
    for graph in GRAPHS {
        let graph = Arc::new(graph.clone());
        check(&graph, Plan::single(Vec::new()), "no faults");
    }
}

/// Each delivery is made by a worker that dies at its n-th access, for every n; the message then comes again.
#[test]
fn every_crash_point_and_every_pair_of_them_heals() {
    let mut histories = 0;
    for graph in GRAPHS {
        let graph = Arc::new(graph.clone());
        // How many deliveries there are, and the most accesses that one makes, without faults.
        let history = check(&graph, Plan::single(Vec::new()), "no faults");
        let most = history.accesses;
        let deliveries = history.world.state().sent + 2;
        let mut points = Vec::new();
        for delivery in 0..deliveries {
            points.extend((0..most).map(|access| (delivery, Crash(access))));
        }
        for (first, a) in points {
            check(&graph, Plan::single(deaths(&[(first, a)])), &format!("{a:?} in delivery {first}"));
            histories += 1;
            // The second death follows within a few deliveries: in what a redelivery finds half done.
            for (second, access) in (first + 1..first + 3).flat_map(|n| (0..most).map(move |a| (n, a))) {
                let b = Crash(access);
                let what = format!("{a:?} in delivery {first}, {b:?} in delivery {second}");
                check(&graph, Plan::single(deaths(&[(first, a), (second, b)])), &what);
                histories += 1;
            }
        }
    }
    println!("{histories} histories with one or two crashes");
}

/// Crashes by the number of the delivery, as a plan takes them: the last is the first.
fn deaths(crashes: &[(usize, Crash)]) -> Vec<Crash> {
    let never = Crash(i64::MAX);
    let last = crashes.iter().map(|(delivery, _)| *delivery).max().unwrap_or(0);
    (0..=last)
        .rev()
        .map(|n| crashes.iter().find(|(delivery, _)| *delivery == n).map_or(never, |(_, crash)| *crash))
        .collect()
}

#[test]
fn random_histories_end() {
    let (first, count) = match number("BRRR_SEED") {
        Some(seed) => (seed, 1),
        None => (fastrand::u64(..u64::MAX / 2), number("BRRR_HISTORIES").unwrap_or(20_000)),
    };
    for seed in first..first + count {
        let mut random = fastrand::Rng::with_seed(seed);
        let graph = &GRAPHS[random.usize(..GRAPHS.len())];
        let peers = if peers_can_run(graph) { random.usize(..3) } else { 0 };
        let crashes = (0..random.usize(..6)).map(|_| Crash(random.i64(..25))).collect();
        let plan = Plan { workers: random.usize(1..4), peers, crashes, random: Some(random) };
        check(&Arc::new(graph.clone()), plan, &format!("BRRR_SEED={seed}"));
    }
    println!("{count} random histories from seed {first}");
}

/// A peer knows neither failures nor races, and waits for ever in a cycle.
fn peers_can_run(graph: &Graph) -> bool {
    let plain = graph.nodes.iter().all(|(_, node)| matches!(node, Node::All(_) | Node::Each(_)));
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
    let graph = Arc::new(Graph { name: "fan-out", nodes: nodes.leak(), roots: &["a"] });
    let history = check(&graph, Plan::single(Vec::new()), "no faults");
    let n = NAMES.len();
    let state = history.world.state();
    assert_eq!(state.sent, n + 2, "N children, the job, and one wake-up");
    assert_eq!(history.runs, n + 2, "each child once, the parent twice");
    assert!(state.value_reads <= 8 * n, "{} value reads for {n} children", state.value_reads);
}
