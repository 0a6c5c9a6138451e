//! The revisions of a topic's code. Who has the push token changes them.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use brrr_protocol::model::Topic;
use brrr_protocol::records::{DeployedComponent, DeploymentsRecord};
use brrr_protocol::shipping::{Change, PushOptions, Refusal, Sending};
use brrr_protocol::workers::running;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use super::components::{absent, digest};
use super::problem::{Problem, ProblemKind};
use super::push_token::allowed;
use super::request::{NoBody, bad, json, wait};
use crate::gateway::Gateway;
use crate::rollout::{RolledOut, Rollout, until_in_force};
use crate::view::deployment::RevisionView;

/// How long a push waits for the workers, if the request does not say it.
const WAIT: Duration = Duration::from_secs(30);

/// The revisions of a topic's code.
#[derive(Serialize, ToSchema)]
pub struct RevisionList {
    /// The revisions, newest first. None: the workers of the topic have code of their own.
    revisions: Vec<RevisionView>,
}

/// A revision to push.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRevision)]
pub struct RevisionBody {
    /// The components, which have all tasks of the topic. They were uploaded before.
    #[schema(min_items = 1, max_items = 32)]
    components: Vec<ComponentBody>,
    /// The part of new jobs that it takes, in percent: 100 unless given. The revisions before it take the rest.
    #[schema(maximum = 100)]
    percent: Option<u8>,
    /// What is new, for people.
    #[serde(default)]
    #[schema(max_length = 256)]
    note: String,
    /// Who pushes it, for people.
    #[serde(default)]
    #[schema(max_length = 50)]
    by: String,
    /// How many of the newest revisions stay even if no job needs them. Not given: as before, 10 at first.
    #[schema(minimum = 1, maximum = 100)]
    keep: Option<u32>,
    /// Which revision runs a job: the one of the job's creation (`pinned`), or always the `newest`. Not given: as before, `pinned` at
    /// first.
    #[schema(pattern = "^(pinned|newest)$")]
    follow: Option<String>,
}

/// A component of a revision.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRevisionComponent)]
pub struct ComponentBody {
    /// The digest, as its upload has answered it.
    #[schema(pattern = "^sha256:[0-9a-f]{64}$")]
    digest: String,
    /// The name, for people. Not given: the first digits of its digest.
    #[schema(min_length = 1, max_length = 50)]
    name: Option<String>,
}

/// A part of the jobs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Ramp)]
pub struct RampBody {
    /// The part of new jobs, in percent.
    #[schema(maximum = 100)]
    percent: u8,
}

/// Why earlier code is to take all jobs.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rollback)]
pub struct RollbackBody {
    /// Why, for people.
    #[serde(default)]
    #[schema(max_length = 256)]
    note: String,
    /// Who does it, for people.
    #[serde(default)]
    #[schema(max_length = 50)]
    by: String,
}

fn served(gateway: &Gateway, topic: String) -> Result<Topic, Problem> {
    gateway.served(&Topic::from(topic))
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| bad(format!("{text:?} is no number of a revision")))
}

/// The problem of a change that is not possible.
fn refused(refusal: &Refusal) -> Problem {
    let kind = match refusal {
        Refusal::NoRevision(_) | Refusal::NothingBefore => ProblemKind::NoSuchRevision,
        Refusal::Percent(_) | Refusal::Components(_) | Refusal::Twice(_) | Refusal::TooLong { .. } => {
            ProblemKind::BadRequest
        }
        Refusal::TooManySteps(_) | Refusal::TooManyRevisions | Refusal::TooLarge(_) => ProblemKind::RevisionRefused,
    };
    Problem::new(kind, refusal.to_string())
}

/// The revisions after a change, once it counts.
async fn changed(gateway: &Gateway, change: Change) -> Result<DeploymentsRecord, Problem> {
    match change {
        Change::Done(record) => {
            until_in_force(&gateway.shared.client, &record).await;
            Ok(record)
        }
        Change::Same(record) => Ok(record),
        Change::Refused(refusal) => Err(refused(&refusal)),
    }
}

/// A revision as a document, or the newest one.
async fn shown(
    gateway: &Gateway,
    topic: &Topic,
    record: &DeploymentsRecord,
    number: Option<u64>,
) -> Result<Json<RevisionView>, Problem> {
    let workers = running(gateway.shared.backend.store(), topic, gateway.shared.client.now()).await?;
    let mut revisions = record.revisions.iter().rev();
    let found = revisions.find(|revision| number.is_none_or(|number| revision.number == number));
    let found = found.ok_or_else(|| refused(&Refusal::NoRevision(number.unwrap_or_default())))?;
    Ok(Json(RevisionView::new(topic, found, &workers)))
}

/// The revisions of a topic's code, and which workers have loaded them.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/deployments", tag = "deployments", operation_id = "listDeployments",
    params(("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$")),
    responses(
        (status = 200, description = "The revisions", body = RevisionList),
        (status = 404, description = "`no-such-topic`", body = Problem),
    ),
)]
pub async fn list(State(gateway): State<Gateway>, Path(topic): Path<String>) -> Result<Json<RevisionList>, Problem> {
    let (shared, topic) = (&gateway.shared, served(&gateway, topic)?);
    let record = shared.client.deployments(&topic).await?;
    let workers = running(shared.backend.store(), &topic, shared.client.now()).await?;
    let revisions = record.revisions.iter().rev().map(|revision| RevisionView::new(&topic, revision, &workers));
    Ok(Json(RevisionList { revisions: revisions.collect() }))
}

/// Pushes a revision of components that were uploaded. It takes jobs once every worker has loaded it. With `Prefer: wait=60` the request
/// waits for that at most so long (30 s unless given). After 202 the same request goes on where this one was.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/deployments", tag = "deployments", operation_id = "pushRevision",
    request_body = RevisionBody,
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"),
        ("prefer" = Option<String>, Header, description = "`wait=30`: how long to wait for the workers, at most 60 s"),
    ),
    responses(
        (status = 201, description = "It was pushed, and takes its part of the jobs", body = RolledOut),
        (status = 200, description = "It was there already, and takes its part of the jobs", body = RolledOut),
        (status = 202, description = "It was pushed, and takes no jobs yet: not all workers have loaded it", body = RolledOut),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 401, description = "`unauthorized`: the push token is needed", body = Problem),
        (status = 403, description = "`push-not-allowed`, `takes-no-code`", body = Problem),
        (status = 404, description = "`no-such-topic`, `no-such-component`", body = Problem),
        (status = 409, description = "`cannot-load`: a worker can't load it, and it takes no jobs; `revision-refused`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 503, description = "`busy`, `backend-unavailable`", body = Problem),
    ),
    security(("push_token" = [])),
)]
pub async fn push(State(gateway): State<Gateway>, Path(topic): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let body = allowed(&gateway, &headers, body).await?;
    let body: RevisionBody = json(&gateway, &headers, body).await?;
    let topic = served(&gateway, topic)?;
    let (client, closing) = (&gateway.shared.client, &gateway.shared.closing);
    let percent = body.percent.unwrap_or(100);
    let (components, options) = new_revision(body)?;
    let rollout = Rollout::plan(client, &topic, &components, percent).await?;
    let options = PushOptions { percent: rollout.first_percent(), ..options };
    let record = match client.deploy(&topic, &components, &options).await? {
        Ok(Change::Done(record) | Change::Same(record)) => record,
        Ok(Change::Refused(refusal)) => return Err(refused(&refusal)),
        Err(digest) => return Err(absent(&digest)),
    };
    let done = tokio::select! {
        done = rollout.finish(&record, wait(&headers).unwrap_or(WAIT)) => done,
        // The answer comes before the connection is closed.
        () = closing.cancelled() => rollout.finish(&record, Duration::ZERO).await,
    };
    let done = done?.map_err(|refusal| refused(&refusal))?;
    if let Some(failed) = done.failed.first() {
        let (revision, percent) = (done.revision, done.percent);
        let text = format!(
            "worker {} can't load revision {revision}, which takes {percent} % of new jobs: {}",
            failed.worker, failed.reason
        );
        return Err(Problem::new(ProblemKind::CannotLoad, text));
    }
    let status = match (done.is_everywhere(), done.new) {
        (false, _) => StatusCode::ACCEPTED,
        (true, true) => StatusCode::CREATED,
        (true, false) => StatusCode::OK,
    };
    Ok((status, Json(done)).into_response())
}

fn new_revision(body: RevisionBody) -> Result<(Vec<DeployedComponent>, PushOptions), Problem> {
    let component = |ComponentBody { digest: text, name }: ComponentBody| {
        let digest = digest(&text)?;
        let name = name.unwrap_or_else(|| digest.to_string().chars().take(12).collect());
        Ok(DeployedComponent { digest, name })
    };
    let components = body.components.into_iter().map(component).collect::<Result<_, Problem>>()?;
    if let Some(keep) = body.keep
        && !(1..=100).contains(&keep)
    {
        return Err(bad(format!("keep is 1 to 100, not {keep}")));
    }
    let follow_newest = match body.follow.as_deref() {
        None => None,
        Some("pinned") => Some(false),
        Some("newest") => Some(true),
        Some(other) => return Err(bad(format!("follow is `pinned` or `newest`, not {other:?}"))),
    };
    let (note, by, keep) = (body.note, body.by, body.keep);
    Ok((components, PushOptions { percent: 100, note, by, keep, follow_newest, sending: Sending::Absent }))
}

/// Changes the part of new jobs that a revision takes.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/deployments/{revision}/ramp", tag = "deployments", operation_id = "rampRevision",
    request_body = RampBody,
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"),
        ("revision" = u64, Path, description = "The number of the revision"),
    ),
    responses(
        (status = 200, description = "The revision", body = RevisionView),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 401, description = "`unauthorized`: the push token is needed", body = Problem),
        (status = 403, description = "`push-not-allowed`, `takes-no-code`", body = Problem),
        (status = 404, description = "`no-such-topic`, `no-such-revision`", body = Problem),
        (status = 409, description = "`revision-refused`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
    ),
    security(("push_token" = [])),
)]
pub async fn ramp(
    State(gateway): State<Gateway>,
    Path((topic, revision)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<RevisionView>, Problem> {
    let body = allowed(&gateway, &headers, body).await?;
    let RampBody { percent } = json(&gateway, &headers, body).await?;
    let (topic, number) = (served(&gateway, topic)?, number(&revision)?);
    let record = changed(&gateway, gateway.shared.client.ramp(&topic, number, percent).await?).await?;
    shown(&gateway, &topic, &record, Some(number)).await
}

/// Lets the code of an earlier revision take all new jobs, as a new revision, which is the answer. The same request again changes nothing.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/deployments/{revision}/rollback", tag = "deployments", operation_id = "rollBack",
    request_body = RollbackBody,
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"),
        ("revision" = u64, Path, description = "The number of the revision whose code is wanted"),
    ),
    responses(
        (status = 200, description = "The newest revision, which has that code", body = RevisionView),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 401, description = "`unauthorized`: the push token is needed", body = Problem),
        (status = 403, description = "`push-not-allowed`, `takes-no-code`", body = Problem),
        (status = 404, description = "`no-such-topic`, `no-such-revision`", body = Problem),
        (status = 409, description = "`revision-refused`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
    ),
    security(("push_token" = [])),
)]
pub async fn rollback(
    State(gateway): State<Gateway>,
    Path((topic, revision)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<RevisionView>, Problem> {
    let body = allowed(&gateway, &headers, body).await?;
    let RollbackBody { note, by } = json(&gateway, &headers, body).await?;
    let (topic, number) = (served(&gateway, topic)?, number(&revision)?);
    let change = gateway.shared.client.rollback(&topic, Some(number), &note, &by).await?;
    shown(&gateway, &topic, &changed(&gateway, change).await?, None).await
}

/// Removes a revision. It takes no more jobs, and its live jobs go on with the next newer one.
#[utoipa::path(
    delete, path = "/v1/topics/{topic}/deployments/{revision}", tag = "deployments", operation_id = "removeRevision",
    params(
        ("topic" = String, Path, description = "The topic", pattern = "^[A-Za-z0-9_-]{1,75}$"),
        ("revision" = u64, Path, description = "The number of the revision"),
    ),
    responses(
        (status = 204, description = "It was removed"),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 401, description = "`unauthorized`: the push token is needed", body = Problem),
        (status = 403, description = "`push-not-allowed`, `takes-no-code`", body = Problem),
        (status = 404, description = "`no-such-topic`, `no-such-revision`", body = Problem),
    ),
    security(("push_token" = [])),
)]
pub async fn remove(
    State(gateway): State<Gateway>,
    Path((topic, revision)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let body = allowed(&gateway, &headers, body).await?;
    NoBody::read(&gateway, body).await?;
    let (topic, number) = (served(&gateway, topic)?, number(&revision)?);
    changed(&gateway, gateway.shared.client.remove_revision(&topic, number).await?).await?;
    Ok(StatusCode::NO_CONTENT)
}
