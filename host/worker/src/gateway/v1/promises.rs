//! Answers promises of jobs, and shows which ones a job waits for.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use brrr_protocol::client::Answered;
use brrr_protocol::events::State as CallState;
use brrr_protocol::model::{JobId, Topic, check_name};
use brrr_protocol::tree::{Bounds, Tree};
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::jobs::no_such_job;
use super::problem::{Problem, ProblemKind};
use super::request::{bad, bytes, job_id, json};
use crate::events::time;
use crate::gateway::Gateway;
use crate::gateway::tasks::FRESH;
use crate::job_list::{JobList, WantedJobs};

/// The most calls of a job among which its promises are looked for.
const LOOKED_AT: Bounds = Bounds { depth: 100, lines: 10_000 };

/// The most running jobs whose promises are listed together, the most queries for them, and the most calls.
const JOBS: usize = 100;
const QUERIES: usize = 3;
const LINES: usize = 20_000;

/// The keyword of a task's input schema that has the schemas of its promises.
const SCHEMAS: &str = "x-promises";

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
    /// The task of the call that waits for it. `null`: no record describes that call.
    awaited_by: Option<String>,
    /// The JSON Schema of its value: `x-promises`, by the promise's name, in the input schema of that task. `null`: there is none.
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
}

/// The promises that running jobs wait for.
#[derive(Serialize, ToSchema)]
pub struct OpenPromises {
    /// The promises, those of the newest jobs first.
    promises: Vec<OpenPromise>,
    /// Not all running jobs, or not all of their calls, were looked at.
    cut: bool,
}

/// A promise that a running job waits for.
#[derive(Serialize, ToSchema)]
pub struct OpenPromise {
    /// The job.
    job: String,
    /// The topic of the job's call.
    topic: String,
    /// The task of the job's call. `null`: no record describes the call.
    task: Option<String>,
    /// The name of the job for people.
    label: Option<String>,
    /// When the job was asked for.
    created: String,
    #[serde(flatten)]
    promise: AwaitedPromise,
}

/// The promises in a tree that are waited for.
async fn of_tree(gateway: &Gateway, topic: &Topic, tree: &Tree) -> Result<Vec<AwaitedPromise>, Problem> {
    let mut found = Vec::new();
    for (index, call) in tree.calls.iter().enumerate() {
        let Some(name) = call.promise.clone().filter(|_| call.state == CallState::Deferred) else { continue };
        let parent = tree.calls.iter().find(|parent| parent.children.contains(&index));
        let awaited_by = parent.and_then(|parent| parent.task.clone());
        let schema = match &awaited_by {
            Some(task) => schema_of(gateway, topic, task, &name).await?,
            None => None,
        };
        found.push(AwaitedPromise { name, call: call.call.to_string(), awaited_by, schema });
    }
    Ok(found)
}

/// What the task that waits for a promise says of its value. The call that waits may be on another topic than the job.
async fn schema_of(gateway: &Gateway, topic: &Topic, task: &str, name: &str) -> Result<Option<Value>, Problem> {
    let shared = &gateway.shared;
    for topic in std::iter::once(topic).chain(shared.topics.iter().filter(|other| *other != topic)) {
        let tasks = shared.tasks.of(&*shared.backend, topic, FRESH).await?;
        let schemas = tasks.infos.get(task).and_then(|info| info.input_schema.as_ref()?.get(SCHEMAS));
        if let Some(schema) = schemas.and_then(|schemas| schemas.get(name)) {
            return Ok(Some(schema.clone()));
        }
    }
    Ok(None)
}

/// The promises that running jobs wait for. The newest running jobs are looked at.
#[utoipa::path(
    get, path = "/v1/promises", tag = "promises", operation_id = "listOpenPromises",
    responses((status = 200, description = "The promises", body = OpenPromises)),
)]
pub async fn open(State(gateway): State<Gateway>) -> Result<Json<OpenPromises>, Problem> {
    let (client, backend) = (&gateway.shared.client, &*gateway.shared.backend);
    let now = client.now();
    let running = WantedJobs { state: Some(CallState::Running), ..WantedJobs::default() };
    let page = JobList { backend, client, now }.page(&running, None, JOBS, QUERIES).await?;
    let mut found = OpenPromises { promises: Vec::new(), cut: page.next.is_some() };
    let mut lines = LINES;
    for listed in &page.jobs {
        let bounds = Bounds { lines: lines.min(LOOKED_AT.lines), ..LOOKED_AT };
        let tree = Tree::read(backend, &listed.job_id, &listed.job, now, bounds).await?;
        let task = tree.calls.first().and_then(|call| call.task.clone());
        for promise in of_tree(&gateway, &listed.job.topic, &tree).await? {
            found.promises.push(OpenPromise {
                job: listed.job_id.to_string(),
                topic: listed.job.topic.to_string(),
                task: task.clone(),
                label: listed.job.options.label.clone(),
                created: time(listed.job.created),
                promise,
            });
        }
        found.cut |= tree.is_cut();
        lines = lines.saturating_sub(tree.calls.len());
        if lines == 0 {
            found.cut = true;
            break;
        }
    }
    Ok(Json(found))
}

/// Resolves a promise with the JSON of the body. Without a body the value is null.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/promises/{name}", tag = "promises", operation_id = "resolvePromise",
    params(("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"), ("name" = String, Path, description = "The promise's name", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")),
    request_body(content = Object, description = "The value: any JSON"),
    responses(
        (status = 200, description = "The promise has this value", body = PromiseStatus),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
        (status = 409, description = "`answered-otherwise`, `job-over`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
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
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
        (status = 409, description = "`answered-otherwise`, `job-over`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
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
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
    ),
)]
pub async fn awaited(State(gateway): State<Gateway>, Path(id): Path<String>) -> Result<Json<AwaitedPromises>, Problem> {
    let (id, client) = (job_id(id)?, &gateway.shared.client);
    let job = client.job(&id).await?.ok_or_else(|| no_such_job(&id))?;
    let tree = Tree::read(&*gateway.shared.backend, &id, &job, client.now(), LOOKED_AT).await?;
    Ok(Json(AwaitedPromises { promises: of_tree(&gateway, &job.topic, &tree).await? }))
}
