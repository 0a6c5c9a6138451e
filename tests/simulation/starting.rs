//! Jobs that start once for each key, and jobs that start later. Their clients die, pause, and repeat their requests.

use std::sync::Arc;

use brrr_protocol::starting::Started;

use crate::actions::{Action, keyed};
use crate::clients::LONG_AFTER;
use crate::graph::Node::{All, Moody};
use crate::graph::{Graph, call, graph};
use crate::plan::{Event, Plan};
use crate::run::History;
use crate::world::START;
use crate::{check, stride};

/// More accesses than the start of a job takes.
const ACCESSES: i64 = 22;

const AGAIN: Event = Event::Does(Action::Start(0));
const OTHER: Event = Event::Does(Action::Start(1));

/// Two calls that clients start under one key.
fn one_key() -> Arc<Graph> {
    let nodes = &[("a", All(&["b"])), ("b", All(&[])), ("d", All(&[]))];
    Arc::new(graph("one key", nodes, &["a", "d"]).complete())
}

/// There is one job, and it ends. Each client that got an answer was told the truth.
fn start(graph: &Arc<Graph>, transactional: bool, events: &[(i64, Event)]) -> History {
    // The plan has both jobs, so that neither is scheduled without a key.
    let end = [(LONG_AFTER, AGAIN), (LONG_AFTER, OTHER)];
    let events: Vec<_> = events.iter().copied().chain(end).collect();
    let what = || format!("{transactional}, {events:?}");
    let history = check(graph, Plan { transactional, ..Plan::of(&events) }, what);
    let state = history.world.state();
    let jobs: Vec<_> = state.watch.jobs.keys().filter(|job_id| job_id.as_str() != "LAST").collect();
    assert_eq!(jobs, [&keyed()], "{}", what());
    let job = &state.watch.jobs[&keyed()];
    assert!(job.is_over(), "{}: {job:?}", what());
    for (n, started) in &state.starts {
        let is_mine = job.call == call(graph.job_ids[*n]).hash;
        let is_true = match started {
            Started::New { job_id, call, .. } => is_mine && *job_id == keyed() && *call == job.call,
            Started::Existing { job_id, job: found } => is_mine && *job_id == keyed() && found.call == job.call,
            Started::KeyReused(job_id) => !is_mine && *job_id == keyed(),
            Started::Bad(_) => false,
        };
        assert!(is_true, "{}: a client that asked for {n} was told {started:?}", what());
    }
    let (asked, told) =
        (events.iter().filter(|(_, event)| matches!(event, Event::Does(_))).count(), state.starts.len());
    assert!(told >= asked, "{}: {told} of {asked} were told", what());
    drop(state);
    history
}

#[test]
fn a_client_that_dies_while_it_starts_a_job_may_repeat_it() {
    let (graph, mut histories) = (one_key(), 0);
    for transactional in [false, true] {
        let length = start(&graph, transactional, &[(0, AGAIN)]).length;
        for accesses in 0..ACCESSES {
            let (dies, begins) = (Event::Dies(Action::Start(0), accesses), Event::Begins(Action::Start(0), accesses));
            for at in 0..=length {
                start(&graph, transactional, &[(0, dies), (at, AGAIN)]);
                start(&graph, transactional, &[(0, dies), (at, AGAIN), (at + 3, Event::Crash)]);
                start(&graph, transactional, &[(0, begins), (at, AGAIN), (at + 5, Event::Switch)]);
                start(&graph, transactional, &[(0, AGAIN), (at, dies), (at + 2, Event::Crash)]);
                start(&graph, transactional, &[(0, AGAIN), (at, begins), (at + 5, Event::Switch)]);
                histories += 5;
            }
        }
    }
    println!("{histories} histories of clients that start a job with a key");
}

/// Two clients use one key for two calls, at the same time. One call gets it.
#[test]
fn a_key_stands_for_one_call() {
    let (graph, mut histories) = (one_key(), 0);
    for transactional in [false, true] {
        for (first, second) in (0..ACCESSES).flat_map(|first| (0..ACCESSES).map(move |second| (first, second))) {
            let begins = |n, accesses| (0, Event::Begins(Action::Start(n), accesses));
            start(&graph, transactional, &[begins(0, first), (second, OTHER), (second + 4, Event::Switch)]);
            start(
                &graph,
                transactional,
                &[begins(0, first), begins(1, second), (0, Event::Switch), (3, Event::Switch)],
            );
            let dies = (0, Event::Dies(Action::Start(1), second));
            start(&graph, transactional, &[begins(0, first), dies, (0, Event::Switch)]);
            histories += 3;
        }
    }
    println!("{histories} histories of one key for two calls");
}

/// A request that is repeated while the job runs sends nothing. Otherwise another worker could run the call beside the first one.
#[test]
fn a_repeated_request_sends_nothing() {
    let graph = one_key();
    for transactional in [false, true] {
        let once = start(&graph, transactional, &[(0, AGAIN)]);
        let (sent, runs) = {
            let state = once.world.state();
            (state.sent, state.runs.clone())
        };
        for at in 0..=once.length {
            let again = start(&graph, transactional, &[(0, AGAIN), (at, AGAIN), (at, OTHER), (at + 2, AGAIN)]);
            let state = again.world.state();
            assert_eq!((state.sent, &state.runs), (sent, &runs), "{transactional}, {at}");
        }
    }
}

/// When the last job of each graph starts.
const DELAY: u64 = 5_000;

/// Jobs that start later: alone, with a deadline, and beside a job for the same call that starts at once.
pub fn delayed() -> Vec<Arc<Graph>> {
    let plain = &[("a", All(&["b"])), ("b", All(&[]))];
    let graphs = [
        graph("later", plain, &["a"]),
        Graph { deadline: DELAY + 4_000, ..graph("later, with a deadline", plain, &["a"]) },
        graph("later and now", plain, &["a", "a"]),
        graph("later and now, which fails", &[("m", Moody(&["e"])), ("e", All(&[]))], &["m", "m"]),
        graph("later, what another job asks for", plain, &["a", "b"]),
    ];
    graphs.into_iter().map(|graph| Arc::new(Graph { delay: DELAY, ..graph }.complete())).collect()
}

/// That no job starts before its time is checked at each run, see `State::note_run`.
#[test]
fn a_job_that_starts_later_is_not_lost_and_not_early() {
    let mut histories = 0;
    for (graph, transactional) in delayed().into_iter().flat_map(|graph| [(graph.clone(), false), (graph, true)]) {
        let run = |events: &[(i64, Event)]| {
            check(&graph, Plan { transactional, ..Plan::of(events) }, || format!("{transactional}, {events:?}"))
        };
        let (length, last) = (run(&[]).length, graph.job_ids.len() - 1);
        let cancels = (0..=last).map(|n| Event::Does(Action::Cancel(n)));
        let faults =
            [Event::Crash, Event::Preempt, Event::Zombie, Event::Pause, Event::Early, Event::Late, Event::NoCounters];
        for (at, event) in (0..=length).flat_map(|at| faults.into_iter().chain(cancels.clone()).map(move |e| (at, e))) {
            run(&[(at, event)]);
            for second in (at + at % 3..=at + 12).step_by(stride().min(3)) {
                run(&[(at, event), (second, Event::Crash)]);
                run(&[(at, Event::Early), (second, event)]);
                histories += 2;
            }
            histories += 1;
        }
        let schedule = Action::Schedule(last);
        for (at, accesses) in (0..=length).step_by(3).flat_map(|at| (0..ACCESSES).map(move |n| (at, n))) {
            run(&[(at, Event::Dies(schedule, accesses)), (at + 4, Event::Does(schedule))]);
            run(&[(at, Event::Dies(schedule, accesses)), (at + 2, Event::Early), (at + 4, Event::Does(schedule))]);
            run(&[(at, Event::Begins(schedule, accesses)), (at, Event::Does(schedule)), (at + 6, Event::Switch)]);
            run(&[(at, Event::Begins(schedule, accesses)), (at + 6, Event::Switch)]);
            histories += 4;
        }
    }
    println!("{histories} histories of jobs that start later");
}

/// The two jobs of one call share nothing but the value, in whatever order they are asked for.
#[test]
fn a_job_that_starts_later_neither_joins_nor_is_joined() {
    let graph = &delayed()[2];
    let (now, later) = (Event::Does(Action::Schedule(0)), Event::Does(Action::Schedule(1)));
    for (transactional, at) in (0..=20).flat_map(|at| [(false, at), (true, at)]) {
        // Nothing happens between the two requests if the job that starts later is the first one.
        for events in [[(0, now), (at, later)], [(0, later), (0, now)]] {
            let plan = Plan { transactional, ..Plan::of(&events) };
            let history = check(graph, plan, || format!("{transactional}, {events:?}"));
            let state = history.world.state();
            let end = |job_id: &str| state.watch.jobs[&job_id.into()].end.expect("it is over").at;
            let due = START + DELAY;
            assert!(end("R0") < due, "{transactional}, {events:?}: it waited for the other job");
            // A job that is asked for when the value is there is over at once.
            let is_over_at_once = at > 0 && events[1].1 == later && end("R1") == end("R0");
            assert!(end("R1") >= due || is_over_at_once, "{transactional}, {events:?}: it was notified of the value");
            let messages = state.sent_for.get(&"R1".into()).copied().unwrap_or(0);
            assert_eq!(messages, usize::from(end("R1") >= due), "{transactional}, {events:?}");
        }
    }
}
