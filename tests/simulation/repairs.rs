//! The search for stuck work finds nothing where nothing is stuck, at any time. It ignores work that is young.

use brrr_protocol::doctor::{Finding, Lost};

use crate::actions::Action;
use crate::clients::LONG_AFTER;
use crate::graph::Node::{Fail, Flaky, Moody, Race};
use crate::plan::{Event, Plan};
use crate::random::peers_can_run;
use crate::{check, graphs, stride};

/// A client searches after every single access. A worker dies, or no worker dies.
#[test]
fn healthy_work_is_no_finding() {
    let (mut looks, look) = (0, Event::Does(Action::Look(0)));
    for ((graph, length), transactional) in graphs().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        // A call that waits in a job that is over comes back when its children are abandoned. The search does not see this.
        let ends_early = graph.has(|node| matches!(node, Race(..) | Fail | Flaky(..) | Moody(_)));
        if graph.deadline > 0 || graph.max_messages > 0 || (graph.job_ids.len() > 1 && ends_early) {
            continue;
        }
        for crash in std::iter::once(None).chain((0..=length).step_by(stride().min(9)).map(Some)) {
            let mut events: Vec<(i64, Event)> = (0..=length + 20).map(|at| (at, look)).collect();
            events.extend(crash.map(|at| (at, Event::Crash)));
            events.sort_by_key(|(at, _)| *at);
            let history = check(&graph, Plan { transactional, ..Plan::of(&events) }, || {
                format!("{transactional}, crash at {crash:?}")
            });
            // The children of jobs that are over still have to be abandoned. This happens later, without a repair.
            let state = history.world.state();
            let found = state.findings.iter().find(|finding| !matches!(finding, Finding::Abandoned { .. }));
            assert!(found.is_none(), "{}: {transactional}, crash at {crash:?}: {found:?}", graph.name);
            looks += events.len();
        }
    }
    println!("{looks} looks");
}

/// A timer message is lost. The search finds nothing while the time has not passed. Afterwards it finds the call, and a repair
/// lets the job end.
#[test]
fn a_lost_timer_is_found_once_its_time_has_passed() {
    let mut repaired = 0;
    for (graph, length) in graphs().filter(|(graph, _)| matches!(graph.name, "sleep" | "in time, and too late")) {
        for at in 0..=length {
            let look = (LONG_AFTER, Event::Does(Action::Look(0)));
            let events = [(at, Event::NoTimers), look, (LONG_AFTER, Event::Late)];
            let history = check(&graph, Plan { repair: true, ..Plan::of(&events) }, || format!("lost at {at}"));
            let state = history.world.state();
            let lost = state.findings.iter().find(|finding| matches!(finding, Finding::Lost(_)));
            assert!(lost.is_none(), "{}: lost at {at}: {lost:?}", graph.name);
            repaired += history.stranded;
        }
    }
    assert!(repaired > 0);
}

/// Peers lost a message. The search finds the stuck work, but not while it is young, because a peer could be working on it.
#[test]
fn young_work_is_left_alone() {
    let mut found = 0;
    for (graph, length) in graphs().filter(|(graph, _)| peers_can_run(graph)) {
        for at in 0..=length {
            let look = |age| {
                let events = [(at, Event::Crash), (LONG_AFTER, Event::Does(Action::Look(age)))];
                let plan = Plan { peer_deliveries: Some(u64::MAX), bad_peers: true, ..Plan::of(&events) };
                let history = check(&graph, plan, || format!("crash at {at}"));
                let state = history.world.state();
                state.findings.iter().filter(|finding| matches!(finding, Finding::Lost(Lost { .. }))).count()
            };
            found += look(0);
            assert_eq!(look(1_000_000), 0, "{}: crash at {at}", graph.name);
        }
    }
    assert!(found > 0);
    println!("{found} lost calls");
}
