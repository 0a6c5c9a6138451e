//! Calls that start detached jobs. Their workers die, pause, and continue without a lease, and the calls are tried again.

use std::collections::BTreeSet;
use std::sync::Arc;

use brrr_protocol::model::JobId;
use brrr_protocol::ports::message_counter;

use crate::graph::Node::{All, Spawns};
use crate::graph::{Graph, call, graph};
use crate::plan::{Event, Plan};
use crate::run::History;
use crate::world::Answer;
use crate::{WINDOW, check, stride};

pub fn graphs() -> Vec<Arc<Graph>> {
    let leaf = |name| (name, All(&[]));
    let graphs = [
        graph(
            "starts two jobs",
            vec![("a", Spawns(1, &["d", "e"], &["b"])), leaf("b"), leaf("d"), leaf("e")].leak(),
            &["a"],
        ),
        graph(
            "starts a job with calls",
            vec![("a", Spawns(0, &["d"], &[])), ("d", All(&["e"])), leaf("e")].leak(),
            &["a"],
        ),
        graph(
            "a started job starts one",
            vec![("a", Spawns(0, &["d"], &["b"])), ("d", Spawns(1, &["e"], &[])), leaf("e"), leaf("b")].leak(),
            &["a"],
        ),
        graph("fails and has started a job", vec![("a", Spawns(9, &["d"], &[])), leaf("d")].leak(), &["a"]),
        graph(
            "two jobs start one call",
            vec![("a", Spawns(0, &["d"], &[])), ("x", Spawns(1, &["d", "d"], &[])), leaf("d")].leak(),
            &["a", "x"],
        ),
    ];
    graphs.into_iter().map(|graph| Arc::new(Graph { retries: 1, ..graph }.complete())).collect()
}

/// The detached jobs that the job of this call starts, and those that these start.
fn started_by(graph: &Graph, job_id: &JobId, name: &str, all: &mut Vec<JobId>) {
    let Spawns(_, names, _) = graph.node(name) else { return };
    for (n, detached) in (0..).zip(*names) {
        let id = JobId::of_detached(job_id, &call(name).hash, n);
        started_by(graph, &id, detached, all);
        all.push(id);
    }
}

/// Each detached job is there once, and has ended as its call should.
fn run(graph: &Arc<Graph>, transactional: bool, events: &[(i64, Event)]) -> History {
    let what = || format!("{transactional}, {events:?}");
    let history = check(graph, Plan { transactional, ..Plan::of(events) }, what);
    let jobs = history.world.state().watch.jobs.clone();
    let mut expected: Vec<JobId> = vec!["LAST".into()];
    for (n, name) in graph.job_ids.iter().enumerate() {
        let job_id = format!("R{n}").into();
        started_by(graph, &job_id, name, &mut expected);
        expected.push(job_id);
    }
    // The last job runs the calls that failed in the jobs before.
    for (name, _) in graph.nodes.iter().filter(|(name, _)| graph.expected(name) == [None]) {
        started_by(graph, &"LAST".into(), name, &mut expected);
    }
    // Each has an id of its own.
    let distinct: BTreeSet<JobId> = expected.iter().cloned().collect();
    assert_eq!(distinct.len(), expected.len(), "{}: {}", graph.name, what());
    assert_eq!(jobs.keys().cloned().collect::<BTreeSet<_>>(), distinct, "{}: {}", graph.name, what());
    for (job_id, job) in &jobs {
        history.check_job(graph, job_id, job).unwrap_or_else(|e| panic!("{}: {}: {job_id}: {e}", graph.name, what()));
    }
    history
}

#[test]
fn each_detached_job_exists_once_and_ends() {
    let mut histories = 0;
    for (graph, transactional) in graphs().into_iter().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        let length = run(&graph, transactional, &[]).length;
        for first in 0..=length {
            for event in [
                Event::Crash,
                Event::Preempt,
                Event::Zombie,
                Event::Pause,
                Event::Late,
                Event::NoCounters,
                Event::Unanswered(Answer::Lost),
                Event::Unanswered(Answer::Refused),
            ] {
                run(&graph, transactional, &[(first, event)]);
                histories += 1;
            }
            for second in (first + first % 3..=first + WINDOW).step_by(stride().min(3)) {
                run(&graph, transactional, &[(first, Event::Crash), (second, Event::Crash)]);
                run(&graph, transactional, &[(first, Event::Zombie), (second, Event::Switch)]);
                run(&graph, transactional, &[(first, Event::Zombie), (second, Event::Crash)]);
                histories += 3;
            }
        }
    }
    println!("{histories} histories of detached jobs");
}

/// Without faults, a detached job has one message, also if the call that starts it is tried again. Another message could run it a
/// second time. For the limit of messages, it counts once in each attempt.
#[test]
fn a_detached_job_has_one_message() {
    for (graph, transactional) in graphs().into_iter().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        // In this graph two jobs ask for one call.
        if graph.name == "two jobs start one call" {
            continue;
        }
        let history = run(&graph, transactional, &[]);
        let state = history.world.state();
        for (n, name) in graph.job_ids.iter().enumerate() {
            let (job_id, mut detached) = (format!("R{n}").into(), Vec::new());
            started_by(&graph, &job_id, name, &mut detached);
            let Spawns(times, names, _) = graph.node(name) else { continue };
            let attempts = (*times).min(graph.retries) as usize + 1;
            let counted = state.counters[&message_counter(&job_id)] as usize;
            assert_eq!(counted, state.sent_for[&job_id] + attempts * names.len(), "{}, {transactional}", graph.name);
            for id in detached {
                let job = &state.watch.jobs[&id];
                let own = usize::from(matches!(graph.node(job.call.as_str()), All(children) if children.is_empty()));
                let sent = state.sent_for[&id];
                assert!(own == 0 || sent == 1, "{}, {transactional}: {sent} messages for {id}", graph.name);
            }
        }
    }
}
