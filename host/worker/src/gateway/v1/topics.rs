//! The topics of the gateway: their tasks, and their dead letters.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::DeadLetter;
use brrr_protocol::workers::running;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::problem::{Problem, ProblemKind};
use super::request::{NoBody, bad};
use crate::dead_letters::{DeadLetterDocument, DeadLetterWithCall, Sent};
use crate::gateway::Gateway;
use crate::gateway::tasks::FRESH;
use crate::view::worker::WorkerView;

/// The most dead letters that are listed, and the number if none is given.
const MOST_LISTED: usize = 1_000;
const LISTED: usize = 100;

/// The topics of the gateway.
#[derive(Serialize, ToSchema)]
pub struct TopicList {
    topics: Vec<TopicLine>,
}

/// A topic in a list.
#[derive(Serialize, ToSchema)]
pub struct TopicLine {
    topic: String,
    /// The number of messages, both waiting and leased.
    depth: u64,
    /// The tasks that workers have announced. `null`: none has announced anything.
    tasks: Option<Vec<String>>,
    /// The number of workers that run.
    workers: usize,
}

/// A topic with its tasks.
#[derive(Serialize, ToSchema)]
pub struct TopicDocument {
    topic: String,
    /// The number of messages, both waiting and leased.
    depth: u64,
    /// The tasks that workers have announced. `null`: none has announced anything.
    tasks: Option<Vec<TaskDocument>>,
    /// The workers that run. Each says so every ten seconds, and is listed for 35 seconds after that.
    workers: Vec<WorkerView>,
}

/// A task.
#[derive(Serialize, ToSchema)]
pub struct TaskDocument {
    task: String,
    /// What the task does, for people.
    description: Option<String>,
    /// The JSON Schema of the input.
    #[schema(value_type = Option<Object>)]
    input_schema: Option<serde_json::Value>,
    /// The JSON Schema of the result.
    #[schema(value_type = Option<Object>)]
    output_schema: Option<serde_json::Value>,
    /// Who shares the outcomes of calls, if the task says it: `job` or a duration.
    scope: Option<String>,
}

/// The topics of the gateway.
#[utoipa::path(
    get, path = "/v1/topics", tag = "topics", operation_id = "listTopics",
    responses((status = 200, description = "The topics", body = TopicList)),
)]
pub async fn list(State(gateway): State<Gateway>) -> Result<Json<TopicList>, Problem> {
    let shared = &gateway.shared;
    let mut topics = Vec::new();
    for topic in &shared.topics {
        let tasks = shared.tasks.of(&*shared.backend, topic, FRESH).await?;
        let depth = shared.backend.queue().depth(topic).await?;
        let tasks = tasks.names.as_ref().map(|names| names.iter().cloned().collect());
        let workers = running(shared.backend.store(), topic, shared.client.now()).await?.len();
        topics.push(TopicLine { topic: topic.to_string(), depth, tasks, workers });
    }
    Ok(Json(TopicList { topics }))
}

/// A topic, with what its tasks are.
#[utoipa::path(
    get, path = "/v1/topics/{topic}", tag = "topics", operation_id = "readTopic",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$")),
    responses(
        (status = 200, description = "The topic", body = TopicDocument),
        (status = 404, description = "`no-such-topic`", body = Problem),
    ),
)]
pub async fn read(State(gateway): State<Gateway>, Path(topic): Path<String>) -> Result<Json<TopicDocument>, Problem> {
    let (shared, topic) = (&gateway.shared, served(&gateway, topic)?);
    let tasks = shared.tasks.of(&*shared.backend, &topic, FRESH).await?;
    let depth = shared.backend.queue().depth(&topic).await?;
    let document = |name: &String| {
        let info = tasks.infos.get(name).cloned().unwrap_or_default();
        TaskDocument {
            task: name.clone(),
            description: info.description,
            input_schema: info.input_schema,
            output_schema: info.output_schema,
            scope: info.scope,
        }
    };
    let tasks = tasks.names.as_ref().map(|names| names.iter().map(document).collect());
    let now = shared.client.now();
    let workers = running(shared.backend.store(), &topic, now).await?;
    let workers = workers.iter().map(|(id, info)| WorkerView::new(id, info, now)).collect();
    Ok(Json(TopicDocument { topic: topic.to_string(), depth, tasks, workers }))
}

/// A topic of this gateway.
fn served(gateway: &Gateway, topic: String) -> Result<Topic, Problem> {
    gateway.served(&Topic::from(topic))
}

/// How many dead letters are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadLettersQuery {
    /// How many: 1 to 1,000, 100 unless given.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Dead letters.
#[derive(Serialize, ToSchema)]
pub struct DeadLetterList<'a> {
    /// The dead letters, oldest first.
    dead_letters: Vec<DeadLetterDocument<'a>>,
}

/// The dead letters of a topic, oldest first.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/dead-letters", tag = "topics", operation_id = "listDeadLetters",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), DeadLettersQuery),
    responses(
        (status = 200, description = "The dead letters", body = DeadLetterList<'static>),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-topic`", body = Problem),
    ),
)]
pub async fn dead_letters(
    State(gateway): State<Gateway>,
    Path(topic): Path<String>,
    query: Result<Query<DeadLettersQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let limit = query.limit.unwrap_or(LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        return Err(bad(format!("limit is 1 to {MOST_LISTED}, not {limit}")));
    }
    let (backend, topic) = (&*gateway.shared.backend, served(&gateway, topic)?);
    let mut found = Vec::new();
    for dead_letter in backend.queue().dead_letters(&topic, limit).await? {
        found.push(DeadLetterWithCall::read(backend, dead_letter).await?);
    }
    let dead_letters = found.iter().map(|dead_letter| dead_letter.view(true)).collect();
    Ok(Json(DeadLetterList { dead_letters }).into_response())
}

async fn find(gateway: &Gateway, topic: &Topic, id: &str) -> Result<DeadLetter, Problem> {
    let all = gateway.shared.backend.queue().dead_letters(topic, usize::MAX).await?;
    let none = || Problem::new(ProblemKind::NoSuchDeadLetter, format!("topic {topic} has no dead letter {id}"));
    all.into_iter().find(|dead_letter| dead_letter.id == id).ok_or_else(none)
}

/// What became of a dead letter that was sent again.
#[derive(Serialize, ToSchema)]
pub struct SentAgain {
    /// The new job, if the call had failed in its job. `null`: the message was sent as it was.
    job: Option<String>,
}

/// Sends a dead letter again, and removes it from the dead letters.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/dead-letters/{id}/send", tag = "topics", operation_id = "sendDeadLetter",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("id" = String, Path, description = "The id of the dead letter")),
    responses(
        (status = 200, description = "It was sent", body = SentAgain),
        (status = 404, description = "`no-such-topic`, `no-such-dead-letter`", body = Problem),
        (status = 409, description = "`not-described`", body = Problem),
    ),
)]
pub async fn send_again(
    State(gateway): State<Gateway>,
    Path((topic, id)): Path<(String, String)>,
    _: NoBody,
) -> Result<Json<SentAgain>, Problem> {
    let (shared, topic) = (&gateway.shared, served(&gateway, topic)?);
    let dead_letter = DeadLetterWithCall::read(&*shared.backend, find(&gateway, &topic, &id).await?).await?;
    let job = match dead_letter.send(&*shared.backend, &shared.client).await? {
        Sent::AsNewJob(job, _) => Some(job.to_string()),
        Sent::AsItIs => None,
        Sent::NotDescribed => {
            let text =
                "the call has failed, and no record describes it, so there is nothing to send; delete the dead letter";
            return Err(Problem::new(ProblemKind::NotDescribed, text));
        }
    };
    shared.backend.queue().take_dead_letter(&topic, &id).await?;
    Ok(Json(SentAgain { job }))
}

/// Removes a dead letter.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}/dead-letters/{id}", tag = "topics", operation_id = "deleteDeadLetter",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"), ("id" = String, Path, description = "The id of the dead letter")),
    responses(
        (status = 204, description = "It was removed"),
        (status = 404, description = "`no-such-topic`, `no-such-dead-letter`", body = Problem),
    ),
)]
pub async fn drop_dead_letter(
    State(gateway): State<Gateway>,
    Path((topic, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let topic = served(&gateway, topic)?;
    match gateway.shared.backend.queue().take_dead_letter(&topic, &id).await? {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(Problem::new(ProblemKind::NoSuchDeadLetter, format!("topic {topic} has no dead letter {id}"))),
    }
}
