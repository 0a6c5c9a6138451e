//! The components in the store. Who has the push token uploads some.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brrr_protocol::ErrorKind;
use brrr_protocol::digest::Digest;
use brrr_protocol::records::ManifestRecord;
use brrr_protocol::shipping::{About, Component, Sending, about_component, get_manifest, put_component};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use super::problem::{Problem, ProblemKind};
use super::push_token::allowed;
use super::request::{bad, media_type};
use crate::gateway::Gateway;
use crate::signatures::Signer;
use crate::wasm::{Engine, EngineOptions, Guest};

/// The header with a signature.
const SIGNATURE: &str = "Component-Signature";

/// A component in the store.
#[derive(Serialize, ToSchema)]
#[schema(as = Component)]
pub struct ComponentDocument {
    /// `sha256:` and its digest.
    digest: String,
    /// Its size in bytes.
    size: u64,
    /// What it was built with. Empty: it does not say.
    sdk: String,
    /// Its tasks. A job calls one of them as `TASK@sha256:…`, where workers accept code.
    tasks: Vec<String>,
}

/// A component that was uploaded.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadedComponent)]
pub struct UploadedDocument {
    #[serde(flatten)]
    component: ComponentDocument,
    /// The number of its chunks.
    chunks: usize,
    /// The number of chunks that were not in the store.
    new_chunks: usize,
    /// The bytes that these chunks take in the store, compressed.
    new_bytes: u64,
}

impl ComponentDocument {
    fn new(digest: &Digest, size: u64, about: &About) -> Self {
        let tasks = about.tasks.keys().cloned().collect();
        Self { digest: format!("sha256:{digest}"), size, sdk: about.sdk.clone(), tasks }
    }
}

/// The digest that a text names: `sha256:…`.
///
/// # Errors
/// When it names none.
pub fn digest(text: &str) -> Result<Digest, Problem> {
    let digest = text.strip_prefix("sha256:").and_then(Digest::parse);
    digest.ok_or_else(|| bad(format!("{text:?} is no digest; write it as sha256: and 64 hexadecimal digits")))
}

/// The problem of a component that is not in the store.
pub fn absent(digest: &Digest) -> Problem {
    let text = format!("the component sha256:{digest} is not in the store; POST /v1/components uploads it");
    Problem::new(ProblemKind::NoSuchComponent, text)
}

/// A component in the store. A component that no revision and no live job names is removed some time after an hour (`gc`).
#[utoipa::path(
    get, path = "/v1/components/{digest}", tag = "components", operation_id = "readComponent",
    params(("digest" = String, Path, description = "The digest of the component", pattern = "^sha256:[0-9a-f]{64}$")),
    responses(
        (status = 200, description = "The component", body = ComponentDocument),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-component`", body = Problem),
    ),
)]
pub async fn read(
    State(gateway): State<Gateway>,
    Path(text): Path<String>,
) -> Result<Json<ComponentDocument>, Problem> {
    let digest = digest(&text)?;
    let manifest = get_manifest(gateway.shared.backend.store(), &digest).await?.ok_or_else(|| absent(&digest))?;
    Ok(Json(ComponentDocument::new(&digest, manifest.size, &about_component(&manifest)?)))
}

/// Uploads a component. Chunks that are in the store are not written again. It takes no jobs by that: push a revision with it, or
/// start a job of `TASK@sha256:…`.
#[utoipa::path(
    post, path = "/v1/components", tag = "components", operation_id = "uploadComponent",
    params((
        "Component-Signature" = Option<String>, Header, pattern = "^[A-Za-z0-9+/]+=*$",
        description = "A signature of the component: the file that `minisign -S` writes, as base64. Workers with trusted keys run \
                       only components that one of these keys has signed. A signature can be added to a component that is there",
    )),
    request_body(content_type = "application/wasm", description = "The component, of 256 MiB at most", content = Vec<u8>),
    responses(
        (status = 201, description = "It was not in the store, or not all of it", body = UploadedDocument),
        (status = 200, description = "It was there already", body = UploadedDocument),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 401, description = "`unauthorized`: the push token is needed", body = Problem),
        (status = 403, description = "`push-not-allowed`, `takes-no-code`", body = Problem),
        (status = 413, description = "`too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 422, description = "`not-a-component`", body = Problem),
        (status = 503, description = "`busy`, `backend-unavailable`", body = Problem),
    ),
    security(("push_token" = [])),
)]
pub async fn upload(State(gateway): State<Gateway>, headers: HeaderMap, body: Body) -> Answer {
    let body = allowed(&gateway, &headers, body).await?;
    let shared = &gateway.shared;
    let held = shared.uploads.room.read(body).await;
    let mut held = held.map_err(|(status, text)| Problem::new(ProblemKind::of_status(status), text))?;
    if let Some(media) = media_type(&headers)
        && !["application/wasm", "application/octet-stream"].contains(&media.as_str())
    {
        let text = format!("the body is {media:?}; send application/wasm");
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, text));
    }
    let signature = signature(&headers)?;
    // The rest of `held` keeps the share of the memory until the end.
    let bytes = held.bytes.split().freeze();
    let cut = tokio::task::spawn_blocking(move || Component::cut(bytes)).await;
    let component = match cut.map_err(|error| Problem::new(ProblemKind::Internal, error.to_string()))? {
        Err(error) if error.kind == ErrorKind::Limit => return Err(not_a_component(error.reason)),
        component => component?,
    };
    let digest = component.digest();
    let known = get_manifest(shared.backend.store(), &digest).await.ok().flatten();
    let about = match known.as_ref().map(about_component) {
        Some(Ok(about)) => about,
        Some(Err(_)) | None => describe(&gateway, component.bytes()).await?,
    };
    let about = About { signatures: about.signatures.into_iter().chain(signature).collect(), ..about };
    let sent = put_component(shared.backend.store(), &component, &about, Sending::Absent).await?;
    let document = UploadedDocument {
        component: ComponentDocument::new(&digest, component.bytes().len() as u64, &about),
        chunks: sent.chunks,
        new_chunks: sent.new_chunks,
        new_bytes: sent.new_bytes,
    };
    let was_there = known.is_some() && sent.new_chunks == 0;
    let status = if was_there { StatusCode::OK } else { StatusCode::CREATED };
    let location = [(header::LOCATION, format!("/v1/components/sha256:{digest}"))];
    Ok((status, location, Json(document)).into_response())
}

/// The signature that a request has.
///
/// # Errors
/// When it is none.
fn signature(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    let text = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| Signer::said(text).is_some());
    let none = || bad(format!("{SIGNATURE} is no signature; it is the file that `minisign -S` writes, as base64"));
    text.map(Some).ok_or_else(none)
}

fn not_a_component(reason: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::NotAComponent, reason)
}

/// Compiles a component, and asks it for its tasks: what a client says of them is not taken.
async fn describe(gateway: &Gateway, bytes: &Bytes) -> Result<About, Problem> {
    let uploads = &gateway.shared.uploads;
    // The semaphore is never closed.
    let _one = uploads.compiling.acquire().await;
    let new_engine = async || Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() });
    let engine: &Arc<Engine> = uploads.engine.get_or_try_init(new_engine).await.map_err(|error| {
        tracing::error!("an uploaded component can't be compiled: {error}");
        Problem::new(ProblemKind::Internal, "the gateway can't compile components; its log says why")
    })?;
    let guest = Guest::from_bytes(engine, FilePath::new("the component"), bytes.to_vec(), &|_| {}).await;
    guest.map(|guest| guest.about()).map_err(|error| not_a_component(error.to_string()))
}

/// What a manifest says of one of its tasks.
///
/// # Errors
/// When the component has no such task.
pub fn check_task(manifest: &ManifestRecord, task: &str) -> Result<About, Problem> {
    let about = about_component(manifest)?;
    if about.tasks.contains_key(task) {
        return Ok(about);
    }
    let known = about.tasks.keys().cloned().collect::<Vec<_>>().join(", ");
    let text = format!("the component sha256:{} has no task {task}; it has {known}", manifest.digest);
    Err(Problem::new(ProblemKind::NoSuchTask, text))
}
