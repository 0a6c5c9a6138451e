//! How a handler fails, and how it sees a child fail.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;

/// What a handler returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a handler failed. `?` makes one of any error or string (retryable), and of a child's [`Failure`].
///
/// ```
/// use brrr::{Error, FailureKind, Result};
///
/// #[brrr::handler(max_retries = 3)]
/// async fn pay(account: String, cents: String) -> Result<u64> {
///     if account.is_empty() {
///         return Err(Error::permanent("no account")); // never retried
///     }
///     let cents: u64 = cents.parse()?; // any other error: up to 3 more runs
///     let fee = match fee(cents).await {
///         Ok(fee) => fee,
///         Err(failure) if failure.kind == FailureKind::Timeout => 0, // a child's failure, caught
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
#[non_exhaustive]
pub enum Error {
    /// May succeed if run again: the host runs the handler as often as its options say.
    Retryable(ErrorInfo),
    /// Will fail however often it is run.
    Permanent(ErrorInfo),
    /// A child failed and the handler did not catch it. Not retried: the child already was.
    Child(Failure),
}

/// What a handler says of its error.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorInfo {
    /// For people.
    pub message: String,
    /// For a caller's program: JSON. See [`Error::details`].
    pub details: Option<Box<[u8]>>,
}

impl Error {
    /// An error that running the handler again may mend.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable(ErrorInfo { message: message.into(), details: None })
    }

    /// An error that no further run can mend.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(ErrorInfo { message: message.into(), details: None })
    }

    /// Attaches what a caller's program can read of the error, by [`Failure::details`]. A child's failure keeps its own details.
    ///
    /// ```
    /// use brrr::{Error, Result};
    ///
    /// #[brrr::handler]
    /// fn pay(cents: u64) -> Result<()> {
    ///     Err(Error::permanent("the card is refused").details(&[cents, 7]))
    /// }
    ///
    /// #[brrr::handler]
    /// async fn order() -> Result<u64> {
    ///     let Err(failure) = pay(300).await else { return Ok(0) };
    ///     let [_, code]: [u64; 2] = failure.details()?;
    ///     Ok(code)
    /// }
    /// brrr::worker!(pay, order);
    /// # fn main() { assert_eq!(brrr::testing::run(TASKS, order()), Ok(7)); }
    /// ```
    #[must_use]
    pub fn details(mut self, details: &(impl Serialize + ?Sized)) -> Self {
        if let Self::Retryable(info) | Self::Permanent(info) = &mut self {
            match codec::to_vec(details) {
                Ok(json) => info.details = Some(json.into()),
                // The error itself matters more than that.
                Err(error) => info.message.push_str(&format!(" (its details cannot be written as JSON: {error})")),
            }
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable(info) | Self::Permanent(info) => f.write_str(&info.message),
            Self::Child(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.message, f)
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
            None => Self::retryable(with_sources(&*error)),
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
#[non_exhaustive]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// The task that failed.
    pub task: String,
    /// Why.
    pub message: String,
    /// How often it was run.
    pub attempts: u32,
    /// One line a call, from that task down to the first cause.
    pub chain: Vec<String>,
    /// What the task's handler attached to its error, in its encoding. [`details`](Self::details) reads it.
    pub details: Option<Box<[u8]>>,
}

impl Failure {
    /// A failure that was not made by the host, of a call that was not run.
    pub fn new(kind: FailureKind, task: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, task: task.into(), message: message.into(), attempts: 0, chain: Vec::new(), details: None }
    }

    /// What the task's handler attached to its error: see [`Error::details`].
    ///
    /// # Errors
    /// A failure of kind [`FailureKind::Codec`] if there is nothing, or something else.
    pub fn details<T: DeserializeOwned>(&self) -> Result<T, Self> {
        let Some(details) = &self.details else {
            return Err(Self::new(FailureKind::Codec, self.task.as_str(), format!("{self}; it has no details")));
        };
        codec::from_slice(details)
            .map_err(|error| Self::codec(&self.task, "cannot read the details of its error", &error))
    }

    /// A failure in this SDK, before or after the call itself.
    pub(crate) fn codec(task: &str, what: &str, error: &dyn fmt::Display) -> Self {
        Self::new(FailureKind::Codec, task, format!("{what}: {error}"))
    }
}

/// What kind of failure a call ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// Its handler's own error.
    Error,
    /// A promise was rejected.
    Rejected,
    /// Its component trapped: it panicked, or did what the host does not allow.
    Trap,
    /// It ran out of time.
    Timeout,
    /// It ran into a limit of the worker: memory, calls, the size of a value.
    Limit,
    /// Its job was cancelled.
    Cancelled,
    /// A replay of it asked for other calls than before.
    Nondeterminism,
    /// Another call has the same hash.
    Conflict,
    /// It waits for itself.
    Cycle,
    /// No worker of its topic has the task.
    UnknownTask,
    /// Its message was given up.
    DeadLetter,
    /// Made by this SDK: the arguments could not be written, or the value could not be read.
    Codec,
    /// A kind that this SDK does not know.
    Other(String),
}

impl FailureKind {
    const KNOWN: [(&'static str, Self); 12] = [
        ("error", Self::Error),
        ("rejected", Self::Rejected),
        ("trap", Self::Trap),
        ("timeout", Self::Timeout),
        ("limit", Self::Limit),
        ("cancelled", Self::Cancelled),
        ("nondeterminism", Self::Nondeterminism),
        ("conflict", Self::Conflict),
        ("cycle", Self::Cycle),
        ("unknown-task", Self::UnknownTask),
        ("dead-letter", Self::DeadLetter),
        ("codec", Self::Codec),
    ];

    /// Its name: `error`, `rejected`, `trap`, `timeout`, `limit`, `cancelled`, `nondeterminism`, `conflict`, `cycle`,
    /// `unknown-task`, `dead-letter`, `codec`, or another.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => Self::KNOWN.iter().find(|(_, kind)| kind == known).map_or("error", |(name, _)| name),
        }
    }
}

impl From<String> for FailureKind {
    fn from(name: String) -> Self {
        let known = Self::KNOWN.into_iter().find(|(known, _)| *known == name);
        known.map_or(Self::Other(name), |(_, kind)| kind)
    }
}

impl From<FailureKind> for String {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Other(name) => name,
            known => known.as_str().to_owned(),
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
