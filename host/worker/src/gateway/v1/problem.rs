//! The errors of `/v1`: problem documents (RFC 9457). Their types are stable, and their texts are for people.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use brrr_protocol::model::Failure;
use brrr_protocol::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::view::FailureView;

/// The kinds of problem: the name at the end of the type, the status, and the title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    BadRequest,
    Unauthorized,
    OtherOrigin,
    NotFound,
    NoSuchJob,
    NoSuchCall,
    NoSuchTask,
    NoSuchTopic,
    NoSuchDeadLetter,
    NoSuchSchedule,
    NoSuchComponent,
    NoSuchRevision,
    PushNotAllowed,
    TakesNoCode,
    CannotLoad,
    CodeNotAccepted,
    NotAComponent,
    RevisionRefused,
    MethodNotAllowed,
    TooSlow,
    KeyReused,
    HashConflict,
    JobOver,
    JobAlive,
    AnsweredOtherwise,
    JobFailed,
    NotOver,
    NotDescribed,
    Forgotten,
    TooLarge,
    UriTooLong,
    UnsupportedMediaType,
    Misdirected,
    InvalidInput,
    Internal,
    Busy,
    BackendUnavailable,
}

impl ProblemKind {
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::BadRequest => ("bad-request", StatusCode::BAD_REQUEST, "The request is not valid"),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "A token is needed"),
            Self::OtherOrigin => ("other-origin", StatusCode::FORBIDDEN, "Pages of this site may not send requests"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is no such path"),
            Self::NoSuchJob => ("no-such-job", StatusCode::NOT_FOUND, "There is no such job"),
            Self::NoSuchCall => ("no-such-call", StatusCode::NOT_FOUND, "There is no such call"),
            Self::NoSuchTask => ("no-such-task", StatusCode::NOT_FOUND, "No worker handles this task"),
            Self::NoSuchTopic => ("no-such-topic", StatusCode::NOT_FOUND, "This gateway does not serve the topic"),
            Self::NoSuchDeadLetter => ("no-such-dead-letter", StatusCode::NOT_FOUND, "There is no such dead letter"),
            Self::NoSuchSchedule => ("no-such-schedule", StatusCode::NOT_FOUND, "There is no such schedule"),
            Self::NoSuchComponent => ("no-such-component", StatusCode::NOT_FOUND, "The component is not in the store"),
            Self::NoSuchRevision => ("no-such-revision", StatusCode::NOT_FOUND, "There is no such revision"),
            Self::PushNotAllowed => ("push-not-allowed", StatusCode::FORBIDDEN, "The request may not push code"),
            Self::TakesNoCode => ("takes-no-code", StatusCode::FORBIDDEN, "The gateway takes no code"),
            Self::CannotLoad => ("cannot-load", StatusCode::CONFLICT, "A worker can't load the revision"),
            Self::CodeNotAccepted => {
                ("code-not-accepted", StatusCode::CONFLICT, "No worker runs code that calls bring along")
            }
            Self::NotAComponent => {
                ("not-a-component", StatusCode::UNPROCESSABLE_ENTITY, "The body is no component that can be run")
            }
            Self::RevisionRefused => ("revision-refused", StatusCode::CONFLICT, "The revisions can't be changed so"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The path has no such method")
            }
            Self::TooSlow => ("too-slow", StatusCode::REQUEST_TIMEOUT, "The request took too long"),
            Self::KeyReused => ("key-reused", StatusCode::CONFLICT, "The key was used for another call"),
            Self::HashConflict => ("hash-conflict", StatusCode::CONFLICT, "The call hash stands for another call"),
            Self::JobOver => ("job-over", StatusCode::CONFLICT, "The job is over"),
            Self::JobAlive => ("job-alive", StatusCode::CONFLICT, "The job is not over yet"),
            Self::AnsweredOtherwise => ("answered-otherwise", StatusCode::CONFLICT, "The promise has another answer"),
            Self::JobFailed => ("job-failed", StatusCode::CONFLICT, "The job has failed"),
            Self::NotOver => ("not-over", StatusCode::CONFLICT, "The job has no result yet"),
            Self::NotDescribed => ("not-described", StatusCode::CONFLICT, "No record describes the call"),
            Self::Forgotten => ("forgotten", StatusCode::GONE, "The result was removed"),
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UriTooLong => ("uri-too-long", StatusCode::URI_TOO_LONG, "The URL is too long"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has another media type")
            }
            Self::Misdirected => ("misdirected", StatusCode::MISDIRECTED_REQUEST, "The request is for another host"),
            Self::InvalidInput => {
                ("invalid-input", StatusCode::UNPROCESSABLE_ENTITY, "The input breaks the task's schema")
            }
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The gateway failed"),
            Self::Busy => ("busy", StatusCode::SERVICE_UNAVAILABLE, "The gateway is busy"),
            Self::BackendUnavailable => {
                ("backend-unavailable", StatusCode::SERVICE_UNAVAILABLE, "The backend can't be reached")
            }
        }
    }

    /// The kind of a refusal that is known by its status alone.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::OtherOrigin,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::REQUEST_TIMEOUT => Self::TooSlow,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::URI_TOO_LONG => Self::UriTooLong,
            StatusCode::MISDIRECTED_REQUEST => Self::Misdirected,
            StatusCode::SERVICE_UNAVAILABLE => Self::Busy,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// `urn:brrr:problem:` and a name, for programs.
    #[serde(rename = "type")]
    kind: String,
    /// What went wrong, in general.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong here, and what to do.
    detail: String,
    /// What in the input breaks the schema of the task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<InputError>,
    /// How the job failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    failure: Option<Box<serde_json::Value>>,
}

/// A place in the input that breaks the schema.
#[derive(Debug, Serialize, ToSchema)]
pub struct InputError {
    /// The place, as a JSON pointer: `/orders/0/price`.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

impl Problem {
    /// A problem of this kind. `detail` says what went wrong here.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        let (name, status, title) = kind.parts();
        let kind = format!("urn:brrr:problem:{name}");
        Self { kind, title, status: status.as_u16(), detail: detail.into(), errors: Vec::new(), failure: None }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What went wrong here.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same problem, with what is wrong in the input.
    pub fn with_errors(self, errors: Vec<InputError>) -> Self {
        Self { errors, ..self }
    }

    /// The same problem, with the failure of a job.
    pub fn with_failure(self, failure: &Failure) -> Self {
        Self { failure: serde_json::to_value(FailureView::from(failure)).ok().map(Box::new), ..self }
    }

    /// The problem of an access to the backend that failed. The details go to the gateway's log.
    pub fn of_backend(error: &Error) -> Self {
        if error.kind == ErrorKind::Conflict {
            return Self::new(ProblemKind::HashConflict, error.to_string());
        }
        if error.kind == ErrorKind::Limit {
            return Self::new(ProblemKind::TooLarge, error.to_string());
        }
        tracing::error!("{error}");
        let kind = if error.is_transient() { ProblemKind::BackendUnavailable } else { ProblemKind::Internal };
        Self::new(kind, "the backend failed; the log of the gateway says why")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::of_backend(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // A problem has only texts, numbers and JSON, so this never fails.
        let body = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"brrr-host\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
