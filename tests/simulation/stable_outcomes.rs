//! A job keeps its view of a call. If a call fails for one job and not for another, each job receives the same outcome again in
//! every replay, however slow the reader was.

use std::sync::Arc;

use crate::actions::Action;
use crate::graph::Node::{All, Catch, CatchThen, Moody, Race};
use crate::graph::{Graph, graph};
use crate::plan::{Event, Plan};
use crate::{check, events};

/// `m` fails in the first job. The other job asks for `m` late, so `m` is tried for the first job before. Then `m` has a value as
/// well. In the first job `p` asks for `m` and then for another call, so `p` runs again.
fn shared() -> Arc<Graph> {
    let nodes = [
        ("a", All(&["p", "q"])),
        ("p", CatchThen(&["m"], &["d"])),
        ("q", Catch(&["m"])),
        ("d", All(&["e"])),
        ("b", All(&["b2"])),
        ("b2", All(&["b3"])),
        ("b3", All(&["m"])),
        ("m", Moody(&[])),
        ("e", All(&[])),
    ];
    Arc::new(graph("a slow reader", Vec::from(nodes).leak(), &["a", "b"]).complete())
}

#[test]
fn a_slow_reader_sees_the_same_outcomes_as_others() {
    let (graph, mut histories) = (shared(), 0);
    let length = check(&graph, Plan::of(&[]), || "no faults".to_owned()).length;
    for at in 0..=length {
        for then in (at..=at + 150).step_by(2) {
            events(&graph, &[(at, Event::Pause), (then, Event::Switch)]);
            histories += 1;
        }
    }
    println!("{histories} histories of a slow reader");
}

/// A worker that has lost its lease checks whether its job's own call has failed, and then whether the call has a value. Between
/// the two checks the call fails in that job, whose end is not recorded yet. The call also completes in another job that has just
/// begun.
#[test]
fn a_job_ends_as_its_call_did() {
    let graph = Arc::new(graph("ends twice", &[("m", Moody(&[]))], &["m", "m"]).complete());
    let mut histories = 0;
    for lost in 0..=12 {
        for slow in lost..=lost + 20 {
            for on in slow..=slow + 30 {
                let other = Event::Does(Action::Schedule(1));
                events(&graph, &[(lost, Event::Zombie), (slow, Event::Pause), (slow, other), (on, Event::Switch)]);
                histories += 1;
            }
        }
    }
    println!("{histories} histories of a job that could end in two ways");
}

/// The loser of a race ends before the winner's parent runs again. The loser is also first in the list.
#[test]
fn a_race_is_decided_once() {
    let nodes = &[
        ("a", Race(&["c", "b"], &["d"])),
        ("b", All(&[])),
        ("c", All(&["e"])),
        ("d", All(&["f"])),
        ("e", All(&[])),
        ("f", All(&[])),
    ];
    let graph = Arc::new(graph("the loser is there as well", nodes, &["a"]).complete());
    check(&graph, Plan::of(&[]), || "no faults".to_owned());
}
