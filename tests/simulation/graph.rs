//! Small call graphs, a handler that runs them, and what they ought to come to.

use std::sync::Arc;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, Outcome, Topic};
use brrr_protocol::ports::{Ended, Handler, Request};
use brrr_protocol::replay::{Invocation, Polled, Replay};
use bytes::Bytes;

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
}

/// A graph: every call by its name, which is task and hash in one. The roots are scheduled, each as a job.
#[derive(Clone, Debug)]
pub struct Graph {
    pub name: &'static str,
    pub nodes: &'static [(&'static str, Node)],
    pub roots: &'static [&'static str],
}

use Node::{All, Catch, Each, Fail, Race};

pub const GRAPHS: &[Graph] = &[
    Graph { name: "one child", nodes: &[("a", All(&["b"])), ("b", All(&[]))], roots: &["a"] },
    Graph { name: "two children", nodes: &[("a", All(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))], roots: &["a"] },
    Graph {
        name: "one after the other",
        nodes: &[("a", Each(&["b", "c"])), ("b", All(&[])), ("c", All(&[]))],
        roots: &["a"],
    },
    Graph { name: "chain", nodes: &[("a", All(&["b"])), ("b", All(&["c"])), ("c", All(&[]))], roots: &["a"] },
    Graph {
        name: "diamond",
        nodes: &[("a", All(&["b", "c"])), ("b", All(&["d"])), ("c", All(&["d"])), ("d", All(&[]))],
        roots: &["a"],
    },
    Graph {
        name: "two jobs share a child",
        nodes: &[("a", All(&["c"])), ("b", All(&["c"])), ("c", All(&[]))],
        roots: &["a", "b"],
    },
    Graph { name: "two jobs, one call", nodes: &[("a", All(&["b"])), ("b", All(&[]))], roots: &["a", "a"] },
    Graph { name: "failure", nodes: &[("a", All(&["b"])), ("b", Fail)], roots: &["a"] },
    Graph { name: "failure caught", nodes: &[("a", Catch(&["b", "c"])), ("b", Fail), ("c", All(&[]))], roots: &["a"] },
    Graph {
        name: "two jobs share a failure",
        nodes: &[("a", All(&["c"])), ("b", Catch(&["c"])), ("c", All(&["d"])), ("d", Fail)],
        roots: &["a", "b"],
    },
    Graph {
        name: "race",
        nodes: &[("a", Race(&["b", "c"], &["d"])), ("b", All(&[])), ("c", All(&["d"])), ("d", All(&[]))],
        roots: &["a"],
    },
    Graph { name: "self", nodes: &[("a", All(&["a"]))], roots: &["a"] },
    Graph { name: "cycle below", nodes: &[("r", All(&["a"])), ("a", All(&["b"])), ("b", All(&["a"]))], roots: &["r"] },
    Graph {
        name: "cycle of three",
        nodes: &[("a", All(&["b", "x"])), ("b", All(&["c"])), ("c", All(&["a"])), ("x", All(&[]))],
        roots: &["a"],
    },
    Graph {
        name: "a cycle that two jobs wait for",
        nodes: &[("x", All(&["b"])), ("y", All(&["a"])), ("a", All(&["b"])), ("b", All(&["a"]))],
        roots: &["x", "y", "a"],
    },
    Graph { name: "cycle of two jobs", nodes: &[("a", All(&["b"])), ("b", All(&["a"]))], roots: &["a", "b"] },
];

pub fn topic() -> Topic {
    "t".into()
}

pub fn call(name: &str) -> Call {
    Call { hash: name.into(), task: name.into(), payload: Bytes::new(), topic: topic() }
}

impl Graph {
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
            All(children) | Each(children) => join(children, None),
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

/// Runs the calls of a graph.
pub struct GraphHandler(pub Arc<Graph>);

/// How a run leaves its body early.
enum Leave {
    Suspended,
    Failed(Failure),
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
            (Err(failure), None) => return Err(Leave::Failed(Failure::of_parent(task, &failure))),
        }
    }
    Ok(text)
}

impl GraphHandler {
    async fn body(&self, task: &str, replay: &mut Replay) -> Result<std::result::Result<String, Leave>> {
        macro_rules! go {
            ($e:expr) => {
                match $e {
                    Ok(value) => value,
                    Err(leave) => return Ok(Err(leave)),
                }
            };
        }
        Ok(Ok(match self.0.node(task) {
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
            Fail => return Ok(Err(Leave::Failed(Failure::new(FailureKind::Error, task, "as planned")))),
        }))
    }
}

#[async_trait]
impl Handler for GraphHandler {
    fn component(&self, _: &str) -> Option<String> {
        Some("graph".into())
    }

    async fn run(&self, request: Request, mut replay: Replay) -> Result<(Ended, Replay)> {
        let ended = match self.body(&request.task, &mut replay).await? {
            Ok(text) => Ended::Completed(format!("{}({text})", request.task).into()),
            Err(Leave::Suspended) => Ended::Suspended,
            Err(Leave::Failed(failure)) => Ended::Failed(failure),
        };
        Ok((ended, replay))
    }
}
