//! Handlers that fail, and handlers that the host must survive.

use std::collections::BTreeMap;
use std::hint::black_box;

use brrr::{App, Error, Failure, Result};
use serde::{Deserialize, Serialize};

use crate::graph::leaf;

/// Its own error, with a cause.
#[brrr::handler(max_retries = 0)]
pub fn fails(message: String) -> Result<u64> {
    Err(message)?
}

/// An error that no retry can mend, although it may be retried.
#[brrr::handler(max_retries = 3)]
pub fn stubborn() -> Result<u64> {
    Err(Error::permanent("no use"))
}

/// An error that might pass and never does.
#[brrr::handler(max_retries = 2, retry_delay = "10ms")]
pub fn always_fails() -> Result<u64> {
    Err("never works")?
}

/// What a parent sees of a failure.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub kind: String,
    pub task: String,
    pub message: String,
    pub attempts: u32,
}

/// A child that fails after its retries: caught, or passed on. For that it is not run again itself.
#[brrr::handler(max_retries = 5)]
pub async fn calls_always_fails(catch: bool) -> Result<Seen> {
    match always_fails().await {
        Ok(_) => Err(Error::permanent("the child should have failed")),
        Err(Failure { kind, task, message, attempts, .. }) if catch => {
            Ok(Seen { kind: kind.into(), task, message, attempts })
        }
        Err(failure) => Err(failure.into()),
    }
}

/// A child's failure, passed on.
#[brrr::handler]
pub async fn fails_child(message: String) -> Result<u64> {
    Ok(fails(message).await?)
}

/// A caught failure, beside the value of a child that did not fail.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Caught {
    pub kind: String,
    pub task: String,
    pub message: String,
    pub fine: u64,
}

/// A child's failure, caught.
#[brrr::handler]
pub async fn catches(message: String) -> Result<Caught> {
    let (failed, fine) = brrr::join!(fails(message), leaf(1));
    match failed {
        Ok(_) => Err(Error::permanent("the child should have failed")),
        Err(Failure { kind, task, message, .. }) => Ok(Caught { kind: kind.into(), task, message, fine: fine? }),
    }
}

/// Fails before the attempt `until`, then says which one it is.
#[brrr::handler(max_retries = 3, retry_delay = "10ms", backoff = "fixed")]
pub fn flaky(app: App, until: u32) -> Result<BTreeMap<String, u32>> {
    if app.attempt < until {
        Err(format!("attempt {} fails", app.attempt))?;
    }
    Ok([("attempt".to_owned(), app.attempt)].into())
}

#[brrr::handler(max_retries = 0)]
pub fn panics(message: String) {
    panic!("{message}");
}

/// Never ends.
#[brrr::handler]
pub fn loops() {
    spin();
}

/// Uses its processor until it is stopped.
pub fn spin() {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory until there is none.
#[brrr::handler(max_retries = 0)]
pub fn grows() -> usize {
    let mut all = Vec::new();
    loop {
        all.push(vec![1u8; 1 << 20]);
        // So that the optimiser cannot leave the pages untouched.
        black_box(&mut all);
    }
}

/// Runs out of stack.
#[brrr::handler(max_retries = 0)]
pub fn recurses() -> u64 {
    #[allow(unconditional_recursion, reason = "that is the point")]
    fn deeper(n: u64) -> u64 {
        let frame = black_box([n; 64]);
        // The frame is used after the call, so that this is no loop in disguise.
        deeper(n + 1) + frame[(n % 64) as usize]
    }
    deeper(0)
}

/// A child that nobody serves.
#[brrr::handler]
pub async fn unknown_child(app: App) -> Result<u64> {
    Ok(app.call::<u64>("no_such_task").await?)
}

/// Waits for `cycle_b`, which waits for this.
#[brrr::handler]
pub async fn cycle_a() -> Result<u64> {
    Ok(cycle_b().await?)
}

#[brrr::handler]
pub async fn cycle_b() -> Result<u64> {
    Ok(cycle_a().await?)
}

/// Waits for itself.
#[brrr::handler]
pub async fn cycle_self() -> Result<u64> {
    Ok(cycle_self().await?)
}

/// Asks for the child that `choice` names, which is how a test makes it nondeterministic.
///
/// A component cannot be so by itself: memory, clock, random numbers and races come out the same in every run. But the
/// value of a child can be replaced behind its back, which is what workers of the older kind do. So a test lets this
/// wait for `leaf`, overwrites the value of `choice`, and wakes it: it then asks for another child than before.
#[brrr::handler(max_retries = 0)]
pub async fn nondeterministic() -> Result<u64> {
    let choice = choice().await?;
    Ok(leaf(choice).await?)
}

#[brrr::handler]
pub fn choice() -> u64 {
    1
}

/// A leaf that calls somebody all the same.
#[brrr::handler(leaf, max_retries = 0)]
pub async fn leaf_calls() -> Result<u64> {
    Ok(leaf(1).await?)
}
