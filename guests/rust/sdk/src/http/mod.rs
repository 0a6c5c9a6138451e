//! HTTP requests, to the hosts that the worker allows (`brrr-host run --allow-http HOST`).
//!
//! ```no_run
//! #[derive(serde::Deserialize)]
//! struct Rate {
//!     value: f64,
//! }
//!
//! // A leaf: a handler that calls others runs again from its start, and would send its requests again.
//! #[brrr::handler(leaf, max_retries = 3)]
//! async fn rate(currency: String) -> brrr::Result<f64> {
//!     let response = brrr::http::get("https://api.example.com/rates").query("of", &currency).send().await?;
//!     let rate: Rate = response.error_for_status()?.json()?;
//!     Ok(rate.value)
//! }
//! # fn main() {}
//! ```
//!
//! Several at once: [`join!`](crate::join!), [`join_all`](crate::join_all()). Redirects are followed, up to ten; each is a
//! request of its own, which the host may refuse. What it refuses is an [`Error`] that names host and flag.

mod error;
#[cfg(target_family = "wasm")]
mod send;
mod url;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{Error, Kind};
use url::Url;

/// Redirects that one request may follow: what browsers and clients agree on, more or less.
const REDIRECTS: u32 = 10;

/// A request that is being put together; [`send`](Self::send) sends it.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Where to, with scheme and host.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What is sent.
    pub body: Vec<u8>,
    timeout: Option<Duration>,
    redirects: u32,
    /// The first thing that was wrong with it.
    mistake: Option<String>,
}

/// A request by any method.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request {
        method: method.into(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout: None,
        redirects: REDIRECTS,
        mistake: None,
    }
}

macro_rules! methods {
    ($($name:ident $method:literal)+) => {
        $(#[doc = concat!("A `", $method, "` request.")]
        pub fn $name(url: impl Into<String>) -> Request {
            request($method, url)
        })+
    };
}

methods! { get "GET" head "HEAD" post "POST" put "PUT" patch "PATCH" delete "DELETE" }

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Adds `authorization: Bearer TOKEN`.
    pub fn bearer(self, token: impl AsRef<str>) -> Self {
        self.header("authorization", format!("Bearer {}", token.as_ref()))
    }

    /// Adds a pair to the URL's query, encoded.
    pub fn query(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let fragment = self.url.find('#').map(|at| self.url.split_off(at)).unwrap_or_default();
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        url::encode(&mut self.url, key);
        self.url.push('=');
        url::encode(&mut self.url, value.as_ref());
        self.url.push_str(&fragment);
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With this value as its body, in JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match crate::codec::to_vec(value) {
            Ok(body) => self.header("content-type", "application/json").body(body),
            Err(error) => {
                self.mistake.get_or_insert(format!("its body cannot be written as JSON: {error}"));
                self
            }
        }
    }

    /// It fails unless the whole answer is there in this time. Without one, the run's own time ends it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Follows so many redirects at most; none: a redirect is the response.
    pub fn redirects(mut self, redirects: u32) -> Self {
        self.redirects = redirects;
        self
    }

    /// Sends it, and reads the whole response. A status of any kind is a response.
    ///
    /// # Errors
    /// When it may not go there, no whole response comes, or it can't be sent as it is.
    pub async fn send(mut self) -> Result<Response, Error> {
        let told = |error: Error, request: &Self| error.of(&request.method, &request.url);
        if let Some(mistake) = self.mistake.take() {
            return Err(told(Error::new(Kind::Invalid, mistake), &self));
        }
        #[cfg(target_family = "wasm")]
        let timer = self.timeout.map(send::Timer::new);
        let mut left = self.redirects;
        loop {
            let url = Url::parse(&self.url).map_err(|text| told(Error::new(Kind::Invalid, text), &self))?;
            #[cfg(target_family = "wasm")]
            let answer = send::once(&self, &url, timer.as_ref()).await;
            #[cfg(not(target_family = "wasm"))]
            let answer = crate::testing::answer(&self);
            let mut response = answer.map_err(|error| told(error, &self))?;
            response.url.clone_from(&self.url);
            let Some(next) = response.redirect().filter(|_| self.redirects > 0) else { return Ok(response) };
            if left == 0 {
                let text = format!("more than {} redirects", self.redirects);
                return Err(told(Error::new(Kind::Redirects, text), &self));
            }
            left -= 1;
            let next = url.join(next).map_err(|text| told(Error::new(Kind::Redirects, text), &self))?;
            self.follow(response.status, &url, &next);
        }
    }

    /// Becomes the request that the redirect asks for.
    fn follow(&mut self, status: u16, from: &Url, to: &Url) {
        let without_body = status == 303 && self.method != "HEAD" || (status < 303 && self.method == "POST");
        if without_body {
            "GET".clone_into(&mut self.method);
            self.body.clear();
            self.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        }
        if from.origin() != to.origin() {
            // What was meant for one host is no other one's business.
            let secret = ["authorization", "cookie", "proxy-authorization"];
            self.headers.retain(|(name, _)| !secret.contains(&name.to_ascii_lowercase().as_str()));
        }
        self.url = to.to_string();
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Response {
    /// 200, 404, …
    pub status: u16,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// Where it came from, after redirects.
    pub url: String,
}

impl Response {
    /// A response of a test.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    /// Is its status one of success, 200 to 299?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of the first header of this name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// Its body as text; what is not UTF-8 in it is replaced.
    pub fn text(self) -> String {
        String::from_utf8(self.body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Its body read as JSON.
    ///
    /// # Errors
    /// When it is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::new(Kind::Body, format!("its body is not the JSON that was expected: {error}")).of("", &self.url)
        })
    }

    /// Itself, if its status is one of success.
    ///
    /// # Errors
    /// When it is not.
    pub fn error_for_status(self) -> Result<Self, Error> {
        if self.is_success() {
            return Ok(self);
        }
        Err(Error::new(Kind::Status(self.status), format!("status {}", self.status)).of("", &self.url))
    }

    fn redirect(&self) -> Option<&str> {
        matches!(self.status, 301 | 302 | 303 | 307 | 308).then(|| self.header("location")).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_and_goes_before_the_fragment() {
        let request = get("http://a/b#c").query("q", "ä b&c").query("n", "1");
        assert_eq!(request.url, "http://a/b?q=%C3%A4%20b%26c&n=1#c");
    }

    #[test]
    fn a_redirect_keeps_secrets_at_home_and_drops_a_body_where_it_must() {
        let url = |text: &str| Url::parse(text).unwrap();
        let sent = || post("https://a.com/x").bearer("t").header("Content-Type", "x/y").header("x-own", "1").body("b");
        let names = |request: &Request| request.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();

        let mut request = sent();
        request.follow(307, &url("https://a.com/x"), &url("https://a.com/y"));
        assert_eq!((request.method.as_str(), request.body.as_slice()), ("POST", b"b".as_slice()));
        assert_eq!(names(&request), ["authorization", "Content-Type", "x-own"]);

        let mut request = sent();
        request.follow(302, &url("https://a.com/x"), &url("https://b.com/y"));
        assert_eq!((request.method.as_str(), request.url.as_str()), ("GET", "https://b.com/y"));
        assert!(request.body.is_empty());
        assert_eq!(names(&request), ["x-own"]);
        // Another scheme or port is another server.
        let mut request = sent();
        request.follow(308, &url("https://a.com/x"), &url("http://a.com/x"));
        assert_eq!(names(&request), ["Content-Type", "x-own"]);
    }
}
