//! The mistakes of guests/TESTING.md, one a task: `brrr-host test` finds each, or the host makes it harmless.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brrr::system::{now, random as random_bits};
use brrr::{App, Failure, Result, first, try_join, try_join_all};

/// A call without children, which gives what it got.
#[brrr::handler]
fn leaf(i: u64) -> u64 {
    i
}

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[brrr::handler]
async fn clock() -> Result<u64> {
    Ok(leaf(milliseconds(now())).await?)
}

#[brrr::handler]
async fn random() -> Result<u64> {
    Ok(leaf(random_bits() >> 11).await?)
}

#[brrr::handler]
async fn iteration_order() -> Result<u64> {
    let numbers: HashSet<u64> = (0..20).collect();
    let mut sum = 0;
    for n in numbers {
        sum += leaf(n).await?;
    }
    Ok(sum)
}

thread_local! {
    static RUNS: Cell<u64> = const { Cell::new(0) };
}

#[brrr::handler]
async fn mutable_global() -> Result<u64> {
    RUNS.set(RUNS.get() + 1);
    Ok(leaf(RUNS.get()).await?)
}

#[brrr::handler]
async fn environment() -> Result<u64> {
    let home = std::env::var("HOME").unwrap_or_default();
    Ok(leaf(home.len() as u64).await?)
}

#[brrr::handler]
async fn uncaught_failure() -> u64 {
    leaf(1).await.unwrap()
}

#[brrr::remote]
async fn price(item: String) -> u64;

/// Takes for a number what is none.
#[brrr::handler]
async fn wrong_type() -> Result<u64> {
    Ok(2 * price("pear".to_owned()).await?)
}

/// JSON has no such keys.
#[brrr::handler]
async fn not_serialisable() -> HashMap<(u64, u64), u64> {
    [((1, 2), 3)].into()
}

#[brrr::handler]
async fn race() -> Result<u64> {
    let (_, value) = first([leaf(1), leaf(2)]).await;
    Ok(leaf(10 * value?).await?)
}

#[brrr::handler(leaf)]
async fn leaf_calls() -> Result<u64> {
    Ok(leaf(1).await?)
}

#[brrr::handler]
async fn time_left(app: App) -> Result<u64> {
    let batch = if app.time_left() > Duration::from_secs(1) { 3 } else { 1 };
    Ok(try_join_all((0..batch).map(leaf)).await?.into_iter().sum())
}

/// Waits for a time that doesn't come while it computes.
#[brrr::handler]
async fn busy_wait() -> Result<u64> {
    let end = now() + Duration::from_millis(10);
    while now() < end {}
    Ok(leaf(1).await?)
}

/// Logs what an SDK logs that finds such mistakes.
#[brrr::handler]
async fn forgets() -> Result<u64> {
    brrr::log::warn!("brrr: the call of leaf was never waited for; await it");
    brrr::println!("in between");
    brrr::log::warn!("brrr: the call of price was never waited for; await it");
    Ok(leaf(1).await?)
}

#[brrr::handler]
async fn calls_one_that_forgets() -> Result<u64> {
    Ok(forgets().await?)
}

/// No mistake: an error of its own, with the call's failure as its cause.
#[derive(Debug)]
struct Wrapped(Failure);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no leaf today")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[brrr::handler]
async fn wraps() -> Result<u64> {
    Ok(leaf(1).await.map_err(Wrapped)?)
}

#[brrr::handler]
async fn no_end(n: u64) -> Result<u64> {
    let (a, b) = try_join!(no_end(n + 1), leaf(n))?;
    Ok(a + b)
}

/// Counts its runs in a file.
#[brrr::handler]
async fn file() -> Result<u64> {
    let runs = brrr::fs::read_to_string("/data/runs").unwrap_or_default().parse().unwrap_or(0) + 1;
    brrr::fs::write("/data/runs", runs.to_string())?;
    Ok(leaf(runs).await?)
}

/// What a server says today.
#[brrr::handler]
async fn request(url: String) -> Result<u64> {
    let number = brrr::http::get(&url).send().await?.error_for_status()?.text().parse()?;
    Ok(leaf(number).await?)
}

brrr::worker!(
    leaf,
    clock,
    random,
    iteration_order,
    mutable_global,
    environment,
    uncaught_failure,
    wrong_type,
    not_serialisable,
    race,
    leaf_calls,
    time_left,
    busy_wait,
    forgets,
    calls_one_that_forgets,
    wraps,
    no_end,
    file,
    request,
);
