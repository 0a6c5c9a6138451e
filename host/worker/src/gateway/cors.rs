//! Lets pages of other sites use the gateway, if their origin is allowed.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::CorsLayer;

/// How long a browser remembers what is allowed.
const REMEMBERED: Duration = Duration::from_hours(1);

/// The origin of a page: `https://shop.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no origin; write it as https://shop.example or http://localhost:3000");
        let uri = Uri::from_str(text).map_err(|_| wrong())?;
        let scheme = uri.scheme_str().unwrap_or_default();
        let is_origin = matches!(scheme, "http" | "https")
            && uri
                .authority()
                .is_some_and(|authority| text == format!("{scheme}://{authority}") && !text.contains('@'));
        if !is_origin {
            return Err(wrong());
        }
        HeaderValue::from_str(&text.to_ascii_lowercase()).map(Self).map_err(|_| wrong())
    }
}

impl Origin {
    /// Is this the value of the header `origin`?
    pub fn is(&self, value: &HeaderValue) -> bool {
        self.0 == *value
    }
}

/// Answers browsers that ask what is allowed.
pub fn layer(origins: &[Origin]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.iter().map(|origin| origin.0.clone()).collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("prefer"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER, HeaderName::from_static("preference-applied")])
        .max_age(REMEMBERED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for origin in ["https://shop.example", "http://localhost:3000", "http://[::1]:80"] {
            assert!(origin.parse::<Origin>().is_ok(), "{origin}");
        }
        for other in ["*", "", "shop.example", "https://shop.example/", "https://a/b", "ftp://a", "null", "https://u@a"]
        {
            assert!(other.parse::<Origin>().is_err(), "{other}");
        }
    }
}
