//! Whole jobs, natively: `dag` beside a few handlers that it calls.

use brrr::testing::{batches, run};
use brrr::{Failure, Result, Task};
use serde_json::{Map, Value, json};

use crate::dag;

type Context = Map<String, Value>;

/// The kitchen's handlers, with the context as they see it.
mod kitchen {
    use super::*;

    #[brrr::handler]
    pub fn dice(context: Context, fruit: String) -> Result<Context> {
        let there = context["fruit"].as_array().is_some_and(|all| all.contains(&json!(fruit)));
        if !there {
            return Err(brrr::Error::permanent(format!("there is no {fruit}")));
        }
        Ok(Map::from_iter([(format!("diced-{fruit}"), json!(fruit.chars().rev().collect::<String>()))]))
    }

    #[brrr::handler]
    pub fn blend(context: Context) -> Value {
        let of = |key: &str| context.get(key).and_then(Value::as_str).unwrap_or("nothing").to_owned();
        json!({"smoothie": of("diced-banana") + "+" + &of("diced-mango")})
    }

    #[brrr::handler]
    pub fn garnish(context: Context, with: String) -> Result<Value> {
        let smoothie = context["smoothie"].as_str().ok_or("no smoothie")?;
        if with.is_empty() {
            return Err("nothing to garnish with".into());
        }
        Ok(json!({"smoothie": format!("{with} + {smoothie}")}))
    }

    /// Fails once, and gives its attempt and the seconds that it has.
    #[brrr::handler]
    pub fn flaky(app: brrr::App) -> Result<Value> {
        if app.attempt == 1 {
            return Err("not yet".into());
        }
        Ok(json!({"attempt": app.attempt, "seconds": app.time_left().as_secs_f64().ceil()}))
    }

    /// As a TypeScript handler that returns `undefined`, or bytes that are no JSON.
    #[brrr::handler(raw)]
    pub fn bytes(payload: Vec<u8>) -> Vec<u8> {
        if payload == b"[{}]" { Vec::new() } else { payload[1..].to_vec() }
    }

    /// Not made for a job: it knows of no context.
    #[brrr::handler]
    pub fn double(n: u64) -> u64 {
        2 * n
    }
}

const TASKS: &[Task] = &[
    <dag as brrr::Handler>::TASK,
    <kitchen::dice as brrr::Handler>::TASK,
    <kitchen::blend as brrr::Handler>::TASK,
    <kitchen::garnish as brrr::Handler>::TASK,
    <kitchen::flaky as brrr::Handler>::TASK,
    <kitchen::bytes as brrr::Handler>::TASK,
    <kitchen::double as brrr::Handler>::TASK,
];

fn run_job(file: Value) -> Result<Value, Failure> {
    run(TASKS, dag(file)).map(Value::Object)
}

fn smoothie(second_fruit: &str, sugar: &str) -> Value {
    json!({
        "name": "smoothie",
        "context": {"fruit": ["banana", "mango"]},
        "tasks": [
            {"name": "dice-banana", "handler": "dice", "arguments": {"fruit": "banana"}},
            {"name": "dice-mango", "handler": "dice", "arguments": {"fruit": second_fruit}},
            {"name": "blend", "depends_on": ["dice-banana", "dice-mango"]},
            {"name": "garnish", "depends_on": ["blend"], "continue_on_failure": true, "arguments": {"with": sugar}},
        ],
    })
}

#[test]
fn a_smoothie() {
    assert_eq!(
        run_job(smoothie("mango", "sugar")),
        Ok(json!({
            "fruit": ["banana", "mango"],
            "diced-banana": "ananab",
            "diced-mango": "ognam",
            "smoothie": "sugar + ananab+ognam",
        }))
    );
    // Both fruits at once, then whichever is left, and one after the other.
    assert_eq!(batches(), [2, 1, 1, 1]);
}

#[test]
fn a_failure_that_the_job_goes_on_without() {
    assert_eq!(run_job(smoothie("mango", "")).unwrap()["smoothie"], "ananab+ognam");
}

#[test]
fn a_failure_that_ends_the_job() {
    let failure = run_job(smoothie("kiwi", "sugar")).unwrap_err();
    assert_eq!(failure.message, "dice failed (error): there is no kiwi");
    assert_eq!(failure.chain, ["dag: dice failed (error): there is no kiwi", "dice: there is no kiwi"]);
}

#[test]
fn dependents_of_a_failed_task_go_on_with_the_context_as_it_was() {
    let mut file = smoothie("kiwi", "sugar");
    file["tasks"][1]["continue_on_failure"] = true.into();
    assert_eq!(run_job(file).unwrap()["smoothie"], "sugar + ananab+nothing");
}

#[test]
fn a_handler_that_knows_nothing_of_jobs() {
    let file = json!({"name": "numbers", "context": {"first": 3}, "tasks": [
        {"name": "six", "handler": "double", "inputs": {"n": "first"}},
        {"name": "twelve", "handler": "double", "inputs": {"n": "six"}, "depends_on": ["six"]},
        {"name": "also-six", "handler": "double", "inputs": {}, "arguments": {"n": 3}},
    ]});
    assert_eq!(run_job(file), Ok(json!({"first": 3, "six": 6, "twelve": 12, "also-six": 6})));
}

#[test]
fn retries_and_timeout_go_along() {
    let file = |retries: u32| {
        json!({"name": "j", "tasks": [
            {"name": "flaky", "inputs": {}, "timeout": "10s", "max_retries": retries, "topic": "elsewhere"},
        ]})
    };
    assert_eq!(run_job(file(1)), Ok(json!({"attempt": 2, "seconds": 10.0})));
    let failure = run_job(file(0)).unwrap_err();
    assert_eq!(failure.chain, ["dag: flaky failed (error): not yet", "flaky: not yet"]);
}

#[test]
fn results_without_bytes_are_null_and_others_are_json() {
    let file =
        |arguments: Value| json!({"name": "j", "tasks": [{"name": "bytes", "inputs": {}, "arguments": arguments}]});
    assert_eq!(run_job(file(json!({}))), Ok(json!({})));
    assert!(
        run_job(file(json!({"n": 1}))).unwrap_err().message.contains("bytes failed (codec): its result is not JSON")
    );
}

#[test]
fn a_job_in_a_job() {
    let inner = json!({"name": "drink", "tasks": [{"name": "blend"}]});
    let file = json!({"name": "meal", "context": {"diced-banana": "b", "diced-mango": "m"}, "tasks": [
        {"name": "drink", "handler": "dag", "arguments": inner},
    ]});
    assert_eq!(run_job(file).unwrap()["smoothie"], "b+m");
}

#[test]
fn nothing_runs_of_a_job_that_is_refused() {
    let mut file = smoothie("mango", "sugar");
    file["tasks"][0]["depends_on"] = json!(["garnish"]);
    let failure = run_job(file).unwrap_err();
    assert_eq!(
        failure.message,
        "task \"dice-banana\": it depends on itself, dice-banana -> garnish -> blend -> dice-banana (each needs the \
         next one first); take out one of these dependencies"
    );
    assert!(batches().is_empty());
}
