//! The answers of the gateway: JSON that always has a `status`, and the matching HTTP status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brrr_protocol::model::{CallHash, Failure, JobId};
use brrr_protocol::{Error, ErrorKind};
use serde::Serialize;

use super::results::Sendable;
use super::v1::problem::Problem;
use crate::view::FailureView;

/// Every answer that is not a value.
#[derive(Default, Serialize)]
struct AnswerBody<'a> {
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

fn reply(status: StatusCode, answer: &AnswerBody<'_>) -> Response {
    // The answer has only texts and numbers, so this never fails.
    let body = serde_json::to_string(answer).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn say(status: StatusCode, word: &str, message: &str) -> Response {
    reply(status, &AnswerBody { status: word, message: Some(message), ..AnswerBody::default() })
}

/// 202: the call is queued, or has a value already.
pub fn accepted(job_id: &JobId, call: &CallHash) -> Response {
    let answer = AnswerBody {
        status: "accepted",
        job: Some(job_id.as_str()),
        call: Some(call.as_str()),
        ..AnswerBody::default()
    };
    let mut response = reply(StatusCode::ACCEPTED, &answer);
    // A job's id is 32 hex digits, so it is a valid header value.
    if let Ok(location) = HeaderValue::from_str(&format!("/jobs/{job_id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// 200: the value as it is stored, if it is JSON. (A value without bytes is null.) Its bytes are not changed, so no number loses digits.
pub fn value(value: Sendable) -> Response {
    // The value of a task without JSON is sent as it is.
    let of = if value.is_json() { "application/json" } else { "application/octet-stream" };
    let body = value.into_body(r#"{"status":"ok","result":"#, "}");
    (StatusCode::OK, [(header::CONTENT_TYPE, of)], body).into_response()
}

/// A failed call: 500 if the request asked for the call, 200 if it asked for the state of a job.
pub fn failed(status: StatusCode, failure: &Failure) -> Response {
    reply(status, &AnswerBody { status: "failed", failure: Some(failure.into()), ..AnswerBody::default() })
}

/// The call was asked for, and has not ended yet.
pub fn pending(status: StatusCode) -> Response {
    reply(status, &AnswerBody { status: "pending", ..AnswerBody::default() })
}

/// 404: nothing is known about the call or the job.
pub fn not_found(message: &str) -> Response {
    say(StatusCode::NOT_FOUND, "not found", message)
}

/// 200: the job has ended, but its value was forgotten afterwards.
pub fn forgotten() -> Response {
    reply(StatusCode::OK, &AnswerBody { status: "forgotten", ..AnswerBody::default() })
}

/// A request that is not valid, or that can't be answered now.
pub fn refused(status: StatusCode, message: &str) -> Response {
    let mut response = say(status, "refused", message);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// A problem of `/v1`, as the short routes say it.
pub fn problem(problem: &Problem) -> Response {
    match problem.status() {
        StatusCode::NOT_FOUND => not_found(problem.detail()),
        status if status.is_server_error() => say(status, "unavailable", problem.detail()),
        status => refused(status, problem.detail()),
    }
}

/// The backend failed: 503 if a retry may help. The details go to the worker's log, not to the client. 409: the call
/// hash stands for another call.
pub fn backend_failed(error: &Error) -> Response {
    if error.kind == ErrorKind::Conflict {
        return refused(StatusCode::CONFLICT, &error.to_string());
    }
    tracing::error!("{error}");
    let status = if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
    say(status, "unavailable", "the backend failed; the log of the gateway says why")
}
