//! The tasks of `../before`, each with a change; see there.

use std::time::Duration;

use brrr::{App, Error, Result, Scope, sleep, try_join, try_join_all};
use serde::{Deserialize, Serialize};

#[brrr::handler]
fn double(n: u64) -> u64 {
    n + n
}

#[brrr::handler]
fn triple(n: u64) -> u64 {
    n + n + n
}

#[brrr::handler]
fn inc(n: u64) -> u64 {
    1 + n
}

#[brrr::handler]
async fn planted_child(n: u64) -> Result<u64> {
    Ok(triple(n).await?)
}

#[brrr::handler]
async fn planted_argument(n: u64) -> Result<u64> {
    Ok(double(n + 1).await?)
}

#[brrr::handler]
async fn planted_result(n: u64) -> Result<u64> {
    Ok(double(n).await? + 2)
}

#[brrr::handler]
async fn planted_more_children(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    inc(n).await?;
    Ok(doubled)
}

#[brrr::handler]
async fn planted_fewer_children(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn planted_order(n: u64) -> Result<u64> {
    Ok(double(inc(n).await?).await?)
}

#[brrr::handler]
async fn planted_scope(n: u64) -> Result<u64> {
    Ok(double(n).scope(Scope::Job).await?)
}

#[brrr::handler]
async fn planted_failure(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    Err(Error::permanent(format!("{doubled} is too large")))
}

#[brrr::handler]
async fn planted_type(n: u64) -> Result<String> {
    Ok(double(n).await?.to_string())
}

#[brrr::handler]
async fn planted_branch(n: u64) -> Result<u64> {
    Ok(if n >= 3 { triple(n).await? } else { double(n).await? })
}

async fn doubled_and(n: u64) -> Result<(u64, u64)> {
    let doubled = double(n).await?;
    Ok((doubled, inc(doubled).await?))
}

#[brrr::handler]
async fn harmless_refactoring(n: u64) -> Result<u64> {
    let (doubled, more) = doubled_and(n).await?;
    Ok(doubled + more)
}

#[brrr::handler]
async fn harmless_names(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    let one_more = inc(doubled).await?;
    Ok(one_more - doubled)
}

#[brrr::handler]
async fn harmless_speed(n: u64) -> Result<u64> {
    Ok(1_000 * 999 / 2 + double(n).await?)
}

#[brrr::handler]
async fn harmless_batch(n: u64) -> Result<u64> {
    let (doubled, more) = try_join!(double(n), inc(n))?;
    Ok(doubled + more)
}

#[brrr::handler]
async fn harmless_loop(n: u64) -> Result<Vec<u64>> {
    let mut values = Vec::new();
    while (values.len() as u64) < n {
        values.push(double(values.len() as u64).await?);
    }
    Ok(values)
}

#[brrr::handler]
async fn harmless_log(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    brrr::println!("after {doubled}");
    Ok(doubled)
}

#[brrr::handler]
async fn harmless_guard(n: u64) -> Result<u64> {
    Ok(double(n).await.unwrap_or(0))
}

#[brrr::handler(max_retries = 7, timeout = "1h")]
async fn harmless_options(n: u64) -> Result<u64> {
    Ok(double(n).max_retries(2).await?)
}

#[brrr::handler]
async fn harmless_order_of_a_batch(n: u64) -> Result<u64> {
    let (more, doubled) = try_join!(inc(n), double(n))?;
    Ok(doubled - more)
}

#[derive(Serialize, Deserialize)]
struct Answer {
    value: u64,
}

#[brrr::handler]
async fn harmless_type(n: u64) -> Result<Answer> {
    Ok(Answer { value: double(n).await? })
}

#[brrr::handler]
async fn harmless_new_task(n: u64) -> Result<u64> {
    Ok(triple(n).await?)
}

/// Fans out, sleeps, waits for an answer from outside, and fans out again.
#[brrr::handler]
async fn long(app: App, n: u64) -> Result<u64> {
    let first: u64 = try_join_all((0..n).map(triple)).await?.into_iter().sum();
    sleep(Duration::from_millis(300)).await;
    let go: u64 = app.promise("go").await?;
    let second: u64 = try_join_all((n..2 * n).map(triple)).await?.into_iter().sum();
    Ok(first + go + second)
}

brrr::worker!(
    long,
    double,
    triple,
    inc,
    planted_child,
    planted_argument,
    planted_result,
    planted_more_children,
    planted_fewer_children,
    planted_order,
    planted_scope,
    planted_failure,
    planted_type,
    planted_branch,
    harmless_refactoring,
    harmless_names,
    harmless_speed,
    harmless_batch,
    harmless_loop,
    harmless_log,
    harmless_guard,
    harmless_options,
    harmless_order_of_a_batch,
    harmless_type,
    harmless_new_task,
);
