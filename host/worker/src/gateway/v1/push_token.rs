//! Who may upload and push code: clients with the push token.

use axum::body::Body;
use axum::http::HeaderMap;

use super::problem::{Problem, ProblemKind};
use crate::gateway::Gateway;

/// Refuses a request without the push token, before its body is kept. A refused body is read to its end: otherwise the client could
/// be cut off before it has read the answer.
///
/// # Errors
/// The problem that says what is needed.
pub async fn allowed(gateway: &Gateway, headers: &HeaderMap, body: Body) -> Result<Body, Problem> {
    let problem = match &gateway.shared.push_token {
        Some(token) if token.is_in(headers) => return Ok(body),
        None => {
            let text = "this gateway takes no code; start it with --push-token-file FILE (or BRRR_PUSH_TOKEN), and send that \
                        token";
            Problem::new(ProblemKind::TakesNoCode, text)
        }
        // The request has the ordinary token, or it would not have come here.
        Some(_) if gateway.shared.token.is_some() => {
            let text = "the token of this request may not push code; send the push token (--push-token-file)";
            Problem::new(ProblemKind::PushNotAllowed, text)
        }
        Some(_) => {
            let text = "the header `authorization: Bearer TOKEN` with the push token is needed";
            Problem::new(ProblemKind::Unauthorized, text)
        }
    };
    gateway.shared.uploads.room.drain(body).await;
    Err(problem)
}
