//! What runs log is kept, in order, each line once, whatever fails. `watch` checks it at each write.

use std::sync::Arc;

use brrr_protocol::ports::Kind;
use brrr_protocol::records::LogRecord;

use crate::graph::{Graph, Node};
use crate::graphs::GRAPHS;
use crate::handler::FAILS;
use crate::plan::{Event, FAULTS, Plan};
use crate::{WINDOW, check, ends, stride};

/// A call with many replays, a call with attempts, and one that fails.
fn graph(retries: u32) -> Arc<Graph> {
    const NODES: &[(&str, Node)] = &[
        ("a", Node::Catch(&["b", "d"])),
        ("b", Node::Flaky(1, &["c"])),
        ("c", Node::Each(&["e", "f"])),
        ("d", Node::Fail),
        ("e", Node::All(&[])),
        ("f", Node::Sleep(&[1_000], &[])),
    ];
    Arc::new(Graph { name: "logs", nodes: NODES, job_ids: &["a"], retries, ..GRAPHS[0].clone() }.complete())
}

/// One fault at each access, and then another one.
#[test]
fn no_line_is_lost_or_doubled() {
    // A history takes long here: its graph sleeps, fails and is tried again.
    let (graph, mut histories, stride) = (graph(2), 0, stride() * 4);
    for transactional in [false, true] {
        let of = |events: &[(i64, Event)]| {
            let plan = Plan { transactional, logs: true, ..Plan::of(events) };
            check(&graph, plan, || format!("transactional: {transactional}, {events:?}"))
        };
        let length = of(&[]).length;
        for event in FAULTS.into_iter().chain(ends(&graph)) {
            for first in 0..=length {
                of(&[(first, event)]);
                histories += 1;
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    of(&[(first, event), (second, Event::Crash)]);
                    of(&[(first, Event::Zombie), (second, event)]);
                    of(&[(first, event), (second, Event::Switch)]);
                    histories += 3;
                }
            }
        }
    }
    println!("{histories} histories of calls that log");
}

/// What the last attempt of a call that fails has logged is there, and what nobody keeps costs nothing.
#[test]
fn the_lines_of_a_failure_are_kept() {
    for transactional in [false, true] {
        let plan = |logs| Plan { transactional, logs, ..Plan::of(&[]) };
        let history = check(&graph(0), plan(true), || "no faults".to_owned());
        let state = history.world.state();
        let of = |call: &str| {
            let found = state.records.iter().find(|(key, _)| &*key.id == call && matches!(key.kind, Kind::Log(_)));
            let record = LogRecord::decode(found.expect("a log").1).unwrap();
            record.lines().unwrap().into_iter().map(|(_, line)| line.text).collect::<Vec<_>>()
        };
        assert_eq!(of("d"), ["begins", FAILS]);
        assert_eq!(of("b"), ["begins", "poll 1", FAILS]);
        assert_eq!(of("f"), ["begins", "poll 1", "poll 2", "ends"]);
        let without = check(&graph(0), plan(false), || "no logs".to_owned());
        assert!(!without.world.state().records.keys().any(|key| matches!(key.kind, Kind::Log(_))));
        assert!(!transactional || without.length == history.length, "{} and {}", without.length, history.length);
    }
}
