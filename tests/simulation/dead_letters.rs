//! Dead letters: messages that kill their workers, messages that cannot be read, and messages for calls without a description or
//! without a handler. Each dead letter fails its call, so that no parent waits without end. Each dead letter can be sent again.

use std::sync::Arc;

use brrr_protocol::model::FailureKind;

use crate::actions::{Action, retry_of};
use crate::clients::LONG_AFTER;
use crate::graph::Graph;
use crate::graphs::ILL;
use crate::plan::{Event, Plan};
use crate::world::Answer;
use crate::{WINDOW, check, events, graphs, stride};

fn ill() -> impl Iterator<Item = (Arc<Graph>, i64)> {
    ILL.iter().map(|graph| {
        let graph = Arc::new(graph.complete());
        let length = check(&graph, Plan::of(&[]), || "no faults".to_owned()).length;
        (graph, length)
    })
}

#[test]
fn calls_that_kill_workers_or_have_no_handler_fail() {
    for (graph, _) in ill() {
        let history = check(&graph, Plan::of(&[]), || "no faults".to_owned());
        let failure = history.failure(&"R0".into(), graph.job_ids[0]).unwrap_or_else(|| panic!("{}", graph.name));
        if graph.deadline > 0 {
            assert_eq!(failure.kind, FailureKind::Timeout);
            continue;
        }
        let is_poison = graph.has(|node| matches!(node, crate::graph::Node::Poison));
        assert_eq!(failure.kind, if is_poison { FailureKind::DeadLetter } else { FailureKind::UnknownTask });
        assert_eq!(history.world.state().dead_letters.is_empty(), !is_poison, "{}", graph.name);
    }
}

#[test]
fn every_fault_heals_beside_a_dead_letter() {
    let (mut histories, stride) = (0, stride());
    for (graph, length) in ill() {
        for first in 0..=length {
            for event in [
                Event::Crash,
                Event::Preempt,
                Event::Zombie,
                Event::Pause,
                Event::Unanswered(Answer::Lost),
                Event::Unanswered(Answer::Refused),
                Event::Does(Action::Cancel(0)),
                Event::Cure,
                Event::SendAgain,
                Event::Late,
            ] {
                events(&graph, &[(first, event)]);
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    events(&graph, &[(first, event), (second, Event::Crash)]);
                    events(&graph, &[(first, Event::Crash), (second, event)]);
                    histories += 2;
                }
                histories += 1;
            }
        }
    }
    println!("{histories} histories with dead letters");
}

/// After the cause is fixed, the job is retried as a new job, and gets its value.
#[test]
fn a_dead_letter_is_sent_again_as_a_new_job() {
    let mut histories = 0;
    for (graph, _) in ill() {
        let end = LONG_AFTER;
        for accesses in 0..20 {
            let retry = Action::Retry(0);
            let plan = [
                (end, Event::Cure),
                (end, Event::SendAgain),
                (end, Event::Dies(retry, accesses)),
                (end, Event::Does(retry)),
            ];
            let history = check(&graph, Plan::of(&plan), || format!("{plan:?}"));
            let state = history.world.state();
            let new = &state.watch.jobs[&retry_of(&"R0".into())];
            assert_eq!(new.end.unwrap().state.as_str(), "completed", "{}: {plan:?}", graph.name);
            assert!(state.dead_letters.is_empty(), "{}: {plan:?}", graph.name);
            histories += 1;
        }
    }
    println!("{histories} histories of dead letters that are sent again");
}

/// A message that cannot be read becomes a dead letter and blocks nothing else. A call without a description fails.
#[test]
fn an_unreadable_message_becomes_a_dead_letter() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for at in (0..=length).step_by(3) {
            for body in ["not a message", "li2e2:R07:nowheree", "li2e4:none7:nowheree", "li2e2:R01:ae"] {
                for other in [Event::Crash, Event::Unanswered(Answer::Lost), Event::Does(Action::Cancel(0))] {
                    let plan = [(at, Event::Comes(body)), (at + 4, other)];
                    let history = check(&graph, Plan::of(&plan), || format!("{plan:?}"));
                    // A message for a call of the graph does not become a dead letter. Neither does a message for a job that is
                    // over: its call is abandoned.
                    if !body.contains("R0") {
                        assert!(!history.world.state().dead_letters.is_empty(), "{}: {plan:?}", graph.name);
                    }
                    histories += 1;
                }
            }
        }
    }
    println!("{histories} histories with messages from nowhere");
}
