//! What a container platform and Prometheus ask for, without a token:
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` | 200: the process is alive |
//! | `GET /readyz` | 200: the process is ready for work; 503 with the reasons why it is not |
//! | `GET /metrics` | the metrics as text, if there are any |

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use serde::Serialize;
use tokio::net::TcpListener;

use super::guard::{self, Guard};
use super::serve::{self, Bounds};
use super::{no_such_method, reply};
use crate::health::Health;
use crate::topic_worker::Shutdown;

/// Renders the metrics in Prometheus' text format. `None`: they can't be rendered.
pub type Rendered = Arc<dyn Fn() -> Option<String> + Send + Sync>;

#[derive(Clone)]
struct Probes {
    health: Health,
    metrics: Option<Rendered>,
}

#[derive(Serialize)]
struct HealthBody {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// Serves health, and metrics if there are any, until `ended`. A worker that stops is still asked how it does.
pub async fn serve_probes(listener: TcpListener, health: Health, metrics: Option<Rendered>, ended: &Shutdown) {
    health.watch();
    let guard = Guard::new((None, None), listener.local_addr().ok(), Vec::new());
    let nothing_else = async || reply::not_found("there are /healthz, /readyz and /metrics");
    let router = router(health, metrics, guard).fallback(nothing_else);
    serve::serve(listener, router, ended, Bounds::default()).await;
}

pub(super) fn router(health: Health, metrics: Option<Rendered>, guard: Guard) -> Router {
    let mut router = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready));
    if metrics.is_some() {
        router = router.route("/metrics", get(scrape));
    }
    let router = router.method_not_allowed_fallback(no_such_method);
    router.layer(middleware::from_fn_with_state(Arc::new(guard), guard::guard)).with_state(Probes { health, metrics })
}

async fn alive() -> Response {
    Json(HealthBody { status: "ok", reasons: Vec::new() }).into_response()
}

async fn ready(State(probes): State<Probes>) -> Response {
    let reasons = probes.health.reasons();
    if reasons.is_empty() {
        return Json(HealthBody { status: "ready", reasons }).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(HealthBody { status: "not-ready", reasons })).into_response()
}

async fn scrape(State(probes): State<Probes>) -> Response {
    let text = probes.metrics.and_then(|render| render());
    match text {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        None => reply::refused(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be collected"),
    }
}
