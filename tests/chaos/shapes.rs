//! Jobs of mixed shapes with tasks of the Rust guests, and the expected result of each. Two jobs share a call only
//! where the test wants it.

use brrr_protocol::codec::python;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId, Outcome};
use brrr_protocol::options::Options;
use fastrand::Rng;
use serde_json::{Map, Value, json};

pub const TOPIC: &str = "chaos";

/// The expected outcome of a call.
#[derive(Clone, Debug)]
pub enum Expected {
    Value(Value),
    /// A number that is at least this large.
    AtLeast(f64),
    Failure(FailureKind),
}

/// The top call of a job.
#[derive(Clone, Debug)]
pub struct Shape {
    pub name: &'static str,
    pub task: &'static str,
    pub arguments: Value,
    /// The call gets a hash of its own, because other jobs make the same call.
    pub fresh: bool,
    /// How many new calls the job makes, with the top call.
    pub calls: u64,
    pub expected: Expected,
}

impl Shape {
    fn new(name: &'static str, task: &'static str, arguments: Value, calls: u64, value: Value) -> Self {
        Self { name, task, arguments, fresh: false, calls, expected: Expected::Value(value) }
    }

    fn fresh(self) -> Self {
        Self { fresh: true, ..self }
    }

    fn fails(self, kind: FailureKind) -> Self {
        Self { expected: Expected::Failure(kind), ..self }
    }

    /// The call for the job `job_id`.
    pub fn call(&self, job_id: &JobId) -> Call {
        let hash = CallHash::from(python::call_hash(self.task, &self.arguments));
        Call {
            hash: if self.fresh { CallHash::derive(job_id.as_str(), hash.as_str().as_bytes()) } else { hash },
            task: self.task.to_owned(),
            payload: python::payload(&self.arguments).into(),
            topic: TOPIC.into(),
            options: Options::default(),
        }
    }

    /// Whether this outcome is the expected one.
    pub fn is_met_by(&self, outcome: &Outcome) -> bool {
        match (&self.expected, outcome) {
            (Expected::Value(value), Ok(bytes)) => {
                serde_json::from_slice::<Value>(bytes).is_ok_and(|got| got == *value)
            }
            (Expected::AtLeast(least), Ok(bytes)) => {
                serde_json::from_slice::<f64>(bytes).is_ok_and(|got| got >= *least)
            }
            (Expected::Failure(kind), Err(Failure { kind: got, .. })) => got == kind,
            (Expected::Value(_) | Expected::AtLeast(_), Err(_)) | (Expected::Failure(_), Ok(_)) => false,
        }
    }
}

fn fibonacci(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

/// A tree with a salt, so that no other job shares its calls.
pub fn tree(n: u64, salt: &str) -> Shape {
    Shape::new("tree", "fib", json!({"n": n, "salt": salt}), 2 * fibonacci(n + 1) - 1, json!(fibonacci(n)))
}

/// A chain: each call waits for the next one.
pub fn chain(length: u64, salt: &str) -> Shape {
    let (task, arguments) = (0..length).fold(("fib", json!({"n": 1, "salt": salt})), |(task, arguments), _| {
        ("relays", json!({"task": task, "topic": null, "args": arguments}))
    });
    Shape::new("chain", task, arguments, length + 1, json!(1))
}

/// Many calls at once.
pub fn fan(width: u64, name: &str) -> Shape {
    let tasks: Vec<_> = (0..width)
        .map(|i| json!({"name": format!("t{i}"), "handler": "leaf", "inputs": {}, "arguments": {"i": i}}))
        .collect();
    let context: Map<String, Value> = (0..width).map(|i| (format!("t{i}"), json!(i))).collect();
    Shape::new("fan-out", "dag", json!({"name": name, "tasks": tasks}), width + 1, context.into())
}

/// A graph of calls that depend on each other. Some calls are retried, some fail and their parents go on, and some are trees.
pub fn mesh(rng: &mut Rng, name: &str) -> Shape {
    let (mut tasks, mut context, mut calls) = (Vec::new(), Map::new(), 1);
    for i in 0..rng.usize(6..20) {
        let task_name = format!("t{i}");
        let (handler, arguments, more) = match rng.u32(0..10) {
            0..6 => ("leaf", json!({"i": i}), 1),
            6 => ("flaky", json!({"until": 2}), 1),
            7 => ("fails", json!({"message": "as it should"}), 1),
            _ => ("fib", json!({"n": 3, "salt": format!("{name}{i}")}), 5),
        };
        match handler {
            "leaf" => drop(context.insert(task_name.clone(), json!(i))),
            "flaky" => drop(context.insert("attempt".to_owned(), json!(2))),
            "fib" => drop(context.insert(task_name.clone(), json!(2))),
            _ => {}
        }
        // A call depends only on earlier calls, so the order of the list is a topological order.
        let depends_on: std::collections::BTreeSet<_> =
            (0..rng.usize(0..4)).filter(|_| i > 0).map(|_| format!("t{}", rng.usize(0..i))).collect();
        calls += more;
        tasks.push(json!({
            "name": task_name, "handler": handler, "inputs": {}, "arguments": arguments, "depends_on": depends_on,
            "continue_on_failure": handler == "fails",
        }));
    }
    Shape::new("mesh", "dag", json!({"name": name, "tasks": tasks}), calls, context.into())
}

/// A graph in which one call fails, so that the job fails.
pub fn broken_mesh(rng: &mut Rng, name: &str) -> Shape {
    let mut shape = mesh(rng, name);
    let tasks = shape.arguments["tasks"].as_array_mut().expect("a list");
    let (handler, kind) = match rng.u32(0..4) {
        0 => ("panics", FailureKind::Trap),
        _ => ("fails", FailureKind::Error),
    };
    tasks.push(json!({"name": "broken", "handler": handler, "inputs": {}, "arguments": {"message": "as it should"},
        "depends_on": ["t0"]}));
    shape.calls += 1;
    Shape { name: "broken mesh", ..shape.fails(kind) }
}

/// A call whose attempts fail, except the last one.
pub fn flaky(until: u32) -> Shape {
    Shape::new("flaky", "flaky", json!({"until": until}), 1, json!({"attempt": until})).fresh()
}

/// A child that still fails after its retries. The parent catches the failure, or not.
pub fn hopeless(catch: bool) -> Shape {
    let seen = json!({"kind": "error", "task": "always_fails", "message": "never works", "attempts": 3});
    let shape = Shape::new("hopeless", "calls_always_fails", json!({"catch": catch}), 2, seen).fresh();
    if catch { shape } else { shape.fails(FailureKind::Error) }
}

/// A call that its own limit stops.
pub fn spin() -> Shape {
    Shape::new("timeout", "spin_briefly_limited", json!({}), 1, Value::Null).fresh().fails(FailureKind::Timeout)
}

/// A call that takes this many seconds.
pub fn sleeper(seconds: f64) -> Shape {
    let shape = Shape::new("sleeper", "sleeper", json!({"seconds": seconds}), 1, Value::Null).fresh();
    Shape { expected: Expected::AtLeast(seconds), ..shape }
}

/// A call that returns its payload.
pub fn greeting(text: &str) -> Shape {
    let name = "greeting";
    Shape::new(name, "hello", json!({"greetee": text}), 1, json!(format!("Hello, {text}!")))
}

/// A call whose value has this many bytes, with the quotes.
pub fn large(bytes: usize) -> Shape {
    Shape::new("large", "big_result", json!({"bytes": bytes}), 1, json!("x".repeat(bytes - 2))).fresh()
}
