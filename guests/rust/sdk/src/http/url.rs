//! URLs of requests: their parts, and where a redirect leads.

use std::fmt::{self, Write as _};

use fluent_uri::{Uri, UriRef};

/// An absolute URL of `http` or `https`.
#[derive(Debug, Clone)]
pub(super) struct Url(Uri<String>);

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri = Uri::parse(text).map_err(|error| format!("not a URL ({error}); encode what is special in it"))?;
        Self::of(uri.to_owned())
    }

    fn of(uri: Uri<String>) -> Result<Self, String> {
        let scheme = uri.scheme().as_str();
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(format!("a URL of {scheme}, not of http or https"));
        }
        if uri.authority().is_none_or(|authority| authority.host().is_empty()) {
            return Err("the URL has no host".into());
        }
        Ok(Self(uri))
    }

    /// Where a reference in a document from here leads.
    pub(super) fn join(&self, reference: &str) -> Result<Self, String> {
        let reference =
            UriRef::parse(reference).map_err(|error| format!("it redirects to what is no URL ({error})"))?;
        let base = self.0.strip_fragment();
        let joined =
            reference.resolve_against(&base).map_err(|error| format!("it redirects to what is no URL ({error})"))?;
        Self::of(joined)
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme().as_str().eq_ignore_ascii_case("https")
    }

    /// Host, and port if it has one.
    pub(super) fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// What one server is told apart by.
    pub(super) fn origin(&self) -> (bool, String) {
        (self.is_https(), self.authority().to_ascii_lowercase())
    }

    #[cfg(any(test, target_family = "wasm"))]
    pub(super) fn path_and_query(&self) -> String {
        let path = self.0.path().as_str();
        let mut text = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        if let Some(query) = self.0.query() {
            text.push('?');
            text.push_str(query.as_str());
        }
        text
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Adds text with all encoded but what is never special.
pub(super) fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_parts_that_a_request_needs() {
        let url = Url::parse("HTTPS://Example.com:8443?a=b#c").unwrap();
        assert!(url.is_https());
        assert_eq!((url.authority(), url.path_and_query().as_str()), ("Example.com:8443", "/?a=b"));
        assert_eq!(Url::parse("http://[::1]:1/x").unwrap().authority(), "[::1]:1");
    }

    #[test]
    fn a_redirect_is_absolute_or_relative() {
        let url = Url::parse("http://a.com/b/c?d#e").unwrap();
        for (to, expected) in [
            ("https://x.org/y", "https://x.org/y"),
            ("//x.org", "http://x.org"),
            ("/y", "http://a.com/y"),
            ("y", "http://a.com/b/y"),
            ("../y?z", "http://a.com/y?z"),
        ] {
            assert_eq!(url.join(to).unwrap().to_string(), expected);
        }
        assert!(url.join("ftp://x").unwrap_err().contains("ftp"));
        assert!(url.join("a b").unwrap_err().contains("redirects"));
    }

    #[test]
    fn what_is_no_url_is_said() {
        for wrong in ["example.com", "/path", "ftp://a/b", "http://", "http://a/b c", "file:///x"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
