//! Jobs for a call that is on its way already.

use std::sync::Arc;

use crate::errand::What;
use crate::graph::Node::{All, Each};
use crate::graph::graph;
use crate::plan::{Event, Plan};
use crate::{check, graphs};

/// However late the other jobs are started: the call is run for the first one alone.
#[test]
fn a_call_that_is_on_its_way_is_run_once() {
    let nodes = &[("a", Each(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))];
    let graph = Arc::new(graph("three jobs, one call, one child after the other", nodes, &["a", "a", "a"]).complete());
    let mut histories = 0;
    for fused in [false, true] {
        for (second, third) in (0..=40).flat_map(|at| (0..=40).step_by(5).map(move |later| (at, at + later))) {
            let events = [(second, Event::Does(What::Schedule(1))), (third, Event::Does(What::Schedule(2)))];
            let history = check(&graph, Plan { fused, ..Plan::of(&events) }, || format!("{fused}, {events:?}"));
            let state = history.world.state();
            let runs = state.runs.iter().filter(|((root, _), _)| root.as_str() != "LAST");
            let runs: Vec<_> = runs.map(|((root, call), runs)| format!("{root} {call} {runs}")).collect();
            assert_eq!(runs, ["R0 a 3", "R0 b 1", "R0 c 1"], "{fused}, {events:?}");
            histories += 1;
        }
    }
    println!("{histories} histories of three jobs for one call");
}

/// A job that has joined is cancelled: the others neither wait for it nor run the call once more.
#[test]
fn a_job_that_has_joined_may_be_cancelled() {
    let (graph, length) =
        graphs().find(|(graph, _)| graph.name == "three jobs, one call").expect("it has another name now");
    for at in 0..=length {
        for fused in [false, true] {
            let events = [(at, Event::Does(What::Cancel(1)))];
            let history = check(&graph, Plan { fused, ..Plan::of(&events) }, || format!("{fused}, {events:?}"));
            let state = history.world.state();
            let others = state.runs.keys().filter(|(root, _)| root.as_str() == "R1" || root.as_str() == "R2").count();
            assert_eq!(others, 0, "{fused}, {events:?}: {:?}", state.runs);
        }
    }
}
