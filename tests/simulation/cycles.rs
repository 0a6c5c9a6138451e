//! Cycles that only the last check of one of their calls can find. The message that would also find the cycle was delivered too
//! early, or a peer took it.

use std::sync::Arc;

use crate::graph::Node::{self, All};
use crate::graph::{Graph, graph};
use crate::plan::{Event, Plan};
use crate::{WINDOW, check, stride};

/// The call of the job is part of the cycle, and no other call waits for it.
fn circle() -> Arc<Graph> {
    Arc::new(graph("a circle", &[("a", All(&["b"])), ("b", All(&["a"]))], &["a"]).complete())
}

/// `b` asks for `a` while `a` is slow to register with `b`. `b` sends a message for `a`. A peer takes that message and knows
/// nothing of cycles, or a worker gets the message before `b` has registered. So only the last of the two registrations can see
/// the whole cycle.
#[test]
fn the_last_to_register_finds_the_cycle() {
    let (graph, mut histories) = (circle(), 0);
    let length = check(&graph, Plan::of(&[]), || "no faults".to_owned()).length;
    for peer_deliveries in [None, Some(0b100)] {
        for slow in 0..=length {
            check(&graph, Plan { peer_deliveries, ..Plan::of(&[(slow, Event::Pause)]) }, || {
                format!("{peer_deliveries:?}, {slow}")
            });
            histories += 1;
            for other in (slow..=slow + WINDOW).step_by(stride().min(7)) {
                for event in [Event::Pause, Event::Switch] {
                    let plan = Plan { peer_deliveries, ..Plan::of(&[(slow, Event::Pause), (other, event)]) };
                    check(&graph, plan, || format!("{peer_deliveries:?}, {slow}, {other}, {event:?}"));
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories of a cycle whose calls register at the same moment");
}

/// A cycle with more calls than the walk at registration reads.
fn ring() -> Arc<Graph> {
    let names: Vec<&'static str> = (0..70).map(|n| &*format!("c{n:02}").leak()).collect();
    let names: &'static [&'static str] = names.leak();
    let next = |n: usize| &names[(n + 1) % names.len()..][..1];
    let nodes: Vec<(&'static str, Node)> = names.iter().enumerate().map(|(n, name)| (*name, All(next(n)))).collect();
    Arc::new(graph("a long ring", nodes.leak(), &names[..1]).complete())
}

/// The search for stuck work finds the cycle, and the jobs of the cycle fail.
#[test]
fn the_doctor_finds_a_long_cycle() {
    let graph = ring();
    for transactional in [false, true] {
        let plan = |events: &[(i64, Event)]| Plan { repair: true, transactional, ..Plan::of(events) };
        let history = check(&graph, plan(&[]), || format!("{transactional}, no faults"));
        assert_eq!(history.stranded, 1, "nothing else finds it");
        for at in (0..=history.length).step_by(history.length as usize / 12) {
            check(&graph, plan(&[(at, Event::Crash)]), || format!("{transactional}, {at}"));
        }
    }
}
