//! Time, promises, identity, and what goes with an error, a message and a task.

use std::collections::BTreeMap;
use std::time::Duration;

use brrr::{App, Call, Error, Failure, Result, Scope, first, sleep, timeout, try_join, try_join_all};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hostile::fails;
use crate::outside::number;

/// Takes so long.
#[brrr::handler(leaf)]
pub async fn nap(ms: u64, tag: String) -> String {
    sleep(Duration::from_millis(ms)).await;
    tag
}

/// Four chains side by side. The chain k is slow at its step k.
#[brrr::handler]
pub async fn sides(ms: u64, salt: String) -> Result<Vec<String>> {
    let salt = salt.as_str();
    let chain = async |k: u64| {
        let mut last = String::new();
        for i in 0..4 {
            last = nap(if i == k { ms } else { 0 }, format!("{salt}{k}{i}")).await?;
        }
        Ok::<_, Failure>(last)
    };
    Ok(try_join_all((0..4).map(chain)).await?)
}

/// Ends with its first failure.
#[brrr::handler(max_retries = 0)]
pub async fn fail_fast(ms: u64, salt: String) -> Result<()> {
    try_join!(fails(salt.clone()), nap(ms, salt))?;
    Ok(())
}

/// A call with a limit, whose value is this text if it is too late.
async fn within(limit: u64, call: Call<String>) -> Result<String, Failure> {
    match timeout(Duration::from_millis(limit), call).await {
        Ok(value) => value,
        Err(_) => Ok("too late".into()),
    }
}

#[brrr::handler]
pub async fn too_late(ms: u64, limit: u64, tag: String) -> Result<String> {
    Ok(within(limit, nap(ms, tag)).await?)
}

/// The call goes on, and gives its value to the next one that asks.
#[brrr::handler]
pub async fn twice_late(ms: u64, limit: u64, tag: String) -> Result<(String, String)> {
    let first = within(limit, nap(ms, tag.clone())).await?;
    Ok((first, nap(ms, tag).await?))
}

/// What somebody outside answers.
#[brrr::handler]
pub async fn asks(app: App, name: String, limit: u64) -> Result<Value> {
    let answer = app.promise(name);
    if limit == 0 {
        return Ok(answer.await?);
    }
    match timeout(Duration::from_millis(limit), answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Ok("too late".into()),
    }
}

/// A race of a promise and a call.
#[brrr::handler]
pub async fn asks_or(app: App, name: String, ms: u64, tag: String) -> Result<Value> {
    let (_, won) = first([app.promise(name), nap(ms, tag).cast()]).await;
    Ok(won?)
}

#[brrr::handler]
pub async fn asks_caught(app: App, name: String) -> Result<BTreeMap<String, String>> {
    match app.promise::<Value>(name).await {
        Ok(answer) => Err(Error::permanent(format!("it should have been rejected, and is {answer}"))),
        Err(Failure { kind, message, .. }) => Ok([("kind".into(), kind.into()), ("message".into(), message)].into()),
    }
}

/// Another number in every run.
#[brrr::handler(leaf)]
pub fn dice(i: u64) -> u64 {
    let _ = i;
    number()
}

/// Shares the number with whom it is told to.
#[brrr::handler]
pub async fn scoped(scope: Option<String>, i: u64) -> Result<u64> {
    let call = dice(i);
    let call = match scope.as_deref() {
        None => call,
        Some("fleet") => call.scope(Scope::Fleet),
        Some("job") => call.scope(Scope::Job),
        Some(duration) => call.scope(Scope::For(seconds(duration)?)),
    };
    Ok(call.await?)
}

/// `90s`, `15m`, `1h` or `7d`.
fn seconds(text: &str) -> Result<Duration> {
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[number.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(Error::permanent(format!("{text} is no scope"))),
    };
    Ok(Duration::from_secs(number.parse::<u64>()? * unit))
}

#[derive(Serialize, Deserialize)]
struct Details {
    code: u64,
}

#[brrr::handler(max_retries = 0)]
pub fn attaches(code: u64) -> Result<()> {
    Err(Error::permanent("attached").details(&Details { code }))
}

#[brrr::handler]
pub async fn reads_details(code: u64) -> Result<u64> {
    match attaches(code).await {
        Ok(()) => Err(Error::permanent("the child should have failed")),
        Err(failure) => Ok(failure.details::<Details>()?.code),
    }
}

#[brrr::handler]
pub fn logs_fields() {
    brrr::log::info!(a = 1, b = "two"; "with fields");
}

/// Repeats a text.
#[brrr::handler(max_retries = 0, schema)]
pub fn described(text: String, times: u32) -> String {
    text.repeat(times as usize)
}
