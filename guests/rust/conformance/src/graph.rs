//! Handlers that do what handlers are for.

use brrr::{Failure, Result, first, first_n, try_join, try_join_all};

#[brrr::handler]
pub fn hello(greetee: String) -> String {
    format!("Hello, {greetee}!")
}

/// The least that a handler can do: the floor of the benchmarks.
#[brrr::handler]
pub fn noop() {}

/// Without a salt every `fib(n)` is one call, however many ask for it. With one, the two children get salts of their
/// own, so that none is shared: `fib(16, "x")` is a tree of 3,193 calls.
#[brrr::handler]
pub async fn fib(n: u64, salt: Option<String>) -> Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let below = |way: &str| salt.as_ref().map(|salt| format!("{salt}{way}"));
    let (a, b) = try_join!(fib(n - 2, below("l")), fib(n - 1, below("r")))?;
    Ok(a + b)
}

/// `n` detached jobs; their ids.
#[brrr::handler]
pub async fn spawns(n: u64) -> Result<Vec<String>> {
    let mut jobs = Vec::new();
    for i in 0..n {
        jobs.push(fib(i, Some("spawn".into())).spawn().await?);
    }
    Ok(jobs)
}

/// A detached job before a call, which another run starts again, and one after it.
#[brrr::handler]
pub async fn spawns_between() -> Result<(String, String)> {
    let before = fib(1, Some("between".into())).spawn().await?;
    fib(2, None).await?;
    Ok((before, fib(3, Some("between".into())).spawn().await?))
}

/// A call without children, which gives what it got.
#[brrr::handler]
pub fn leaf(i: u64) -> u64 {
    i
}

/// `n` children in one batch; the sum of 0 to n-1.
#[brrr::handler]
pub async fn fan_out(n: u64) -> Result<u64> {
    Ok(try_join_all((0..n).map(leaf)).await?.into_iter().sum())
}

/// The same batch; its values in the order of the calls.
#[brrr::handler]
pub async fn gather(n: u64) -> Result<Vec<u64>> {
    Ok(try_join_all((0..n).map(leaf)).await?)
}

/// `n` children, one after the other; the sum.
#[brrr::handler]
pub async fn sequential(n: u64) -> Result<u64> {
    let mut sum = 0;
    for i in 0..n {
        sum += leaf(i).await?;
    }
    Ok(sum)
}

/// `n` chains of two calls at the same time: all first calls are one batch, all second ones another.
#[brrr::handler]
pub async fn chains(n: u64) -> Result<Vec<u64>> {
    let chain = async |k| leaf(leaf(k).await? + n).await;
    Ok(try_join_all((0..n).map(chain)).await?)
}

/// A race of two topics, then a call on a third: which won, its value, and that call's.
#[brrr::handler]
pub async fn race(slow: String, gate: String) -> Result<(usize, u64, u64), Failure> {
    let (winner, value) = first([leaf(0).topic(slow), leaf(1)]).await;
    Ok((winner, value?, leaf(2).topic(gate).await?))
}

/// The values of the first `need` of `n` children, null for the others.
#[brrr::handler]
pub async fn race_of(need: usize, n: u64) -> Result<Vec<Option<u64>>, Failure> {
    first_n(need, (0..n).map(leaf)).await.into_iter().map(Option::transpose).collect()
}

/// Says a line before and after a child: each must be seen once, though the handler runs twice.
#[brrr::handler]
pub async fn prints(line: String) -> Result<String> {
    brrr::println!("before {line}");
    brrr::log::warn!("warning {line}");
    leaf(1).await?;
    brrr::println!("after {line}");
    Ok(line)
}

/// A value of this many bytes, quotes included.
#[brrr::handler]
pub fn big_result(bytes: usize) -> String {
    "x".repeat(bytes.saturating_sub(2))
}
