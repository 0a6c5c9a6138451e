//! Variables of the environment that the worker lets a component see.

use std::fmt;

/// The value of a variable.
///
/// It is the worker's at its start, and so may differ between a handler's runs: what a handler calls must not depend on it,
/// except in a leaf. (In a native test it is the process's own.)
///
/// # Errors
/// When it is not allowed: with the flag that would.
pub fn env(key: &str) -> Result<String, NotAllowed> {
    value(key).ok_or_else(|| NotAllowed { key: key.to_owned() })
}

#[cfg(target_family = "wasm")]
fn value(key: &str) -> Option<String> {
    wasip2::cli::environment::get_environment().into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

#[cfg(not(target_family = "wasm"))]
fn value(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// A variable that the worker does not let this component see.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotAllowed {
    /// Its name.
    pub key: String,
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the variable {key} is not allowed: --env {key}", key = self.key)
    }
}

impl std::error::Error for NotAllowed {}
