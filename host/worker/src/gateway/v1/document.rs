//! The OpenAPI document of `/v1`, which is made from the code of its routes.

use axum::http::{HeaderMap, header};
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, SecurityRequirement};
use utoipa::{Modify, OpenApi};

use super::etag::{etag, tagged};
use crate::gateway::Gateway;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "brrr-host",
        description = "Starts and follows durable jobs. Times are RFC 3339 in UTC. Durations are texts such as `5s` or `1h 30m`. Errors are \
                       problem documents (RFC 9457) whose types are stable. Who uploads components or changes deployments needs the \
                       push token, which is good for all other requests too.",
    ),
    modifiers(&Token),
)]
struct Base;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme.clone());
        components.add_security_scheme("push_token", scheme);
        // A gateway without a token needs none.
        document.security =
            Some(vec![SecurityRequirement::default(), SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]);
    }
}

/// The document before the routes are added.
pub fn base() -> Document {
    Base::openapi()
}

/// The route that serves the document.
pub fn served(document: &Document) -> MethodRouter<Gateway> {
    // The document is always JSON.
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let tag = etag(&[&json]);
    get(async move |headers: HeaderMap| {
        tagged(&headers, tag, ([(header::CONTENT_TYPE, "application/json")], json).into_response())
    })
}
