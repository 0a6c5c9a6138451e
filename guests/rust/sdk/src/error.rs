//! How a handler fails, and how it sees a child fail.

use std::fmt;

/// What a handler returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a handler failed. `?` makes one of any error or string (retryable), and of a child's [`Failure`].
///
/// ```
/// use brrr::{Error, Result};
///
/// #[brrr::handler(max_retries = 3)]
/// async fn pay(account: String, cents: String) -> Result<u64> {
///     if account.is_empty() {
///         return Err(Error::permanent("no account")); // never retried
///     }
///     let cents: u64 = cents.parse()?; // any other error: up to 3 more runs
///     let fee = match fee(cents).await {
///         Ok(fee) => fee,
///         Err(failure) if failure.kind == "timeout" => 0, // a child's failure, caught
///         Err(failure) => return Err(failure.into()), // and passed on, as `?` does: not retried for it
///     };
///     Ok(cents + fee)
/// }
///
/// #[brrr::handler]
/// async fn fee(cents: u64) -> u64 {
///     cents / 100
/// }
///
/// brrr::worker!(pay, fee);
/// # fn main() {
/// # let run = |account: &str, cents: &str| brrr::testing::run(TASKS, pay(account.into(), cents.into()));
/// # assert_eq!(run("a", "200"), Ok(202));
/// # assert_eq!(run("a", "many").unwrap_err().attempts, 4);
/// # assert_eq!(run("", "200").unwrap_err().attempts, 1);
/// # }
/// ```
pub enum Error {
    /// May succeed if run again: the host runs the handler as often as its options say.
    Retryable(String),
    /// Will fail however often it is run.
    Permanent(String),
    /// A child failed and the handler did not catch it. Not retried: the child already was.
    Child(Failure),
}

impl Error {
    /// An error that running the handler again may mend.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable(message.into())
    }

    /// An error that no further run can mend.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable(message) | Self::Permanent(message) => f.write_str(message),
            Self::Child(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// `Error` itself is no `std::error::Error`: this covers every other error, and strings, only because of that.
impl<E: Into<Box<dyn std::error::Error>>> From<E> for Error {
    fn from(error: E) -> Self {
        let error = match error.into().downcast::<Failure>() {
            Ok(failure) => return Self::Child(*failure),
            Err(error) => error,
        };
        // `anyhow::Error`, and an enum's transparent variant, show the failure's own cause as theirs.
        match error.source().and_then(|cause| cause.downcast_ref::<Whole>()) {
            Some(Whole(failure)) => Self::Child(failure.clone()),
            None => Self::Retryable(with_sources(&*error)),
        }
    }
}

/// The message and what caused it, as `outer: inner`.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source.filter(|cause| !cause.is::<Whole>()) {
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

/// A call that ended without a value: it failed as often as its options allow, or cannot be run at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `error`, `trap`, `timeout`, `limit`, `cancelled`, `nondeterminism`, `cycle`, `unknown-task`, `dead-letter`; more
    /// may come. `codec`, made here: the arguments could not be written or the value could not be read.
    pub kind: String,
    /// The task that failed.
    pub task: String,
    /// Why.
    pub message: String,
    /// How often it was run.
    pub attempts: u32,
    /// One line a call, from that task down to the first cause.
    pub chain: Vec<String>,
}

impl Failure {
    /// A failure in this SDK, before or after the call itself.
    pub(crate) fn codec(task: &str, what: &str, error: &dyn fmt::Display) -> Self {
        Self {
            kind: "codec".into(),
            task: task.into(),
            message: format!("{what}: {error}"),
            attempts: 0,
            chain: vec![],
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed ({}): {}", self.task, self.kind, self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(Whole::of(self))
    }
}

/// The failure as its own cause. By it, a failure is recognised in an error that hides what it was made of. Whoever
/// prints all causes sees the calls that it passed through.
#[derive(Debug)]
#[repr(transparent)]
struct Whole(Failure);

impl Whole {
    fn of(failure: &Failure) -> &Self {
        // SAFETY: it has the layout of its only field.
        unsafe { &*std::ptr::from_ref(failure).cast::<Self>() }
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.chain.join(", by "))
    }
}

impl std::error::Error for Whole {}
