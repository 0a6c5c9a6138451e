//! Peers: each subset of the first deliveries goes to a peer. The peers die at every access, and read stale records. A message
//! that a peer loses is gone. A peer that reads a stale record without parents notifies no parent. `doctor` must find both.

use std::sync::Arc;

use crate::actions::Action;
use crate::clients::LONG_AFTER;
use crate::graph::Node::{All, Catch, Moody};
use crate::graph::{Graph, graph};
use crate::plan::{Event, Plan};
use crate::random::peers_can_run;
use crate::world::Answer;
use crate::{check, graphs, stride};

/// The length of the pattern: each of this many deliveries goes to a peer or not, in every combination. Later deliveries repeat
/// the pattern. Every history has at least a few of these later deliveries.
const PATTERN_BITS: u32 = 6;

fn patterns() -> impl Iterator<Item = u64> {
    (1..1_u64 << PATTERN_BITS).map(|bits| (0..10).fold(0, |all, n| all | bits << (n * PATTERN_BITS)))
}

fn plan(pattern: u64, bad_peers: bool, events: &[(i64, Event)]) -> Plan {
    Plan { peer_deliveries: Some(pattern), bad_peers, ..Plan::of(events) }
}

fn plain() -> impl Iterator<Item = Arc<Graph>> {
    graphs().map(|(graph, _)| graph).filter(|graph| peers_can_run(graph))
}

#[test]
fn all_jobs_end_whichever_worker_gets_a_message() {
    let mut histories = 0;
    for graph in plain() {
        for pattern in patterns() {
            check(&graph, plan(pattern, false, &[]), || format!("pattern {pattern:b}"));
            histories += 1;
        }
    }
    println!("{histories} histories of messages to peers and workers");
}

/// A worker of ours or a peer crashes, at every access.
#[test]
fn stuck_work_of_peers_that_die_is_repaired() {
    let (mut histories, mut stranded, stride) = (0, 0, stride());
    for graph in plain() {
        for pattern in patterns().skip(3 % stride).step_by(stride.min(5)) {
            let length = check(&graph, plan(pattern, true, &[]), || format!("pattern {pattern:b}")).length;
            for at in 0..=length {
                let plan = plan(pattern, true, &[(at, Event::Crash)]);
                let history = check(&graph, plan, || format!("pattern {pattern:b}, crash at {at}"));
                stranded += usize::from(history.stranded > 0);
                histories += 1;
            }
        }
    }
    println!("{histories} histories of peers that die: {stranded} would not have ended without a repair");
}

#[test]
fn stuck_work_of_peers_with_stale_reads_is_repaired() {
    let (mut histories, mut stranded, mut stale, stride) = (0, 0, 0, stride());
    for graph in plain() {
        for pattern in patterns().step_by(stride.min(5)) {
            for read in 0.. {
                let plan = plan(pattern, true, &[(0, Event::StaleRead(read))]);
                let history = check(&graph, plan, || format!("pattern {pattern:b}, read {read}"));
                stranded += usize::from(history.stranded > 0);
                histories += 1;
                let state = history.world.state();
                stale += state.stale_reads;
                if state.fresh_reads > 0 {
                    break;
                }
            }
        }
    }
    println!(
        "{histories} histories with one read of a peer that may be stale, {stale} are: {stranded} would not have ended \
         without a repair"
    );
}

/// A peer dies before it sends a child's message, or while it runs the child. Another job for the same call goes to a worker of
/// ours. That worker sends the child's message again, because the parent is registered under another job only. No repair is
/// needed.
#[test]
fn the_next_job_sends_a_message_that_a_peer_lost() {
    let graph = graphs().find(|(graph, _)| graph.name == "two jobs, one call").expect("a graph has another name now").0;
    let mut histories = 0;
    // A peer gets the parent, or the parent and its child. Later messages go to workers of ours.
    for (pattern, at) in [0b1, 0b11].into_iter().flat_map(|pattern| (0..=20).map(move |at| (pattern, at))) {
        let events = [(at, Event::Crash), (LONG_AFTER, Event::Does(Action::Schedule(1)))];
        let history = check(&graph, plan(pattern, true, &events), || format!("pattern {pattern:b}, crash at {at}"));
        assert_eq!(history.stranded, 0, "pattern {pattern:b}, after a crash at {at}");
        histories += 1;
    }
    println!("{histories} histories of a message that a peer lost, and another job for the same call");
}

/// A child fails while its parent registers with it. Later a peer gets the parent in another job. Nothing that is left of the
/// registration may make the peer believe that the child's message was sent.
#[test]
fn a_failure_is_settled_before_a_peer_comes() {
    let nodes = &[("a", Catch(&["m"])), ("m", Moody(&[])), ("q", All(&["m"]))];
    let graph = Arc::new(graph("a peer comes after a failure", nodes, &["a", "q"]).complete());
    let mut histories = 0;
    for at in 0..=40 {
        for slow in [Event::Pause, Event::Zombie] {
            let events = [(at, slow), (LONG_AFTER, Event::Does(Action::Schedule(1)))];
            check(&graph, Plan { peer_calls: &["q"], ..Plan::of(&events) }, || format!("{events:?}"));
            histories += 1;
        }
    }
    println!("{histories} histories of a failure that a peer comes after");
}

/// A peer waits for two calls. One of them fails in its job, and the peer sees no failures. Later another job computes that call,
/// and then the peer continues.
fn unseen_failure() -> Arc<Graph> {
    let nodes = &[("a", All(&["m", "n"])), ("m", Moody(&[])), ("n", All(&[])), ("q", All(&["m"]))];
    Arc::new(graph("a peer does not see a failure", nodes, &["a", "q"]).complete())
}

/// Which workers run the parents `a` and `q`.
const PEERS: [&[&str]; 2] = [&["a"], &["a", "q"]];

#[test]
fn a_failure_that_a_peer_does_not_see_costs_few_messages() {
    let graph = unseen_failure();
    for (peer_calls, transactional) in PEERS.into_iter().flat_map(|calls| [(calls, false), (calls, true)]) {
        let later = (LONG_AFTER, Event::Does(Action::Schedule(1)));
        let (look, repair) = ((LONG_AFTER, Event::Does(Action::Look(0))), (LONG_AFTER, Event::Does(Action::Repair)));
        let mut sent = Vec::new();
        for events in [&[later][..], &[look, repair, repair, repair, look, later]] {
            let plan = Plan { peer_calls, transactional, ..Plan::of(events) };
            let history = check(&graph, plan, || format!("{peer_calls:?}, {transactional}, {events:?}"));
            let findings = history.world.state().findings.clone();
            assert!(findings.is_empty(), "{peer_calls:?}, {transactional}: {findings:?}");
            sent.push(history.sent);
        }
        // One message for each job and each of its three calls, and one notification for each of these calls. One more message:
        // when the other call notified the peer, the peer asked for the failed call again.
        assert!(sent[0] <= 10, "{peer_calls:?}, {transactional}: {} messages", sent[0]);
        assert_eq!(sent[0], sent[1], "{peer_calls:?}, {transactional}: a repair sends nothing");
    }
}

/// The same, with a crash or a pause at every access.
#[test]
fn a_failure_that_a_peer_does_not_see_causes_no_loop() {
    let (graph, mut histories, mut worst) = (unseen_failure(), 0, 0);
    for (peer_calls, transactional) in PEERS.into_iter().flat_map(|calls| [(calls, false), (calls, true)]) {
        for at in 0..=70 {
            for fault in [Event::Crash, Event::Pause, Event::Unanswered(Answer::Lost)] {
                // Later the fault would hit the client of the other job, and the call would never be computed.
                if fault == Event::Unanswered(Answer::Lost) && (transactional || at > 45) {
                    continue;
                }
                let events = [(at, fault), (LONG_AFTER, Event::Does(Action::Schedule(1)))];
                let plan = Plan { peer_calls, transactional, bad_peers: fault == Event::Crash, ..Plan::of(&events) };
                let history = check(&graph, plan, || format!("{peer_calls:?}, {transactional}, {events:?}"));
                worst = worst.max(history.sent);
                histories += 1;
            }
        }
    }
    assert!(worst <= 14, "{worst} messages");
    println!("{histories} histories of a failure that a peer does not see, of up to {worst} messages");
}

/// At every access a client searches for stuck work while nothing is wrong, and dies in the middle. This costs messages and does
/// no harm.
#[test]
fn a_repair_of_healthy_work_does_no_harm() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for at in (0..=length).step_by(stride().min(3)) {
            for accesses in (at % 3..60).step_by(stride().min(19)) {
                let action = Action::Repair;
                for events in [
                    [(at, Event::Begins(action, accesses)), (at, Event::NoCounters)],
                    [(at, Event::Begins(action, accesses)), (at + 9, Event::Switch)],
                    [(at, Event::Dies(action, accesses)), (at + 2, Event::Crash)],
                ] {
                    check(&graph, Plan::of(&events), || format!("{events:?}"));
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories with a repair of healthy work");
}
