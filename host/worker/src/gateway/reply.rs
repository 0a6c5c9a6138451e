//! What the gateway answers: JSON with a `status` in every case, and the HTTP status that goes with it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brrr_protocol::model::{CallHash, Failure, Root};
use brrr_protocol::{Error, ErrorKind};
use serde::Serialize;

use super::results::Sendable;
use crate::view::FailureView;

/// Every answer that is not a value.
#[derive(Default, Serialize)]
struct Answer<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
}

fn reply(status: StatusCode, answer: &Answer<'_>) -> Response {
    // Texts and numbers alone: writing them to a string does not fail.
    let body = serde_json::to_string(answer).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn say(status: StatusCode, word: &str, message: &str) -> Response {
    reply(status, &Answer { status: word, message: Some(message), ..Answer::default() })
}

/// 202: queued, or done already.
pub fn accepted(root: &Root, call: &CallHash) -> Response {
    let answer =
        Answer { status: "accepted", job: Some(root.as_str()), call: Some(call.as_str()), ..Answer::default() };
    let mut response = reply(StatusCode::ACCEPTED, &answer);
    // A job's id is 32 hex digits.
    if let Ok(location) = HeaderValue::from_str(&format!("/jobs/{root}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// 200: the value as it is stored, if that is JSON; no digit of a number is touched.
pub fn value(value: Sendable) -> Response {
    // Of a task that doesn't speak JSON: as it is.
    let of = if value.is_json() { "application/json" } else { "application/octet-stream" };
    let body = value.into_body(r#"{"status":"ok","result":"#, "}");
    (StatusCode::OK, [(header::CONTENT_TYPE, of)], body).into_response()
}

/// A failed call: 500 where the call was asked for; 200 where the question was how a job is.
pub fn failed(status: StatusCode, failure: &Failure) -> Response {
    reply(status, &Answer { status: "failed", failure: Some(failure.into()), ..Answer::default() })
}

/// Asked for, and not ended yet.
pub fn pending(status: StatusCode) -> Response {
    reply(status, &Answer { status: "pending", ..Answer::default() })
}

/// 404: nothing is known of it.
pub fn not_found(message: &str) -> Response {
    say(StatusCode::NOT_FOUND, "not found", message)
}

/// 200: a job that ended, and whose value was forgotten since.
pub fn forgotten() -> Response {
    reply(StatusCode::OK, &Answer { status: "forgotten", ..Answer::default() })
}

/// A request that can't be done as it is, or not now.
pub fn refused(status: StatusCode, message: &str) -> Response {
    let mut response = say(status, "refused", message);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The backend failed: 503 if trying again may help. What exactly failed is for our log, not for clients. 409: the call hash stands
/// for another call.
pub fn backend_failed(error: &Error) -> Response {
    if error.kind == ErrorKind::Conflict {
        return refused(StatusCode::CONFLICT, &error.to_string());
    }
    tracing::error!("{error}");
    let status = if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
    say(status, "unavailable", "the backend failed; the log of the gateway says why")
}
