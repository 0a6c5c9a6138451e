//! Garbage collection: at every access of every participant, completely at once, by a client that dies, or by a client that is
//! paused until the end.

use std::sync::Arc;

use brrr_protocol::ports::Kind;

use crate::actions::Action;
use crate::clients::LONG_AFTER;
use crate::graph::Node::All;
use crate::graph::{Graph, graph};
use crate::plan::{Event, Plan};
use crate::{check, graphs, stride};

/// About the number of accesses that a collection takes here.
const ACCESSES: i64 = 90;

/// The graph's jobs, and then its first and its last job again: the records of the first jobs are removed while the later jobs
/// run.
fn twice(graph: &Graph) -> Arc<Graph> {
    let first = graph.job_ids[0];
    let job_ids: Vec<&'static str> = graph.job_ids.iter().copied().chain([first, crate::graph::LAST]).collect();
    Arc::new(Graph { job_ids: job_ids.leak(), ..graph.clone() })
}

/// The later jobs begin when the first jobs are over.
fn later(graph: &Graph, length: i64, events: &[(i64, Event)]) -> Plan {
    let n = graph.job_ids.len();
    let mut all = vec![(length, Event::Does(Action::Schedule(n - 2))), (length, Event::Does(Action::Schedule(n - 1)))];
    all.extend(events);
    all.sort_by_key(|(at, _)| *at);
    Plan::of(&all)
}

#[test]
fn live_jobs_keep_the_records_that_they_need() {
    let (mut histories, mut removed, stride) = (0, 0, stride());
    for (graph, length) in graphs() {
        let graph = twice(&graph);
        let all = check(&graph, later(&graph, length, &[]), || "no removal".to_owned()).length;
        let mut go = |events: &[(i64, Event)]| {
            // Three histories of nine.
            let plan = Plan { shared: histories / 3 % 3 == 0, ..later(&graph, length, events) };
            let history = check(&graph, plan, || format!("{events:?}"));
            removed += history.world.state().watch.removed;
            histories += 1;
        };
        for at in (0..=all).step_by(stride.min(7)) {
            go(&[(at, Event::Does(Action::Collect))]);
            go(&[(at, Event::Does(Action::Collect)), (at + 5, Event::Crash)]);
            go(&[(at, Event::Crash), (at + 2, Event::Does(Action::Collect))]);
            let from = (at as usize) % stride;
            for accesses in (from as i64..ACCESSES).step_by(stride) {
                go(&[(at, Event::Begins(Action::Collect, accesses))]);
                go(&[(at, Event::Begins(Action::Collect, accesses)), (at + 6, Event::Switch), (at + 9, Event::Switch)]);
                go(&[(at, Event::Dies(Action::Collect, accesses)), (at + 7, Event::Does(Action::Collect))]);
            }
        }
    }
    assert!(removed > 0);
    println!("{histories} histories of removal, {removed} jobs removed");
}

/// A cancelled job leaves messages. While these messages exist, the record of the job stays and says that the job is over.
#[test]
fn cancelled_calls_are_not_run_again() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for job in 0..graph.job_ids.len() {
            for at in 0..=length {
                let (cancel, collect) = (Event::Does(Action::Cancel(job)), Event::Does(Action::Collect));
                let shared = at % 3 == 0;
                for events in [[(at, cancel), (at, collect)], [(at, cancel), (at + 4, collect)]] {
                    check(&graph, Plan { shared, ..Plan::of(&events) }, || format!("{shared}, {events:?}"));
                    histories += 1;
                }
                let events = [(at, Event::Crash), (at, cancel), (at, collect)];
                check(&graph, Plan { shared, ..Plan::of(&events) }, || format!("{shared}, {events:?}"));
                histories += 1;
            }
        }
    }
    println!("{histories} histories of removal after a cancellation");
}

/// Three jobs, each with its own call, and all with one shared call. The third job is scheduled when the other jobs are over.
fn sharing() -> Graph {
    let nodes = &[("a", All(&["c"])), ("b", All(&["c"])), ("x", All(&["c", "d"])), ("c", All(&[])), ("d", All(&[]))];
    graph("three jobs share a call", nodes, &["a", "b", "x"]).complete()
}

/// While jobs that are over are removed, another job begins and asks for the same calls. Such a call may have no value yet
/// because its job was cancelled, or its value may have just been removed. The call must get a value that stays. Otherwise the
/// new job would wait without end.
#[test]
fn a_new_job_keeps_its_records_while_others_are_removed() {
    let (mut histories, stride) = (0, stride().min(3));
    let graph = Arc::new(sharing());
    let last = graph.job_ids.len() - 1;
    for transactional in [false, true] {
        let check = |shared: bool, events: &[(i64, Event)]| {
            let plan = Plan { transactional, shared, ..Plan::of(events) };
            check(&graph, plan, || format!("{transactional}, {shared}, {events:?}"))
        };
        let (never, then) = ((500, Event::Dies(Action::Schedule(last), 0)), (500, Event::Does(Action::Schedule(last))));
        let length = check(false, &[never]).length;
        for cancel in [None].into_iter().chain((0..=length).step_by(if transactional { 1 } else { 16 }).map(Some)) {
            let cancel = Vec::from_iter(cancel.map(|at| (at, Event::Does(Action::Cancel(0)))));
            let begin = check(false, &[cancel.as_slice(), &[never]].concat()).length;
            let all = check(false, &[cancel.as_slice(), &[then]].concat()).length;
            for accesses in (0..ACCESSES).step_by(stride) {
                for on in (begin + accesses % stride as i64..=all).step_by(stride) {
                    let events = [
                        (begin, Event::Begins(Action::Collect, accesses)),
                        (begin, Event::Does(Action::Schedule(last))),
                        (on, Event::Switch),
                    ];
                    let mut events = [cancel.as_slice(), &events].concat();
                    events.sort_by_key(|(at, _)| *at);
                    check(histories % 4 == 0, &events);
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories of removal while another job begins");
}

/// In ms. This is less than the clock shows at the beginning, and less than `Event::Late` adds.
const AGE: u64 = 900_000;

/// Only jobs that ended long enough ago are removed. If the queue's contents cannot be listed, only jobs are removed that can
/// have no message left.
#[test]
fn young_jobs_stay() {
    for ((graph, _), transactional) in graphs().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        let removed = |opaque, events: &[Event]| {
            let events: Vec<(i64, Event)> = events.iter().map(|event| (LONG_AFTER, *event)).collect();
            let plan = Plan { transactional, opaque, ..Plan::of(&events) };
            check(&graph, plan, || format!("{transactional}, {opaque}, {events:?}")).world.state().watch.removed
        };
        let late = Event::Does(Action::CollectOlder(AGE));
        assert_eq!(removed(false, &[late]), 0, "{}", graph.name);
        assert_eq!(removed(false, &[Event::Late, late]), graph.job_ids.len(), "{}", graph.name);
        assert_eq!(removed(true, &[Event::Late, late]), 0, "{}", graph.name);
        let weeks = [Event::Late; 2 * 7 * 24 + 1];
        assert_eq!(removed(true, &[weeks.as_slice(), &[late]].concat()), graph.job_ids.len(), "{}", graph.name);
    }
}

/// A collection that dies leaves nothing that the next collection does not find. (In multi-step transitions a call's description
/// stays.)
#[test]
fn the_next_collection_completes_one_that_died() {
    let mut histories = 0;
    for ((graph, _), transactional) in graphs().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        let history = check(&graph, Plan { transactional, ..Plan::of(&[]) }, || "no removal".to_owned());
        for cancel in [None, Some((history.length / 2, Event::Does(Action::Cancel(0))))] {
            for accesses in (0..2 * ACCESSES).step_by(stride().min(5)) {
                let mut events = Vec::from_iter(cancel);
                events.push((LONG_AFTER, Event::Dies(Action::Collect, accesses)));
                events.push((LONG_AFTER, Event::Does(Action::Collect)));
                let plan = Plan { transactional, shared: histories % 3 == 0, ..Plan::of(&events) };
                let history = check(&graph, plan, || format!("{transactional}, {events:?}"));
                let state = history.world.state();
                let left: Vec<_> = state.left.iter().filter(|key| transactional || key.kind != Kind::Call).collect();
                let jobs = state.counters.keys().filter(|name| !name.ends_with("LAST")).collect::<Vec<_>>();
                let is_clean = left.is_empty() && jobs.is_empty();
                assert!(is_clean, "{}: {transactional}, {events:?}: {left:?} are left, counters {jobs:?}", graph.name);
                histories += 1;
            }
        }
    }
    println!("{histories} histories of a collection that dies");
}
