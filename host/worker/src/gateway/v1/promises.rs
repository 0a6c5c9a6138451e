//! Answers promises of jobs, and shows which ones a job waits for.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use brrr_protocol::client::Answered;
use brrr_protocol::events::State as CallState;
use brrr_protocol::model::{JobId, check_name};
use brrr_protocol::tree::{Bounds, Tree};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{Problem, ProblemKind};
use super::request::{bad, bytes, job_id, json};
use crate::gateway::Gateway;

/// The most calls of a job among which its promises are looked for.
const LOOKED_AT: Bounds = Bounds { depth: 100, lines: 10_000 };

/// The body of a rejection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// Why, for people.
    reason: String,
}

/// What became of a promise.
#[derive(Serialize, ToSchema)]
pub struct PromiseStatus {
    /// `resolved` or `rejected`.
    status: &'static str,
}

/// The promises that a job waits for.
#[derive(Serialize, ToSchema)]
pub struct AwaitedPromises {
    promises: Vec<AwaitedPromise>,
}

/// A promise that a job waits for.
#[derive(Serialize, ToSchema)]
pub struct AwaitedPromise {
    /// The name of the promise.
    name: String,
    /// Its call hash.
    call: String,
}

/// Resolves a promise with the JSON of the body. Without a body the value is null.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/promises/{name}", tag = "promises", operation_id = "resolvePromise",
    params(("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"), ("name" = String, Path, description = "The promise's name", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")),
    request_body(content = Object, description = "The value: any JSON"),
    responses(
        (status = 200, description = "The promise has this value", body = PromiseStatus),
        (status = 400, description = "`bad-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`no-such-job`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`answered-otherwise`, `job-over`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`too-large`", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn resolve(
    State(gateway): State<Gateway>,
    Path((id, name)): Path<(String, String)>,
    body: Body,
) -> Result<Json<PromiseStatus>, Problem> {
    let (id, name) = (job_id(id)?, promise(name)?);
    let body = bytes(&gateway, body).await?;
    let value = if body.is_empty() { Bytes::from_static(b"null") } else { body };
    // The text is kept as it is: numbers keep all their digits.
    serde_json::from_slice::<IgnoredAny>(&value).map_err(|error| bad(format!("the value is not JSON: {error}")))?;
    let client = &gateway.shared.client;
    answer(&id, client.resolve(&id, &name, value, client.now()).await?, "resolved")
}

/// Rejects a promise.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/promises/{name}/reject", tag = "promises", operation_id = "rejectPromise",
    params(("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"), ("name" = String, Path, description = "The promise's name", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")),
    request_body = Rejection,
    responses(
        (status = 200, description = "The promise is rejected", body = PromiseStatus),
        (status = 400, description = "`bad-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`no-such-job`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`answered-otherwise`, `job-over`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`too-large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported-media-type`", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn reject(
    State(gateway): State<Gateway>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PromiseStatus>, Problem> {
    let (id, name) = (job_id(id)?, promise(name)?);
    let Rejection { reason } = json(&gateway, &headers, body).await?;
    let client = &gateway.shared.client;
    answer(&id, client.reject(&id, &name, &reason, client.now()).await?, "rejected")
}

fn promise(name: String) -> Result<String, Problem> {
    check_name("the promise's name", &name).map_err(bad)?;
    Ok(name)
}

fn answer(id: &JobId, answered: Answered, status: &'static str) -> Result<Json<PromiseStatus>, Problem> {
    match answered {
        Answered::Done | Answered::Same => Ok(Json(PromiseStatus { status })),
        Answered::Other => {
            let text = "the promise has another answer, which stays";
            Err(Problem::new(ProblemKind::AnsweredOtherwise, text))
        }
        Answered::JobOver(state) => {
            Err(Problem::new(ProblemKind::JobOver, format!("the job is over: {}", state.as_str())))
        }
        Answered::Unknown => Err(Problem::new(ProblemKind::NoSuchJob, format!("there is no record of job {id}"))),
    }
}

/// The promises that a job waits for now.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/promises", tag = "promises", operation_id = "listPromises",
    params(("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")),
    responses(
        (status = 200, description = "The promises", body = AwaitedPromises),
        (status = 400, description = "`bad-request`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`no-such-job`", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn awaited(State(gateway): State<Gateway>, Path(id): Path<String>) -> Result<Json<AwaitedPromises>, Problem> {
    let (id, client) = (job_id(id)?, &gateway.shared.client);
    let unknown = || Problem::new(ProblemKind::NoSuchJob, format!("there is no record of job {id}"));
    let job = client.job(&id).await?.ok_or_else(unknown)?;
    let tree = Tree::read(&*gateway.shared.backend, &id, &job, client.now(), LOOKED_AT).await?;
    let waits = tree.calls.into_iter().filter(|call| call.state == CallState::Deferred);
    let named = waits.filter_map(|call| Some(AwaitedPromise { name: call.promise?, call: call.call.to_string() }));
    Ok(Json(AwaitedPromises { promises: named.collect() }))
}
