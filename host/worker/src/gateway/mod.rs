//! HTTP: schedule a call by POST, read its result by GET.
//!
//! | request | answer |
//! |---|---|
//! | `POST /{task}?k=v…` | 202 with the job's id, and its address in `Location` |
//! | `GET /{task}?k=v…` | 200 with the result; 404 while there is no result; 500 with the failure of its last job |
//! | `POST /v1/jobs/{id}/promises/{name}` | 200 after the promise was resolved with the JSON of the body; 409 if it has another answer, or the job is over |
//! | `POST /v1/jobs/{id}/promises/{name}/reject` | the same for a rejection; the body is `{"reason": "…"}` |
//! | `GET /jobs/{id}` | 200 with the state of that job: `pending`, `ok`, `failed` or `forgotten` |
//!
//! The answer is 404 for a task that no worker of the gateway's topics has announced. If *nothing* was announced, every
//! task is accepted: the workers of a topic may start later, or may be workers of other SDKs, which announce nothing.
//! (A worker must handle every call of its topic. So once a brrr-host worker has announced its tasks, its list is
//! complete.)

mod address;
mod arguments;
mod body;
mod guard;
mod pace;
mod promises;
mod reply;
mod results;
mod serve;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use brrr_protocol::Result;
use brrr_protocol::client::{Client, Known};
use brrr_protocol::model::{Call, CallHash, JobId, Topic, check_name};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Key, NewJob};
use brrr_protocol::records::decode_tasks;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use address::{Address, CannotListen};
use arguments::Arguments;
use body::{HeldBody, Room};
use bytes::Bytes;
use guard::Guard;
use results::Results;
use serve::Bounds;
pub use token::{TOKEN_ENV, Token, TokenError};

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
    bodies: Room,
    large: Semaphore,
    results: Results,
}

impl Gateway {
    /// A gateway of these topics. Clients must send the token, if there is one. If several topics have the same task,
    /// the first topic is used.
    #[must_use]
    pub fn new(client: Client, backend: Arc<dyn Backend>, topics: Vec<Topic>, token: Option<Token>) -> Self {
        let (bodies, large, results) = (Room::new(serve::PACE), Semaphore::new(1), Results::default());
        Self { shared: Arc::new(GatewayState { client, backend, topics, token, bodies, large, results }) }
    }

    /// Serves until it is asked to stop.
    pub async fn serve(self, listener: TcpListener, shutdown: &Shutdown) {
        let guard = Guard::new(self.shared.token.clone(), listener.local_addr().ok());
        serve::serve(listener, self.router(guard), shutdown, Bounds::default()).await;
    }

    fn router(self, guard: Guard) -> Router {
        Router::new()
            .route("/{task}", get(read).post(schedule))
            .route("/jobs/{id}", get(job))
            .route("/v1/jobs/{id}/promises/{name}", post(promises::resolve))
            .route("/v1/jobs/{id}/promises/{name}/reject", post(promises::reject))
            .fallback(async || reply::not_found("there are /TASK, /jobs/ID and /v1/jobs/ID/promises/NAME"))
            .layer(middleware::from_fn_with_state(Arc::new(guard), guard::guard))
            .with_state(self)
    }
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
        let topic = match self.topic_of(&task).await? {
            Ok(topic) => topic,
            Err(refusal) => return Ok(*refusal),
        };
        let Ok(job_id) = new_job_id() else {
            return Ok(reply::refused(StatusCode::SERVICE_UNAVAILABLE, "no random bits for a job's id"));
        };
        let Arguments { hash, payload } = arguments;
        let call = Call { hash: hash.clone(), task, payload, topic, options: Options::default() };
        self.shared.client.schedule(&NewJob::new(job_id.clone(), call), self.shared.client.now()).await?;
        Ok(reply::accepted(&job_id, &hash))
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
        if let Err(refusal) = self.topic_of(task).await? {
            return Ok(*refusal);
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

    /// The topic of a task. 404 if the workers of all topics have announced other tasks.
    async fn topic_of(&self, task: &str) -> Result<std::result::Result<Topic, Box<Response>>> {
        let (mut silent, mut known) = (None, Vec::new());
        for topic in &self.shared.topics {
            let found = self.shared.backend.store().get(&Key::tasks(topic)).await?;
            // A list that this version can't read counts as no list.
            match found.map(|bytes| decode_tasks(&bytes)) {
                Some(Ok(tasks)) if tasks.contains(task) => return Ok(Ok(topic.clone())),
                Some(Ok(tasks)) => known.extend(tasks),
                _ => silent = silent.or(Some(topic)),
            }
        }
        if let Some(topic) = silent {
            return Ok(Ok(topic.clone()));
        }
        let topics = self.shared.topics.iter().map(Topic::as_str).collect::<Vec<_>>().join(", ");
        let text = format!("no worker of topic {topics} handles the task {task}; they handle {}", known.join(", "));
        Ok(Err(Box::new(reply::not_found(&text))))
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
