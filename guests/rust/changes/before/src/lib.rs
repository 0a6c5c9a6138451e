//! What `push --verify` compares: `../after` has each of these tasks with a change. A task that is named `planted_…` asks for
//! other calls there, or gives another value. One that is named `harmless_…` is written in another way, and does the same.

use std::time::Duration;

use brrr::{App, Result, sleep, try_join, try_join_all};

#[brrr::handler]
fn double(n: u64) -> u64 {
    n * 2
}

#[brrr::handler]
fn triple(n: u64) -> u64 {
    n * 3
}

#[brrr::handler]
fn inc(n: u64) -> u64 {
    n + 1
}

#[brrr::handler]
async fn planted_child(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn planted_argument(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn planted_result(n: u64) -> Result<u64> {
    Ok(double(n).await? + 1)
}

#[brrr::handler]
async fn planted_more_children(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn planted_fewer_children(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    inc(n).await?;
    Ok(doubled)
}

#[brrr::handler]
async fn planted_order(n: u64) -> Result<u64> {
    Ok(inc(double(n).await?).await?)
}

#[brrr::handler]
async fn planted_scope(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn planted_failure(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn planted_type(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn planted_branch(n: u64) -> Result<u64> {
    Ok(if n > 3 { triple(n).await? } else { double(n).await? })
}

#[brrr::handler]
async fn harmless_refactoring(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    Ok(doubled + inc(doubled).await?)
}

#[brrr::handler]
async fn harmless_names(n: u64) -> Result<u64> {
    let a = double(n).await?;
    let b = inc(a).await?;
    Ok(b - a)
}

#[brrr::handler]
async fn harmless_speed(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    let mut total = 0;
    for i in 0..1_000 {
        total += i;
    }
    Ok(total + doubled)
}

#[brrr::handler]
async fn harmless_batch(n: u64) -> Result<u64> {
    let doubled = double(n).await?;
    let more = inc(n).await?;
    Ok(doubled + more)
}

#[brrr::handler]
async fn harmless_loop(n: u64) -> Result<Vec<u64>> {
    let mut values = Vec::new();
    for i in 0..n {
        values.push(double(i).await?);
    }
    Ok(values)
}

#[brrr::handler]
async fn harmless_log(n: u64) -> Result<u64> {
    brrr::println!("before");
    Ok(double(n).await?)
}

#[brrr::handler]
async fn harmless_guard(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn harmless_options(n: u64) -> Result<u64> {
    Ok(double(n).await?)
}

#[brrr::handler]
async fn harmless_order_of_a_batch(n: u64) -> Result<u64> {
    let (doubled, more) = try_join!(double(n), inc(n))?;
    Ok(doubled - more)
}

#[brrr::handler]
async fn harmless_type(n: u64) -> Result<serde_json::Value> {
    Ok(serde_json::json!({"value": double(n).await?}))
}

/// Fans out, sleeps, waits for an answer from outside, and fans out again.
#[brrr::handler]
async fn long(app: App, n: u64) -> Result<u64> {
    let first: u64 = try_join_all((0..n).map(double)).await?.into_iter().sum();
    sleep(Duration::from_millis(300)).await;
    let go: u64 = app.promise("go").await?;
    let second: u64 = try_join_all((n..2 * n).map(double)).await?.into_iter().sum();
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
);
