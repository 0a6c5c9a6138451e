//! Who removes what nobody needs: at every access of everybody, in one go, dying, or going on when all else is over.

use std::sync::Arc;

use brrr_protocol::ports::Kind;

use crate::clients::LONG_AFTER;
use crate::errand::What;
use crate::graph::Graph;
use crate::plan::{Event, Plan};
use crate::{check, graphs, stride};

/// About as many accesses as a collection takes here.
const ACCESSES: i64 = 90;

/// The graph's jobs, and then its first one and its last one once more: what the first jobs left is removed under them.
fn twice(graph: &Graph) -> Arc<Graph> {
    let first = graph.roots[0];
    let roots: Vec<&'static str> = graph.roots.iter().copied().chain([first, crate::graph::LAST]).collect();
    Arc::new(Graph { roots: roots.leak(), ..graph.clone() })
}

/// The later jobs begin when the first ones are over.
fn later(graph: &Graph, length: i64, events: &[(i64, Event)]) -> Plan {
    let n = graph.roots.len();
    let mut all = vec![(length, Event::Does(What::Schedule(n - 2))), (length, Event::Does(What::Schedule(n - 1)))];
    all.extend(events);
    all.sort_by_key(|(at, _)| *at);
    Plan::of(&all)
}

#[test]
fn what_lives_keeps_what_it_needs() {
    let (mut histories, mut removed, stride) = (0, 0, stride());
    for (graph, length) in graphs() {
        let graph = twice(&graph);
        let all = check(&graph, later(&graph, length, &[]), || "no removal".to_owned()).length;
        let mut go = |events: &[(i64, Event)]| {
            let history = check(&graph, later(&graph, length, events), || format!("{events:?}"));
            removed += history.world.state().watch.removed;
            histories += 1;
        };
        for at in (0..=all).step_by(stride.min(7)) {
            go(&[(at, Event::Does(What::Collect))]);
            go(&[(at, Event::Does(What::Collect)), (at + 5, Event::Crash)]);
            go(&[(at, Event::Crash), (at + 2, Event::Does(What::Collect))]);
            let from = (at as usize) % stride;
            for accesses in (from as i64..ACCESSES).step_by(stride) {
                go(&[(at, Event::Begins(What::Collect, accesses))]);
                go(&[(at, Event::Begins(What::Collect, accesses)), (at + 6, Event::Switch), (at + 9, Event::Switch)]);
                go(&[(at, Event::Dies(What::Collect, accesses)), (at + 7, Event::Does(What::Collect))]);
            }
        }
    }
    assert!(removed > 0);
    println!("{histories} histories of removal, {removed} jobs removed");
}

/// A job that was cancelled leaves messages. While they are there it stays known that it is over.
#[test]
fn what_was_cancelled_is_not_run_again() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for job in 0..graph.roots.len() {
            for at in 0..=length {
                let (cancel, collect) = (Event::Does(What::Cancel(job)), Event::Does(What::Collect));
                for events in [[(at, cancel), (at, collect)], [(at, cancel), (at + 4, collect)]] {
                    check(&graph, Plan::of(&events), || format!("{events:?}"));
                    histories += 1;
                }
                let events = [(at, Event::Crash), (at, cancel), (at, collect)];
                check(&graph, Plan::of(&events), || format!("{events:?}"));
                histories += 1;
            }
        }
    }
    println!("{histories} histories of removal after a cancellation");
}

/// A job was cancelled, so that some of its calls have no value. Another one begins while the first one is removed, and asks for
/// the same calls: it gets their values, and waits for none that is gone again.
#[test]
fn what_comes_while_others_go_stays() {
    let mut histories = 0;
    let graphs = graphs().filter(|(graph, _)| ["two jobs, one call", "two jobs share a chain"].contains(&graph.name));
    for ((graph, _), fused) in graphs.flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        let plan = |events: &[(i64, Event)]| Plan { fused, ..Plan::of(events) };
        let cancel = (4, Event::Does(What::Cancel(0)));
        let begun = check(&graph, plan(&[cancel, (500, Event::Does(What::Schedule(1)))]), || "no removal".to_owned());
        let first = check(&graph, plan(&[cancel, (500, Event::Dies(What::Schedule(1), 0))]), || "one job".to_owned());
        for accesses in 0..ACCESSES {
            for then in (0..=begun.length - first.length).step_by(stride().min(3)) {
                let at = first.length;
                let events = [
                    cancel,
                    (at, Event::Begins(What::Collect, accesses)),
                    (at, Event::Does(What::Schedule(1))),
                    (at + then, Event::Switch),
                ];
                check(&graph, plan(&events), || format!("{fused}, {events:?}"));
                histories += 1;
            }
        }
    }
    println!("{histories} histories of removal while another job begins");
}

const HOUR: u64 = 3_600_000;

/// Only what ended so long ago goes; where nobody can see whether the queue has messages, only what no message can be left of.
#[test]
fn what_is_young_stays() {
    for ((graph, _), fused) in graphs().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        let removed = |opaque, events: &[Event]| {
            let events: Vec<(i64, Event)> = events.iter().map(|event| (LONG_AFTER, *event)).collect();
            let plan = Plan { fused, opaque, ..Plan::of(&events) };
            check(&graph, plan, || format!("{fused}, {opaque}, {events:?}")).world.state().watch.removed
        };
        let (early, late) = (Event::Does(What::CollectOlder(HOUR)), Event::Does(What::CollectOlder(HOUR / 2)));
        assert_eq!(removed(false, &[early]), 0, "{}", graph.name);
        assert_eq!(removed(false, &[Event::Late, late]), graph.roots.len(), "{}", graph.name);
        assert_eq!(removed(true, &[Event::Late, late]), 0, "{}", graph.name);
        let weeks = [Event::Late; 2 * 7 * 24 + 1];
        assert_eq!(removed(true, &[weeks.as_slice(), &[late]].concat()), graph.roots.len(), "{}", graph.name);
    }
}

/// A collection that dies leaves nothing that the next one does not find. (Step by step a call's description stays.)
#[test]
fn a_collection_that_dies_is_taken_up() {
    let mut histories = 0;
    for ((graph, _), fused) in graphs().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        let history = check(&graph, Plan { fused, ..Plan::of(&[]) }, || "no removal".to_owned());
        for cancel in [None, Some((history.length / 2, Event::Does(What::Cancel(0))))] {
            for accesses in (0..2 * ACCESSES).step_by(stride().min(5)) {
                let mut events = Vec::from_iter(cancel);
                events.push((LONG_AFTER, Event::Dies(What::Collect, accesses)));
                events.push((LONG_AFTER, Event::Does(What::Collect)));
                let history = check(&graph, Plan { fused, ..Plan::of(&events) }, || format!("{fused}, {events:?}"));
                let state = history.world.state();
                let left: Vec<_> = state.left.iter().filter(|key| fused || key.kind != Kind::Call).collect();
                let jobs = state.counters.keys().filter(|name| !name.ends_with("LAST")).collect::<Vec<_>>();
                let is_clean = left.is_empty() && jobs.is_empty();
                assert!(is_clean, "{}: {fused}, {events:?}: {left:?} are left, counters {jobs:?}", graph.name);
                histories += 1;
            }
        }
    }
    println!("{histories} histories of a collection that dies");
}
