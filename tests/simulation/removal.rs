//! Who removes what nobody needs: at every access of everybody, in one go, dying, or going on when all else is over.

use std::sync::Arc;

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
