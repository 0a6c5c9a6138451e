//! Answers to promises of jobs.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use brrr_protocol::client::Answered;
use brrr_protocol::model::{JobId, check_name};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::body::HeldBody;
use super::{Gateway, answered, in_time, reply};

/// The body of a rejection.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejection {
    reason: String,
}

/// `POST /v1/jobs/{id}/promises/{name}`: the body is the value, as JSON. Without a body the value is null.
pub(super) async fn resolve(
    State(gateway): State<Gateway>,
    Path((id, name)): Path<(String, String)>,
    body: Body,
) -> Response {
    answer(gateway, id, name, body, |body| {
        if body.is_empty() {
            return Ok(Ok(Bytes::from_static(b"null")));
        }
        // The text as it is: numbers keep all their digits.
        serde_json::from_slice::<IgnoredAny>(&body).map_err(|error| format!("the value is not JSON: {error}"))?;
        Ok(Ok(body))
    })
    .await
}

/// `POST /v1/jobs/{id}/promises/{name}/reject`: the body is `{"reason": "…"}`.
pub(super) async fn reject(
    State(gateway): State<Gateway>,
    Path((id, name)): Path<(String, String)>,
    body: Body,
) -> Response {
    answer(gateway, id, name, body, |body| {
        let rejection: Rejection = serde_json::from_slice(&body)
            .map_err(|error| format!("a rejection is {{\"reason\": \"why, for people\"}}: {error}"))?;
        Ok(Err(rejection.reason))
    })
    .await
}

/// A value, or the reason of a rejection.
type GivenAnswer = Result<Bytes, String>;

async fn answer(
    gateway: Gateway,
    id: String,
    name: String,
    body: Body,
    read: impl FnOnce(Bytes) -> Result<GivenAnswer, String>,
) -> Response {
    let refused = |text: &str| reply::refused(StatusCode::BAD_REQUEST, text);
    if let Err(text) = check_name("the job's id", &id).and_then(|()| check_name("the promise's name", &name)) {
        return refused(&text);
    }
    let HeldBody { bytes, .. } = match gateway.shared.bodies.read(body).await {
        Ok(body) => body,
        Err((status, text)) => return reply::refused(status, text),
    };
    let given = match read(bytes.freeze()) {
        Ok(given) => given,
        Err(text) => return refused(&text),
    };
    in_time(async { answered(gateway.answer(&JobId::from(id), &name, given).await) }).await
}

impl Gateway {
    async fn answer(&self, job_id: &JobId, name: &str, given: GivenAnswer) -> brrr_protocol::Result<Response> {
        let client = &self.shared.client;
        let done = if given.is_ok() { "resolved" } else { "rejected" };
        let found = match given {
            Ok(value) => client.resolve(job_id, name, value, client.now()).await?,
            Err(reason) => client.reject(job_id, name, &reason, client.now()).await?,
        };
        Ok(match found {
            Answered::Done | Answered::Same => reply::status(done),
            Answered::Other => reply::refused(StatusCode::CONFLICT, "the promise has another answer, which stays"),
            Answered::JobOver(state) => {
                reply::refused(StatusCode::CONFLICT, &format!("the job is over: {}", state.as_str()))
            }
            Answered::Unknown => reply::not_found("there is no such job"),
        })
    }
}
