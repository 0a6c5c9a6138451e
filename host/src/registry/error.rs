//! What can go wrong with a registry.

use std::error::Error;
use std::io;

use brrr_worker::text::shortened;
use oci_client::errors::{OciDistributionError, OciErrorCode};
use rustls::CertificateError;

use super::Reference;
use super::access::{Asker, Operation};

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
    #[error(
        "{reference}: the registry refuses {}; log in with `docker login {}`, or by {config}",
        who(*with_login, *operation),
        reference.registry()
    )]
    Login { reference: Reference, operation: Operation, with_login: bool, config: String },
    /// The registry knows the login, and does not let it do this.
    #[error(
        "{reference}: the registry does not let this login {}; ask its owner, or log in as another user with `docker login {}`",
        what(*operation),
        reference.registry()
    )]
    Forbidden { reference: Reference, operation: Operation },
    /// Docker's login can't be used.
    #[error("{reference}: {reason}")]
    BadLogin { reference: Reference, reason: String },
    /// There is something else than a component.
    #[error("{reference}: {reason}")]
    NotAComponent { reference: Reference, reason: String },
    /// The bytes are not those of the digest.
    #[error("{reference}: what the registry has sent is not what its digest says ({what}); it is not used")]
    OtherBytes { reference: Reference, what: String },
    /// The registry or its server of tokens is not as it has to be: it has no TLS, or is not trusted, or gives no token.
    #[error("{reference}: the registry can't be used: {reason}")]
    Unusable { reference: Reference, reason: String },
    /// The registry can't be reached, does not answer, or is busy.
    #[error("{reference}: the registry can't be reached, or does not answer: {reason}; try again")]
    Unreachable { reference: Reference, reason: String },
    /// The registry refuses for another reason.
    #[error("{reference}: the registry refuses: {reason}")]
    Refused { reference: Reference, reason: String },
}

fn who(with_login: bool, operation: Operation) -> &'static str {
    match (with_login, operation) {
        (true, _) => "this login",
        // Many registries answer in the same way for what is not there.
        (false, Operation::Pull) => "access without a login, or has no such component",
        (false, Operation::Publish) => "access without a login",
    }
}

fn what(operation: Operation) -> &'static str {
    match operation {
        Operation::Pull => "pull this, or has no such component",
        Operation::Publish => "publish here",
    }
}

impl RegistryError {
    /// No client can be made.
    pub(super) fn no_client(reason: String) -> Self {
        Self::NoClient { reason }
    }

    /// A login was refused, or there is none.
    pub(super) fn login(reference: &Reference, operation: Operation, with_login: bool) -> Self {
        let config = super::login::file().map_or_else(String::new, |file| file.display().to_string());
        Self::Login { reference: reference.clone(), operation, with_login, config }
    }

    /// From an error of the connection to the server of tokens.
    pub(super) fn of_server_of_tokens(reference: &Reference, server: &str, error: reqwest::Error) -> Self {
        // Its URL has the scope, which is the name of the component.
        let error = error.without_url();
        let of_it = |reason: String| format!("its server of tokens, {server}: {reason}");
        match misfit(&error) {
            Some(reason) => Self::Unusable { reference: reference.clone(), reason: of_it(reason) },
            None => Self::Unreachable { reference: reference.clone(), reason: of_it(with_causes(&error)) },
        }
    }

    /// From an error of the client.
    pub(super) fn of(reference: &Reference, operation: Operation, asker: Asker, error: OciDistributionError) -> Self {
        // Registries answer with 401 to those whose login they do not know, and some also to those whom they know. With 403 they
        // answer to those whom they know.
        let refuses = |knows: bool| match asker {
            Asker::Anybody => Self::login(reference, operation, false),
            Asker::Login if !knows => Self::login(reference, operation, true),
            Asker::Login | Asker::Known => Self::Forbidden { reference: reference.clone(), operation },
        };
        let reference = reference.clone();
        match error {
            OciDistributionError::ServerError { code, .. } => match code {
                401 | 403 => refuses(code == 403),
                404 => Self::NotFound { reference },
                429 | 500.. => Self::Unreachable { reference, reason: format!("it answers with the status {code}") },
                _ => Self::Refused { reference, reason: format!("it answers with the status {code}") },
            },
            OciDistributionError::RegistryError { envelope, .. } => {
                let code = envelope.errors.first().map(|error| &error.code);
                match code {
                    Some(
                        OciErrorCode::BlobUnknown
                        | OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound,
                    ) => Self::NotFound { reference },
                    Some(OciErrorCode::Unauthorized) => refuses(false),
                    Some(OciErrorCode::Denied) => refuses(true),
                    Some(OciErrorCode::Toomanyrequests) => {
                        Self::Unreachable { reference, reason: "it has too many requests".to_owned() }
                    }
                    _ => {
                        let said = envelope.errors.first().map(|error| error.message.clone()).unwrap_or_default();
                        Self::Refused { reference, reason: bounded(&format!("{code:?} {said}")) }
                    }
                }
            }
            OciDistributionError::RequestError(error) => {
                match error.status().map(|status| status.as_u16()) {
                    Some(code @ (401 | 403)) => return refuses(code == 403),
                    Some(404) => return Self::NotFound { reference },
                    Some(code @ 400..=428) => {
                        return Self::Refused { reference, reason: format!("it answers with the status {code}") };
                    }
                    _ => {}
                }
                // Its URL may be signed, and so a secret.
                let error = error.without_url();
                match misfit(&error) {
                    Some(reason) => Self::Unusable { reference, reason },
                    None => Self::Unreachable { reference, reason: with_causes(&error) },
                }
            }
            OciDistributionError::IoError(error) => match error.downcast::<Self>() {
                // What `Access::ready` has said.
                Ok(own) => own,
                Err(error) => Self::Unreachable { reference, reason: bounded(&error.to_string()) },
            },
            other => Self::Refused { reference, reason: bounded(&other.to_string()) },
        }
    }
}

/// Why a server can't be used, even later: it has no TLS as it has to be, or redirects to where nothing is sent. `None`: the error
/// is another one.
fn misfit(error: &reqwest::Error) -> Option<String> {
    if error.is_redirect() {
        return Some(with_causes(error));
    }
    let mut causes = std::iter::successors(Some(error as &(dyn Error + 'static)), |cause| (*cause).source());
    // The cause of an `io::Error` is inside of it, and is not its source.
    let inside = |cause: &(dyn Error + 'static)| {
        let cause = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => cause.downcast_ref::<rustls::Error>(),
        };
        cause.cloned()
    };
    Some(match causes.find_map(inside)? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is not trusted here; if an authority of your own has signed it, name the authority's certificate by \
             SSL_CERT_FILE"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(reason) => {
            format!("its certificate is not trusted here: {}", bounded(&reason.to_string()))
        }
        rustls::Error::InvalidMessage(_) => {
            "it does not speak TLS; only a registry on this machine is spoken to without TLS".to_owned()
        }
        other => bounded(&other.to_string()),
    })
}

/// An error with its causes, as text in a message.
pub(super) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    bounded(&causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}")))
}

/// Text of a registry in a message.
fn bounded(text: &str) -> String {
    shortened(text, 300)
}
