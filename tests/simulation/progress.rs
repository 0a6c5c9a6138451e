//! Calls that go on with some of the outcomes that they wait for.

use std::sync::Arc;

use crate::graph::{Graph, Node};
use crate::graphs::GRAPHS;
use crate::plan::{Event, Plan};
use crate::world::START;
use crate::{check, graphs};

/// Chains side by side do not wait for each other: two chains with a sleep of ten seconds each, at different places, take little more
/// than ten seconds together. A failure does not wait for a sleep beside it.
#[test]
fn chains_side_by_side_do_not_wait_for_each_other() {
    let took = |nodes: &'static [(&'static str, Node)]| {
        let graph = Arc::new(Graph { name: "side by side", nodes, job_ids: &["a"], ..GRAPHS[0].clone() }.complete());
        let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        let state = history.world.state();
        let end = state.watch.jobs[&"R0".into()].end.unwrap().at;
        (end - START, state.runs[&("R0".into(), "a".to_owned())])
    };
    let (time, runs) = took(&[
        ("a", Node::Sides(&[&["s", "b"], &["c", "t"]])),
        ("s", Node::Sleep(&[10_000], &[])),
        ("t", Node::Sleep(&[10_000], &[])),
        ("b", Node::All(&[])),
        ("c", Node::All(&[])),
    ]);
    assert!((10_000..13_000).contains(&time) && runs <= 4, "{time} ms, {runs} runs");
    let (time, runs) = took(&[("a", Node::All(&["s", "f"])), ("s", Node::Sleep(&[10_000], &[])), ("f", Node::Fail)]);
    assert!(time < 1_000 && runs == 2, "{time} ms, {runs} runs");
}

/// However many children a parent has that wants progress, they send one message for another look at it.
#[test]
fn a_wait_for_progress_sends_one_message_for_another_look() {
    let names: Vec<&'static str> = (0..40).map(|n| &*format!("c{n:02}").leak()).collect();
    let chains: Vec<&'static [&'static str]> = names.iter().map(|name| &*vec![*name].leak()).collect();
    let leaves = names.iter().map(|name| (*name, Node::All(&[])));
    let nodes: Vec<_> = [("a", Node::Sides(chains.leak()))].into_iter().chain(leaves).collect();
    let graph = Arc::new(Graph { name: "side by side", nodes: nodes.leak(), ..GRAPHS[0].clone() }.complete());
    let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
    // The job's message, those of the calls, the one for another look, and the one when all are there.
    assert_eq!((history.sent, history.world.state().runs[&("R0".into(), "a".to_owned())]), (1 + 40 + 1 + 1, 2));
}

/// A queue whose clock is ahead delivers the message for another look too early. It is kept until then.
#[test]
fn a_look_that_comes_early_is_kept() {
    let nodes: &[(&str, Node)] = &[
        ("a", Node::Sides(&[&["s", "b"], &["c", "t"]])),
        ("s", Node::Sleep(&[10_000], &[])),
        ("t", Node::Sleep(&[10_000], &[])),
        ("b", Node::All(&[])),
        ("c", Node::All(&[])),
    ];
    let graph = Arc::new(Graph { name: "side by side", nodes, job_ids: &["a"], ..GRAPHS[0].clone() }.complete());
    let length = check(&graph, Plan::of(&[]), || "no faults".to_owned()).length;
    for at in 0..=length {
        let history = check(&graph, Plan::of(&[(at, Event::Early)]), || format!("{at}, early"));
        let time = history.world.state().watch.jobs[&"R0".into()].end.unwrap().at - START;
        assert!(time < 15_000, "early at {at}: {time} ms");
    }
}

/// A child ends while its parent, which was run because of other children, asks for it again.
#[test]
fn a_child_that_ends_while_its_parent_asks_again_is_noticed() {
    let mut histories = 0;
    for (graph, length) in
        graphs().filter(|(graph, _)| graph.has(|node| matches!(node, Node::Sides(_) | Node::GivesUp(..))))
    {
        for at in 0..=length {
            for pause in 1..40 {
                let events = vec![(at, Event::Pause), (at + pause, Event::Switch)];
                let plan = Plan { workers: 2, events, ..Plan::default() };
                let history = check(&graph, plan, || format!("{at}, paused for {pause}"));
                if graph.has(|node| matches!(node, Node::GivesUp(..))) {
                    // The call that it gave up on would notify it after 100 s.
                    let time = history.world.state().watch.jobs[&"R0".into()].end.unwrap().at - START;
                    assert!(time < 50_000, "{}: {at}, paused for {pause}: {time} ms", graph.name);
                }
                histories += 1;
            }
        }
    }
    println!("{histories} histories of parents that ask again");
}
