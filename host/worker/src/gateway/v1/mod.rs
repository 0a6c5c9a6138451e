//! `/v1`: start and follow jobs, answer promises, look at topics and dead letters. The OpenAPI document is made from this code.
//!
//! - `start`: starts jobs; `jobs`: reads, lists, cancels and retries them; `promises`: answers them
//! - `calls`: one call of a job, with its payload and its result
//! - `logs`: what the calls of a job have logged
//! - `components`: uploads code; `deployments`: pushes it, and changes which revision takes jobs; `push_token`: who may do so
//! - `events`: server-sent events; `topics`: topics and dead letters; `schedules`: schedules of topics
//! - `problem`: errors; `request`: bodies and headers; `etag`: answers that a client has already

mod calls;
pub mod components;
mod deployments;
mod document;
pub mod etag;
mod events;
mod jobs;
mod logs;
pub mod problem;
mod promises;
mod push_token;
mod request;
mod schedules;
mod start;
mod topics;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Gateway;
use problem::Problem;

/// An answer, or the problem in its place.
type Answer = Result<Response, Problem>;

/// Is the request for `/v1`?
pub fn is_of(request: &Request) -> bool {
    request.uri().path().starts_with("/v1/")
}

/// The routes of `/v1`, and the document that describes them.
pub fn router() -> Router<Gateway> {
    let (router, api) = OpenApiRouter::with_openapi(document::base())
        .routes(routes!(start::start, jobs::list))
        .routes(routes!(jobs::read))
        .routes(routes!(jobs::result))
        .routes(routes!(jobs::tree))
        .routes(routes!(logs::of_job))
        .routes(routes!(logs::of_call))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(calls::read))
        .routes(routes!(calls::payload))
        .routes(routes!(calls::result))
        .routes(routes!(promises::open))
        .routes(routes!(promises::awaited))
        .routes(routes!(promises::resolve))
        .routes(routes!(promises::reject))
        .routes(routes!(events::of_job))
        .routes(routes!(events::all))
        .routes(routes!(topics::list))
        .routes(routes!(topics::read))
        .routes(routes!(topics::dead_letters))
        .routes(routes!(topics::send_again))
        .routes(routes!(topics::drop_dead_letter))
        .routes(routes!(components::upload))
        .routes(routes!(components::read))
        .routes(routes!(deployments::list, deployments::push))
        .routes(routes!(deployments::remove))
        .routes(routes!(deployments::ramp))
        .routes(routes!(deployments::rollback))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::read, schedules::put, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::run))
        .split_for_parts();
    router.route("/v1/openapi.json", document::served(api))
}
