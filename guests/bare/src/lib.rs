//! A component without an SDK: what a program in any language has to do, shown with the bindings of `wit/worker.wit` and a JSON
//! library. `guests/README.md` explains it, under "A language without an SDK".

#![allow(clippy::result_large_err, reason = "the error of the bindings has many fields")]

mod python;

use serde_json::{Map, Value, json};

wit_bindgen::generate!({ path: "../../wit", world: "worker" });

use brrr::worker::log::{self, Level};
use brrr::worker::tasks::poll;
use brrr::worker::types::{ErrorInfo, Failure, Invocation, Outcome, Task, Want};
use exports::brrr::worker::handler::{Component, Guest, HandlerError, Request};

struct Bare;

export!(Bare);

impl Guest for Bare {
    /// The host asks once, when it loads the component.
    fn describe() -> Component {
        let task = |name: &str, options: &[(&str, &str)]| Task {
            name: name.to_owned(),
            options: options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        };
        Component {
            // There is no SDK.
            sdk: String::new(),
            sdk_version: String::new(),
            tasks: vec![
                task("hello", &[("description", "Greets."), ("timeout-ms", "10000")]),
                task("fib", &[("max-retries", "2"), ("retry-delay-ms", "100")]),
                task("approval", &[("description", "Waits for an answer, for so many milliseconds at most.")]),
            ],
        }
    }

    /// The host makes a new instance for each run, and calls this once. When the handler has to wait, `poll` does not return:
    /// the instance ends there, and a later run begins here again, with the same request.
    fn handle(request: Request) -> Result<Vec<u8>, HandlerError> {
        let arguments = arguments(&request.payload)?;
        let result = match request.task.as_str() {
            "hello" => hello(&arguments),
            "fib" => fib(&arguments),
            "approval" => approval(&arguments),
            other => Err(permanent(format!("this component has no task {other:?}"))),
        }?;
        // A result is JSON.
        Ok(result.to_string().into_bytes())
    }
}

fn hello(arguments: &Map<String, Value>) -> Result<Value, HandlerError> {
    let Some(greetee) = arguments.get("greetee").and_then(Value::as_str) else {
        return Err(permanent("greetee must be text"));
    };
    let greeting = format!("Hello, {greetee}!");
    // The host shows it once, however often the handler is run again.
    log::write(Level::Info, &greeting, &[("greetee".to_owned(), greetee.to_owned())]);
    Ok(json!(greeting))
}

/// Two calls in one poll: they run at the same time, on whichever workers are free.
fn fib(arguments: &Map<String, Value>) -> Result<Value, HandlerError> {
    let n = number(arguments, "n")?;
    if n < 2 {
        return Ok(json!(n));
    }
    // The first run asks for both, and ends here. In the next run the same two calls are asked for again, in the same order,
    // and this time their outcomes are there. So what is asked for may depend on the arguments and on outcomes, and on nothing
    // else: no global state, no order of a hash map.
    let calls = [call("fib", json!({"n": n - 1})), call("fib", json!({"n": n - 2}))];
    let mut sum = 0;
    // With `all`, an outcome is missing if another call has failed. This handler fails then.
    for value in values(poll(&calls, Want::All, None))? {
        sum += value.as_u64().ok_or_else(|| permanent(format!("fib gave {value}")))?;
    }
    Ok(json!(sum))
}

/// A promise: a call whose outcome somebody outside gives. And a time limit: `until`.
fn approval(arguments: &Map<String, Value>) -> Result<Value, HandlerError> {
    let limit = number(arguments, "ms")?;
    let promise = Invocation { payload: b"approval".to_vec(), options: vec![], ..call("brrr.promise", json!({})) };
    // The clock is the same in every replay, so the limit is too.
    let until = now().saturating_add(limit);
    match poll(&[promise], Want::All, Some(until)).remove(0) {
        None => Ok(json!("nobody answered")),
        Some(Ok(answer)) => value(&answer),
        // A failure that is caught. To pass it on, a handler returns it as `child`.
        Some(Err(failure)) if failure.kind == "rejected" => Ok(json!({"refused": failure.message})),
        Some(Err(failure)) => Err(HandlerError::Child(failure)),
    }
}

/// A call with named arguments.
fn call(task: &str, arguments: Value) -> Invocation {
    Invocation {
        task: task.to_owned(),
        // The arguments are one object, in a list.
        payload: python::dumps(&json!([arguments])).into_bytes(),
        topic: None,
        // The host derives the identity, here as the existing Python worker does: so the outcome is shared with all calls of
        // this task and these arguments, whoever makes them. For that, the payload has to be exactly the one that Python
        // writes. Without `hash-of`, any JSON will do: the host hashes task and payload in its own way.
        call_hash: None,
        options: vec![("hash-of".to_owned(), "python".to_owned())],
    }
}

/// The named arguments of a request: `[{…}]`.
fn arguments(payload: &[u8]) -> Result<Map<String, Value>, HandlerError> {
    match serde_json::from_slice(payload) {
        Ok(Value::Array(list)) => match <[Value; 1]>::try_from(list) {
            Ok([Value::Object(arguments)]) => Ok(arguments),
            Err(list) if list.is_empty() => Ok(Map::new()),
            _ => Err(permanent("the arguments must be one object in a list")),
        },
        _ => Err(permanent("the arguments must be a list in JSON")),
    }
}

fn number(arguments: &Map<String, Value>, name: &str) -> Result<u64, HandlerError> {
    arguments
        .get(name)
        .and_then(Value::as_u64)
        .ok_or_else(|| permanent(format!("{name} must be a whole number from 0")))
}

/// The values of these outcomes, or the first failure as the handler's own error.
fn values(outcomes: Vec<Option<Outcome>>) -> Result<Vec<Value>, HandlerError> {
    let mut failed: Option<Failure> = None;
    let mut values = Vec::new();
    for outcome in outcomes.into_iter().flatten() {
        match outcome {
            Ok(bytes) => values.push(value(&bytes)?),
            Err(failure) => failed = failed.or(Some(failure)),
        }
    }
    failed.map_or(Ok(values), |failure| Err(HandlerError::Child(failure)))
}

/// A result. Some workers give no bytes for null.
fn value(bytes: &[u8]) -> Result<Value, HandlerError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| permanent(format!("a result is not JSON: {error}")))
}

/// Running the handler again can't mend it.
fn permanent(message: impl Into<String>) -> HandlerError {
    HandlerError::Permanent(ErrorInfo { message: message.into(), details: None })
}

/// Unix time in milliseconds, by WASI's clock, which the host replays.
fn now() -> u64 {
    let now = wasip2::clocks::wall_clock::now();
    now.seconds * 1000 + u64::from(now.nanoseconds) / 1_000_000
}
