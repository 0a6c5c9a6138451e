//! Jobs of mixed shape, of tasks of the Rust guests, each with what must come of it. No two share a call unless they mean to.

use brrr_protocol::codec::python;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId, Outcome};
use brrr_protocol::options::Options;
use fastrand::Rng;
use serde_json::{Map, Value, json};

pub const TOPIC: &str = "chaos";

/// What must come of a call.
#[derive(Clone, Debug)]
pub enum Expected {
    Value(Value),
    /// A number, and no less than this.
    AtLeast(f64),
    Failure(FailureKind),
}

/// A job's top call.
#[derive(Clone, Debug)]
pub struct Shape {
    pub name: &'static str,
    pub task: &'static str,
    pub arguments: Value,
    /// Under a hash of its own: the call is one that others make too.
    pub fresh: bool,
    /// Calls that it makes for the first time, itself included.
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

    /// The call as the job `job_id` makes it.
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

    /// Is this what must come of it?
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

/// A salted tree: none of its calls is shared.
pub fn tree(n: u64, salt: &str) -> Shape {
    Shape::new("tree", "fib", json!({"n": n, "salt": salt}), 2 * fibonacci(n + 1) - 1, json!(fibonacci(n)))
}

/// Each call waits for the next one.
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

/// A graph of calls that depend on each other: some are tried again, some fail and are done without, some are trees.
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
        // Only on earlier ones: so the order of the file is the topological one.
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

/// A graph in which one call fails, and with it the job.
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

/// Fails before its last attempt.
pub fn flaky(until: u32) -> Shape {
    Shape::new("flaky", "flaky", json!({"until": until}), 1, json!({"attempt": until})).fresh()
}

/// A child that fails for good after its retries: caught, or not.
pub fn hopeless(catch: bool) -> Shape {
    let seen = json!({"kind": "error", "task": "always_fails", "message": "never works", "attempts": 3});
    let shape = Shape::new("hopeless", "calls_always_fails", json!({"catch": catch}), 2, seen).fresh();
    if catch { shape } else { shape.fails(FailureKind::Error) }
}

/// A call that is stopped by its own limit.
pub fn spin() -> Shape {
    Shape::new("timeout", "spin_briefly_limited", json!({}), 1, Value::Null).fresh().fails(FailureKind::Timeout)
}

/// A call that takes so long.
pub fn sleeper(seconds: f64) -> Shape {
    let shape = Shape::new("sleeper", "sleeper", json!({"seconds": seconds}), 1, Value::Null).fresh();
    Shape { expected: Expected::AtLeast(seconds), ..shape }
}

/// A payload there, and the same one back.
pub fn greeting(text: &str) -> Shape {
    let name = "greeting";
    Shape::new(name, "hello", json!({"greetee": text}), 1, json!(format!("Hello, {text}!")))
}

/// A value of so many bytes, quotes included.
pub fn large(bytes: usize) -> Shape {
    Shape::new("large", "big_result", json!({"bytes": bytes}), 1, json!("x".repeat(bytes - 2))).fresh()
}
