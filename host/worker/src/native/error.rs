//! How a Rust handler fails.

use std::error::Error as StdError;
use std::fmt;

use brrr_protocol::model::Failure;

/// What a handler returns.
pub type HandlerResult<T> = std::result::Result<T, HandlerError>;

/// Why a handler failed. `?` makes one of any error or string (it may be tried again), and of a child's [`Failure`].
pub enum HandlerError {
    /// Another run may succeed. The call is tried again as its options say.
    Retryable(String),
    /// No further run can succeed.
    Permanent(String),
    /// A call that the handler waited for has failed. It is not tried again: the child already was.
    Child(Box<Failure>),
}

impl HandlerError {
    /// An error that another run may not meet.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable(message.into())
    }

    /// An error that every further run would meet.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable(message) | Self::Permanent(message) => f.write_str(message),
            Self::Child(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// `HandlerError` is no `std::error::Error`. So this covers every other error, and strings.
impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        match error.into().downcast::<Failure>() {
            Ok(failure) => Self::Child(failure),
            Err(error) => Self::Retryable(with_causes(&*error)),
        }
    }
}

/// The message and the messages of its causes, as `outer: inner`.
fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}
