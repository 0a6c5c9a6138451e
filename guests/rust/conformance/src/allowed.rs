//! What a handler may touch, where the host allows it: HTTP, environment, files.

use std::collections::BTreeMap;
use std::time::Duration;

use brrr::http::{self, Response};
use brrr::{Result, fs, join, sleep, timeout, try_join_all};
use serde::{Deserialize, Serialize};

use crate::graph::leaf;

#[derive(Serialize, Deserialize)]
pub struct Got {
    status: u16,
    body: String,
}

impl From<Response> for Got {
    fn from(response: Response) -> Self {
        Self { status: response.status, body: response.text() }
    }
}

/// What is at a URL.
#[brrr::handler(leaf, max_retries = 0)]
pub async fn http_get(url: String) -> Result<Got> {
    Ok(http::get(url).send().await?.into())
}

/// A request of any kind, with headers and a body.
#[brrr::handler(leaf, max_retries = 0)]
pub async fn http_send(method: String, url: String, headers: BTreeMap<String, String>, body: String) -> Result<Got> {
    let request = http::request(method, url).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    Ok(request.send().await?.into())
}

/// All at once; their bodies, in order.
#[brrr::handler(leaf, max_retries = 0)]
pub async fn http_several(urls: Vec<String>) -> Result<Vec<String>> {
    let responses = try_join_all(urls.into_iter().map(|url| http::get(url).send())).await?;
    Ok(responses.into_iter().map(Response::text).collect())
}

/// A request beside a call.
#[brrr::handler(max_retries = 0)]
pub async fn http_beside(url: String, i: u64) -> Result<(String, u64)> {
    let (response, value) = join!(http::get(url).send(), leaf(i));
    Ok((response?.text(), value?))
}

/// A request that fails is an ordinary error.
#[brrr::handler(leaf, max_retries = 0)]
pub async fn http_caught(url: String) -> String {
    match http::get(url).send().await {
        Ok(response) => format!("status {}", response.status),
        Err(error) => format!("error: {error}"),
    }
}

/// A request with a time of its own.
#[brrr::handler(leaf, max_retries = 0)]
pub async fn http_cut_short(url: String, ms: u64) -> String {
    match http::get(url).timeout(Duration::from_millis(ms)).send().await {
        Ok(response) => format!("status {}", response.status),
        Err(error) => format!("error: {error}"),
    }
}

/// The same in a handler that may call, which sleeps where it is beside a request.
#[brrr::handler(max_retries = 0)]
pub async fn http_patient(url: String, ms: u64) -> Result<(String, u64)> {
    let said = match http::get(url).timeout(Duration::from_millis(ms)).send().await {
        Ok(response) => format!("status {}", response.status),
        Err(error) => format!("error: {error}"),
    };
    Ok((said, leaf(1).await?))
}

/// A request, limited by the handler and not by the client: beside a request, time is real. Then a sleep and a call, which are
/// durable.
#[brrr::handler(max_retries = 0)]
pub async fn http_limited(url: String, ms: u64) -> Result<(String, u64)> {
    let said = match timeout(Duration::from_millis(ms), http::get(url).send()).await {
        Ok(response) => format!("status {}", response?.status),
        Err(elapsed) => format!("error: {elapsed}"),
    };
    sleep(Duration::from_millis(10)).await;
    Ok((said, leaf(1).await?))
}

/// A variable, or why not.
#[brrr::handler(leaf)]
pub fn env_get(key: String) -> String {
    brrr::env(&key).unwrap_or_else(|error| format!("error: {error}"))
}

/// A file's text, or why not.
#[brrr::handler(leaf)]
pub fn file_read(path: String) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| format!("error: {error}"))
}

/// Writes a file, and says `written` or why not.
#[brrr::handler(leaf)]
pub fn file_write(path: String, text: String) -> String {
    fs::write(&path, text).map_or_else(|error| format!("error: {error}"), |()| "written".into())
}
