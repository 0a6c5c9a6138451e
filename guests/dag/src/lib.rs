//! The task `dag`: runs a job file, which is its arguments. `README.md` has its reference.
//!
//! | module | what it holds |
//! |---|---|
//! | [`job`] | a job file, read and checked |
//! | `fields` | the keys of one JSON object, with errors that name them |
//! | [`order`] | the topological order, or the cycle that there is instead |
//! | [`progress`] | what may start, what it is given, and what its result changes; no calls |
//! | `tests` | whole jobs, natively |
//!
//! All of it is a function of the job file and of the tasks' results. The order in which tasks happen to end decides
//! only when others start, never what they are given.

mod fields;
mod job;
mod order;
mod progress;
#[cfg(test)]
mod tests;

use brrr::{Call, Error, Failure, FailureKind, Result, first_n};
use serde_json::{Map, Value};

use job::{Job, Task};
use progress::{Ended, Progress, Start};

/// Runs a job file, and gives its context with the results of all tasks merged in.
#[brrr::handler]
async fn dag(#[args] file: Value) -> Result<Map<String, Value>> {
    let job = Job::read(file).map_err(|refused| Error::permanent(refused.to_string()))?;
    let mut progress = Progress::new(&job);
    let mut running: Vec<Start> = Vec::new();
    loop {
        running.extend(progress.start());
        if running.is_empty() {
            return Ok(progress.result());
        }
        let calls: Vec<_> = running.iter().map(|start| call(&job, start)).collect();
        let outcomes = first_n(progress.need(), calls).await;
        for (start, outcome) in std::mem::take(&mut running).into_iter().zip(outcomes) {
            let task = &job.tasks[start.task];
            match outcome.map(|outcome| outcome.and_then(|bytes| value(task, &bytes))) {
                None => running.push(start),
                Some(Ok(value)) => progress.end(start.task, Ended::Completed(value)),
                Some(Err(failure)) if task.continue_on_failure => {
                    brrr::log::warn!("{} goes on without {:?}: {failure}", job.name, task.name);
                    progress.end(start.task, Ended::Failed);
                }
                Some(Err(failure)) => {
                    brrr::log::error!("{} fails with {:?}: {failure}", job.name, task.name);
                    return Err(Error::Child(failure));
                }
            }
        }
    }
}

fn call(job: &Job, start: &Start) -> Call<Vec<u8>> {
    let task = &job.tasks[start.task];
    let mut call = Call::raw_named(task.handler.clone(), start.payload.clone())
        .hash(start.hash.clone())
        // Events and listings show the task by its name in the job, not only by its handler's.
        .label(task.name.clone());
    if let Some(topic) = &task.topic {
        call = call.topic(topic.clone());
    }
    if let Some(timeout) = task.timeout {
        call = call.timeout(timeout);
    }
    if let Some(retries) = task.max_retries {
        call = call.max_retries(retries);
    }
    call
}

/// A task's result. TypeScript's `undefined` has no bytes.
fn value(task: &Task, bytes: &[u8]) -> Result<Value, Failure> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let message = format!("its result is not JSON, which that of a task in a job must be: {error}");
        Failure::new(FailureKind::Codec, task.handler.clone(), message)
    })
}

brrr::worker!(dag);
