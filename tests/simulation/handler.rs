//! The handler that runs the calls of a graph.

use std::sync::Arc;

use async_trait::async_trait;
use brrr_protocol::model::{Failure, FailureKind, Millis, Outcome};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::replay::{Invocation, Polled, Replay};
use brrr_protocol::{Error, ErrorKind, Result};

use crate::graph::Node::{
    All, Catch, CatchThen, Each, Fail, Flaky, Greedy, Moody, Poison, Race, Sleep, Unknown, Within,
};
use crate::graph::{Graph, call, name_of};
use crate::world::World;

/// Runs the calls of a graph, and counts the runs.
pub struct GraphHandler {
    graph: Arc<Graph>,
    world: Arc<World>,
    task: Arc<Task>,
}

/// How much the clock of a worker may be ahead, in milliseconds.
pub const AHEAD: Millis = 15_000;

/// The reasons why a run leaves its body early.
enum Leave {
    Suspended,
    Failed { failure: Failure, retryable: bool },
}

fn join(task: &str, outcomes: Vec<Outcome>, on_failure: Option<&str>) -> std::result::Result<String, Leave> {
    let mut text = String::new();
    for outcome in outcomes {
        match (outcome, on_failure) {
            (Ok(value), _) => text.push_str(std::str::from_utf8(&value).unwrap()),
            (Err(_), Some(instead)) => text.push_str(instead),
            (Err(failure), None) => {
                return Err(Leave::Failed { failure: Failure::of_parent(task, &failure), retryable: false });
            }
        }
    }
    Ok(text)
}

impl GraphHandler {
    pub fn new(graph: &Arc<Graph>, world: &Arc<World>) -> Self {
        let options = Options { max_retries: Some(graph.retries), ..Options::default() };
        Self { graph: graph.clone(), world: world.clone(), task: Arc::new(Task::new("graph", options)) }
    }

    /// Asks for these calls, and records the outcomes that the run receives: no later run may receive other outcomes.
    async fn ask(
        &self,
        request: &Request,
        replay: &mut Replay,
        names: &[&str],
        need: Option<u32>,
        within: Option<Millis>,
    ) -> Result<std::result::Result<Vec<Outcome>, Leave>> {
        let until = within.map(|within| replay.clock() + within);
        let calls = names.iter().map(|name| call(name)).map(|call| Invocation {
            task: call.task,
            payload: call.payload,
            topic: None,
            hash: Some(call.hash),
            options: Options::default(),
        });
        let clock_before = replay.clock();
        let outcomes = match replay.poll(calls.collect(), need, until).await? {
            Polled::Ready(outcomes) => outcomes,
            Polled::Suspended => return Ok(Err(Leave::Suspended)),
        };
        let texts = outcomes.iter().zip(names).map(|(outcome, name)| match outcome {
            Some(Ok(value)) => format!("{name}: {}", String::from_utf8_lossy(value)),
            Some(Err(failure)) => format!("{name}: failed, {failure}"),
            None => format!("{name}: not chosen"),
        });
        let (given, poll) = (texts.collect::<Vec<_>>().join(", "), names.join(" "));
        let mut state = self.world.state();
        if need.is_none() && until.is_none() || state.watch.faultless {
            state.watch.given(request, poll.clone(), given);
        }
        // Two runs of a call at once may begin at different times.
        if state.watch.faultless {
            state.watch.given(
                request,
                format!("clock after poll {} of attempt {}", replay.polls().count(), request.attempt),
                replay.clock().to_string(),
            );
        }
        if replay.clock() < clock_before {
            state.watch.wrong.get_or_insert(format!("the clock of {} went back", request.task));
        }
        let is_late = names.is_empty() || outcomes.iter().any(Option::is_none);
        if let Some(until) = until.filter(|until| is_late && (state.now + AHEAD < *until || replay.clock() < *until)) {
            let (now, clock) = (state.now, replay.clock());
            state.watch.wrong.get_or_insert(format!("{} woke at {now} ({clock}), before {until}", request.task));
        }
        drop(state);
        Ok(Ok(outcomes.into_iter().flatten().collect()))
    }

    async fn body(&self, request: &Request, replay: &mut Replay) -> Result<std::result::Result<String, Leave>> {
        macro_rules! go {
            ($e:expr) => {
                match $e {
                    Ok(value) => value,
                    Err(leave) => return Ok(Err(leave)),
                }
            };
        }
        let task = &request.task;
        let fails =
            |retryable| Leave::Failed { failure: Failure::new(FailureKind::Error, task, "as planned"), retryable };
        Ok(Ok(match self.graph.node(task) {
            All(children) => go!(join(task, go!(self.ask(request, replay, children, None, None).await?), None)),
            Each(children) => {
                let mut text = String::new();
                for child in *children {
                    text += &go!(join(task, go!(self.ask(request, replay, &[child], None, None).await?), None));
                }
                text
            }
            Catch(children) => {
                go!(join(task, go!(self.ask(request, replay, children, None, None).await?), Some("failed")))
            }
            CatchThen(first, then) => {
                let mut text =
                    go!(join(task, go!(self.ask(request, replay, first, None, None).await?), Some("failed")));
                for child in *then {
                    text += &go!(join(task, go!(self.ask(request, replay, &[child], None, None).await?), None));
                }
                text
            }
            Moody(_) if request.job_id.as_str() == "R0" => return Ok(Err(fails(false))),
            Moody(children) => go!(join(task, go!(self.ask(request, replay, children, None, None).await?), None)),
            Race(first, then) => {
                let first = go!(join(task, go!(self.ask(request, replay, first, Some(1), None).await?), None));
                first + &go!(join(task, go!(self.ask(request, replay, then, None, None).await?), None))
            }
            Fail => return Ok(Err(fails(false))),
            Poison if !self.world.state().cured => {
                return Err(Error::new(ErrorKind::Unavailable, "simulation", "run", "the worker was killed"));
            }
            Poison | Unknown => String::new(),
            Greedy(times, children) => {
                let asked = &children[..request.attempt as usize];
                let text = go!(join(task, go!(self.ask(request, replay, asked, None, None).await?), None));
                if request.attempt <= *times {
                    return Ok(Err(fails(true)));
                }
                text
            }
            Sleep(times, children) => {
                for time in *times {
                    go!(self.ask(request, replay, &[], None, Some(*time)).await?);
                }
                go!(join(task, go!(self.ask(request, replay, children, None, None).await?), None))
            }
            Within(children) => {
                let mut text = String::new();
                for (time, child) in *children {
                    let names = if child.is_empty() { &[][..] } else { &[*child] };
                    let outcomes = go!(self.ask(request, replay, names, None, Some(*time)).await?);
                    let is_late = outcomes.is_empty();
                    text += if is_late { "late" } else { "" };
                    text += &go!(join(task, outcomes, None));
                }
                text
            }
            Flaky(times, children) => {
                let text = go!(join(task, go!(self.ask(request, replay, children, None, None).await?), None));
                if request.attempt <= *times {
                    return Ok(Err(fails(true)));
                }
                text
            }
        }))
    }
}

#[async_trait]
impl Handler for GraphHandler {
    fn task(&self, task: &str) -> Option<Arc<Task>> {
        let is_handled = !matches!(self.graph.node(task), Unknown) || self.world.state().cured;
        is_handled.then(|| self.task.clone())
    }

    async fn run(&self, request: Request, mut replay: Replay) -> Result<(Ended, Replay)> {
        self.world.state().note_run(&request);
        *self.world.state().runs.entry((request.job_id.clone(), request.task.clone())).or_default() += 1;
        let ended = match self.body(&request, &mut replay).await? {
            Ok(text) => Ended::Completed(format!("{}({text})", name_of(&request.task, &request.payload)).into()),
            Err(Leave::Suspended) => Ended::Suspended,
            Err(Leave::Failed { failure, retryable }) => Ended::Failed { failure, retryable },
        };
        Ok((ended, replay))
    }
}
