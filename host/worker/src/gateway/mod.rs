//! HTTP: the API under `/v1` (see `v1`), the web page at `/ui` (see `page`), and three short routes, as the peers' gateways have
//! them:
//!
//! | request | answer |
//! |---|---|
//! | `POST /{task}?k=v…` | 202 with the job's id, and its address in `Location` |
//! | `GET /{task}?k=v…` | 200 with the result; 404 while there is no result; 500 with the failure of its last job |
//! | `GET /jobs/{id}` | 200 with the state of that job: `pending`, `ok`, `failed` or `forgotten` |
//!
//! `/healthz` and `/readyz` need no token (see `probes`). A task of such a name is reached by the API only.
//!
//! The answer is 404 for a task that no worker of the gateway's topics has announced. If *nothing* was announced, every
//! task is accepted: the workers of a topic may start later, or may be workers of other SDKs, which announce nothing.
//! (A worker must handle every call of its topic. So once a brrr-host worker has announced its tasks, its list is
//! complete.)

mod address;
mod arguments;
mod body;
mod cors;
mod front;
mod guard;
mod pace;
mod page;
mod probes;
mod reply;
mod results;
mod serve;
mod tail;
mod tasks;
mod token;
mod uploads;
mod v1;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, RawQuery, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use brrr_protocol::Result;
use brrr_protocol::client::{Client, Known};
use brrr_protocol::digest::Digest;
use brrr_protocol::model::{CallHash, JobId, Topic, check_name};
use brrr_protocol::ports::{Backend, Key};
use brrr_protocol::shipping::{renew_component, task_at};
use brrr_protocol::starting::{StartRequest, Started};
use brrr_protocol::workers::accepts_code;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

pub use address::{Address, CannotListen};
use arguments::Arguments;
use body::{HeldBody, Room};
use bytes::Bytes;
pub use cors::Origin;
pub use front::Front;
use guard::Guard;
pub use page::Page;
pub use probes::{Rendered, serve_probes};
use results::Results;
use tail::EventTail;
use tasks::{AnnouncedTasks, FRESH, TopicTasks};
pub use token::{PUSH_TOKEN_ENV, TOKEN_ENV, Token, TokenError};
use uploads::Uploads;
use v1::problem::{Problem, ProblemKind};
use watcher::Watcher;

use crate::health::Health;
use crate::new_call::new_job_id;
use crate::topic_worker::Shutdown;

/// A larger body is parsed as JSON on a thread of its own, one body at a time. This takes up to a second, and up to
/// forty times the memory of the body (16 MiB of `[0,0,…]`).
const LARGE: usize = 256 << 10;

/// How long a request may take after its body was read. Every request needs only one or two accesses to the backend.
const REQUEST: Duration = Duration::from_secs(30);

/// The gateway of some topics.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<GatewayState>,
}

struct GatewayState {
    client: Client,
    backend: Arc<dyn Backend>,
    topics: Vec<Topic>,
    token: Option<Token>,
    /// Clients with this token may push code. `None`: nobody may.
    push_token: Option<Token>,
    uploads: Uploads,
    bodies: Room,
    large: Semaphore,
    results: Results,
    tasks: AnnouncedTasks,
    watcher: Arc<Watcher>,
    events: Arc<EventTail>,
    origins: Vec<Origin>,
    page: Page,
    /// Ends the requests that wait, when the gateway is to stop.
    closing: CancellationToken,
}

impl Gateway {
    /// A gateway of these topics. Clients must send the token, if there is one. If several topics have the same task,
    /// the first topic is used.
    #[must_use]
    pub fn new(client: Client, backend: Arc<dyn Backend>, topics: Vec<Topic>, token: Option<Token>) -> Self {
        let state = GatewayState {
            watcher: Watcher::new(backend.clone()),
            events: EventTail::new(backend.clone()),
            client,
            backend,
            topics,
            token,
            push_token: None,
            uploads: Uploads::new(serve::PACE),
            bodies: Room::new(serve::PACE),
            large: Semaphore::new(1),
            results: Results::default(),
            tasks: AnnouncedTasks::default(),
            origins: Vec::new(),
            page: Page::default(),
            closing: CancellationToken::new(),
        };
        Self { shared: Arc::new(state) }
    }

    /// Lets pages of these origins use the gateway.
    #[must_use]
    pub fn allowing_origins(self, origins: Vec<Origin>) -> Self {
        let mut gateway = self;
        // Nothing else has the state before the gateway serves.
        if let Some(state) = Arc::get_mut(&mut gateway.shared) {
            state.origins = origins;
        }
        gateway
    }

    /// Lets clients with this token upload components and push revisions. They may do all that other clients may. Without such a
    /// token nobody may push.
    #[must_use]
    pub fn taking_code(self, push_token: Option<Token>) -> Self {
        let mut gateway = self;
        // Nothing else has the state before the gateway serves.
        if let Some(state) = Arc::get_mut(&mut gateway.shared) {
            state.push_token = push_token;
        }
        gateway
    }

    /// Serves this web page at `/ui`.
    #[must_use]
    pub fn with_page(self, page: Page) -> Self {
        let mut gateway = self;
        // As above.
        if let Some(state) = Arc::get_mut(&mut gateway.shared) {
            state.page = page;
        }
        gateway
    }

    /// Serves until it is asked to stop.
    pub async fn serve(self, listener: TcpListener, health: &Health, shutdown: &Shutdown) {
        self.serve_behind(Front::open(listener, health, shutdown), shutdown).await;
    }

    /// Serves on a socket that answers already, until it is asked to stop.
    pub async fn serve_behind(self, front: Front, shutdown: &Shutdown) {
        let tokens = (self.shared.token.clone(), self.shared.push_token.clone());
        let guard = Guard::new(tokens, front.address(), self.shared.origins.clone());
        // The largest bodies are those of components.
        let guard = guard.reading(self.shared.uploads.room.clone());
        let (stopped, closing) = (shutdown.clone(), self.shared.closing.clone());
        tokio::spawn(async move {
            stopped.wait().await;
            closing.cancel();
        });
        front.serve(self.router(guard)).await;
    }

    fn router(self, guard: Guard) -> Router {
        let origins = self.shared.origins.clone();
        let router = v1::router()
            .merge(page::router())
            .route("/{task}", get(read).post(schedule))
            .route("/jobs/{id}", get(job))
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .layer(middleware::from_fn_with_state(Arc::new(guard), guard::guard))
            .layer(CompressionLayer::new().gzip(true));
        // A browser asks what is allowed before it sends the token.
        let router = if origins.is_empty() { router } else { router.layer(cors::layer(&origins)) };
        router.with_state(self)
    }
}

async fn no_such_path(request: Request) -> Response {
    if v1::is_of(&request) {
        let text = format!("there is no {}; /v1/openapi.json describes what there is", request.uri().path());
        return Problem::new(ProblemKind::NotFound, text).into_response();
    }
    reply::not_found("there are /ui, /TASK, /jobs/ID and /v1, which /v1/openapi.json describes")
}

async fn no_such_method(request: Request) -> Response {
    // Without an allow-list of origins, OPTIONS only names the methods. They are in the header `allow`.
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let text = format!("{} has no method {}", request.uri().path(), request.method());
    if v1::is_of(&request) {
        return Problem::new(ProblemKind::MethodNotAllowed, text).into_response();
    }
    reply::refused(StatusCode::METHOD_NOT_ALLOWED, &text)
}

/// Ends requests that take too long. `pace` limits the time of a client to send and to read.
async fn in_time(answering: impl Future<Output = Answer>) -> Response {
    match tokio::time::timeout(REQUEST, answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => *refusal,
        Err(_) => reply::refused(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
    }
}

/// The answer. An error is the answer that refuses the request.
type Answer = std::result::Result<Response, Box<Response>>;

fn answered(result: Result<Response>) -> Answer {
    Ok(result.unwrap_or_else(|error| reply::backend_failed(&error)))
}

type Pairs = std::result::Result<Query<Vec<(String, String)>>, QueryRejection>;

async fn schedule(
    State(gateway): State<Gateway>,
    Path(task): Path<String>,
    RawQuery(raw): RawQuery,
    query: Pairs,
    body: Body,
) -> Response {
    let body = match gateway.shared.bodies.read(body).await {
        Ok(body) => body,
        Err((status, text)) => return reply::refused(status, text),
    };
    in_time(async {
        let arguments = gateway.arguments(&task, raw, query, body).await?;
        answered(gateway.schedule(task, arguments).await)
    })
    .await
}

async fn read(
    State(gateway): State<Gateway>,
    Path(task): Path<String>,
    RawQuery(raw): RawQuery,
    query: Pairs,
    body: Body,
) -> Response {
    let body = match gateway.shared.bodies.read(body).await {
        Ok(body) => body,
        Err((status, text)) => return reply::refused(status, text),
    };
    in_time(async {
        let arguments = gateway.arguments(&task, raw, query, body).await?;
        answered(gateway.read(&task, &arguments).await)
    })
    .await
}

async fn job(State(gateway): State<Gateway>, Path(id): Path<String>) -> Response {
    if let Err(text) = check_name("the job's id", &id) {
        return reply::refused(StatusCode::BAD_REQUEST, &text);
    }
    in_time(async { answered(gateway.job(&JobId::from(id)).await) }).await
}

impl Gateway {
    async fn arguments(
        &self,
        task: &str,
        raw: Option<String>,
        query: Pairs,
        body: HeldBody,
    ) -> std::result::Result<Arguments, Box<Response>> {
        let refused = |text: &str| Box::new(reply::refused(StatusCode::BAD_REQUEST, text));
        check_name("the task's name", task).map_err(|text| refused(&text))?;
        // The extractor would replace invalid bytes by U+FFFD, so that different bytes would become the same call.
        if !is_text(raw.as_deref().unwrap_or_default()) {
            return Err(refused("the query is not UTF-8; other bytes can be sent in a JSON body, encoded as text"));
        }
        let Query(query) = query.map_err(|error| refused(&error.body_text()))?;
        if body.bytes.len() <= LARGE {
            return arguments::read(task, query, &body.bytes).map_err(|text| refused(&text));
        }
        // The semaphore is never closed.
        let _one = self.shared.large.acquire().await;
        let task = task.to_owned();
        let read = tokio::task::spawn_blocking(move || arguments::read(&task, query, &body.bytes)).await;
        read.unwrap_or_else(|error| Err(error.to_string())).map_err(|text| refused(&text))
    }

    /// The answer with a result. It is a refusal if there is no memory for the result.
    fn value(&self, call: &CallHash, value: Bytes) -> Response {
        match self.shared.results.room_for(call, value) {
            Some(value) => reply::value(value),
            None => reply::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many large results are being read at once; try again later",
            ),
        }
    }

    async fn schedule(&self, task: String, arguments: Arguments) -> Result<Response> {
        let (topic, announced) = match self.topic_for(None, &task).await {
            Ok(found) => found,
            Err(problem) => return Ok(reply::problem(&problem)),
        };
        let Ok(job_id) = new_job_id() else {
            return Ok(reply::refused(StatusCode::SERVICE_UNAVAILABLE, "no random bits for a job's id"));
        };
        let Arguments { hash, payload } = arguments;
        let scope = announced.scope_of(&task);
        let request = StartRequest { task_scope: scope, ..StartRequest::new(topic, task, payload, hash) };
        Ok(match self.shared.client.start(&request, job_id).await? {
            Started::New { job_id, call, .. } => reply::accepted(&job_id, &call),
            Started::Existing { job_id, job } => reply::accepted(&job_id, &job.call),
            // A request without key, deadline and time always starts a job.
            Started::KeyReused(_) | Started::Bad(_) => reply::refused(StatusCode::BAD_REQUEST, "no job was started"),
        })
    }

    async fn read(&self, task: &str, arguments: &Arguments) -> Result<Response> {
        let turn = self.shared.results.turn().await;
        let known = self.shared.client.read(&arguments.hash).await?;
        if known != Known::Nothing {
            self.shared.client.compare(&arguments.hash, task, &arguments.payload).await?;
        }
        match known {
            Known::Value(value) => return Ok(self.value(&arguments.hash, value)),
            Known::Failed(failure) => return Ok(reply::failed(StatusCode::INTERNAL_SERVER_ERROR, &failure)),
            Known::Nothing => {}
        }
        drop(turn);
        if let Err(problem) = self.topic_for(None, task).await {
            return Ok(reply::problem(&problem));
        }
        let asked_for = self.shared.backend.store().get(&Key::latest_job(&arguments.hash)).await?.is_some();
        Ok(if asked_for {
            reply::pending(StatusCode::NOT_FOUND)
        } else {
            reply::not_found("nobody has asked for this call; POST does")
        })
    }

    async fn job(&self, job_id: &JobId) -> Result<Response> {
        let Some(job) = self.shared.client.end_if_overdue(job_id, self.shared.client.now()).await? else {
            return Ok(reply::not_found("there is no such job"));
        };
        let _turn = self.shared.results.turn().await;
        let outcome = self.shared.client.outcome(job_id, &job.call).await?;
        // Workers of other SDKs complete calls, but don't record that a job is over.
        if outcome.is_some() && !job.is_over() {
            self.shared.client.as_it_is(job_id, job.clone(), self.shared.client.now()).await?;
        }
        Ok(match outcome {
            Some(Ok(value)) => self.value(&job.call, value),
            Some(Err(failure)) => reply::failed(StatusCode::OK, &failure),
            None if job.is_over() => reply::forgotten(),
            None => reply::pending(StatusCode::OK),
        })
    }

    /// One of the gateway's topics.
    fn served(&self, topic: &Topic) -> std::result::Result<Topic, Problem> {
        if self.shared.topics.contains(topic) {
            return Ok(topic.clone());
        }
        let topics = self.shared.topics.iter().map(Topic::as_str).collect::<Vec<_>>().join(", ");
        let text = format!("this gateway serves {topics}, not {topic}");
        Err(Problem::new(ProblemKind::NoSuchTopic, text))
    }

    /// The topic of a new call of a task in this component, and what the component says of the task. Without a topic: the first topic
    /// whose workers accept code, or else the first topic without workers.
    async fn topic_for_code(
        &self,
        topic: Option<Topic>,
        (task, digest): (&str, &Digest),
    ) -> std::result::Result<(Topic, Arc<TopicTasks>), Problem> {
        let (store, now) = (self.shared.backend.store(), self.shared.client.now());
        let topics = match topic {
            Some(topic) => vec![self.served(&topic)?],
            None => self.shared.topics.clone(),
        };
        // The component must stay until the job names it.
        let manifest = renew_component(store, digest).await?.ok_or_else(|| v1::components::absent(digest))?;
        let about = v1::components::check_task(&manifest, task)?;
        let info = about.tasks.get(task).map(|about| about.info.clone()).unwrap_or_default();
        let tasks = Arc::new(TopicTasks::of_one(task_at(task, digest), info));
        let mut silent = None;
        for topic in &topics {
            match accepts_code(store, topic, now).await? {
                Some(true) => return Ok((topic.clone(), tasks)),
                Some(false) => {}
                // A worker may start later.
                None => silent = silent.or(Some(topic.clone())),
            }
        }
        let topics = topics.iter().map(Topic::as_str).collect::<Vec<_>>().join(", ");
        let text = format!("no worker of topic {topics} accepts code; start one with `brrr-host run --accept-code`");
        silent.map(|topic| (topic, tasks)).ok_or_else(|| Problem::new(ProblemKind::CodeNotAccepted, text))
    }

    /// The topic of a new call, and what is announced of its tasks. Without a topic: the first topic whose workers handle the
    /// task, or else the first topic of which nothing is known.
    async fn topic_for(
        &self,
        topic: Option<Topic>,
        task: &str,
    ) -> std::result::Result<(Topic, Arc<TopicTasks>), Problem> {
        let topics = match topic {
            Some(topic) => vec![self.served(&topic)?],
            None => self.shared.topics.clone(),
        };
        let mut known = Vec::new();
        // A worker may have announced the task since the last look.
        for age in [FRESH, Duration::ZERO] {
            known.clear();
            let mut silent = None;
            for topic in &topics {
                let tasks = self.shared.tasks.of(&*self.shared.backend, topic, age).await?;
                match &tasks.names {
                    Some(names) if names.contains(task) => return Ok((topic.clone(), tasks)),
                    Some(names) => known.extend(names.iter().cloned()),
                    None => silent = silent.or(Some((topic.clone(), tasks))),
                }
            }
            if let Some(silent) = silent {
                return Ok(silent);
            }
        }
        let topics = topics.iter().map(Topic::as_str).collect::<Vec<_>>().join(", ");
        let text = format!("no worker of topic {topics} handles the task {task}; they handle {}", known.join(", "));
        Err(Problem::new(ProblemKind::NoSuchTask, text))
    }
}

/// Is a query valid UTF-8 after decoding? (`&`, `=` and `+` are ASCII, so they never split a character.)
fn is_text(query: &str) -> bool {
    percent_encoding::percent_decode_str(query).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_query_is_utf_8() {
        for query in ["", "a=b&c=%C3%B6&d=100%", "a=%zz", "ö=+"] {
            assert!(super::is_text(query), "{query}");
        }
        for query in ["a=%ff", "%C3&%B6", "a=%ED%A0%80", "a=%C3=%B6"] {
            assert!(!super::is_text(query), "{query}");
        }
    }
}
