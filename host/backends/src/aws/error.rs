//! Translates errors of the SDK into errors of a port: one message each, and whether a retry may help.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use brrr_protocol::error::{Error, ErrorKind};

/// The codes of both services that mean: these credentials are refused.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// The codes of temporary errors. (Answers with a status of 500 and above are temporary too.)
const PASSING: &[&str] = &[
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// The codes for data that is too large, or that the service can't hold.
const TOO_LARGE: &[&str] = &[
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "BatchRequestTooLong",
    "InvalidMessageContents",
    "ItemCollectionSizeLimitExceededException",
];

const ADVICE: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (for a server on this machine any \
     will do)";

/// Translates the error of a request. `doing` says what the request was for: "read the table brrr".
pub(crate) fn caught<E>(backend: &'static str, doing: impl Into<String>, error: SdkError<E, Response>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let doing = doing.into();
    if let Some(credentials) = find::<CredentialsError>(&error) {
        return of_credentials(backend, &doing, credentials);
    }
    let (kind, reason) = match &error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            of_service(service.err(), status)
        }
        SdkError::ResponseError(response) if response.raw().status().as_u16() < 500 => {
            let status = response.raw().status().as_u16();
            (
                ErrorKind::Config,
                format!("what answers there (status {status}) does not speak its protocol; is the endpoint right?"),
            )
        }
        SdkError::ConstructionFailure(_) => (ErrorKind::Internal, DisplayErrorContext(&error).to_string()),
        _ => (ErrorKind::Unavailable, format!("no answer: {}", root_cause(&error))),
    };
    Error::new(kind, backend, doing, reason).with_source(error)
}

fn of_service(error: &impl ProvideErrorMetadata, status: u16) -> (ErrorKind, String) {
    let code = error.code().unwrap_or("no code");
    let message = error.message().unwrap_or("no message");
    let said = format!("{message} ({code})");
    if code.ends_with("NonExistentQueue") || code == "QueueDoesNotExist" || code == "ResourceNotFoundException" {
        (ErrorKind::NotSetUp, "it is not there".to_owned())
    } else if DENIED.contains(&code) {
        (ErrorKind::Config, format!("the AWS credentials or the region are not accepted: {said}"))
    } else if is_too_large(code, message) {
        (ErrorKind::Limit, said)
    } else if PASSING.contains(&code) || status >= 500 {
        (ErrorKind::Unavailable, said)
    } else {
        (ErrorKind::Internal, said)
    }
}

fn is_too_large(code: &str, message: &str) -> bool {
    // The general code, and texts that the real services and their local versions use.
    let sizes = ["Item size", "size has exceeded", "size to update has exceeded", "must be shorter than", "too long"];
    TOO_LARGE.contains(&code) || sizes.iter().any(|size| message.contains(size))
}

/// Translates an error of the credentials.
pub(super) fn of_credentials(backend: &'static str, doing: &str, error: &CredentialsError) -> Error {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            Error::new(ErrorKind::Config, backend, doing, format!("no AWS credentials were found; {ADVICE}"))
        }
        CredentialsError::ProviderTimedOut(_) => {
            Error::new(ErrorKind::Unavailable, backend, doing, "whoever gives out the AWS credentials does not answer")
        }
        other => {
            let reason = format!("the AWS credentials can't be had: {}; {ADVICE}", root_cause(other));
            Error::new(ErrorKind::Config, backend, doing, reason)
        }
    }
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        at = error.source();
    }
    None
}

/// The last cause of an error, for example "Connection refused", without the layers above it.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}
