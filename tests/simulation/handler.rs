//! The handler that runs the calls of a graph.

use std::sync::Arc;

use async_trait::async_trait;
use brrr_protocol::model::{Failure, FailureKind, Millis, Outcome};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, Request, Task};
use brrr_protocol::records::{LogLine, LogSource};
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_protocol::{Error, ErrorKind, Result};

use crate::graph::Node::{
    All, Catch, CatchThen, Each, Fail, Flaky, GivesUp, Greedy, Moody, Poison, Promise, Race, Sides, Sleep, Spawns,
    Unknown, Within,
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

/// The last line of a run that returns a value, and of one that fails.
pub const ENDS: &str = "ends";
pub const FAILS: &str = "fails";

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

    /// Prints a line, if what runs print is kept.
    fn say(replay: &mut Replay, text: &str) {
        if !replay.log().is_on() {
            return;
        }
        let (mut printed, length) = (replay.printed(), text.len() + 1);
        let seen = printed.already_printed(length);
        replay.has_printed(printed);
        if seen < length {
            let (at, end, from) = (replay.clock(), printed.position(), LogSource::Stdout);
            replay.log().add(LogLine { at, attempt: 0, end, from, text: text.into(), fields: Vec::new(), left_out: 0 });
        }
    }

    /// Asks for these calls, and records the outcomes that the run receives: no later run may receive other outcomes.
    async fn ask(
        &self,
        request: &Request,
        replay: &mut Replay,
        names: &[&str],
        want: Want,
        within: Option<Millis>,
    ) -> Result<std::result::Result<Vec<Option<Outcome>>, Leave>> {
        let until = within.map(|within| replay.clock() + within);
        let calls = names.iter().map(|name| call(name)).map(|call| Invocation {
            task: call.task,
            payload: call.payload,
            topic: None,
            hash: Some(call.hash),
            peer_hash: None,
            options: Options::default(),
            detached: false,
        });
        let clock_before = replay.clock();
        let outcomes = match replay.poll(calls.collect(), want, until).await? {
            Polled::Ready(outcomes) => outcomes,
            Polled::Suspended => return Ok(Err(Leave::Suspended)),
        };
        let polls = replay.polls().count();
        Self::say(replay, &format!("poll {polls}"));
        let texts = outcomes.iter().zip(names).map(|(outcome, name)| match outcome {
            Some(Ok(value)) => format!("{name}: {}", String::from_utf8_lossy(value)),
            Some(Err(failure)) => format!("{name}: failed, {failure}"),
            None => format!("{name}: not chosen"),
        });
        let texts: Vec<String> = texts.collect();
        let (given, poll) = (texts.join(", "), names.join(" "));
        let mut state = self.world.state();
        if want != Want::Some(1) && until.is_none() {
            for ((name, outcome), text) in names.iter().zip(&outcomes).zip(&texts) {
                if outcome.is_some() {
                    state.watch.given(request, (*name).to_owned(), text.clone());
                }
            }
        }
        if state.watch.faultless {
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
        let has_failed = outcomes.iter().flatten().any(Outcome::is_err);
        if want == Want::All && until.is_none() && !has_failed && outcomes.iter().any(Option::is_none) {
            state.watch.wrong.get_or_insert(format!("{} was given too few outcomes: {poll}", request.task));
        }
        let is_late = names.is_empty() || outcomes.iter().any(Option::is_none) && !has_failed;
        if let Some(until) = until.filter(|until| is_late && (state.now + AHEAD < *until || replay.clock() < *until)) {
            let (now, clock) = (state.now, replay.clock());
            state.watch.wrong.get_or_insert(format!("{} woke at {now} ({clock}), before {until}", request.task));
        }
        drop(state);
        Ok(Ok(outcomes))
    }

    /// Starts a detached job with this call, and records its id: no later run may receive another one.
    async fn spawn(&self, request: &Request, replay: &mut Replay, n: usize, name: &str) -> Result<()> {
        let call = call(name);
        let call = Invocation {
            task: call.task,
            payload: call.payload,
            topic: None,
            hash: Some(call.hash),
            peer_hash: None,
            options: Options::default(),
            detached: true,
        };
        let Polled::Ready(outcomes) = replay.poll(vec![call], Want::All, None).await? else {
            panic!("a poll of a detached call waits");
        };
        let id = format!("{outcomes:?}");
        self.world.state().watch.given(request, format!("the id of job {n}, of {name}"), id);
        Ok(())
    }

    /// Asks for these calls until all have an outcome, or one has failed and failures are not caught.
    async fn gather(
        &self,
        request: &Request,
        replay: &mut Replay,
        names: &[&str],
        on_failure: Option<&str>,
    ) -> Result<std::result::Result<String, Leave>> {
        let mut known: Vec<Option<Outcome>> = names.iter().map(|_| None).collect();
        loop {
            let missing: Vec<usize> = (0..names.len()).filter(|n| known[*n].is_none()).collect();
            let asked: Vec<&str> = missing.iter().map(|n| names[*n]).collect();
            let outcomes = match self.ask(request, replay, &asked, Want::All, None).await? {
                Ok(outcomes) => outcomes,
                Err(leave) => return Ok(Err(leave)),
            };
            for (n, outcome) in missing.into_iter().zip(outcomes) {
                known[n] = outcome;
            }
            let is_over = known.iter().flatten().any(Outcome::is_err) && on_failure.is_none();
            if is_over || known.iter().all(Option::is_some) {
                return Ok(join(&request.task, known.into_iter().flatten().collect(), on_failure));
            }
        }
    }

    /// Goes along several chains of calls at once. Each chain goes on when its call has its outcome.
    async fn go_along(
        &self,
        request: &Request,
        replay: &mut Replay,
        chains: &[&[&str]],
    ) -> Result<std::result::Result<String, Leave>> {
        let mut texts: Vec<Vec<Outcome>> = chains.iter().map(|_| Vec::new()).collect();
        loop {
            let on_the_way: Vec<usize> = (0..chains.len()).filter(|n| texts[*n].len() < chains[*n].len()).collect();
            if on_the_way.is_empty() {
                return Ok(join(&request.task, texts.concat(), None));
            }
            let names: Vec<&str> = on_the_way.iter().map(|n| chains[*n][texts[*n].len()]).collect();
            let want = if names.len() == 1 { Want::All } else { Want::Progress };
            let outcomes = match self.ask(request, replay, &names, want, None).await? {
                Ok(outcomes) => outcomes,
                Err(leave) => return Ok(Err(leave)),
            };
            if let Some(Err(failure)) = outcomes.iter().flatten().find(|outcome| outcome.is_err()) {
                return Ok(join(&request.task, vec![Err(failure.clone())], None));
            }
            for (n, outcome) in on_the_way.into_iter().zip(outcomes) {
                texts[n].extend(outcome);
            }
        }
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
            All(children) => go!(self.gather(request, replay, children, None).await?),
            Each(children) => {
                let mut text = String::new();
                for child in *children {
                    text += &go!(self.gather(request, replay, &[child], None).await?);
                }
                text
            }
            Catch(children) => {
                go!(self.gather(request, replay, children, Some("failed")).await?)
            }
            CatchThen(first, then) => {
                let mut text = go!(self.gather(request, replay, first, Some("failed")).await?);
                for child in *then {
                    text += &go!(self.gather(request, replay, &[child], None).await?);
                }
                text
            }
            Moody(_) if request.job_id.as_str() == "R0" => return Ok(Err(fails(false))),
            Moody(children) => go!(self.gather(request, replay, children, None).await?),
            Race(first, then) => {
                let first = go!(self.ask(request, replay, first, Want::Some(1), None).await?);
                let first = go!(join(task, first.into_iter().flatten().collect(), None));
                first + &go!(self.gather(request, replay, then, None).await?)
            }
            Sides(chains) => go!(self.go_along(request, replay, chains).await?),
            Fail => return Ok(Err(fails(false))),
            Poison if !self.world.state().cured => {
                return Err(Error::new(ErrorKind::Unavailable, "simulation", "run", "the worker was killed"));
            }
            GivesUp(time, children) => {
                go!(self.ask(request, replay, children, Want::All, Some(*time)).await?);
                go!(self.gather(request, replay, &children[..1], None).await?)
            }
            Promise => panic!("a promise is run"),
            Poison | Unknown => String::new(),
            Greedy(times, children) => {
                let asked = &children[..request.attempt as usize];
                let text = go!(self.gather(request, replay, asked, None).await?);
                if request.attempt <= *times {
                    return Ok(Err(fails(true)));
                }
                text
            }
            Sleep(times, children) => {
                for time in *times {
                    go!(self.ask(request, replay, &[], Want::All, Some(*time)).await?);
                }
                go!(self.gather(request, replay, children, None).await?)
            }
            Within(children) => {
                let mut text = String::new();
                for (time, child) in *children {
                    let names = if child.is_empty() { &[][..] } else { &[*child] };
                    let outcomes = go!(self.ask(request, replay, names, Want::All, Some(*time)).await?);
                    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
                    let is_late = outcomes.is_empty();
                    text += if is_late { "late" } else { "" };
                    text += &go!(join(task, outcomes, None));
                }
                text
            }
            Spawns(times, detached, children) => {
                for (n, name) in detached.iter().enumerate() {
                    self.spawn(request, replay, n, name).await?;
                }
                let text = go!(self.gather(request, replay, children, None).await?);
                if request.attempt <= *times {
                    return Ok(Err(fails(true)));
                }
                text
            }
            Flaky(times, children) => {
                let text = go!(self.gather(request, replay, children, None).await?);
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
        Self::say(&mut replay, "begins");
        let body = self.body(&request, &mut replay).await?;
        match &body {
            Ok(_) => Self::say(&mut replay, ENDS),
            Err(Leave::Failed { .. }) => Self::say(&mut replay, FAILS),
            Err(Leave::Suspended) => {}
        }
        let ended = match body {
            Ok(text) => Ended::Completed(format!("{}({text})", name_of(&request.task, &request.payload)).into()),
            Err(Leave::Suspended) => Ended::Suspended,
            Err(Leave::Failed { failure, retryable }) => Ended::Failed { failure, retryable },
        };
        Ok((ended, replay))
    }
}
