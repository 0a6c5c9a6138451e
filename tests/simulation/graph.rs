//! Small call graphs, a handler that runs them, and what they ought to come to.

use std::sync::Arc;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, Millis, Outcome, Topic};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Ended, Handler, NewJob, Request, Task};
use brrr_protocol::replay::{Invocation, Polled, Replay};
use bytes::Bytes;

use crate::world::{START, World};

/// What a call does.
#[derive(Clone, Debug)]
pub enum Node {
    /// Gathers these, and fails with the first that fails.
    All(&'static [&'static str]),
    /// Waits for these one after the other.
    Each(&'static [&'static str]),
    /// Gathers these; a failure counts as the text "failed".
    Catch(&'static [&'static str]),
    /// Waits for the first of these, then for the second list.
    Race(&'static [&'static str], &'static [&'static str]),
    Fail,
    /// Gathers these, and then fails so many times before it succeeds.
    Flaky(u32, &'static [&'static str]),
}

/// A graph: every call by its name, which is task and hash in one. The roots are scheduled, each as a job.
#[derive(Clone, Debug)]
pub struct Graph {
    pub name: &'static str,
    pub nodes: &'static [(&'static str, Node)],
    pub roots: &'static [&'static str],
    /// How often a call is tried again.
    pub retries: u32,
    /// How long the first job may take, in ms (0: as long as it wants), and how many messages it may send.
    pub deadline: Millis,
    pub spawn_limit: u64,
}

const fn graph(name: &'static str, nodes: &'static [(&'static str, Node)], roots: &'static [&'static str]) -> Graph {
    Graph { name, nodes, roots, retries: 0, deadline: 0, spawn_limit: 0 }
}

use Node::{All, Catch, Each, Fail, Flaky, Race};

pub const GRAPHS: &[Graph] = &[
    graph("one child", &[("a", All(&["b"])), ("b", All(&[]))], &["a"]),
    graph("two children", &[("a", All(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))], &["a"]),
    graph("one after the other", &[("a", Each(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))], &["a"]),
    graph("chain", &[("a", All(&["b"])), ("b", All(&["c"])), ("c", All(&[]))], &["a"]),
    graph("diamond", &[("a", All(&["b", "c"])), ("b", All(&["d"])), ("c", All(&["d"])), ("d", All(&[]))], &["a"]),
    graph("two jobs share a child", &[("a", All(&["c"])), ("b", All(&["c"])), ("c", All(&[]))], &["a", "b"]),
    graph(
        "two jobs share a chain",
        &[("a", All(&["c"])), ("b", All(&["c"])), ("c", All(&["d"])), ("d", All(&[]))],
        &["a", "b"],
    ),
    graph(
        "two jobs meet at two heights",
        &[("a", All(&["c"])), ("b", All(&["d"])), ("c", All(&["d", "e"])), ("d", All(&["e"])), ("e", All(&[]))],
        &["a", "b"],
    ),
    graph(
        "three jobs share a diamond",
        &[("a", All(&["c", "d"])), ("b", All(&["c"])), ("c", All(&["e"])), ("d", All(&["e"])), ("e", All(&[]))],
        &["a", "b", "d"],
    ),
    graph("two jobs, one call", &[("a", All(&["b"])), ("b", All(&[]))], &["a", "a"]),
    graph("a job's call is another's child", &[("a", All(&["b"])), ("b", All(&["c"])), ("c", All(&[]))], &["a", "b"]),
    graph("failure", &[("a", All(&["b"])), ("b", Fail)], &["a"]),
    graph("failure caught", &[("a", Catch(&["b", "c"])), ("b", Fail), ("c", All(&[]))], &["a"]),
    graph(
        "two jobs share a failure",
        &[("a", All(&["c"])), ("b", Catch(&["c"])), ("c", All(&["d"])), ("d", Fail)],
        &["a", "b"],
    ),
    graph("race", &[("a", Race(&["b", "c"], &["d"])), ("b", All(&[])), ("c", All(&["d"])), ("d", All(&[]))], &["a"]),
    graph(
        "a job that is over before its calls",
        &[("a", Race(&["b", "c"], &[])), ("b", All(&[])), ("c", All(&["d", "e"])), ("d", All(&[])), ("e", All(&[]))],
        &["a"],
    ),
    graph(
        "another job wants the loser",
        &[
            ("a", Race(&["c", "b"], &[])),
            ("b", All(&[])),
            ("c", All(&["d"])),
            ("d", All(&["e"])),
            ("e", All(&[])),
            ("x", All(&["c"])),
        ],
        &["a", "x"],
    ),
    graph(
        "a failure wins the race",
        &[("a", Race(&["c", "b"], &[])), ("b", Fail), ("c", All(&["d"])), ("d", All(&[])), ("x", All(&["d"]))],
        &["a", "x"],
    ),
    Graph { retries: 2, ..graph("tried again", &[("a", All(&["b"])), ("b", Flaky(1, &[]))], &["a"]) },
    Graph { retries: 2, ..graph("tried too often", &[("a", Catch(&["b"])), ("b", Flaky(9, &[]))], &["a"]) },
    Graph {
        retries: 2,
        ..graph(
            "tried again after its children",
            &[("a", Flaky(1, &["b", "c"])), ("b", Flaky(2, &["c"])), ("c", All(&[]))],
            &["a"],
        )
    },
    Graph {
        retries: 1,
        ..graph(
            "two jobs share what is tried again",
            &[
                ("a", All(&["c"])),
                ("b", Catch(&["c", "f"])),
                ("c", Flaky(1, &["d"])),
                ("d", Flaky(1, &[])),
                ("f", Flaky(3, &[])),
            ],
            &["a", "b"],
        )
    },
    Graph {
        deadline: 2_000,
        retries: 3,
        ..graph(
            "a deadline",
            &[("a", All(&["b"])), ("b", Flaky(2, &["c"])), ("c", All(&[])), ("x", All(&["c"]))],
            &["a", "x"],
        )
    },
    Graph {
        deadline: 1,
        ..graph(
            "hardly any time",
            &[("a", All(&["c"])), ("b", All(&["c"])), ("c", All(&["d"])), ("d", All(&[]))],
            &["a", "b"],
        )
    },
    Graph {
        spawn_limit: 3,
        ..graph(
            "too many calls",
            &[("a", All(&["b", "c"])), ("b", All(&["d"])), ("c", All(&["d"])), ("d", All(&[])), ("x", All(&["b"]))],
            &["a", "x"],
        )
    },
    Graph {
        spawn_limit: 2,
        ..graph("too many children", &[("a", All(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))], &["a"])
    },
    graph("self", &[("a", All(&["a"]))], &["a"]),
    graph("cycle below", &[("r", All(&["a"])), ("a", All(&["b"])), ("b", All(&["a"]))], &["r"]),
    graph(
        "cycle of three",
        &[("a", All(&["b", "x"])), ("b", All(&["c"])), ("c", All(&["a"])), ("x", All(&[]))],
        &["a"],
    ),
    graph(
        "a cycle that two jobs wait for",
        &[("x", All(&["b"])), ("y", All(&["a"])), ("a", All(&["b"])), ("b", All(&["a"]))],
        &["x", "y", "a"],
    ),
    graph("cycle of two jobs", &[("a", All(&["b"])), ("b", All(&["a"]))], &["a", "b"]),
];

/// The call of the job that comes after all others: it waits for every call of the graph.
pub const LAST: &str = "last";

pub fn topic() -> Topic {
    "t".into()
}

pub fn call(name: &str) -> Call {
    Call { hash: name.into(), task: name.into(), payload: Bytes::new(), topic: topic(), options: Options::default() }
}

impl Graph {
    /// The graph with its last call.
    pub fn complete(&self) -> Graph {
        let names: Vec<&'static str> = self.nodes.iter().map(|(name, _)| *name).collect();
        let mut nodes = self.nodes.to_vec();
        nodes.push((LAST, Catch(names.leak())));
        Graph { nodes: nodes.leak(), ..self.clone() }
    }

    /// The graph's jobs.
    pub fn jobs(&self) -> Vec<NewJob> {
        let mut jobs: Vec<NewJob> =
            (0..).zip(self.roots).map(|(n, name)| NewJob::new(format!("R{n}").into(), call(name))).collect();
        jobs[0].spawn_limit = self.spawn_limit;
        jobs[0].deadline = if self.deadline > 0 { START + self.deadline } else { 0 };
        jobs
    }

    pub fn node(&self, name: &str) -> &Node {
        &self.nodes.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no node {name}")).1
    }

    /// The values that `name` may have; `None`: it fails.
    pub fn expected(&self, name: &str) -> Vec<Option<String>> {
        self.eval(name, &mut Vec::new())
    }

    fn eval(&self, name: &str, path: &mut Vec<String>) -> Vec<Option<String>> {
        if path.iter().any(|p| p == name) {
            return vec![None];
        }
        path.push(name.to_owned());
        let mut join = |children: &[&str], on_failure: Option<&str>| {
            let mut texts = vec![Some(String::new())];
            for child in children {
                let values = self.eval(child, path);
                texts = texts
                    .iter()
                    .flat_map(|text| {
                        values.iter().map(move |value| {
                            let value = value.clone().or_else(|| on_failure.map(str::to_owned))?;
                            Some(format!("{}{value}", text.clone()?))
                        })
                    })
                    .collect();
            }
            texts
        };
        let inner = match self.node(name) {
            Flaky(times, _) if *times > self.retries => vec![None],
            All(children) | Each(children) | Flaky(_, children) => join(children, None),
            Catch(children) => join(children, Some("failed")),
            Race(first, then) => {
                let then = join(then, None);
                let firsts: Vec<_> = first.iter().flat_map(|f| join(&[f], None)).collect();
                firsts
                    .iter()
                    .flat_map(|f| then.iter().map(move |t| Some(format!("{}{}", f.clone()?, t.clone()?))))
                    .collect()
            }
            Fail => vec![None],
        };
        path.pop();
        inner.into_iter().map(|text| Some(format!("{name}({})", text?))).collect()
    }
}

/// Runs the calls of a graph, and counts the runs.
pub struct GraphHandler {
    graph: Arc<Graph>,
    world: Arc<World>,
    task: Arc<Task>,
}

/// How a run leaves its body early.
enum Leave {
    Suspended,
    Failed { failure: Failure, retryable: bool },
}

async fn ask(
    replay: &mut Replay,
    names: &[&str],
    need: Option<u32>,
) -> Result<std::result::Result<Vec<Outcome>, Leave>> {
    let calls = names.iter().map(|name| Invocation {
        task: (*name).to_owned(),
        payload: Bytes::new(),
        topic: None,
        hash: Some(CallHash::from(*name)),
        options: Options::default(),
    });
    Ok(match replay.poll(calls.collect(), need).await? {
        Polled::Ready(outcomes) => Ok(outcomes.into_iter().flatten().collect()),
        Polled::Suspended => Err(Leave::Suspended),
    })
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
            All(children) => go!(join(task, go!(ask(replay, children, None).await?), None)),
            Each(children) => {
                let mut text = String::new();
                for child in *children {
                    text += &go!(join(task, go!(ask(replay, &[child], None).await?), None));
                }
                text
            }
            Catch(children) => go!(join(task, go!(ask(replay, children, None).await?), Some("failed"))),
            Race(first, then) => {
                let first = go!(join(task, go!(ask(replay, first, Some(1)).await?), None));
                first + &go!(join(task, go!(ask(replay, then, None).await?), None))
            }
            Fail => return Ok(Err(fails(false))),
            Flaky(times, children) => {
                let text = go!(join(task, go!(ask(replay, children, None).await?), None));
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
    fn task(&self, _: &str) -> Option<Arc<Task>> {
        Some(self.task.clone())
    }

    async fn run(&self, request: Request, mut replay: Replay) -> Result<(Ended, Replay)> {
        *self.world.state().runs.entry((request.root.clone(), request.task.clone())).or_default() += 1;
        let ended = match self.body(&request, &mut replay).await? {
            Ok(text) => Ended::Completed(format!("{}({text})", request.task).into()),
            Err(Leave::Suspended) => Ended::Suspended,
            Err(Leave::Failed { failure, retryable }) => Ended::Failed { failure, retryable },
        };
        Ok((ended, replay))
    }
}
