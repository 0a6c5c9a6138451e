//! The schedules of a topic.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use brrr_protocol::ErrorKind;
use brrr_protocol::model::{JobId, Topic};
use brrr_protocol::options::{Options, Scope};
use brrr_protocol::records::{Overlap, Schedule, ScheduleSpec};
use brrr_protocol::schedules::{Put, Schedules, WasPut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Answer;
use super::jobs::{Shown, show};
use super::problem::{Problem, ProblemKind};
use super::request::{NoBody, bad, json, key};
use super::start::{JobOptionsBody, calls, duration, payload};
use crate::gateway::Gateway;
use crate::new_call::new_job_id;
use crate::schedule_view::ScheduleView;

/// A schedule that is to be there.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScheduleSpec)]
pub struct ScheduleBody {
    /// The task that is started.
    task: String,
    /// When: five fields of cron, or six with seconds first.
    cron: String,
    /// The time zone of the pattern: `Europe/Berlin`. Not given: `UTC`.
    tz: Option<String>,
    /// The named arguments of the task. Not given: none.
    #[schema(value_type = Option<Object>)]
    input: Option<Box<RawValue>>,
    /// Instead of `input`: the payload's bytes as they are, in Base64.
    payload_base64: Option<String>,
    /// How the jobs are run. Without a scope, each job runs its calls anew (`job`).
    #[serde(default)]
    options: JobOptionsBody,
    /// What happens if the previous job is still alive: `allow` (the default), `skip` or `cancel-previous`.
    #[schema(pattern = "^(allow|skip|cancel-previous)$")]
    overlap: Option<String>,
    /// How late a tick may be started, if no worker was there: `1h` unless given.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)( [0-9]{1,4}(ms|s|m|h|d))*$")]
    catch_up: Option<String>,
    /// Ticks pass without a job. Not given: as it is.
    paused: Option<bool>,
}

/// The schedules of a topic.
#[derive(Serialize, ToSchema)]
pub struct ScheduleList<'a> {
    /// The schedules, by name.
    #[schema(value_type = Vec<Object>)]
    schedules: Vec<ScheduleView<'a>>,
}

fn of(gateway: &Gateway, topic: String) -> Result<(Topic, Schedules), Problem> {
    let topic = gateway.served(&Topic::from(topic))?;
    Ok((topic.clone(), Schedules::new(gateway.shared.backend.clone(), topic)))
}

fn none(topic: &Topic, name: &str) -> Problem {
    Problem::new(ProblemKind::NoSuchSchedule, format!("topic {topic} has no schedule {name:?}"))
}

fn shown(gateway: &Gateway, status: StatusCode, topic: &Topic, name: &str, schedule: &Schedule) -> Response {
    (status, Json(ScheduleView::of(topic, name, schedule, gateway.shared.client.now()))).into_response()
}

/// The schedules of a topic.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/schedules", tag = "schedules", operation_id = "listSchedules",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$")),
    responses(
        (status = 200, description = "The schedules", body = ScheduleList<'static>),
        (status = 404, description = "`no-such-topic`", body = Problem),
    ),
)]
pub async fn list(State(gateway): State<Gateway>, Path(topic): Path<String>) -> Answer {
    let (topic, schedules) = of(&gateway, topic)?;
    let (found, now) = (schedules.list().await?, gateway.shared.client.now());
    let schedules = found.iter().map(|(name, schedule)| ScheduleView::of(&topic, name, schedule, now)).collect();
    Ok(Json(ScheduleList { schedules }).into_response())
}

/// A schedule.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/schedules/{name}", tag = "schedules", operation_id = "readSchedule",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("name" = String, Path, description = "The schedule's name", pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")),
    responses(
        (status = 200, description = "The schedule", body = Object),
        (status = 404, description = "`no-such-topic`, `no-such-schedule`", body = Problem),
    ),
)]
pub async fn read(State(gateway): State<Gateway>, Path((topic, name)): Path<(String, String)>) -> Answer {
    let (topic, schedules) = of(&gateway, topic)?;
    let schedule = schedules.get(&name).await?.ok_or_else(|| none(&topic, &name))?;
    Ok(shown(&gateway, StatusCode::OK, &topic, &name, &schedule))
}

/// Adds a schedule, or changes it.
#[utoipa::path(
    put, path = "/v1/topics/{topic}/schedules/{name}", tag = "schedules", operation_id = "putSchedule", request_body = ScheduleBody,
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("name" = String, Path, description = "The schedule's name", pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")),
    responses(
        (status = 201, description = "It was added", body = Object),
        (status = 200, description = "It was changed, or was so already", body = Object),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-topic`, `no-such-task`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`invalid-input`", body = Problem),
    ),
)]
pub async fn put(
    State(gateway): State<Gateway>,
    Path((topic, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let body: ScheduleBody = json(&gateway, &headers, body).await?;
    let (topic, schedules) = of(&gateway, topic)?;
    let is_paused = body.paused;
    let spec = spec(&gateway, &topic, body).await?;
    let put = Put { spec, is_paused, is_declared: false, may_replace: true };
    let was_put = match schedules.put(&name, &put, gateway.shared.client.now()).await {
        // The pattern, the time zone or a name is not valid.
        Err(error) if error.kind == ErrorKind::Config => return Err(bad(error.reason)),
        was_put => was_put?,
    };
    let (status, schedule) = match was_put {
        WasPut::Added(schedule) => (StatusCode::CREATED, schedule),
        WasPut::Changed(schedule) | WasPut::Same(schedule) | WasPut::Exists(schedule) => (StatusCode::OK, schedule),
    };
    Ok(shown(&gateway, status, &topic, &name, &schedule))
}

async fn spec(gateway: &Gateway, topic: &Topic, body: ScheduleBody) -> Result<ScheduleSpec, Problem> {
    let (_, announced) = gateway.topic_for(Some(topic.clone()), &body.task).await?;
    let (payload, hash) = payload(gateway, &body.task, announced, body.input, body.payload_base64).await?;
    let timeout = body.options.timeout.as_deref().map(|text| duration("timeout", text)).transpose()?;
    if body.options.deadline.is_some() {
        return Err(bad("a schedule has no deadline; give `timeout`, which counts from each tick"));
    }
    let max_messages = body.options.max_messages.unwrap_or(0).into();
    let options = calls(body.options)?;
    let new = ScheduleSpec::new(body.cron, body.task, payload, hash);
    Ok(ScheduleSpec {
        tz: body.tz.unwrap_or_else(|| new.tz.clone()),
        options: Options { scope: options.scope.or(Some(Scope::Job)), ..options },
        timeout,
        max_messages,
        overlap: body.overlap.as_deref().map(Overlap::parse).transpose().map_err(bad)?.unwrap_or_default(),
        catch_up: body.catch_up.as_deref().map(|text| duration("catch_up", text)).transpose()?.unwrap_or(new.catch_up),
        ..new
    })
}

/// Removes a schedule. Its jobs go on.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}/schedules/{name}", tag = "schedules", operation_id = "deleteSchedule",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("name" = String, Path, description = "The schedule's name", pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")),
    responses(
        (status = 204, description = "It was removed"),
        (status = 404, description = "`no-such-topic`, `no-such-schedule`", body = Problem),
    ),
)]
pub async fn remove(
    State(gateway): State<Gateway>,
    Path((topic, name)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (topic, schedules) = of(&gateway, topic)?;
    match schedules.remove(&name, gateway.shared.client.now()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(none(&topic, &name)),
    }
}

/// Pauses a schedule: its ticks pass without a job.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/schedules/{name}/pause", tag = "schedules", operation_id = "pauseSchedule",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("name" = String, Path, description = "The schedule's name", pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")),
    responses(
        (status = 200, description = "The schedule", body = Object),
        (status = 404, description = "`no-such-topic`, `no-such-schedule`", body = Problem),
    ),
)]
pub async fn pause(State(gateway): State<Gateway>, Path((topic, name)): Path<(String, String)>, _: NoBody) -> Answer {
    let (topic, schedules) = of(&gateway, topic)?;
    let schedule = schedules.pause(&name, gateway.shared.client.now()).await?.ok_or_else(|| none(&topic, &name))?;
    Ok(shown(&gateway, StatusCode::OK, &topic, &name, &schedule))
}

/// Lets a schedule go on. Ticks that have passed meanwhile are not caught up.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/schedules/{name}/resume", tag = "schedules", operation_id = "resumeSchedule",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("name" = String, Path, description = "The schedule's name", pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")),
    responses(
        (status = 200, description = "The schedule", body = Object),
        (status = 404, description = "`no-such-topic`, `no-such-schedule`", body = Problem),
    ),
)]
pub async fn resume(State(gateway): State<Gateway>, Path((topic, name)): Path<(String, String)>, _: NoBody) -> Answer {
    let (topic, schedules) = of(&gateway, topic)?;
    let schedule = schedules.resume(&name, gateway.shared.client.now()).await?.ok_or_else(|| none(&topic, &name))?;
    Ok(shown(&gateway, StatusCode::OK, &topic, &name, &schedule))
}

/// Starts a job of a schedule now.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/schedules/{name}/run", tag = "schedules", operation_id = "runSchedule",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("name" = String, Path, description = "The schedule's name", pattern = "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$"),
        ("idempotency-key" = Option<String>, Header, description = "Starts one job for this key"),
    ),
    responses(
        (status = 201, description = "The job", body = super::jobs::JobWithResult),
        (status = 404, description = "`no-such-topic`, `no-such-schedule`", body = Problem),
    ),
)]
pub async fn run(
    State(gateway): State<Gateway>,
    Path((topic, name)): Path<(String, String)>,
    headers: HeaderMap,
    _: NoBody,
) -> Answer {
    let (topic, schedules) = of(&gateway, topic)?;
    // With a key one job is started, however often it is asked for.
    let of_key = |key: String| Ok(JobId::of_schedule_run(&topic, &name, &key));
    let job_id = key(&headers)?.map_or_else(new_job_id, of_key)?;
    if !schedules.run_now(&name, &job_id, gateway.shared.client.now()).await? {
        return Err(none(&topic, &name));
    }
    show(&gateway, &job_id, Shown { status: StatusCode::CREATED, wait: None, location: true, request: None }).await
}
