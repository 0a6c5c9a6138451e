//! The edges of the SDK: raw bytes, topics, hashes, the request itself, clock and random numbers.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::{Duration, UNIX_EPOCH};

use brrr::{App, Result};

use crate::graph::leaf;

/// Bytes there, the same bytes back.
#[brrr::handler(raw)]
pub fn echo(payload: Vec<u8>) -> Vec<u8> {
    payload
}

/// What a handler is told about its call.
#[brrr::handler(timeout = "30s")]
pub fn about(app: App) -> BTreeMap<String, String> {
    let deadline = app.deadline_ms.is_some().to_string();
    let facts = [
        ("task", app.task.clone()),
        ("call_hash", app.call_hash.clone()),
        ("root_id", app.root_id.clone()),
        ("topic", app.topic.clone()),
        ("attempt", app.attempt.to_string()),
        ("has_deadline", deadline),
    ];
    facts.map(|(name, fact)| (name.to_owned(), fact)).into()
}

/// A call in bytes that are no JSON; how many came back, and whether they are the same.
#[brrr::handler]
pub async fn call_raw(bytes: usize) -> Result<(usize, bool)> {
    let sent: Vec<u8> = (0..=255).cycle().take(bytes).collect();
    let got = echo(sent.clone()).await?;
    Ok((got.len(), got == sent))
}

/// A call by name on another topic, with its arguments one by one.
#[brrr::handler]
pub async fn call_topic(app: App, topic: String, i: u64) -> Result<u64> {
    Ok(app.call("leaf").topic(topic).arg("i", i).await?)
}

/// Two different calls that claim one identity: they share the first one's value.
#[brrr::handler]
pub async fn call_hash(hash: String) -> Result<(u64, u64)> {
    let first = leaf(1).hash(hash.as_str()).await?;
    let second = leaf(2).hash(hash).await?;
    Ok((first, second))
}

/// The time in milliseconds before and after a child: the same in every replay.
#[brrr::handler]
pub async fn clock() -> Result<(u128, u128)> {
    let now = || brrr::system::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let before = now();
    leaf(1).await?;
    Ok((before, now()))
}

/// A random number before a child and one after it: the same in every replay.
#[brrr::handler]
pub async fn random() -> Result<(u64, u64)> {
    let before = brrr::system::random();
    leaf(1).await?;
    Ok((before, brrr::system::random()))
}

/// Sleeps, then says how far the clock moved. Not a leaf, so it does not really wait.
#[brrr::handler]
pub fn sleeps(ms: u64) -> u128 {
    let before = brrr::system::now();
    brrr::system::sleep(Duration::from_millis(ms));
    brrr::system::now().duration_since(before).map_or(0, |moved| moved.as_millis())
}

/// Waits for something that is no call; the SDK says so rather than hang.
#[brrr::handler(max_retries = 0)]
pub async fn waits_for_nothing() {
    pending().await
}
