//! The outcomes of a case's calls. They come from the case, or else from running the calls with this component.

use std::collections::HashMap;

use brrr_protocol::Result;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId, Outcome};
use brrr_protocol::replay::Wait;

use super::cases::{Case, Child};
use super::life::{Life, RunEnd, Runner};

/// The outcomes of a case's calls. Each outcome is found only once.
pub struct Children<'a> {
    runner: &'a Runner,
    case: &'a Case,
    most: usize,
    outcomes: HashMap<CallHash, Outcome>,
    /// All calls that were asked for, by any run.
    pub seen: HashMap<CallHash, Call>,
    used: Vec<bool>,
    /// The number of runs of children.
    pub runs: usize,
    /// What the SDK has found to be wrong with the tasks of children: task and text.
    pub findings: Vec<(String, String)>,
}

/// Why a call has no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Neither the case nor the component gives an outcome.
    Nobody(Call),
    /// The case has reached the most calls, and asks for one more.
    TooMany { most: usize, last: Call },
}

/// A call that the component runs.
struct Frame {
    life: Life,
    waits: Option<Wait>,
}

impl<'a> Children<'a> {
    /// The outcomes of the calls of a case, for at most `most` calls.
    pub fn new(runner: &'a Runner, case: &'a Case, most: usize) -> Self {
        let used = vec![false; case.children.len()];
        Self { runner, case, most, outcomes: HashMap::new(), seen: HashMap::new(), used, runs: 0, findings: Vec::new() }
    }

    /// The outcome of a call.
    ///
    /// # Errors
    /// When the cause is not the call itself.
    pub async fn outcome(&mut self, call: &Call, job_id: &JobId) -> Result<std::result::Result<Outcome, Unanswered>> {
        let mut stack = match self.answer(call) {
            Answer::Is(outcome) => return Ok(Ok(outcome)),
            Answer::Never(why) => return Ok(Err(why)),
            Answer::Run => vec![self.frame(call, job_id)],
        };
        while let Some(top) = stack.last_mut() {
            let Some(waits) = &top.waits else {
                let ran = self.runner.run(&top.life, None).await?;
                self.runs += 1;
                let task = &top.life.call.task;
                self.findings.extend(ran.findings.iter().map(|text| (task.clone(), text.clone())));
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
                if waits.calls.is_empty() {
                    top.life.sleep(waits.until);
                }
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
                        // As in a fleet: the call that closes the cycle fails.
                        self.fail_cycle(&mut stack, call);
                    } else {
                        stack.push(self.frame(call, job_id));
                    }
                }
            }
        }
        // The frame of the call itself was popped last, and has recorded its outcome.
        Ok(Ok(self.outcomes[&call.hash].clone()))
    }

    /// The most calls that a case may make.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The outcomes that were found so far.
    pub fn known(&self) -> impl Iterator<Item = (&CallHash, &Outcome)> {
        self.outcomes.iter()
    }

    /// Entries of the case that no run has asked for.
    pub fn unused(&self) -> impl Iterator<Item = &Child> {
        self.case.children.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(child, _)| child)
    }

    fn frame(&self, call: &Call, job_id: &JobId) -> Frame {
        Frame { life: Life::new(call.clone(), job_id.clone(), self.case.clock), waits: None }
    }

    fn answer(&mut self, call: &Call) -> Answer {
        if let Some(outcome) = self.outcomes.get(&call.hash) {
            return Answer::Is(outcome.clone());
        }
        self.seen.insert(call.hash.clone(), call.clone());
        if self.seen.len() > self.most {
            return Answer::Never(Unanswered::TooMany { most: self.most, last: call.clone() });
        }
        if let Some(index) = self.case.children.iter().position(|child| child.is_for(call)) {
            self.used[index] = true;
            let outcome = self.case.children[index].outcome.clone();
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
