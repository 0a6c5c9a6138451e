//! Reads bodies and headers of requests.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, header};
use brrr_protocol::model::{JobId, check_name};
use brrr_protocol::trace::parse_traceparent;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::{Problem, ProblemKind};
use crate::gateway::body::HeldBody;
use crate::gateway::{Gateway, LARGE};

/// The longest wait of a request. A client that waits longer asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const PREFER: HeaderName = HeaderName::from_static("prefer");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub fn bad(text: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::BadRequest, text)
}

/// A body, with its share of the memory for bodies.
async fn read(gateway: &Gateway, body: Body) -> Result<HeldBody, Problem> {
    let refused = |(status, text)| Problem::new(ProblemKind::of_status(status), text);
    gateway.shared.bodies.read(body).await.map_err(refused)
}

/// The bytes of a body.
pub async fn bytes(gateway: &Gateway, body: Body) -> Result<Bytes, Problem> {
    Ok(read(gateway, body).await?.bytes.freeze())
}

/// A request that needs no body. A body is read nevertheless, because the connection could not be used for the next request otherwise.
pub struct NoBody;

impl FromRequest<Gateway> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Problem> {
        Self::read(gateway, request.into_body()).await
    }
}

impl NoBody {
    /// Reads a body that is not needed.
    pub async fn read(gateway: &Gateway, body: Body) -> Result<Self, Problem> {
        bytes(gateway, body).await.map(|_| Self)
    }
}

/// A body that is JSON of this type. Large bodies are read on a thread of their own, one at a time.
pub async fn json<T: DeserializeOwned + Send + 'static>(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    // The body is read in any case. Otherwise the connection could not be used for the next request.
    let held = read(gateway, body).await?;
    if let Some(media) = media_type(headers)
        && media != "application/json"
        && !media.ends_with("+json")
    {
        let text = format!("the body is {media:?}; send application/json");
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, text));
    }
    let size = held.bytes.len();
    // The body keeps its share of the memory until it is parsed.
    let parse = move || serde_json::from_slice::<T>(&held.bytes).map_err(|error| bad(format!("the body: {error}")));
    off_loop(gateway, size, parse).await
}

/// The media type of a body, without parameters. `None`: the client does not say it.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or_default();
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Runs work on a request of this size: small ones at once, large ones on a thread of their own, one at a time.
pub async fn off_loop<T: Send + 'static>(
    gateway: &Gateway,
    size: usize,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    if size <= LARGE {
        return work();
    }
    // The semaphore is never closed.
    let _one = gateway.shared.large.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Problem::new(ProblemKind::Internal, error.to_string())))
}

/// The id of a job, from a path.
pub fn job_id(text: String) -> Result<JobId, Problem> {
    check_name("the job's id", &text).map_err(bad)?;
    Ok(JobId::from(text))
}

/// The time that `Prefer: wait=30` asks for. Other preferences are ignored.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let texts = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let wait = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let seconds = value.split(';').next()?.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds.parse::<u64>().ok()).flatten()
    };
    let seconds = texts.flat_map(|text| text.split(',')).find_map(wait)?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// The `traceparent` of the request. One that is not valid is ignored, as the standard says.
pub fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut texts = headers.get_all("traceparent").iter().filter_map(|value| value.to_str().ok());
    let (text, None) = (texts.next()?, texts.next()) else { return None };
    parse_traceparent(text).map(|_| text.to_owned())
}

/// The key of `Idempotency-Key`.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (first, second) = (keys.next(), keys.next());
    if second.is_some() {
        return Err(bad("a request has one header `idempotency-key`"));
    }
    let text = |value: &axum::http::HeaderValue| value.to_str().map(str::to_owned);
    first.map(text).transpose().map_err(|_| bad("the header `idempotency-key` is not visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_preference_among_others() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(PREFER, value.parse().unwrap());
            }
            wait(&headers).map(|time| time.as_secs())
        };
        assert_eq!(of(&["wait=30"]), Some(30));
        assert_eq!(of(&["respond-async, Wait = 5"]), Some(5));
        assert_eq!(of(&["return=minimal", "wait=\"7\"; x=y"]), Some(7));
        assert_eq!(of(&["wait=9999"]), Some(60));
        for none in [&[][..], &["wait"], &["wait=x"], &["await=3"], &["wait=-1"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
