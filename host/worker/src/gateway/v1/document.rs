//! The OpenAPI document of `/v1`, which is made from the code of its routes.

use axum::http::{HeaderMap, header};
use axum::response::IntoResponse as _;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, RefOr, SecurityRequirement};
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

/// All problems have the media type of problems, so that no route has to say it.
fn name_problems(document: &mut Document) {
    let is_problem = |content: &RefOr<Content>| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => schema.ref_location.ends_with("/Problem"),
        _ => false,
    };
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for response in operation.responses.responses.values_mut() {
                let RefOr::T(response) = response else { continue };
                let named = response.content.drain(..).map(|(media, content)| {
                    let problem = is_problem(&content);
                    (if problem { "application/problem+json".to_owned() } else { media }, content)
                });
                response.content = named.collect();
            }
        }
    }
}

/// The route that serves the document.
pub fn served(mut document: Document) -> MethodRouter<Gateway> {
    name_problems(&mut document);
    // The document is always JSON.
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let tag = etag(&[&json]);
    get(async move |headers: HeaderMap| {
        tagged(&headers, tag, ([(header::CONTENT_TYPE, "application/json")], json).into_response())
    })
}
