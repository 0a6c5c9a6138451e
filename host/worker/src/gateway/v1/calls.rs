//! Reads one call of a job: its state, its payload, its result.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use brrr_protocol::model::{CallHash, JobId, check_name};
use brrr_protocol::ports::Key;
use brrr_protocol::records::JobRecord;
use brrr_protocol::tree::{Bounds, Tree};
use brrr_protocol::wire::CallRecord;
use bytes::Bytes;

use super::Answer;
use super::etag::tagged;
use super::jobs::{no_such_job, room_for, tag_of};
use super::problem::{Problem, ProblemKind};
use super::request::{bad, job_id};
use crate::gateway::Gateway;
use crate::view::tree::document;

/// A call is shown with its children.
const LEVELS: u16 = 2;

/// The most children that are shown.
const LINES: usize = 1_000;

/// The job and the call of a path.
async fn find(gateway: &Gateway, (job, call): (String, String)) -> Result<(JobId, JobRecord, CallHash), Problem> {
    let id = job_id(job)?;
    check_name("the call's hash", &call).map_err(bad)?;
    let client = &gateway.shared.client;
    let job = client.end_if_overdue(&id, client.now()).await?.ok_or_else(|| no_such_job(&id))?;
    let job = client.as_it_is(&id, job, client.now()).await?;
    Ok((id, job, CallHash::from(call)))
}

fn no_such_call(call: &CallHash) -> Problem {
    Problem::new(ProblemKind::NoSuchCall, format!("no record describes the call {call}"))
}

/// A call of a job, with the calls that it has asked for.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/calls/{call}", tag = "calls", operation_id = "readCall",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("call" = String, Path, description = "The call's hash", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
    ),
    responses(
        (status = 200, description = "The call: the same document as `…/tree`, which begins with this call and has its children", body = Object),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`, `no-such-call`", body = Problem),
    ),
)]
pub async fn read(State(gateway): State<Gateway>, Path(path): Path<(String, String)>) -> Answer {
    let (id, job, call) = find(&gateway, path).await?;
    let (backend, now) = (&*gateway.shared.backend, gateway.shared.client.now());
    let bounds = Bounds { depth: LEVELS.into(), lines: LINES };
    let tree = Tree::read_below(backend, &id, &job, &call, now, bounds).await?;
    // The job's own call is known even if no record describes it.
    if call != job.call && tree.calls.first().is_none_or(|call| call.task.is_none()) {
        return Err(no_such_call(&call));
    }
    Ok(axum::Json(document(&tree, now, LEVELS)).into_response())
}

/// The payload of a call: its arguments, as they were sent.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/calls/{call}/payload", tag = "calls", operation_id = "readCallPayload",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("call" = String, Path, description = "The call's hash", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
    ),
    responses(
        (status = 200, description = "The payload: JSON, or other bytes", content(
            (serde_json::Value = "application/json"), (Vec<u8> = "application/octet-stream"),
        )),
        (status = 304, description = "The client has this payload: `if-none-match` names its ETag"),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`, `no-such-call`", body = Problem),
    ),
)]
pub async fn payload(State(gateway): State<Gateway>, Path(path): Path<(String, String)>, headers: HeaderMap) -> Answer {
    let (_, _, call) = find(&gateway, path).await?;
    let _turn = gateway.shared.results.turn().await;
    let record = gateway.shared.backend.store().get(&Key::call(&call)).await?.ok_or_else(|| no_such_call(&call))?;
    let payload = CallRecord::decode(&record).map_err(Problem::from)?.payload;
    // Results of the same call are shared between readers, and the payload is none of them.
    let name = CallHash::from(format!("payload of {call}"));
    bytes(&gateway, &name, payload, &headers).await
}

/// The result of a call: its value.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/calls/{call}/result", tag = "calls", operation_id = "readCallResult",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("call" = String, Path, description = "The call's hash", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
    ),
    responses(
        (status = 200, description = "The value: JSON, or other bytes", content(
            (serde_json::Value = "application/json"), (Vec<u8> = "application/octet-stream"),
        )),
        (status = 304, description = "The client has this value: `if-none-match` names its ETag"),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
        (status = 409, description = "`job-failed`: the call has failed; `not-over`: it has no value yet", body = Problem),
    ),
)]
pub async fn result(State(gateway): State<Gateway>, Path(path): Path<(String, String)>, headers: HeaderMap) -> Answer {
    let (id, _, call) = find(&gateway, path).await?;
    let _turn = gateway.shared.results.turn().await;
    match gateway.shared.client.outcome(&id, &call).await? {
        Some(Ok(value)) => bytes(&gateway, &call, value, &headers).await,
        Some(Err(failure)) => Err(Problem::new(ProblemKind::JobFailed, failure.to_string()).with_failure(&failure)),
        None => Err(Problem::new(ProblemKind::NotOver, "the call has no value")),
    }
}

/// The bytes of a payload or value as they are stored.
async fn bytes(gateway: &Gateway, name: &CallHash, bytes: Bytes, request: &HeaderMap) -> Answer {
    let tag = tag_of(gateway, String::new(), bytes.clone()).await?;
    let held = room_for(gateway, name, bytes)?;
    let media = if held.is_json() { "application/json" } else { "application/octet-stream" };
    let body = held.into_body(Bytes::new(), "");
    let response: Response = (StatusCode::OK, [(header::CONTENT_TYPE, media)], body).into_response();
    Ok(tagged(request, tag, response))
}
