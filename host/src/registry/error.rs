//! What can go wrong with a registry.

use std::error::Error;

use brrr_worker::text::shortened;
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};

use super::Reference;

/// Why a component can't be pulled or published.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection with TLS could be made to anybody.
    #[error(
        "registries can't be used on this machine: {reason}; install its certificates (ca-certificates), or set SSL_CERT_FILE"
    )]
    NoClient { reason: String },
    /// There is nothing by this name.
    #[error("{reference}: the registry has no such component, or hides it from this login; check the name and the tag")]
    NotFound { reference: Reference },
    /// The registry wants another login.
    #[error("{reference}: the registry refuses {}; log in with `docker login {}`, or by {config}", who(*with_login), reference.registry())]
    Login { reference: Reference, with_login: bool, config: String },
    /// Docker's login can't be used.
    #[error("{reference}: {reason}")]
    BadLogin { reference: Reference, reason: String },
    /// There is something else than a component.
    #[error("{reference}: {reason}")]
    NotAComponent { reference: Reference, reason: String },
    /// The bytes are not those of the digest.
    #[error("{reference}: what the registry has sent is not what its digest says ({what}); it is not used")]
    OtherBytes { reference: Reference, what: String },
    /// The registry can't be reached, does not answer, or is busy.
    #[error("{reference}: the registry can't be reached, or does not answer: {reason}; try again")]
    Unreachable { reference: Reference, reason: String },
    /// The registry refuses for another reason.
    #[error("{reference}: the registry refuses: {reason}")]
    Refused { reference: Reference, reason: String },
}

fn who(with_login: bool) -> &'static str {
    if with_login { "this login" } else { "access without a login" }
}

impl RegistryError {
    /// From an error of the client. `with_login`: it had a login.
    pub(super) fn of(reference: &Reference, with_login: bool, error: OciDistributionError) -> Self {
        let reference = reference.clone();
        let config = || super::login::file().map_or_else(String::new, |file| file.display().to_string());
        let login = |reference| Self::Login { reference, with_login, config: config() };
        match error {
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                login(reference)
            }
            OciDistributionError::ImageManifestNotFoundError(_) => Self::NotFound { reference },
            OciDistributionError::ServerError { code: 404, .. } => Self::NotFound { reference },
            OciDistributionError::ServerError { code: 401 | 403, .. } => login(reference),
            OciDistributionError::ServerError { code: code @ (429 | 500..), .. } => {
                Self::Unreachable { reference, reason: format!("it answers with the status {code}") }
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let code = envelope.errors.first().map(|error| &error.code);
                match code {
                    Some(
                        OciErrorCode::BlobUnknown
                        | OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound,
                    ) => Self::NotFound { reference },
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => login(reference),
                    Some(OciErrorCode::Toomanyrequests) => {
                        Self::Unreachable { reference, reason: "it has too many requests".to_owned() }
                    }
                    _ => {
                        let said = envelope.errors.first().map(|error| error.message.clone()).unwrap_or_default();
                        Self::Refused { reference, reason: bounded(&format!("{code:?} {said}")) }
                    }
                }
            }
            OciDistributionError::DigestError(error) => {
                Self::OtherBytes { reference, what: bounded(&error.to_string()) }
            }
            OciDistributionError::RequestError(error) => {
                match error.status().map(|status| status.as_u16()) {
                    Some(401 | 403) => return login(reference),
                    Some(404) => return Self::NotFound { reference },
                    Some(code @ 400..=428) => {
                        return Self::Refused { reference, reason: format!("it answers with the status {code}") };
                    }
                    _ => {}
                }
                // Its URL may be signed, and so a secret.
                let error = error.without_url();
                Self::Unreachable { reference, reason: bounded(&error_chain(&error)) }
            }
            OciDistributionError::IoError(error) if error.get_ref().is_some_and(|inner| inner.is::<DigestError>()) => {
                Self::OtherBytes { reference, what: bounded(&error.to_string()) }
            }
            OciDistributionError::IoError(error) => {
                Self::Unreachable { reference, reason: bounded(&error.to_string()) }
            }
            OciDistributionError::ServerError { code, .. } => {
                Self::Refused { reference, reason: format!("it answers with the status {code}") }
            }
            other => Self::Refused { reference, reason: bounded(&other.to_string()) },
        }
    }
}

/// An error with its causes.
pub(super) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Text of a registry in a message.
fn bounded(text: &str) -> String {
    shortened(text, 300)
}
