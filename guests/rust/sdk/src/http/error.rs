//! Why there is no response.

use std::fmt;

/// Why there is no response, or not the one that was wanted. It names method and URL, but not the URL's query, in which
/// there may be secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// What kind of trouble.
    pub kind: Kind,
    /// `GET https://example.com/path`, or the URL alone.
    request: String,
    message: String,
}

/// Kinds of trouble; more may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The host does not allow it; or the server could not be reached, or broke off.
    Failed,
    /// It took too long.
    Timeout,
    /// The request can't be sent as it is.
    Invalid,
    /// Too many redirects, or one to what is no URL.
    Redirects,
    /// A status that is none of success: see [`Response::error_for_status`](super::Response::error_for_status).
    Status(u16),
    /// The body is not what was expected.
    Body,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, request: String::new(), message: message.into() }
    }

    /// About this request.
    pub(super) fn of(mut self, method: &str, url: &str) -> Self {
        let bare = url.split(['?', '#']).next().unwrap_or_default();
        // Nor a password.
        let bare = match (bare.find("://"), bare.find('@')) {
            (Some(scheme), Some(at)) if scheme < at => format!("{}{}", &bare[..scheme + 3], &bare[at + 1..]),
            _ => bare.to_owned(),
        };
        self.request = short(if method.is_empty() { bare } else { format!("{method} {bare}") });
        self
    }
}

/// No more of a request than can be read: what is wrong with it comes after.
fn short(request: String) -> String {
    const SHOWN: usize = 300;
    match request.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &request[..end]),
        None => request,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.request.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.request, self.message)
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_request_without_its_secrets() {
        let error = Error::new(Kind::Timeout, "too slow").of("GET", "https://me:pw@a.com/b?token=secret#x");
        assert_eq!(error.to_string(), "GET https://a.com/b: too slow");
    }

    #[test]
    fn a_long_url_does_not_hide_what_is_wrong() {
        let error = Error::new(Kind::Invalid, "too long").of("GET", &format!("https://a.com/{}", "ü".repeat(10_000)));
        assert!(error.to_string().ends_with("üü…: too long") && error.to_string().len() < 1000, "{error}");
    }
}
