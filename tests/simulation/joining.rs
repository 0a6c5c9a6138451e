//! Jobs that are scheduled for a call that is already queued or running.

use std::sync::Arc;

use crate::actions::Action;
use crate::clients::LONG_AFTER;
use crate::graph::Node::{All, Each};
use crate::graph::{Graph, graph};
use crate::plan::{Event, Plan};
use crate::{check, events, graphs};

/// More accesses than the start of a job takes.
const ACCESSES: i64 = 20;

fn graph_of(name: &str) -> (Arc<Graph>, i64) {
    graphs().find(|(graph, _)| graph.name == name).expect("the graph has another name now")
}

/// The call runs for the first job alone, however late the other jobs start.
#[test]
fn a_call_that_is_on_its_way_is_run_once() {
    let nodes = &[("a", Each(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))];
    let graph = Arc::new(graph("three jobs, one call, one child after the other", nodes, &["a", "a", "a"]).complete());
    let mut histories = 0;
    for transactional in [false, true] {
        for (second, third) in (0..=40).flat_map(|at| (0..=40).step_by(5).map(move |later| (at, at + later))) {
            let again = Event::Does(Action::Schedule(1));
            let events = [(second, again), (third, Event::Does(Action::Schedule(2))), (third, again)];
            let history =
                check(&graph, Plan { transactional, ..Plan::of(&events) }, || format!("{transactional}, {events:?}"));
            let state = history.world.state();
            let runs = state.runs.iter().filter(|((job_id, _), _)| job_id.as_str() != "LAST");
            let runs: Vec<_> = runs.map(|((job_id, call), runs)| format!("{job_id} {call} {runs}")).collect();
            assert_eq!(runs, ["R0 a 3", "R0 b 1", "R0 c 1"], "{transactional}, {events:?}");
            histories += 1;
        }
    }
    println!("{histories} histories of three jobs for one call");
}

/// A job that has joined a call is cancelled. The other jobs do not wait for it, and they do not run the call again.
#[test]
fn a_job_that_has_joined_may_be_cancelled() {
    let (graph, length) = graph_of("three jobs, one call");
    for at in 0..=length {
        for transactional in [false, true] {
            // A message of the cancelled job is delivered anyway, as it is at a job's deadline.
            let events = [(at, Event::Does(Action::Cancel(1))), (at, Event::Comes("li2e2:R11:ae"))];
            let history =
                check(&graph, Plan { transactional, ..Plan::of(&events) }, || format!("{transactional}, {events:?}"));
            let state = history.world.state();
            let others =
                state.runs.keys().filter(|(job_id, _)| job_id.as_str() == "R1" || job_id.as_str() == "R2").count();
            assert_eq!(others, 0, "{transactional}, {events:?}: {:?}", state.runs);
        }
    }
}

/// The client of the first job dies and does not come back. The other jobs do not rely on a message that this client may not have
/// sent.
#[test]
fn a_job_that_joins_does_not_rely_on_a_client() {
    let mut histories = 0;
    for name in ["three jobs, one call", "a call that fails in one of three jobs"] {
        let (graph, _) = graph_of(name);
        for accesses in 0..ACCESSES {
            for first in [Event::Dies(Action::Schedule(0), accesses), Event::Begins(Action::Schedule(0), accesses)] {
                for (second, third) in [(0, 0), (0, 20), (10, 30)] {
                    let others =
                        [(second, Event::Does(Action::Schedule(1))), (third, Event::Does(Action::Schedule(2)))];
                    events(&graph, &[[(0, first)].as_slice(), &others].concat());
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories of jobs that are started after one whose client died");
}

/// A client is paused while its job joins a call, and it dies when it continues. Meanwhile the first job fails. The entry that
/// the dead client left is not proof that a message was sent, and the next job does not treat it so.
#[test]
fn a_client_that_dies_while_it_joins_misleads_nobody() {
    let (graph, length) = graph_of("a call that fails in one of three jobs");
    let mut histories = 0;
    for at in (0..=length).step_by(2) {
        for accesses in 5..ACCESSES {
            for (pause, left) in [2, 6, 12, 20].into_iter().flat_map(|pause| (1..=4).map(move |left| (pause, left))) {
                let plan = [
                    (at, Event::Begins(Action::Schedule(1), accesses)),
                    (at + pause, Event::Switch),
                    (at + pause + left, Event::Crash),
                    (LONG_AFTER, Event::Does(Action::Cancel(1))),
                    (LONG_AFTER, Event::Does(Action::Schedule(2))),
                ];
                events(&graph, &plan);
                histories += 1;
            }
        }
    }
    println!("{histories} histories of clients that die while their jobs join");
}

/// A parent dies while it registers, and its job is over before the parent runs again. Its entry does not say that a message was
/// sent.
#[test]
fn a_call_whose_message_was_not_sent_is_not_joined() {
    let (graph, length) = graph_of("a job's call is another's child");
    for at in 0..=length {
        for (later, crash) in [0, 1, 3, 6].into_iter().flat_map(|later| [0, 1].map(move |crash| (later, crash))) {
            let cancel = Event::Does(Action::Cancel(0));
            let plan = [(at, cancel), (at + crash, Event::Crash), (at + later, Event::Does(Action::Schedule(1)))];
            let mut plan = plan.to_vec();
            plan.sort_by_key(|(at, _)| *at);
            events(&graph, &plan);
        }
    }
}
