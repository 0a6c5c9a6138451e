//! `POST /v1/jobs`: starts a job.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use brrr_protocol::model::{CallHash, Millis, Topic, check_name, check_topic};
use brrr_protocol::options::{Backoff, LONGEST, Options, Scope};
use brrr_protocol::shipping::named_component;
use brrr_protocol::starting::{StartRequest, StartTime, Started};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Answer;
use super::jobs::{Shown, show};
use super::problem::{Problem, ProblemKind};
use super::request::{bad, json, key, off_loop, traceparent, wait};
use crate::gateway::tasks::TopicTasks;
use crate::gateway::{Gateway, LARGE, arguments};
use crate::new_call::new_job_id;
use crate::view::job::JobView;

/// A job to start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// The topic. Not given: the topic of the gateway whose workers handle the task.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,75}$")]
    topic: Option<String>,
    /// The task of the job's call. `TASK@sha256:…`: the task in the component of this digest, which was uploaded.
    #[schema(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")]
    task: String,
    /// The named arguments of the task. Not given: none.
    #[schema(value_type = Option<Object>)]
    input: Option<Box<RawValue>>,
    /// Instead of `input`: the payload's bytes as they are, in Base64.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*$")]
    payload_base64: Option<String>,
    /// Start after this time: `5m`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)( [0-9]{1,4}(ms|s|m|h|d))*$")]
    delay: Option<String>,
    /// Start at this time (RFC 3339, in UTC).
    #[schema(format = DateTime)]
    at: Option<String>,
    /// How the job is run.
    #[serde(default)]
    options: JobOptionsBody,
}

/// Options of a job.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JobOptions)]
pub struct JobOptionsBody {
    /// The longest time of the job, from its start: `1h`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)( [0-9]{1,4}(ms|s|m|h|d))*$")]
    pub timeout: Option<String>,
    /// The time by which the job must have ended (RFC 3339, in UTC).
    #[schema(format = DateTime)]
    pub deadline: Option<String>,
    /// The most messages that the job may send.
    pub max_messages: Option<u32>,
    /// Who shares the outcomes of the job's calls: `fleet`, `job` or a duration.
    #[schema(pattern = "^(fleet|job|[1-9][0-9]{0,3}(ms|s|m|h|d))$")]
    scope: Option<String>,
    /// A name for people.
    #[schema(pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$")]
    label: Option<String>,
    /// The longest time of one run: `30s`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)( [0-9]{1,4}(ms|s|m|h|d))*$")]
    task_timeout: Option<String>,
    /// How often a failed call is retried.
    max_retries: Option<u32>,
    /// The pause before the first retry: `1s`.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)( [0-9]{1,4}(ms|s|m|h|d))*$")]
    retry_delay: Option<String>,
    /// The longest pause before a retry.
    #[schema(pattern = "^[0-9]{1,4}(ms|s|m|h|d)( [0-9]{1,4}(ms|s|m|h|d))*$")]
    max_retry_delay: Option<String>,
    /// How the pauses grow: `exponential` or `fixed`.
    #[schema(pattern = "^(exponential|fixed)$")]
    retry_backoff: Option<String>,
}

/// Starts a job. With `Idempotency-Key` the job is started once, however often it is asked for. With `Prefer: wait=30` the answer comes
/// when the job is over, or after that time.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", operation_id = "startJob", request_body = StartBody,
    params(
        ("idempotency-key" = Option<String>, Header, description = "Starts the job once for this key on its topic"),
        ("traceparent" = Option<String>, Header, description = "The caller's span, in the form of the W3C. The job's trace links to it"),
        ("prefer" = Option<String>, Header, description = "`wait=30`: waits for the end of the job, at most 60 s"),
    ),
    responses(
        (status = 201, description = "The job was started", body = JobView),
        (status = 200, description = "The key has started this job before", body = JobView),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-task`, `no-such-topic`, `no-such-component`", body = Problem),
        (status = 409, description = "`key-reused`, `hash-conflict`, `code-not-accepted`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`invalid-input`", body = Problem),
        (status = 503, description = "`busy`, `backend-unavailable`", body = Problem),
    ),
)]
pub async fn start(State(gateway): State<Gateway>, headers: HeaderMap, body: Body) -> Answer {
    let body: StartBody = json(&gateway, &headers, body).await?;
    let shared = &gateway.shared;
    let mut request = StartRequest { key: key(&headers)?, ..request(&gateway, body).await? };
    request.options.trace = traceparent(&headers);
    let new = new_job_id()?;
    let (status, job_id) = match shared.client.start(&request, new).await? {
        Started::New { job_id, .. } => (StatusCode::CREATED, job_id),
        Started::Existing { job_id, .. } => (StatusCode::OK, job_id),
        Started::KeyReused(job_id) => {
            let text = format!("the key has started job {job_id}, with another task or input; choose another key");
            return Err(Problem::new(ProblemKind::KeyReused, text));
        }
        Started::Bad(reason) => return Err(bad(reason.to_string())),
    };
    show(&gateway, &job_id, Shown { status, wait: wait(&headers), location: true, request: None }).await
}

/// The job that a body asks for.
async fn request(gateway: &Gateway, body: StartBody) -> Result<StartRequest, Problem> {
    let StartBody { topic, task, input, payload_base64, delay, at, options } = body;
    check_name("the task's name", &task).map_err(bad)?;
    let start = match (delay, at) {
        (Some(_), Some(_)) => return Err(bad("give `delay` or `at`, not both")),
        (Some(delay), None) => StartTime::After(duration("delay", &delay)?),
        (None, Some(at)) => StartTime::At(moment("at", &at)?),
        (None, None) => StartTime::Now,
    };
    let topic = topic.map(checked_topic).transpose()?;
    let (topic, announced) = match named_component(&task) {
        Some((inside, digest)) => gateway.topic_for_code(topic, (inside, &digest)).await?,
        None => gateway.topic_for(topic, &task).await?,
    };
    let (payload, hash) = payload(gateway, &task, announced.clone(), input, payload_base64).await?;
    let scope = announced.scope_of(&task);
    let timeout = options.timeout.as_deref().map(|text| duration("timeout", text)).transpose()?;
    let deadline = options.deadline.as_deref().map(|text| moment("deadline", text)).transpose()?;
    let max_messages = options.max_messages.unwrap_or(0).into();
    let request = StartRequest::new(topic, task, payload, hash);
    Ok(StartRequest { start, timeout, deadline, max_messages, options: calls(options)?, task_scope: scope, ..request })
}

/// The payload of a call, and its hash for all jobs. An input is compared with the schema of the task.
pub async fn payload(
    gateway: &Gateway,
    task: &str,
    announced: Arc<TopicTasks>,
    input: Option<Box<RawValue>>,
    payload_base64: Option<String>,
) -> Result<(Bytes, CallHash), Problem> {
    match (input, payload_base64) {
        (Some(_), Some(_)) => Err(bad("give `input` or `payload_base64`, not both")),
        (None, Some(text)) => {
            let bytes = BASE64_STANDARD.decode(text).map_err(|error| bad(format!("payload_base64: {error}")))?;
            let hash = CallHash::derive(task, &bytes);
            Ok((Bytes::from(bytes), hash))
        }
        (input, None) => {
            let (task, announced, size) =
                (task.to_owned(), announced.clone(), input.as_ref().map_or(0, |i| i.get().len()));
            let read = move || {
                let json = input.as_ref().map_or("{}", |input| input.get());
                let arguments = arguments::read(&task, Vec::new(), json.as_bytes())
                    .map_err(|text| bad(text.replace("the body", "the input")))?;
                if announced.has_schema(&task) {
                    fits(&announced, &task, json)?;
                }
                Ok((arguments.payload, arguments.hash))
            };
            off_loop(gateway, if size > LARGE { size } else { 0 }, read).await
        }
    }
}

/// Compares an input with the schema of its task. Such an input has at most 127 levels: a schema may be recursive, and
/// the comparison takes stack for each level.
fn fits(announced: &TopicTasks, task: &str, input: &str) -> Result<(), Problem> {
    let value = serde_json::from_str(input).map_err(|error| bad(format!("the input: {error}")))?;
    let errors = announced.errors_in(task, &value);
    if errors.is_empty() {
        return Ok(());
    }
    let text = format!("the input does not fit the schema of {task}; see `errors`");
    Err(Problem::new(ProblemKind::InvalidInput, text).with_errors(errors))
}

/// The options of the job's calls.
pub fn calls(options: JobOptionsBody) -> Result<Options, Problem> {
    let time = |name: &str, text: Option<String>| text.map(|text| duration(name, &text)).transpose();
    let backoff = match options.retry_backoff.as_deref() {
        None => None,
        Some("exponential") => Some(Backoff::Exponential),
        Some("fixed") => Some(Backoff::Fixed),
        Some(other) => return Err(bad(format!("retry_backoff is `exponential` or `fixed`, not {other:?}"))),
    };
    if let Some(label) = &options.label {
        check_name("the label", label).map_err(bad)?;
    }
    Ok(Options {
        timeout: time("task_timeout", options.task_timeout)?,
        max_retries: options.max_retries,
        retry_delay: time("retry_delay", options.retry_delay)?,
        max_retry_delay: time("max_retry_delay", options.max_retry_delay)?,
        backoff,
        label: options.label,
        scope: options.scope.map(|scope| Scope::parse(&scope)).transpose().map_err(bad)?,
        ..Options::default()
    })
}

fn checked_topic(topic: String) -> Result<Topic, Problem> {
    check_topic(&topic).map_err(bad)?;
    Ok(Topic::from(topic))
}

pub fn duration(name: &str, text: &str) -> Result<Duration, Problem> {
    let time = humantime::parse_duration(text);
    let time = time.map_err(|error| bad(format!("{name}: {error}; write it as 30s, 5m or 1h")))?;
    if time > LONGEST { Err(bad(format!("{name}: longer than 100 years"))) } else { Ok(time) }
}

pub fn moment(name: &str, text: &str) -> Result<Millis, Problem> {
    let time = text.parse::<jiff::Timestamp>();
    let time = time.map_err(|error| bad(format!("{name}: {error}; write it as 2030-01-31T18:00:00Z")))?;
    Millis::try_from(time.as_millisecond()).map_err(|_| bad(format!("{name}: that is before 1970")))
}
