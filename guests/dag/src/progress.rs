//! How far a job has come: what may start, what it is given, and what its result changes.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::job::{Job, Task};

/// Of 1,000 tasks side by side that end one by one, a run of the job's handler then looks some 270 times at 250 on
/// average, and there are as many runs; one by one it would be 1,000 times at 500, in 1,000 runs.
const ONE_IN: usize = 64;

/// A task to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Its place in [`Job::tasks`].
    pub task: usize,
    /// Its named arguments as JSON, `[{…}]`.
    pub payload: Vec<u8>,
    /// The call's identity.
    pub hash: String,
}

/// How a task ended, as far as others are concerned.
#[derive(Debug)]
pub enum Ended {
    /// With this result.
    Completed(Value),
    /// Without, and the job goes on.
    Failed,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Waiting,
    Started,
    /// What it adds to the context.
    Ended(Map<String, Value>),
}

/// A job under way.
#[derive(Debug)]
pub struct Progress<'a> {
    job: &'a Job,
    states: Vec<State>,
}

impl<'a> Progress<'a> {
    pub fn new(job: &'a Job) -> Self {
        Self { job, states: vec![State::Waiting; job.tasks.len()] }
    }

    /// The tasks that can start now and have not, in topological order. They count as started.
    pub fn start(&mut self) -> Vec<Start> {
        let ready: Vec<usize> = (0..self.states.len()).filter(|task| self.ready(*task)).collect();
        let start = |task| {
            self.states[task] = State::Started;
            let payload = self.payload(task);
            Start { task, hash: hash(&self.job.name, &self.job.tasks[task], &payload), payload }
        };
        ready.into_iter().map(start).collect()
    }

    /// How many of the running tasks must have ended before it is worth looking: one, so that the next task starts, and
    /// a failure ends the job, as soon as can be.
    ///
    /// Among hundreds it is a few, as every look asks for all of them again: one in [`ONE_IN`], and never more than
    /// bring the next task to its start, so that only the news of a failure can be late.
    pub fn need(&self) -> usize {
        let running = self.states.iter().filter(|state| **state == State::Started).count();
        let missing = |task: &Task| {
            let states = || task.depends_on.iter().map(|dependency| &self.states[*dependency]);
            let soon = states().all(|state| *state != State::Waiting);
            soon.then(|| states().filter(|state| **state == State::Started).count())
        };
        let waiting = self.job.tasks.iter().zip(&self.states).filter(|(_, state)| **state == State::Waiting);
        let next = waiting.filter_map(|(task, _)| missing(task)).min().unwrap_or(running);
        next.min(running / ONE_IN).max(1)
    }

    /// A task has ended.
    pub fn end(&mut self, task: usize, ended: Ended) {
        let adds = match ended {
            Ended::Completed(Value::Object(map)) => map,
            Ended::Completed(Value::Null) | Ended::Failed => Map::new(),
            Ended::Completed(other) => Map::from_iter([(self.job.tasks[task].name.clone(), other)]),
        };
        self.states[task] = State::Ended(adds);
    }

    /// The context with the results of all tasks that have ended.
    pub fn result(&self) -> Map<String, Value> {
        self.merged(|_| true)
    }

    fn ready(&self, task: usize) -> bool {
        let ended = |dependency: &usize| matches!(self.states[*dependency], State::Ended(_));
        self.states[task] == State::Waiting && self.job.tasks[task].depends_on.iter().all(ended)
    }

    /// The first context, over it the results of these tasks in topological order.
    fn merged(&self, wanted: impl Fn(usize) -> bool) -> Map<String, Value> {
        let mut context = self.job.context.clone();
        for (task, state) in self.states.iter().enumerate() {
            if let State::Ended(adds) = state
                && wanted(task)
            {
                context.extend(adds.clone());
            }
        }
        context
    }

    /// What a task sees: of the tasks, only those that it depends on, directly or not. Others may have ended as well,
    /// but need not have.
    fn context_of(&self, task: usize) -> Map<String, Value> {
        let mut before = vec![false; task + 1];
        before[task] = true;
        for place in (0..=task).rev() {
            if before[place] {
                self.job.tasks[place].depends_on.iter().for_each(|dependency| before[*dependency] = true);
            }
        }
        self.merged(|place| place < task && before[place])
    }

    fn payload(&self, task: usize) -> Vec<u8> {
        let Task { inputs, arguments, .. } = &self.job.tasks[task];
        let context = self.context_of(task);
        let mut named = Map::new();
        match inputs {
            None => {
                named.insert("context".into(), Value::Object(context));
            }
            Some(inputs) => {
                named.extend(inputs.iter().filter_map(|(name, key)| Some((name.clone(), context.get(key)?.clone()))));
            }
        }
        named.extend(arguments.clone());
        json!([named]).to_string().into_bytes()
    }
}

/// The identity of a task's call: SHA-256 over job name, task name, handler and payload, each after its length in bytes
/// as eight bytes, the highest first; in hex. So two tasks of a job are two calls even with one handler and the same
/// arguments.
fn hash(job: &str, task: &Task, payload: &[u8]) -> String {
    let mut hasher = Sha256::new();
    for part in [job.as_bytes(), task.name.as_bytes(), task.handler.as_bytes(), payload] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(file: Value) -> Job {
        Job::read(file).unwrap()
    }

    fn names(job: &Job, starts: &[Start]) -> Vec<String> {
        starts.iter().map(|start| job.tasks[start.task].name.clone()).collect()
    }

    fn arguments(start: &Start) -> Value {
        serde_json::from_slice::<Value>(&start.payload).unwrap()[0].clone()
    }

    fn place(job: &Job, name: &str) -> usize {
        job.tasks.iter().position(|task| task.name == name).unwrap()
    }

    fn end(progress: &mut Progress<'_>, name: &str, value: Value) -> Vec<Start> {
        progress.end(place(progress.job, name), Ended::Completed(value));
        progress.start()
    }

    /// `ab` needs `a` and `b`; `last` needs `ab` and, through it, both.
    fn diamond() -> Job {
        job(json!({"name": "j", "context": {"n": 0, "by": "job"}, "tasks": [
            {"name": "last", "depends_on": ["ab"]},
            {"name": "b"},
            {"name": "a"},
            {"name": "ab", "depends_on": ["a", "b"]},
            {"name": "alone", "depends_on": ["a"]},
        ]}))
    }

    #[test]
    fn a_task_starts_when_its_own_dependencies_are_there() {
        let job = diamond();
        let mut progress = Progress::new(&job);
        assert_eq!(names(&job, &progress.start()), ["b", "a"]);
        assert_eq!(progress.start(), []);
        assert_eq!(names(&job, &end(&mut progress, "a", json!(null))), ["alone"]);
        assert_eq!(names(&job, &end(&mut progress, "b", json!(null))), ["ab"]);
        assert_eq!(end(&mut progress, "alone", json!(null)), []);
        assert_eq!(names(&job, &end(&mut progress, "ab", json!(null))), ["last"]);
        assert_eq!(end(&mut progress, "last", json!(null)), []);
        assert_eq!(Value::Object(progress.result()), json!({"n": 0, "by": "job"}));
    }

    #[test]
    fn one_outcome_is_enough_unless_there_are_hundreds() {
        let wide = |count: usize, join: usize| {
            let mut tasks: Vec<_> = (0..count).map(|i| json!({"name": i.to_string()})).collect();
            let all: Vec<_> = (0..join).map(|i| i.to_string()).collect();
            tasks.push(json!({"name": "join", "depends_on": all}));
            tasks.push(json!({"name": "after", "depends_on": ["join"]}));
            job(json!({"name": "j", "tasks": tasks}))
        };
        let need = |job: &Job, ended: usize| {
            let mut progress = Progress::new(job);
            progress.start();
            (0..ended).for_each(|task| progress.end(task, Ended::Failed));
            progress.need()
        };
        for (count, needs) in [(1, 1), (64, 1), (127, 1), (128, 2), (1000, 15)] {
            assert_eq!(need(&wide(count, count), 0), needs, "{count}");
        }
        assert_eq!(need(&wide(1000, 1000), 500), 7);
        // Four are all that `join` needs, then three; none of the others is worth waiting for with them.
        assert_eq!(need(&wide(1000, 4), 0), 4);
        assert_eq!(need(&wide(1000, 4), 1), 3);
    }

    #[test]
    fn what_a_task_is_given_does_not_depend_on_who_ended_first() {
        let job = diamond();
        let mut given = Vec::new();
        for order in [["a", "b", "alone"], ["b", "a", "alone"], ["a", "alone", "b"]] {
            let mut progress = Progress::new(&job);
            progress.start();
            let started = order.map(|name| end(&mut progress, name, json!({"by": name, name: 1}))).concat();
            let find = |name| started.iter().find(|start| start.task == place(&job, name)).unwrap().clone();
            given.push((find("ab"), find("alone")));
        }
        assert!(given.iter().all(|starts| *starts == given[0]));
        // `a` is the later one of the two in the file.
        assert_eq!(arguments(&given[0].0), json!({"context": {"n": 0, "by": "a", "a": 1, "b": 1}}));
        assert_eq!(arguments(&given[0].1), json!({"context": {"n": 0, "by": "a", "a": 1}}));
    }

    #[test]
    fn results_are_merged() {
        let job = diamond();
        let mut progress = Progress::new(&job);
        progress.start();
        end(&mut progress, "a", json!({"n": 1}));
        end(&mut progress, "b", json!("text"));
        progress.end(place(&job, "ab"), Ended::Failed);
        let last = progress.start();
        assert_eq!(arguments(&last[0]), json!({"context": {"n": 1, "by": "job", "b": "text"}}));
        end(&mut progress, "last", json!([1]));
        end(&mut progress, "alone", json!({"by": "alone"}));
        assert_eq!(Value::Object(progress.result()), json!({"n": 1, "by": "alone", "b": "text", "last": [1]}));
    }

    #[test]
    fn arguments_and_inputs() {
        let job = job(json!({"name": "j", "context": {"n": 7}, "tasks": [
            {"name": "context", "arguments": {"x": 1}},
            {"name": "own-context", "arguments": {"context": "mine"}},
            {"name": "inputs", "inputs": {"a": "n", "b": "n", "c": "absent", "d": "n"}, "arguments": {"d": 8}},
            {"name": "none", "inputs": {}},
        ]}));
        let given: Vec<_> = Progress::new(&job).start().iter().map(arguments).collect();
        assert_eq!(
            given,
            [
                json!({"context": {"n": 7}, "x": 1}),
                json!({"context": "mine"}),
                json!({"a": 7, "b": 7, "d": 8}),
                json!({})
            ]
        );
    }

    #[test]
    fn each_task_is_a_call_of_its_own() {
        let file = |job: &str| {
            json!({"name": job, "tasks": [
                {"name": "a", "handler": "h", "inputs": {}}, {"name": "b", "handler": "h", "inputs": {}},
                {"name": "c", "inputs": {}},
            ]})
        };
        let hashes: Vec<_> = ["j", "k"].map(|name| Progress::new(&job(file(name))).start()).concat();
        for (index, start) in hashes.iter().enumerate() {
            assert!(hashes[..index].iter().all(|before| before.hash != start.hash));
        }
        // As it was once: another one would make every job that is under way start again.
        assert_eq!(hashes[0].payload, b"[{}]");
        assert_eq!(hashes[0].hash, "37c5c685632f8ada9c1db478f3f5e7d5f1515c2708a5cd0b58450566240893dd");
    }
}
