//! The errors of a Rust handler.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use brrr_protocol::model::{Failure, FailureKind, MAX_DETAILS};
use serde::Serialize;

/// The result of a handler.
pub type HandlerResult<T> = std::result::Result<T, HandlerError>;

/// Why a handler failed. `?` converts any error or string (the call may then be retried), and the [`Failure`] of a
/// child.
///
/// ```no_run
/// use brrr_worker::{Call, HandlerError, HandlerResult};
///
/// async fn read(call: Call) -> HandlerResult<String> {
///     let name: String = call.argument("name")?;
///     if name.contains('/') {
///         return Err(HandlerError::permanent("the name has a slash"));
///     }
///     // Another run may find the file.
///     Ok(std::fs::read_to_string(name)?)
/// }
/// ```
pub enum HandlerError {
    /// Another run may succeed. The call is retried as its options say.
    Retryable(ErrorInfo),
    /// No further run can succeed.
    Permanent(ErrorInfo),
    /// A child of the call has failed. The call is not retried, because the child was retried already.
    Child(Box<Failure>),
}

/// What an error of a handler says.
#[derive(Default)]
pub struct ErrorInfo {
    message: String,
    details: Option<Arc<[u8]>>,
}

impl HandlerError {
    /// An error that may not happen in another run.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable(ErrorInfo { message: message.into(), details: None })
    }

    /// An error that would happen in every further run.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(ErrorInfo { message: message.into(), details: None })
    }

    /// The error with details, which the programs of callers find in the failure (`Failure::details`), as JSON. The failure of a
    /// child keeps its own details.
    ///
    /// ```no_run
    /// use brrr_worker::{Call, HandlerError, HandlerResult};
    /// use serde_json::json;
    ///
    /// async fn charge(call: Call) -> HandlerResult<()> {
    ///     Err(HandlerError::permanent("the card was declined").with_details(json!({"code": 51})))
    /// }
    /// ```
    #[must_use]
    pub fn with_details(mut self, details: impl Serialize) -> Self {
        if let Self::Retryable(info) | Self::Permanent(info) = &mut self {
            info.details = serde_json::to_vec(&details).ok().map(Arc::from);
        }
        self
    }

    /// The failure of a call of this task, and whether another run may succeed.
    pub(super) fn into_failure(self, task: &str) -> (Failure, bool) {
        let failure = |info: ErrorInfo| match info.details {
            Some(details) if details.len() > MAX_DETAILS => {
                tracing::warn!(
                    "{task}: the details of its error are left out: {} bytes, and at most {MAX_DETAILS} are kept",
                    details.len()
                );
                Failure::new(FailureKind::Error, task, info.message)
            }
            details => Failure { details, ..Failure::new(FailureKind::Error, task, info.message) },
        };
        match self {
            Self::Retryable(info) => (failure(info), true),
            Self::Permanent(info) => (failure(info), false),
            Self::Child(child) => (Failure::of_parent(task, &child), false),
        }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable(info) | Self::Permanent(info) => f.write_str(&info.message),
            Self::Child(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// `HandlerError` does not implement `std::error::Error`. So this implementation can cover all other errors, and
// strings.
impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        match error.into().downcast::<Failure>() {
            Ok(failure) => Self::Child(failure),
            Err(error) => Self::retryable(with_causes(&*error)),
        }
    }
}

/// The message and the messages of its causes, as `outer: inner`.
fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Many errors have their cause in their own message.
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}
