//! Two calls claim one hash with different payloads. The value of one of the calls is stored, and never the value of the other. A
//! parent that asks for the other call fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use brrr_protocol::model::FailureKind;
use brrr_protocol::ports::Kind;

use crate::actions::Action;
use crate::graph::Node::{All, Each};
use crate::graph::{Graph, graph};
use crate::plan::{Event, Plan};
use crate::run::History;
use crate::{WINDOW, check, stride};

static CLAIMS: &[Graph] = &[
    graph("two parents claim a hash", &[("a", All(&["c=1"])), ("b", All(&["c=2"])), ("c", All(&[]))], &["a", "b"]),
    graph(
        "siblings claim a hash",
        &[("r", All(&["a", "b"])), ("a", All(&["c=1"])), ("b", All(&["c=2"])), ("c", All(&["d"])), ("d", All(&[]))],
        &["r"],
    ),
    graph("a job's hash is claimed", &[("a", All(&["c=2"])), ("c", All(&["d"])), ("d", All(&[]))], &["c=1", "a"]),
    // When one parent asks for the hash, the other call has already ended.
    graph(
        "a hash is claimed too late",
        &[
            ("a", Each(&["x", "y", "z", "c=2"])),
            ("x", All(&[])),
            ("y", All(&[])),
            ("z", All(&[])),
            ("b", All(&["c=1"])),
            ("c", All(&[])),
        ],
        &["a", "b"],
    ),
];

/// One of the two payloads owns the hash, for all parents.
fn one_has_it(history: &History, graph: &Graph, what: &str) {
    let state = history.world.state();
    let values = state.records.iter().filter(|(key, _)| key.kind == Kind::Value);
    let texts: Vec<String> = values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
    let claims: BTreeSet<&str> = graph.claims("c").into_iter().collect();
    let used: Vec<&&str> = claims.iter().filter(|claim| texts.iter().any(|text| text.contains(**claim))).collect();
    assert_eq!(used.len(), 1, "{}: {what}: {texts:?}", graph.name);
    let jobs: Vec<_> =
        state.watch.accepted.iter().map(|job_id| (job_id.clone(), state.watch.jobs[job_id].call.clone())).collect();
    drop(state);
    let failures = jobs.iter().filter_map(|(job_id, call)| history.failure(job_id, call.as_str()));
    let refused = failures.filter(|failure| failure.kind == FailureKind::Conflict).count();
    let all = jobs.iter().filter(|(job_id, _)| job_id.as_str() != "LAST").count();
    // (A job whose own call came second for its hash was not accepted.)
    assert!(refused >= 1 || all < graph.job_ids.len(), "{}: {what}: no call was refused", graph.name);
}

fn look(graph: &Arc<Graph>, plan: Plan, what: &str) {
    let history = check(graph, plan, || what.to_owned());
    one_has_it(&history, graph, what);
}

#[test]
fn one_of_two_claims_holds() {
    let mut histories = 0;
    for (graph, transactional) in CLAIMS.iter().flat_map(|graph| [(graph, false), (graph, true)]) {
        let graph = Arc::new(graph.complete());
        let plan = |events: &[(i64, Event)]| Plan { transactional, ..Plan::of(events) };
        let length = check(&graph, plan(&[]), || "no faults".to_owned()).length;
        for at in 0..=length {
            for event in [Event::Crash, Event::Zombie, Event::Pause] {
                look(&graph, plan(&[(at, event)]), &format!("{transactional}, {at}, {event:?}"));
                histories += 1;
            }
            for second in (at..=at + WINDOW).step_by(stride().min(19)) {
                let events = [(at, Event::Pause), (second, Event::Switch)];
                look(&graph, plan(&events), &format!("{transactional}, {events:?}"));
                histories += 1;
            }
            // The first job is scheduled at this time.
            look(&graph, plan(&[(at, Event::Does(Action::Schedule(0)))]), &format!("{transactional}, {at}: scheduled"));
            histories += 1;
        }
        // Two workers, whose accesses interleave in any order.
        for seed in 0..60 {
            let random = Some(fastrand::Rng::with_seed(seed));
            look(
                &graph,
                Plan { workers: 2, random, transactional, ..Plan::of(&[]) },
                &format!("{transactional}, seed {seed}"),
            );
            histories += 1;
        }
    }
    println!("{histories} histories of claims");
}
