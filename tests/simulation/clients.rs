//! Clients that die at every access of their actions, and repeat the action or not. Or clients that pause in the middle of an
//! action, and continue when all other work is over.

use std::sync::Arc;

use crate::actions::Action;
use crate::graph::Graph;
use crate::plan::{Event, Plan};
use crate::{check, events, graphs, stride};

/// More accesses than any of these actions takes.
const ACCESSES: i64 = 14;

/// An access count at which all jobs are over, whatever faults happened.
pub const LONG_AFTER: i64 = 10_000;

/// The access counts at which the clients begin.
fn begins(length: i64) -> impl Iterator<Item = i64> {
    (0..=length + 1).step_by(stride().min(29))
}

fn each(graph: &Arc<Graph>, length: i64, action: Action, again: bool) -> usize {
    let mut histories = 0;
    for at in begins(length) {
        for accesses in 0..ACCESSES {
            let dies = Event::Dies(action, accesses);
            if again {
                events(graph, &[(at, dies), (at + 15, Event::Does(action))]);
                events(graph, &[(at, dies), (at + 15, Event::Crash), (at + 30, Event::Does(action))]);
            } else {
                events(graph, &[(at, dies)]);
                events(graph, &[(at, dies), (at + 3, Event::Crash)]);
            }
            events(graph, &[(at, Event::Begins(action, accesses))]);
            events(graph, &[(at, Event::Begins(action, accesses)), (at + 10, Event::Switch), (at + 13, Event::Switch)]);
            histories += 4;
        }
    }
    histories
}

/// A job exists once, however often its client repeats the request.
#[test]
fn a_client_that_dies_while_it_schedules_may_repeat_it() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for job in 0..graph.job_ids.len() {
            histories += each(&graph, length, Action::Schedule(job), true);
        }
    }
    println!("{histories} histories of clients that die when they schedule");
}

#[test]
fn a_client_may_die_or_pause_while_it_cancels() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for job in 0..graph.job_ids.len() {
            histories += each(&graph, length, Action::Cancel(job), false);
        }
    }
    println!("{histories} histories of clients that die when they cancel");
}

/// A failed job is retried as a new job, and so is a cancelled job. A live job is not retried.
#[test]
fn a_client_that_dies_while_it_retries_may_repeat_it() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for before in [Event::Does(Action::Cancel(0)), Event::NoCounters] {
            for at in (0..=length + 1).step_by(stride()) {
                for accesses in 0..ACCESSES + 5 {
                    let retry = Action::Retry(0);
                    events(
                        &graph,
                        &[(at, before), (at + 5, Event::Dies(retry, accesses)), (at + 15, Event::Does(retry))],
                    );
                    events(&graph, &[(at, before), (at + 5, Event::Begins(retry, accesses)), (at + 9, Event::Switch)]);
                    let plan =
                        [(at, before), (LONG_AFTER, Event::Begins(retry, accesses)), (LONG_AFTER, Event::Does(retry))];
                    let history = check(&graph, Plan::of(&plan), || format!("{plan:?}"));
                    let new = crate::actions::retry_of(&"R0".into());
                    assert!(history.world.state().watch.accepted.contains(&new), "{}: {plan:?}", graph.name);
                    histories += 3;
                }
            }
        }
    }
    println!("{histories} histories of clients that die when they try a job again");
}

/// A value can be forgotten while no job is live. It is never forgotten while a job is live that uses it.
#[test]
fn a_client_may_die_or_pause_while_it_forgets() {
    let (mut histories, mut forgotten) = (0, 0);
    for (graph, length) in graphs() {
        for name in [graph.job_ids[0], graph.nodes[graph.nodes.len() - 2].0] {
            let action = Action::Forget(name);
            histories += each(&graph, length, action, false);
            // The first job is over. Another job begins while the value is forgotten, or afterwards.
            for accesses in 0..ACCESSES {
                let last = graph.job_ids.len() - 1;
                let plan = [
                    (length, Event::Begins(action, accesses)),
                    (length, Event::Does(Action::Schedule(last))),
                    (length + 9, Event::Switch),
                    (length + 12, Event::Switch),
                ];
                let history = check(&graph, Plan::of(&plan), || format!("{plan:?}"));
                forgotten += history.world.state().watch.removed;
                histories += 1;
            }
            let plan = [(LONG_AFTER, Event::Does(action))];
            let history = check(&graph, Plan::of(&plan), || format!("{plan:?}"));
            let state = history.world.state();
            let runs = state.runs.get(&("LAST".into(), name.to_owned())).copied().unwrap_or(0);
            assert!(state.watch.removed == 0 || runs > 0, "{}: {name} was forgotten, and not run again", graph.name);
            forgotten += state.watch.removed;
            histories += 1;
        }
    }
    assert!(forgotten > 0);
    println!("{histories} histories of clients that forget, {forgotten} values forgotten");
}
