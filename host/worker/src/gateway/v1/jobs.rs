//! Reads, lists, cancels and retries jobs.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, extract};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use brrr_protocol::client::{Cancelled, Retried};
use brrr_protocol::events::State;
use brrr_protocol::model::{CallHash, JobId, Outcome};
use brrr_protocol::ports::is_job_cursor;
use brrr_protocol::records::{JobRecord, JobState};
use brrr_protocol::tree::{Bounds, Tree};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::etag::{etag, tagged};
use super::problem::{Problem, ProblemKind};
use super::request::{NoBody, bad, job_id, key, off_loop, wait};
use super::start::moment;
use crate::gateway::Gateway;
use crate::gateway::results::Sendable;
use crate::job_list::{JobList, WantedJobs};
use crate::new_call::new_job_id;
use crate::view::FailureView;
use crate::view::job::JobView;
use crate::view::tree::document;

/// The most jobs of a page, and the number if none is given.
const MOST_LISTED: usize = 500;
const LISTED: usize = 50;

/// The most queries of the backend for one request. A filter that no index serves may leave out very many jobs.
const QUERIES: usize = 5;

/// The most levels and lines of a tree.
const DEPTH: u16 = 50;
const LINES: usize = 10_000;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How a job is shown.
#[derive(Default)]
pub struct Shown {
    pub status: StatusCode,
    /// The headers of a request that reads the job. A client that has the answer is not sent it again.
    pub request: Option<HeaderMap>,
    /// How long to wait for the end of the job.
    pub wait: Option<Duration>,
    /// Is its address in the header `location`?
    pub location: bool,
}

pub fn no_such_job(job_id: &JobId) -> Problem {
    Problem::new(ProblemKind::NoSuchJob, format!("there is no record of job {job_id}"))
}

/// The record of a job as it is now. Waits for its end first.
async fn record(gateway: &Gateway, id: &JobId, wait: Option<Duration>) -> Result<JobRecord, Problem> {
    let client = &gateway.shared.client;
    let job = client.end_if_overdue(id, client.now()).await?.ok_or_else(|| no_such_job(id))?;
    if let Some(wait) = wait.filter(|_| !job.is_over()) {
        let left = Duration::from_millis(job.deadline.saturating_sub(client.now()));
        let until_deadline = if job.deadline > 0 { left } else { wait };
        tokio::select! {
            () = gateway.shared.watcher.wait(id, &job.call, wait.min(until_deadline)) => {}
            // The answer comes before the connection is closed.
            () = gateway.shared.closing.cancelled() => {}
        }
    }
    let job = client.end_if_overdue(id, client.now()).await?.ok_or_else(|| no_such_job(id))?;
    Ok(client.as_it_is(id, job, client.now()).await?)
}

/// The answer with one job, and its result if it is over.
pub async fn show(gateway: &Gateway, id: &JobId, shown: Shown) -> Answer {
    let job = record(gateway, id, shown.wait).await?;
    let (client, backend) = (&gateway.shared.client, &*gateway.shared.backend);
    let view = JobView::of(backend, id, &job, client.now()).await;
    // A job has only texts and numbers, so this never fails.
    let mut json = serde_json::to_string(&view).unwrap_or_default();
    // The closing brace comes after the result.
    json.pop();
    let mut tag = None;
    let body = if job.is_over() {
        let _turn = gateway.shared.results.turn().await;
        let outcome = client.outcome(id, &job.call).await?;
        if shown.request.is_some() {
            let value = outcome.as_ref().and_then(|outcome| outcome.as_ref().ok()).cloned();
            tag = Some(tag_of(gateway, json.clone(), value.unwrap_or_default()).await?);
        }
        match outcome {
            Some(Ok(value)) => with_value(gateway, &job, json, value)?,
            Some(Err(failure)) => {
                let failure = serde_json::to_string(&FailureView::from(&failure)).unwrap_or_default();
                Body::from(format!("{json},\"failure\":{failure}}}"))
            }
            None => Body::from(format!("{json},\"forgotten\":true}}")),
        }
    } else {
        Body::from(format!("{json}}}"))
    };
    let mut response = (shown.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if let (Some(tag), Some(request)) = (tag, &shown.request) {
        response = tagged(request, tag, response);
    }
    if shown.location
        && let Ok(location) = HeaderValue::from_str(&format!("/v1/jobs/{id}"))
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    applied(&mut response, shown.wait);
    Ok(response)
}

/// The ETag of a job that is over, or of its result.
pub async fn tag_of(gateway: &Gateway, json: String, value: Bytes) -> Result<HeaderValue, Problem> {
    off_loop(gateway, value.len(), move || Ok(etag(&[json.as_bytes(), &value]))).await
}

fn applied(response: &mut Response, wait: Option<Duration>) {
    if let Some(wait) = wait
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
}

/// Reserves memory for the value of a call.
pub fn room_for(gateway: &Gateway, call: &CallHash, value: Bytes) -> Result<Sendable, Problem> {
    let busy = || Problem::new(ProblemKind::Busy, "too many large results are being read at once; try again later");
    gateway.shared.results.room_for(call, value).ok_or_else(busy)
}

/// The job with its value. JSON is sent as it is stored, so no number loses digits.
fn with_value(gateway: &Gateway, job: &JobRecord, json: String, value: Bytes) -> Result<Body, Problem> {
    let held = room_for(gateway, &job.call, value)?;
    if held.is_json() {
        return Ok(held.into_body(Bytes::from(format!("{json},\"result\":")), "}"));
    }
    let text = BASE64_STANDARD.encode(held.bytes());
    Ok(Body::from(format!("{json},\"result_base64\":\"{text}\"}}")))
}

/// A job, with its result or failure if it is over.
#[utoipa::path(
    get, path = "/v1/jobs/{job}", tag = "jobs", operation_id = "readJob",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("prefer" = Option<String>, Header, description = "`wait=30`: waits for the end of the job, at most 60 s"),
    ),
    responses(
        (status = 200, description = "The job. It has an ETag once it is over", body = JobWithResult),
        (status = 304, description = "The client has this answer: `if-none-match` names its ETag"),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
    ),
)]
pub async fn read(
    extract::State(gateway): extract::State<Gateway>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let shown = Shown { wait: wait(&headers), request: Some(headers), ..Shown::default() };
    show(&gateway, &job_id(id)?, shown).await
}

/// A job with what became of it. (For the document only: the answer is written from parts.)
#[derive(Serialize, ToSchema)]
pub struct JobWithResult {
    #[serde(flatten)]
    job: JobView,
    /// The value, if the job is completed and the value is JSON.
    #[schema(value_type = serde_json::Value, required = false)]
    result: Option<()>,
    /// The value in Base64, if it is not JSON.
    result_base64: Option<String>,
    /// Why the job failed, was cancelled or timed out.
    #[schema(value_type = Option<FailureView<'static>>)]
    failure: Option<()>,
    /// True if the job is completed, and its value was removed since.
    forgotten: Option<bool>,
}

/// The bytes of a job's value.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/result", tag = "jobs", operation_id = "readResult",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("prefer" = Option<String>, Header, description = "`wait=30`: waits for the end of the job, at most 60 s"),
    ),
    responses(
        (status = 200, description = "The value: JSON, or other bytes", content(
            (serde_json::Value = "application/json"), (Vec<u8> = "application/octet-stream"),
        )),
        (status = 304, description = "The client has this value: `if-none-match` names its ETag"),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
        (status = 409, description = "`job-failed`, `not-over`", body = Problem),
        (status = 410, description = "`forgotten`", body = Problem),
    ),
)]
pub async fn result(
    extract::State(gateway): extract::State<Gateway>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let (id, wait) = (job_id(id)?, wait(&headers));
    let job = record(&gateway, &id, wait).await?;
    let _turn = gateway.shared.results.turn().await;
    let outcome: Option<Outcome> = gateway.shared.client.outcome(&id, &job.call).await?;
    match outcome {
        Some(Ok(value)) => {
            let tag = tag_of(&gateway, String::new(), value.clone()).await?;
            let held = room_for(&gateway, &job.call, value)?;
            let media = if held.is_json() { "application/json" } else { "application/octet-stream" };
            let body = held.into_body(Bytes::new(), "");
            let mut response = (StatusCode::OK, [(header::CONTENT_TYPE, media)], body).into_response();
            response = tagged(&headers, tag, response);
            applied(&mut response, wait);
            Ok(response)
        }
        Some(Err(failure)) => Err(Problem::new(ProblemKind::JobFailed, failure.to_string()).with_failure(&failure)),
        None if job.is_over() => Err(Problem::new(ProblemKind::Forgotten, "the value was removed after the job's end")),
        None => Err(Problem::new(ProblemKind::NotOver, "the job has no result yet; `prefer: wait=30` waits for it")),
    }
}

/// Which jobs are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only jobs in this state: `scheduled`, `running`, `completed`, `failed`, `cancelled` or `timed-out`.
    #[param(pattern = "^(scheduled|running|completed|failed|cancelled|timed-out)$")]
    state: Option<String>,
    /// Only jobs whose call is on this topic.
    topic: Option<String>,
    /// Only jobs of this task.
    task: Option<String>,
    /// Only jobs with this label.
    label: Option<String>,
    /// Only jobs that were accepted at this time or later (RFC 3339).
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only jobs that were accepted before this time (RFC 3339).
    #[param(format = DateTime)]
    until: Option<String>,
    /// How many jobs: 1 to 500, 50 unless given.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(pattern = "^[0-9]{1,19}(-[0-9a-f]{16})?$")]
    cursor: Option<String>,
}

/// A page of jobs.
#[derive(Serialize, ToSchema)]
pub struct JobsPage {
    /// The jobs, newest first.
    jobs: Vec<JobView>,
    /// The cursor of the next page. `null`: this is the last page. A page may have fewer jobs than asked for, and another one after it.
    next: Option<String>,
}

/// Jobs, newest first.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", operation_id = "listJobs", params(ListQuery),
    responses(
        (status = 200, description = "A page of jobs", body = JobsPage),
        (status = 400, description = "`bad-request`", body = Problem),
    ),
)]
pub async fn list(
    extract::State(gateway): extract::State<Gateway>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<JobsPage>, Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let limit = query.limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(bad(format!("limit is 1 to {MOST_LISTED}, not {limit}")));
    }
    let state = query.state.as_deref().map(state).transpose()?;
    if query.cursor.as_deref().is_some_and(|cursor| !is_job_cursor(cursor)) {
        return Err(bad("the cursor is not one that a page named as `next`"));
    }
    let time = |name: &str, text: &Option<String>| text.as_deref().map(|text| moment(name, text)).transpose();
    let (since, until) = (time("since", &query.since)?, time("until", &query.until)?);
    let wanted = WantedJobs { state, topic: query.topic, task: query.task, label: query.label, since, until };
    let (client, backend) = (&gateway.shared.client, &*gateway.shared.backend);
    let list = JobList { backend, client, now: client.now() };
    let page = list.page(&wanted, query.cursor, limit, QUERIES).await?;
    Ok(Json(JobsPage { jobs: JobView::of_all(backend, &page.jobs, list.now).await, next: page.next }))
}

/// A state of jobs by its name.
fn state(text: &str) -> Result<State, Problem> {
    let states = [State::Scheduled, State::Running, State::Completed, State::Failed, State::Cancelled, State::TimedOut];
    states.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
        let names = states.map(State::as_str).join(", ");
        bad(format!("there is no state {text:?}; the states are {names}"))
    })
}

/// How much of a tree is shown.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TreeQuery {
    /// How many levels of calls: 1 to 50.
    #[param(minimum = 1, maximum = 50)]
    depth: Option<u16>,
}

/// The calls of a job.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/tree", tag = "jobs", operation_id = "readTree",
    params(("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"), TreeQuery),
    responses(
        (status = 200, description = "The calls", body = Object),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
    ),
)]
pub async fn tree(
    extract::State(gateway): extract::State<Gateway>,
    Path(id): Path<String>,
    query: Result<Query<TreeQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let (id, depth) = (job_id(id)?, query.depth.unwrap_or(DEPTH));
    if !(1..=DEPTH).contains(&depth) {
        return Err(bad(format!("depth is 1 to {DEPTH}, not {depth}")));
    }
    let job = record(&gateway, &id, None).await?;
    let now = gateway.shared.client.now();
    let bounds = Bounds { depth: depth.into(), lines: LINES };
    let tree = Tree::read(&*gateway.shared.backend, &id, &job, now, bounds).await?;
    Ok(Json(document(&tree, now, depth)).into_response())
}

/// Cancels a job.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/cancel", tag = "jobs", operation_id = "cancelJob",
    params(("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")),
    responses(
        (status = 200, description = "The job, which is cancelled now", body = JobWithResult),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
        (status = 409, description = "`job-over`", body = Problem),
    ),
)]
pub async fn cancel(extract::State(gateway): extract::State<Gateway>, Path(id): Path<String>, _: NoBody) -> Answer {
    let (id, client) = (job_id(id)?, &gateway.shared.client);
    match client.cancel(&id, client.now()).await? {
        Cancelled::Done | Cancelled::Already(JobState::Cancelled) => show(&gateway, &id, Shown::default()).await,
        Cancelled::Already(state) => {
            Err(Problem::new(ProblemKind::JobOver, format!("the job is over: {}", state.as_str())))
        }
        Cancelled::Unknown => Err(no_such_job(&id)),
    }
}

/// Retries a job that is over, as a new job. Calls that succeeded are not run again.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/retry", tag = "jobs", operation_id = "retryJob",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("idempotency-key" = Option<String>, Header, description = "Retries the job once for this key"),
        ("prefer" = Option<String>, Header, description = "`wait=30`: waits for the end of the new job, at most 60 s"),
    ),
    responses(
        (status = 201, description = "The new job", body = JobWithResult),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
        (status = 409, description = "`job-alive`", body = Problem),
    ),
)]
pub async fn retry(
    extract::State(gateway): extract::State<Gateway>,
    Path(id): Path<String>,
    headers: HeaderMap,
    _: NoBody,
) -> Answer {
    let (id, client) = (job_id(id)?, &gateway.shared.client);
    // With a key the job is retried once, however often it is asked for.
    let new = key(&headers)?.map_or_else(new_job_id, |key| Ok(JobId::of_retry(&id, &key)))?;
    match client.retry(&id, new.clone(), client.now()).await? {
        Retried::As(..) => {
            let shown = Shown { status: StatusCode::CREATED, wait: wait(&headers), location: true, request: None };
            show(&gateway, &new, shown).await
        }
        Retried::Alive => Err(Problem::new(ProblemKind::JobAlive, "the job is not over yet; cancel it first")),
        Retried::Unknown => Err(no_such_job(&id)),
    }
}
