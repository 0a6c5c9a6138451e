//! An access that gets no answer. It may have taken effect or not, and its worker stays alive. The message stays leased and is
//! delivered again. A client repeats the action.

use crate::actions::Action;
use crate::plan::{Event, Plan};
use crate::world::Answer;
use crate::{WINDOW, check, ends, events, graphs, stride};

const ANSWERS: [Event; 2] = [Event::Unanswered(Answer::Lost), Event::Unanswered(Answer::Refused)];

#[test]
fn every_access_without_an_answer_heals() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for at in 0..=length {
            for event in ANSWERS {
                events(&graph, &[(at, event)]);
                histories += 1;
            }
        }
    }
    println!("{histories} histories with one access without an answer");
}

#[test]
fn every_access_without_an_answer_heals_beside_another_fault() {
    let (mut histories, stride) = (0, if stride() == 1 { 1 } else { 3 * stride() });
    for (graph, length) in graphs() {
        for first in 0..=length {
            for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                for event in ANSWERS {
                    for other in [Event::Crash, Event::Zombie, ANSWERS[0], ANSWERS[1]] {
                        events(&graph, &[(first, event), (second, other)]);
                        histories += 1;
                    }
                    events(&graph, &[(first, Event::Crash), (second, event)]);
                    events(&graph, &[(first, Event::Zombie), (second, event)]);
                    histories += 2;
                }
            }
        }
    }
    println!("{histories} histories with one access without an answer, and another fault");
}

#[test]
fn every_access_without_an_answer_heals_beside_a_job_that_ends() {
    let (mut histories, stride) = (0, if stride() == 1 { 1 } else { 3 * stride() });
    for (graph, length) in graphs() {
        for end in ends(&graph) {
            for first in 0..=length {
                for second in (first + first % stride as i64..=first + WINDOW).step_by(stride) {
                    for event in ANSWERS {
                        events(&graph, &[(first, event), (second, end)]);
                        events(&graph, &[(first, end), (second, event)]);
                        histories += 2;
                    }
                }
            }
        }
    }
    println!("{histories} histories with one access without an answer, and a job that ends");
}

/// A client that gets no answer repeats the action. Nothing is done twice.
#[test]
fn a_client_without_an_answer_repeats_its_action() {
    let mut histories = 0;
    for (graph, length) in graphs() {
        for at in (0..=length).step_by(stride().clamp(7, 23)) {
            for action in [Action::Schedule(0), Action::Cancel(0), Action::Retry(0)] {
                // The n-th access of the client itself gets no answer.
                for accesses in 0..9 {
                    for answer in ANSWERS {
                        let plan = [
                            (at, Event::Begins(action, accesses)),
                            (at, answer),
                            (at, Event::Switch),
                            (at + 20, Event::Does(action)),
                        ];
                        check(&graph, Plan::of(&plan), || format!("{plan:?}"));
                        histories += 1;
                    }
                }
            }
        }
    }
    println!("{histories} histories of a client without an answer");
}
