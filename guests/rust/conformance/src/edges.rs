//! The edges of the SDK: raw bytes, topics, hashes, the request itself.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use brrr::{App, Failure, Result, first, join};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::graph::leaf;

/// Bytes there, the same bytes back.
#[brrr::handler(raw)]
pub fn echo(payload: Vec<u8>) -> Vec<u8> {
    payload
}

/// What a handler is told about its call.
#[derive(Serialize, Deserialize)]
pub struct About {
    task: String,
    call_hash: String,
    root_id: String,
    topic: String,
    attempt: u32,
    has_deadline: bool,
}

#[brrr::handler(timeout = "30s")]
pub fn about(app: App) -> About {
    About {
        task: app.task.clone(),
        call_hash: app.call_hash.clone(),
        root_id: app.job_id.clone(),
        topic: app.topic.clone(),
        attempt: app.attempt,
        has_deadline: app.deadline.is_some(),
    }
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

/// Any call, with any arguments.
#[brrr::handler]
pub async fn relays(app: App, task: String, topic: Option<String>, args: Value) -> Result<Value> {
    let mut call = app.call::<Value>(task).args(args);
    if let Some(topic) = topic {
        call = call.topic(topic);
    }
    Ok(call.await?)
}

/// Waits for something that is no call; the SDK says so rather than hang.
#[brrr::handler(max_retries = 0)]
pub async fn waits_for_nothing() {
    pending().await
}

/// Begins to wait for a call, and lets go of it: it is not made.
#[brrr::handler]
pub async fn lets_go() -> Result<u64> {
    {
        let mut dropped = pin!(leaf(7));
        poll_fn(|context| {
            assert!(dropped.as_mut().poll(context).is_pending(), "no outcome is there before all of it waits");
            Poll::Ready(())
        })
        .await;
    }
    Ok(leaf(8).await?)
}

/// Chains of one, two and three calls, and a race beside them.
#[brrr::handler]
pub async fn ragged() -> Result<(Vec<u64>, u64), Failure> {
    let chain = async |length: u64| {
        let mut sum = 0;
        for i in 0..length {
            sum += leaf(10 * length + i).await? % 10 + 1;
        }
        Ok::<_, Failure>(sum)
    };
    let race = async { first([leaf(1), leaf(1)]).await.1 };
    let (one, two, three, won) = join!(chain(1), chain(2), chain(3), race);
    Ok((vec![0, one?, two?, three?], won?))
}
