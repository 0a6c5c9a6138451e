//! What the calls of a case give: what the case says, or else what this component makes of them.

use std::collections::HashMap;

use brrr_protocol::Result;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, Outcome, Root};
use brrr_protocol::replay::Wait;

use super::cases::{Case, Child};
use super::life::{Life, RunEnd, Runner};

/// The outcomes of a case's calls, each found out once.
pub struct Children<'a> {
    runner: &'a Runner,
    case: &'a Case,
    most: usize,
    outcomes: HashMap<CallHash, Outcome>,
    /// What was asked for, by anybody.
    pub seen: HashMap<CallHash, Call>,
    used: Vec<bool>,
    /// Runs of children.
    pub runs: usize,
}

/// Why a call has no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nothing says what it gives.
    Nobody(Call),
    /// So many calls were asked for, and there is no end of it.
    TooMany { most: usize, last: Call },
}

/// A call that is run for real.
struct Frame {
    life: Life,
    waits: Option<Wait>,
}

impl<'a> Children<'a> {
    /// Those of a case, at most so many.
    pub fn new(runner: &'a Runner, case: &'a Case, most: usize) -> Self {
        let used = vec![false; case.children.len()];
        Self { runner, case, most, outcomes: HashMap::new(), seen: HashMap::new(), used, runs: 0 }
    }

    /// What a call gives.
    ///
    /// # Errors
    /// What is no doing of the call.
    pub async fn outcome(&mut self, call: &Call, root: &Root) -> Result<std::result::Result<Outcome, Unanswered>> {
        let mut stack = match self.answer(call) {
            Answer::Is(outcome) => return Ok(Ok(outcome)),
            Answer::Never(why) => return Ok(Err(why)),
            Answer::Run => vec![self.frame(call, root)],
        };
        while let Some(top) = stack.last_mut() {
            let Some(waits) = &top.waits else {
                let ran = self.runner.run(&top.life, None).await?;
                self.runs += 1;
                top.life.go_on(&ran);
                match ran.end {
                    RunEnd::TryAgain(_) => {}
                    RunEnd::Waits(wait) => top.waits = Some(wait),
                    RunEnd::Ended(outcome) => {
                        self.outcomes.insert(top.life.call.hash.clone(), outcome);
                        stack.pop();
                    }
                }
                continue;
            };
            let missing = waits.calls.iter().find(|call| !top.life.knows(&call.hash)).cloned();
            let Some(call) = missing else {
                top.waits = None;
                continue;
            };
            let call = &call;
            match self.answer(call) {
                Answer::Is(outcome) => top.life.arrive(&call.hash, outcome),
                Answer::Never(why) => return Ok(Err(why)),
                Answer::Run => {
                    let on_the_way = stack.iter().any(|frame| frame.life.call.hash == call.hash);
                    if on_the_way || call.hash == self.case.call.hash {
                        // As in a fleet, where the call that closes the circle fails.
                        self.fail_cycle(&mut stack, call);
                    } else {
                        stack.push(self.frame(call, root));
                    }
                }
            }
        }
        // The frame of the call itself was the last to be popped, and left its outcome.
        Ok(Ok(self.outcomes[&call.hash].clone()))
    }

    /// The most calls that there may be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The outcomes found out so far.
    pub fn known(&self) -> impl Iterator<Item = (&CallHash, &Outcome)> {
        self.outcomes.iter()
    }

    /// Entries of the case that nothing has asked for.
    pub fn unused(&self) -> impl Iterator<Item = &Child> {
        self.case.children.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(child, _)| child)
    }

    fn frame(&self, call: &Call, root: &Root) -> Frame {
        Frame { life: Life::new(call.clone(), root.clone(), self.case.clock), waits: None }
    }

    fn answer(&mut self, call: &Call) -> Answer {
        if let Some(outcome) = self.outcomes.get(&call.hash) {
            return Answer::Is(outcome.clone());
        }
        self.seen.insert(call.hash.clone(), call.clone());
        if self.seen.len() > self.most {
            return Answer::Never(Unanswered::TooMany { most: self.most, last: call.clone() });
        }
        if let Some(place) = self.case.children.iter().position(|child| child.is_for(call)) {
            self.used[place] = true;
            let outcome = self.case.children[place].outcome.clone();
            self.outcomes.insert(call.hash.clone(), outcome.clone());
            return Answer::Is(outcome);
        }
        if self.runner.task(&call.task).is_some() {
            return Answer::Run;
        }
        Answer::Never(Unanswered::Nobody(call.clone()))
    }

    fn fail_cycle(&mut self, stack: &mut Vec<Frame>, call: &Call) {
        let Some(top) = stack.pop() else { return };
        let text = format!("it waits for itself through {}", call.task);
        let failure = Failure::new(FailureKind::Cycle, &top.life.call.task, text);
        self.outcomes.insert(top.life.call.hash, Err(failure));
    }
}

enum Answer {
    Is(Outcome),
    Run,
    Never(Unanswered),
}
