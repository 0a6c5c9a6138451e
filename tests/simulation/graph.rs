//! A call graph, and the outcomes that its calls must have.

use std::collections::HashMap;

use brrr_protocol::model::{Call, CallHash, Millis, PROMISE, Topic};
use brrr_protocol::options::Options;
use brrr_protocol::ports::NewJob;
use bytes::Bytes;

use crate::world::START;

/// The behaviour of a call.
#[derive(Clone, Debug)]
pub enum Node {
    /// Gathers these calls, and fails with the first failure among them.
    All(&'static [&'static str]),
    /// Waits for these calls, one after the other.
    Each(&'static [&'static str]),
    /// Gathers these calls. A failure counts as the text "failed".
    Catch(&'static [&'static str]),
    /// Waits for the first of these calls, then for the second list.
    Race(&'static [&'static str], &'static [&'static str]),
    Fail,
    /// Gathers these calls, and then fails this many times before it succeeds.
    Flaky(u32, &'static [&'static str]),
    /// Starts the first calls as detached jobs, one after the other; gathers the other calls; and then fails this many times before
    /// it succeeds.
    Spawns(u32, &'static [&'static str], &'static [&'static str]),
    /// In its n-th attempt, gathers the first n of these calls. Fails this many times before it succeeds.
    Greedy(u32, &'static [&'static str]),
    /// Gathers the first call, where a failure counts as the text "failed". Then waits for the other calls one after the other.
    CatchThen(&'static [&'static str], &'static [&'static str]),
    /// Fails in the job `R0`, and gathers these calls in every other job.
    Moody(&'static [&'static str]),
    /// Sleeps so many milliseconds, each time, and then gathers these calls.
    Sleep(&'static [Millis], &'static [&'static str]),
    /// Waits for these calls one after the other, for each at most so many milliseconds. A call that has no outcome then counts
    /// as the text "late". If the name is empty, it only sleeps.
    Within(&'static [(Millis, &'static str)]),
    /// Goes along these chains of calls at the same time. Each goes on when its call has its value. Fails with the first failure.
    Sides(&'static [&'static [&'static str]]),
    /// Waits for these calls, at most so many milliseconds, and then for the first of them alone.
    GivesUp(Millis, &'static [&'static str]),
    /// A promise of the job `R0`. Its name in the graph is its hash.
    Promise,
    /// Kills every worker that runs it, until the fault is fixed.
    Poison,
    /// No worker has a handler for it, until the fault is fixed.
    Unknown,
}

impl Node {
    /// The calls that it may wait for.
    pub fn children(&self) -> Vec<&'static str> {
        match self {
            All(calls) | Each(calls) | Catch(calls) | Flaky(_, calls) | Greedy(_, calls) | Moody(calls) => {
                calls.to_vec()
            }
            Sleep(_, calls) | GivesUp(_, calls) | Spawns(_, _, calls) => calls.to_vec(),
            Race(first, then) | CatchThen(first, then) => [*first, *then].concat(),
            Within(calls) => calls.iter().map(|(_, call)| *call).collect(),
            Sides(chains) => chains.concat(),
            Fail | Promise | Poison | Unknown => Vec::new(),
        }
    }
}

/// A graph: every call by its name, which is both its task and its hash. Each of `job_ids` names a call that a client schedules as a job.
#[derive(Clone, Debug)]
pub struct Graph {
    pub name: &'static str,
    pub nodes: &'static [(&'static str, Node)],
    pub job_ids: &'static [&'static str],
    /// The number of retries of each call.
    pub retries: u32,
    /// The timeout of the first job in ms (0: no limit), and the number of messages that it may send.
    pub deadline: Millis,
    pub max_messages: u64,
    /// The last job starts so many ms after the beginning.
    pub delay: Millis,
    /// The values that each call may have, see `expected`; filled by `complete`.
    pub values: Option<&'static HashMap<&'static str, Vec<Option<String>>>>,
}

pub const fn graph(
    name: &'static str,
    nodes: &'static [(&'static str, Node)],
    job_ids: &'static [&'static str],
) -> Graph {
    Graph { name, nodes, job_ids, retries: 0, deadline: 0, max_messages: 0, delay: 0, values: None }
}

use Node::{
    All, Catch, CatchThen, Each, Fail, Flaky, GivesUp, Greedy, Moody, Poison, Promise, Race, Sides, Sleep, Spawns,
    Unknown, Within,
};

/// The call of the last job: it waits for every call of the graph.
pub const LAST: &str = "last";

/// The name of the promise, and the length of a hash.
pub const PROMISED: &str = "x";
const HASH: usize = 64;

/// The hash of the promise of the job `R0`.
pub fn promise() -> &'static str {
    CallHash::of_promise(&"R0".into(), PROMISED.as_bytes()).to_string().leak()
}

pub fn topic() -> Topic {
    "t".into()
}

/// The call with this name. `c=1` is the call of the task `c` with the payload `1`, under the hash `c`. So several calls can
/// claim one hash.
pub fn call(name: &str) -> Call {
    if name.len() == HASH {
        let (task, payload) = (PROMISE.to_owned(), Bytes::from_static(PROMISED.as_bytes()));
        return Call { hash: name.into(), task, payload, topic: topic(), options: Options::default() };
    }
    let (task, payload) = name.split_once('=').unwrap_or((name, ""));
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    Call { hash: task.into(), task: task.into(), payload, topic: topic(), options: Options::default() }
}

/// The name of such a call.
pub fn name_of(task: &str, payload: &[u8]) -> String {
    if payload.is_empty() { task.to_owned() } else { format!("{task}={}", String::from_utf8_lossy(payload)) }
}

impl Graph {
    /// Adds the last call to the graph.
    pub fn complete(&self) -> Graph {
        // A call whose hash is also claimed by another call is requested only by the parents in the graph, not by the last call.
        // A promise of the first job may have no outcome in the last job. So that job waits for no call that needs it.
        let has_promise = self.has(|node| matches!(node, Promise));
        let names = self.nodes.iter().map(|(name, _)| *name).filter(|_| !has_promise);
        let names = names.filter(|name| self.claims(name).is_empty());
        let names: Vec<&'static str> = names.collect();
        let mut nodes = self.nodes.to_vec();
        nodes.push((LAST, Catch(names.leak())));
        let mut graph = Graph { nodes: nodes.leak(), ..self.clone() };
        let values = graph.nodes.iter().map(|(name, _)| {
            let claims = graph.claims(name);
            let names = if claims.is_empty() { vec![*name] } else { claims };
            (*name, names.iter().flat_map(|name| graph.eval(name, &mut Vec::new())).collect())
        });
        let values = values.collect();
        graph.values = Some(Box::leak(Box::new(values)));
        graph
    }

    /// The calls that claim this hash, each with its own payload.
    pub fn claims(&self, hash: &str) -> Vec<&'static str> {
        let asked = self.nodes.iter().flat_map(|(_, node)| match node {
            All(c) | Each(c) | Catch(c) => *c,
            _ => &[],
        });
        let asked = asked.chain(self.job_ids).copied();
        asked.filter(|name| name.split_once('=').is_some_and(|(task, _)| task == hash)).collect()
    }

    /// Does the graph contain a call of this kind?
    pub fn has(&self, is_so: impl Fn(&Node) -> bool) -> bool {
        self.nodes.iter().any(|(_, node)| is_so(node))
    }

    /// Does the graph contain calls whose message becomes a dead letter, or calls without a handler?
    pub fn is_ill(&self) -> bool {
        self.has(|node| matches!(node, Poison | Unknown))
    }

    /// The graph's jobs.
    pub fn jobs(&self) -> Vec<NewJob> {
        let mut jobs: Vec<NewJob> =
            (0..).zip(self.job_ids).map(|(n, name)| NewJob::new(format!("R{n}").into(), call(name))).collect();
        jobs[0].max_messages = self.max_messages;
        jobs[0].deadline = if self.deadline > 0 { START + self.deadline } else { 0 };
        if self.delay > 0 {
            jobs.last_mut().expect("a job").start = START + self.delay;
        }
        jobs
    }

    pub fn has_call(&self, name: &str) -> bool {
        self.nodes.iter().any(|(n, _)| *n == name)
    }

    pub fn node(&self, name: &str) -> &Node {
        let task = name.split('=').next().unwrap_or(name);
        &self.nodes.iter().find(|(n, _)| *n == task).unwrap_or_else(|| panic!("no node {name}")).1
    }

    /// The values that `name` may have; `None`: it fails.
    pub fn expected(&self, name: &str) -> &[Option<String>] {
        self.values.and_then(|values| values.get(name)).map_or(&[], Vec::as_slice)
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
            Flaky(times, _) | Greedy(times, _) | Spawns(times, ..) if *times > self.retries => vec![None],
            All(children) | Each(children) | Flaky(_, children) | Spawns(_, _, children) | Sleep(_, children) => {
                join(children, None)
            }
            Within(children) => {
                let late = Some("late".to_owned());
                let with_late = |texts: Vec<Option<String>>, (_, child): &(Millis, &str)| -> Vec<Option<String>> {
                    let in_time = if child.is_empty() { Vec::new() } else { join(&[child], None) };
                    let ends: Vec<_> = in_time.into_iter().chain([late.clone()]).collect();
                    let with = |text: Option<String>| {
                        let and = move |end: &Option<String>| Some(format!("{}{}", text.clone()?, end.clone()?));
                        ends.iter().map(and).collect::<Vec<_>>()
                    };
                    texts.into_iter().flat_map(with).collect()
                };
                children.iter().fold(vec![Some(String::new())], with_late)
            }
            Greedy(times, children) => join(&children[..=*times as usize], None),
            Catch(children) => join(children, Some("failed")),
            CatchThen(first, then) => {
                let (first, then) = (join(first, Some("failed")), join(then, None));
                first
                    .iter()
                    .flat_map(|f| then.iter().map(move |t| Some(format!("{}{}", f.clone()?, t.clone()?))))
                    .collect()
            }
            Moody(children) => join(children, None).into_iter().chain([None]).collect(),
            Race(first, then) => {
                let then = join(then, None);
                let firsts: Vec<_> = first.iter().flat_map(|f| join(&[f], None)).collect();
                firsts
                    .iter()
                    .flat_map(|f| then.iter().map(move |t| Some(format!("{}{}", f.clone()?, t.clone()?))))
                    .collect()
            }
            Sides(chains) => join(&chains.concat(), None),
            GivesUp(_, children) => join(&children[..1], None),
            Promise => vec![Some("yes".to_owned()), None],
            Fail => vec![None],
            Poison | Unknown => vec![None, Some(String::new())],
        };
        path.pop();
        // Another call may own the hash.
        let refused = name.contains('=').then_some(None);
        let inner: Vec<_> = inner.into_iter().chain(refused.map(|_: Option<()>| None)).collect();
        inner.into_iter().map(|text| Some(format!("{name}({})", text?))).collect()
    }
}
