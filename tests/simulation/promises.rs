//! Promises that clients answer before, while and after their job waits for them. The clients die, pause, and answer twice.

use std::sync::Arc;

use brrr_protocol::client::Answered;
use brrr_protocol::ports::Kind;

use crate::actions::Action;
use crate::clients::LONG_AFTER;
use crate::graph::{Graph, Node, graph, promise};
use crate::plan::{Event, Plan};
use crate::run::History;
use crate::{check, length_of};

/// More accesses than an answer takes.
const ACCESSES: i64 = 14;

/// Jobs that wait for a promise, alone, beside a call, with a time limit, and in two places.
fn graphs() -> Vec<Arc<Graph>> {
    let p = promise();
    let list = |names: &[&'static str]| -> &'static [&'static str] { names.to_vec().leak() };
    let leaf = ("b", Node::All(&[]));
    let nodes: [Vec<(&'static str, Node)>; 5] = [
        vec![("a", Node::All(list(&[p])))],
        vec![("a", Node::All(list(&["b", p]))), leaf.clone()],
        vec![("a", Node::Sides(vec![list(&[p, "b"]), list(&["b"])].leak())), leaf.clone()],
        vec![("a", Node::Catch(list(&["c", "d"]))), ("c", Node::All(list(&[p]))), ("d", Node::All(list(&[p])))],
        vec![("a", Node::Within(vec![(1_000, p), (3_600_000, p)].leak()))],
    ];
    let complete = |nodes: Vec<(&'static str, Node)>| {
        let nodes: Vec<_> = nodes.into_iter().chain([(p, Node::Promise)]).collect();
        Arc::new(graph("a promise", nodes.leak(), &["a"]).complete())
    };
    nodes.into_iter().map(complete).collect()
}

fn answer(graph: &Arc<Graph>, events: &[(i64, Event)]) -> History {
    // Whatever happened before, the job gets an answer in the end.
    let events: Vec<_> = events.iter().copied().chain([(LONG_AFTER, Event::Does(Action::Resolve))]).collect();
    check(graph, Plan::of(&events), || format!("{events:?}"))
}

#[test]
fn a_promise_is_answered_whenever_its_client_comes_or_dies() {
    let mut histories = 0;
    for graph in graphs() {
        let length = length_of(&graph, &[(LONG_AFTER, Event::Does(Action::Resolve))]);
        for at in 0..=length {
            for given in [Action::Resolve, Action::Reject] {
                answer(&graph, &[(at, Event::Does(given))]);
                for accesses in 0..ACCESSES {
                    answer(&graph, &[(at, Event::Dies(given, accesses)), (at + 9, Event::Does(given))]);
                    answer(&graph, &[(at, Event::Begins(given, accesses)), (at + 7, Event::Switch)]);
                    answer(&graph, &[(at, Event::Dies(given, accesses)), (at + 3, Event::Crash)]);
                }
                histories += 1 + 3 * ACCESSES;
            }
        }
    }
    println!("{histories} histories of promises");
}

/// Two clients give two answers at once. One of them stays, and the other client is told so.
#[test]
fn one_of_two_answers_stays() {
    for graph in graphs() {
        for at in 0..=length_of(&graph, &[(LONG_AFTER, Event::Does(Action::Resolve))]) {
            for accesses in 0..ACCESSES {
                let first = (at, Event::Begins(Action::Resolve, accesses));
                let history = answer(&graph, &[first, (at, Event::Does(Action::Reject)), (at + 5, Event::Switch)]);
                let answers = history.world.state().answers.clone();
                let stays = |action| {
                    let of_action = answers.iter().filter(|(given, _)| *given == action);
                    of_action.filter(|(_, answered)| *answered == Answered::Done).count()
                };
                let both = stays(Action::Resolve).min(1) + stays(Action::Reject).min(1);
                assert!(both <= 1, "{}: {at}, {accesses}: {answers:?}", graph.name);
            }
        }
    }
}

/// Nobody has to repair a job that waits for an answer.
#[test]
fn an_open_promise_is_no_finding() {
    for graph in graphs() {
        let history = answer(&graph, &[(LONG_AFTER - 1, Event::Does(Action::Look(0)))]);
        assert!(history.world.state().findings.is_empty(), "{:?}", history.world.state().findings);
    }
}

/// What a promise has left is removed with its job, whether it was answered or not.
#[test]
fn a_promise_is_removed_with_its_job() {
    for graph in graphs() {
        for events in [
            vec![],
            vec![(
                length_of(&graph, &[(LONG_AFTER, Event::Does(Action::Resolve))]) / 2,
                Event::Does(Action::Cancel(0)),
            )],
        ] {
            let end = [(LONG_AFTER, Event::Does(Action::Resolve)), (LONG_AFTER + 1, Event::Does(Action::Collect))];
            let events: Vec<_> = events.into_iter().chain(end).collect();
            let history = check(&graph, Plan::of(&events), || format!("{events:?}"));
            let state = history.world.state();
            let left: Vec<_> = state.left.iter().filter(|key| key.kind != Kind::Call).collect();
            assert!(left.is_empty(), "{}: {events:?}: {left:?}", graph.name);
        }
    }
}

#[test]
fn a_promise_costs_no_message_of_its_own() {
    let graph = &graphs()[0];
    let history = answer(graph, &[]);
    // The job's own message, and the one that notifies it of the answer.
    assert_eq!((history.sent, history.runs), (2, 2));
}
