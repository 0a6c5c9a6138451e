//! The cost of a job. Without faults it is an exact number, and a fault adds at most a bounded number.

use std::collections::HashMap;
use std::sync::Arc;

use brrr_protocol::model::{FailureKind, JobId};

use crate::graph::{Graph, LAST, Node, graph};
use crate::graphs::{GRAPHS, ILL};
use crate::plan::{Event, Plan};
use crate::world::{Answer, START};
use crate::{check, graphs, is_sampled};

/// N children cost about two runs, N+1 messages, and reads that grow linearly with N.
#[test]
fn a_fan_out_costs_no_more_than_it_must() {
    const NAMES: &[&str] = &[
        "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15", "c16",
        "c17", "c18", "c19",
    ];
    let nodes: Vec<(&'static str, Node)> =
        std::iter::once(("a", Node::All(NAMES))).chain(NAMES.iter().map(|name| (*name, Node::All(&[])))).collect();
    let graph = Graph { name: "fan-out", nodes: nodes.leak(), ..GRAPHS[0].clone() };
    let graph = Arc::new(graph.complete());
    let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
    let n = NAMES.len();
    let state = history.world.state();
    let runs: u32 = state.runs.iter().filter(|((job_id, _), _)| job_id.as_str() == "R0").map(|(_, runs)| runs).sum();
    assert_eq!(state.counters["brrr_count/R0"] as usize, n + 2, "N children, the job, and one notification");
    assert_eq!(runs as usize, n + 2, "each child once, the parent twice");
    assert!(state.value_reads <= 10 * n, "{} value reads for {n} children", state.value_reads);
}

/// More children than a `run` record names.
fn large() -> Arc<Graph> {
    let names: Vec<&'static str> = (0..1_100).map(|n| &*format!("c{n:04}").leak()).collect();
    let names: &'static [&'static str] = names.leak();
    let nodes: Vec<(&'static str, Node)> =
        std::iter::once(("a", Node::All(names))).chain(names.iter().map(|name| (*name, Node::All(&[])))).collect();
    Arc::new(Graph { name: "more than a record names", nodes: nodes.leak(), ..GRAPHS[0].clone() }.complete())
}

#[test]
fn a_record_that_names_only_some_children_strands_nobody() {
    let graph = large();
    let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
    let n = graph.nodes.len() - 2;
    // A child that the record does not name counts as ended, so the last few children notify the parent without need. No other
    // children do.
    let unnamed = n - 1024;
    assert!(history.sent <= n + 2 + unnamed, "{} messages", history.sent);
    let mut histories = 1;
    for at in (0..=history.length).step_by(history.length as usize / 12) {
        for event in [Event::Crash, Event::Unanswered(Answer::Lost)] {
            check(&graph, Plan::of(&[(at, event)]), || format!("{at}, {event:?}"));
            histories += 1;
        }
    }
    println!("{histories} histories of {n} children, each of {} accesses", history.length);
}

/// The cost that one fault may add in every job (a failure counts only in its own job): the message of every call once more, and
/// one notification for each call that waits for another call.
fn most_more(graph: &Graph) -> usize {
    let children = |node: &Node| match node {
        Node::All(c) | Node::Each(c) | Node::Catch(c) | Node::Flaky(_, c) | Node::Greedy(_, c) | Node::Moody(c) => {
            c.len()
        }
        Node::Race(a, b) | Node::CatchThen(a, b) => a.len() + b.len(),
        Node::Sleep(times, c) => times.len() + c.len(),
        // A timer for each wait.
        Node::Within(c) => 2 * c.len(),
        Node::GivesUp(_, c) => c.len() + 2,
        Node::Spawns(_, detached, c) => detached.len() + c.len(),
        // A look for each wait.
        Node::Sides(chains) => 2 * chains.concat().len(),
        Node::Fail | Node::Promise | Node::Poison | Node::Unknown => 0,
    };
    let nodes = graph.nodes.iter().filter(|(name, _)| *name != crate::graph::LAST);
    graph.job_ids.len() * nodes.map(|(_, node)| 1 + children(node)).sum::<usize>()
}

#[test]
fn a_fault_costs_no_more_than_it_must() {
    let (mut histories, mut worst) = (0, (0, 0));
    for (graph, length) in graphs() {
        let before = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        let most = most_more(&graph);
        for at in 0..=length {
            let all = [
                Event::Crash,
                Event::Zombie,
                Event::Unanswered(Answer::Lost),
                Event::Unanswered(Answer::Refused),
                Event::Does(crate::actions::Action::Repair),
            ];
            for (_, event) in all.into_iter().enumerate().filter(|(n, _)| is_sampled(at + *n as i64, 2)) {
                let history = check(&graph, Plan::of(&[(at, event)]), || format!("{at}, {event:?}"));
                let sent = history.sent.saturating_sub(before.sent);
                let runs = history.runs.saturating_sub(before.runs) as usize;
                let is_bounded = sent <= most && runs <= most;
                assert!(is_bounded, "{}: {at}, {event:?}: {sent} messages and {runs} runs more", graph.name);
                worst = (worst.0.max(sent), worst.1.max(runs));
                histories += 1;
            }
        }
    }
    println!("{histories} histories: one fault costs up to {} messages and {} runs more", worst.0, worst.1);
}

/// Without faults a call runs once, and once more for each time that it waited.
#[test]
fn no_run_is_wasted() {
    for (graph, _) in graphs() {
        let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        for ((job_id, task), runs) in &history.world.state().runs {
            let waits = |children: &[&str]| usize::from(!children.is_empty());
            let may_fail = |child: &&&str| graph.expected(child).contains(&None);
            let failing = |children: &[&str]| children.iter().filter(may_fail).count();
            let most = match graph.node(task) {
                Node::All(c) | Node::Moody(c) => 1 + waits(c),
                // Once more for each failure that comes before the last outcome.
                Node::Catch(c) => 1 + waits(c) + failing(c),
                Node::GivesUp(..) => 3,
                Node::Sides(chains) => 1 + chains.concat().len(),
                Node::Each(c) => 1 + c.len(),
                Node::Within(c) => 1 + c.len(),
                Node::Sleep(times, c) => 1 + times.len() + waits(c),
                Node::CatchThen(first, then) => 1 + waits(first) + failing(first) + then.len(),
                Node::Race(first, then) => 1 + waits(first) + waits(then),
                Node::Greedy(times, _) => 2 * ((*times).min(graph.retries) + 1) as usize,
                Node::Flaky(times, c) | Node::Spawns(times, _, c) => {
                    (1 + waits(c)) * ((*times).min(graph.retries) + 1) as usize
                }
                Node::Fail | Node::Promise | Node::Poison | Node::Unknown => 1,
            };
            assert!(*runs as usize <= most, "{}: {runs} runs of {task} in {job_id}, {most} expected", graph.name);
        }
    }
}

/// No call waits longer than needed, and a job that sends too many messages fails as a whole.
#[test]
fn a_job_ends_when_it_should() {
    let ends = |name: &str| {
        let graph = GRAPHS.iter().chain(ILL).find(|graph| graph.name == name).unwrap_or_else(|| panic!("no {name}"));
        let history = check(&Arc::new(graph.complete()), Plan::of(&[]), || "no faults".to_owned());
        let end = history.world.state().watch.jobs[&"R0".into()].end.unwrap();
        (end.at - START, history.failure(&"R0".into(), graph.job_ids[0]).map(|failure| failure.kind))
    };
    assert_eq!(ends("the fast one wins"), (0, None), "the slow one is tried again later");
    assert_eq!(ends("nobody handles it in time"), (2_000, Some(FailureKind::Timeout)));
    assert_eq!(ends("sleep"), (2_000, None));
    assert_eq!(ends("a long sleep after a short one"), (100_010, None));
    assert_eq!(ends("in time, and too late"), (200_000, None));
    assert_eq!(ends("in time, then asleep"), (200_000, None));
    assert_eq!(ends("too late, then in time"), (6_000, None));
    assert_eq!(ends("a shorter wait after a longer one"), (1_000, None));
    assert_eq!(ends("a deadline while asleep"), (30_000, Some(FailureKind::Timeout)));
    for name in ["too many calls", "too many children", "too many calls below who catches"] {
        assert_eq!(ends(name), (0, Some(FailureKind::Limit)), "{name}");
    }
}

/// A job with a message limit sends only a few more messages: at most the calls that one run asks for at once, and notifications.
#[test]
fn a_spawn_limit_holds() {
    for (graph, _) in graphs().filter(|(graph, _)| graph.max_messages > 0) {
        let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        let state = history.world.state();
        let sent = state.sent_for.get(&JobId::from("R0")).copied().unwrap_or(0);
        assert!(sent <= graph.max_messages as usize + 1, "{}: {sent} messages", graph.name);
    }
}

/// The message that ends a job at its deadline is delivered too early, because the queue's clock is ahead. It must be delivered
/// again.
#[test]
fn a_deadline_holds_however_early_its_message_comes() {
    for name in ["nobody handles it in time", "a deadline while asleep"] {
        let graph = GRAPHS.iter().chain(ILL).find(|graph| graph.name == name).unwrap_or_else(|| panic!("no {name}"));
        let graph = Arc::new(graph.complete());
        let length = check(&graph, Plan::of(&[]), || "no faults".to_owned()).length;
        for at in 0..=length {
            let history = check(&graph, Plan::of(&[(at, Event::Early)]), || format!("{at}, early"));
            let end = history.world.state().watch.jobs[&"R0".into()].end.unwrap();
            assert_eq!(end.at - START, graph.deadline, "{name}: its message came early at {at}");
        }
    }
}

/// A call asks for one more child in each of its attempts. A run that waits continues in the same attempt.
#[test]
fn an_attempt_that_waits_stays_the_same() {
    let nodes = &[
        ("a", Node::All(&["b"])),
        ("b", Node::Greedy(2, &["c", "d", "e"])),
        ("c", Node::All(&[])),
        ("d", Node::All(&["c"])),
        ("e", Node::All(&[])),
    ];
    let graph = Arc::new(Graph { retries: 2, ..graph("it asks for more each time", nodes, &["a"]) }.complete());
    let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
    assert_eq!(history.world.state().runs[&("R0".into(), "b".to_owned())], 6, "each attempt waits once");
    for at in 0..=history.length {
        for event in [Event::Crash, Event::Zombie, Event::Unanswered(Answer::Lost)] {
            check(&graph, Plan::of(&[(at, event)]), || format!("{at}, {event:?}"));
        }
    }
}

/// A call that waits very often, each time with a time limit that does not come true, leaves one timer behind.
#[test]
fn timers_of_waits_that_ended_early_do_not_pile_up() {
    let names: Vec<&'static str> = (0..1_000).map(|n| &*format!("c{n:03}").leak()).collect();
    let waits: Vec<_> = names.iter().map(|name| (3_600_000, *name)).collect();
    let leaves = names.iter().map(|name| (*name, Node::All(&[])));
    let nodes: Vec<_> = [("a", Node::Within(waits.leak())), (LAST, Node::All(&[]))].into_iter().chain(leaves).collect();
    // `complete` would list all values that the call could have, which are too many.
    let all: String = names.iter().map(|name| format!("{name}()")).collect();
    let values = [("a", vec![Some(format!("a({all})"))]), (LAST, vec![Some(format!("{LAST}()"))])];
    let of_leaves = names.iter().map(|name| (*name, vec![Some(format!("{name}()"))]));
    let values: HashMap<_, _> = values.into_iter().chain(of_leaves).collect();
    let values = Some(&*Box::leak(Box::new(values)));
    let graph = Arc::new(Graph { name: "many time limits", nodes: nodes.leak(), values, ..GRAPHS[0].clone() });
    let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
    assert_eq!(history.world.state().most_delayed, 1);
}

/// A sleep costs one message and one run more.
#[test]
fn a_sleep_costs_one_message() {
    let counts = |sleeps: &'static [u64]| {
        let nodes = vec![("a", Node::Sleep(sleeps, &[]))].leak();
        let graph = Arc::new(Graph { name: "sleeps", nodes, ..GRAPHS[0].clone() }.complete());
        let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        (history.sent, history.runs)
    };
    assert_eq!(counts(&[]), (1, 1));
    assert_eq!(counts(&[1_000]), (2, 2));
    assert_eq!(counts(&[10, 10, 3_600_000, 1_000]), (5, 5));
}
