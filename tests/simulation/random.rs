//! Histories in which all events are random. Each history prints its seed when it fails.
//!
//! `BRRR_SEED=n` runs only the history with that seed. `BRRR_HISTORIES=n` runs that many histories (from the seed on, if there is
//! one). `BRRR_SECONDS=n` runs histories for that many seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actions::{Action, PlannedAction};
use crate::graph::{Graph, LAST, Node};
use crate::graphs::ILL;
use crate::plan::Plan;
use crate::world::Crash;
use crate::{check, detached, graphs, number, starting};

/// The number of histories if no variable is set.
const HISTORIES: u64 = 12_000;

pub fn histories_end(transactional: bool) {
    let seed = number("BRRR_SEED");
    let until = number("BRRR_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let many = if transactional { HISTORIES / 3 } else { HISTORIES };
    let alone = if seed.is_some() { 1 } else { many };
    let most = number("BRRR_HISTORIES").unwrap_or(if until.is_some() { u64::MAX } else { alone });
    let first = seed.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    let kind = if transactional { "random histories of transactions" } else { "random histories" };
    println!("{kind} from BRRR_SEED={first}");
    let mut all: Vec<Arc<Graph>> = graphs().map(|(graph, _)| graph).collect();
    all.extend(ILL.iter().map(|graph| Arc::new(graph.complete())));
    all.extend(starting::delayed().into_iter().chain(detached::graphs()));
    let (mut count, mut with_bad_peers, mut with_stranded) = (0, 0, 0);
    let (mut sent, mut runs, mut stale, mut removed, mut accesses) = (0, 0, 0, 0, 0);
    while count < most && until.is_none_or(|until| Instant::now() < until) {
        let seed = first + count;
        let mut random = fastrand::Rng::with_seed(seed);
        let graph = &all[random.usize(..all.len())];
        let plan = Plan { transactional, ..random_plan(graph, random) };
        with_bad_peers += u64::from(plan.bad_peers);
        let history = check(graph, plan, || format!("BRRR_SEED={seed}"));
        count += 1;
        with_stranded += u64::from(history.stranded > 0);
        let state = history.world.state();
        sent += history.sent;
        runs += u64::from(history.runs);
        stale += state.stale_reads;
        removed += state.watch.removed;
        accesses += history.length;
    }
    println!(
        "{count} {kind}, {accesses} accesses, {sent} messages, {runs} runs, {removed} jobs and values removed; \
         {with_bad_peers} with peers that die and read stale records ({stale} times), in {with_stranded} of which jobs \
         would not have ended without a repair"
    );
}

fn random_plan(graph: &Graph, mut random: fastrand::Rng) -> Plan {
    let peers = if peers_can_run(graph) { random.usize(..3) } else { 0 };
    let bad_peers = peers > 0 && random.bool();
    let crashes = (0..random.usize(..6)).map(|_| Crash(random.i64(0..25))).collect();
    let mut actions = Vec::new();
    let planned = |random: &mut fastrand::Rng, action, latest| PlannedAction {
        step: random.usize(..latest),
        action,
        crash: (random.u8(..3) == 0).then(|| Crash(random.i64(0..if action == Action::Collect { 60 } else { 10 }))),
        gives_up: !matches!(action, Action::Schedule(_) | Action::Start(_)) && random.u8(..3) == 0,
    };
    for job in 0..graph.job_ids.len() {
        actions.push(planned(&mut random, Action::Schedule(job), 150));
        if random.u8(..8) == 0 {
            actions.push(planned(&mut random, Action::Start(job), 300));
        }
        if random.u8(..3) == 0 {
            actions.push(planned(&mut random, Action::Cancel(job), 500));
        }
        if random.u8(..3) == 0 {
            actions.push(planned(&mut random, Action::Retry(job), 800));
        }
    }
    for action in [Action::Forget(graph.nodes[random.usize(..graph.nodes.len())].0), Action::Repair, Action::Collect] {
        // A peer keeps no record of the calls it asked for, so a record that the peer uses looks like a record that no job needs.
        if random.u8(..4) == 0 && (action == Action::Repair || peers == 0) {
            actions.push(planned(&mut random, action, 600));
        }
    }
    Plan {
        workers: random.usize(1..4),
        peers,
        bad_peers,
        crashes,
        actions,
        unanswered: random.u8(..3) == 0,
        shared: random.bool(),
        max_deliveries: (random.u8(..8) == 0).then(|| random.u32(2..5)),
        random: Some(random),
        ..Plan::default()
    }
}

/// A peer knows neither failures nor races, and waits without end in a cycle.
pub fn peers_can_run(graph: &Graph) -> bool {
    let is_plain = |name: &str| matches!(graph.node(name), Node::All(_) | Node::Each(_));
    let plain = graph.nodes.iter().all(|(name, _)| *name == LAST || is_plain(name));
    plain && graph.job_ids.iter().all(|job_id| !graph.expected(job_id).contains(&None))
}
