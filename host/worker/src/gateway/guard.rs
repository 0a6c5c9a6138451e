//! Decides whose requests are answered. The checks have this order: the request is short enough and unambiguous; it is
//! for the right host; it does not come from a page of another site; it has the token. The files of the web page need no token.
//!
//! Every page in the user's browser can reach a gateway that listens on loopback. A page can send a plain form; the
//! check of `Origin` stops this. A page can also make its own name lead to 127.0.0.1 and then counts as the same site;
//! the check of `Host` stops this. A token stops both, because a page does not know it. With a token every host name is
//! accepted, because a proxy may send its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::address::is_loopback;
use super::body::Room;
use super::cors::Origin;
use super::page;
use super::reply;
use super::token::Token;
use super::v1;
use super::v1::problem::{Problem, ProblemKind};

/// The most bytes of a request's target. More arguments belong into a body. Every proxy has such a bound too.
const TARGET: usize = 16 << 10;

/// The checks of every request.
pub struct Guard {
    token: Option<Token>,
    /// The push token stands for the other one too.
    push_token: Option<Token>,
    loopback: bool,
    /// Pages of these origins may send requests.
    origins: Vec<Origin>,
    /// Reads the bodies of requests that are refused.
    room: Option<Room>,
}

impl Guard {
    /// The checks of a gateway that listens on this address. The tokens: the ordinary one, and the one for pushes.
    pub fn new(
        (token, push_token): (Option<Token>, Option<Token>),
        address: Option<SocketAddr>,
        origins: Vec<Origin>,
    ) -> Self {
        Self { token, push_token, loopback: address.is_some_and(is_loopback), origins, room: None }
    }

    /// Reads the body of a refused request to its end, within the limits of this room. Otherwise a client that sends a large body
    /// could be cut off before it has read the answer.
    pub fn reading(self, room: Room) -> Self {
        Self { room: Some(room), ..self }
    }

    fn allows_origin(&self, headers: &HeaderMap) -> bool {
        headers.get(header::ORIGIN).is_some_and(|value| self.origins.iter().any(|origin| origin.is(value)))
    }

    fn refusal(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET) {
            let text = format!("the URL is longer than {} KiB; arguments can be in a JSON body", TARGET >> 10);
            return Some(reply::refused(StatusCode::URI_TOO_LONG, &text));
        }
        let host = match host(request) {
            Ok(host) => host,
            Err(text) => return Some(reply::refused(StatusCode::BAD_REQUEST, text)),
        };
        if self.token.is_none() && self.loopback && host.as_ref().is_some_and(|host| !is_this_machine(host)) {
            let text = "this gateway serves its own machine, as localhost; for requests to another name give it a token \
                        (--http-token-file)";
            return Some(reply::refused(StatusCode::MISDIRECTED_REQUEST, text));
        }
        let reads = request.method() == Method::GET || request.method() == Method::HEAD;
        if !reads && !is_same_origin(headers, host.as_ref()) && !self.allows_origin(headers) {
            return Some(reply::refused(StatusCode::FORBIDDEN, "requests of web pages of other sites are refused"));
        }
        let is_page = reads && page::is_of(request);
        match &self.token {
            Some(token)
                if !is_page
                    && !token.is_in(headers)
                    && !self.push_token.as_ref().is_some_and(|push| push.is_in(headers)) =>
            {
                let mut response =
                    reply::refused(StatusCode::UNAUTHORIZED, "the header `authorization: Bearer TOKEN` is needed");
                let challenge = HeaderValue::from_static("Bearer realm=\"brrr-host\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                Some(response)
            }
            _ => None,
        }
    }
}

/// Passes a request on, or refuses it.
pub async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let Some(refusal) = guard.refusal(&request) else { return next.run(request).await };
    let is_of_v1 = v1::is_of(&request);
    if let Some(room) = &guard.room {
        room.drain(request.into_body()).await;
    }
    if is_of_v1 { as_problem(refusal).await } else { refusal }
}

/// The same refusal as a problem document.
async fn as_problem(refusal: Response) -> Response {
    let (parts, body) = refusal.into_parts();
    // A refusal is short.
    let bytes = axum::body::to_bytes(body, TARGET).await.unwrap_or_default();
    let text = serde_json::from_slice::<serde_json::Value>(&bytes)
        .ok()
        .and_then(|it| Some(it["message"].as_str()?.to_owned()));
    Problem::new(ProblemKind::of_status(parts.status), text.unwrap_or_default()).into_response()
}

/// The host that a request is for, with its port. `None`: an old client does not name the host.
fn host(request: &Request) -> Result<Option<Authority>, &'static str> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let header = match (named.next(), named.next()) {
        (Some(_), Some(_)) => return Err("a request has one header `host`"),
        (Some(host), None) => match Authority::try_from(host.as_bytes()) {
            Ok(host) if !host.as_str().contains('@') => Some(host),
            _ => return Err("the header `host` names no host"),
        },
        (None, _) if request.version() < Version::HTTP_11 => None,
        (None, _) => return Err("a request has a header `host`"),
    };
    // If the target has a host as well, as in a request to a proxy, the target counts.
    Ok(request.uri().authority().cloned().or(header))
}

/// A name that no other machine can have. Browsers don't resolve `localhost` over the network.
fn is_this_machine(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || address.is_ok_and(|ip| is_loopback(SocketAddr::new(ip, 0)))
}

fn is_same_origin(headers: &HeaderMap, host: Option<&Authority>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    origin.is_some() && origin == host.map(Authority::as_str)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn of(method: &str, headers: &[(&str, &str)]) -> Request {
        let request = Request::builder().method(method).uri("/t");
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(Body::empty())
            .unwrap()
    }

    fn status(guard: &Guard, request: &Request) -> u16 {
        guard.refusal(request).map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn a_page_whose_host_name_leads_to_this_machine_is_refused() {
        let guard = Guard::new((None, None), "127.0.0.1:80".parse().ok(), Vec::new());
        for host in ["localhost", "LOCALHOST:8080", "app.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:8080"] {
            assert_eq!(status(&guard, &of("GET", &[("host", host)])), 200, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "10.0.0.1", "evillocalhost", "[::2]", "127.0.0.1.evil.example"]
        {
            assert_eq!(status(&guard, &of("GET", &[("host", host)])), 421, "{host}");
        }
        for headers in [&[][..], &[("host", "a b")], &[("host", "")], &[("host", "localhost"), ("host", "localhost")]] {
            assert_eq!(status(&guard, &of("GET", headers)), 400, "{headers:?}");
        }
        // The gateway is open to other machines, and it can't know the names under which they reach it.
        assert_eq!(
            status(
                &Guard::new((None, None), "0.0.0.0:80".parse().ok(), Vec::new()),
                &of("GET", &[("host", "a.example")])
            ),
            200
        );
    }

    #[test]
    fn a_page_of_another_site_starts_no_job() {
        let guard = Guard::new((None, None), "127.0.0.1:80".parse().ok(), Vec::new());
        let post = |origin| of("POST", &[("host", "localhost:80"), ("origin", origin)]);
        assert_eq!(status(&guard, &post("http://localhost:80")), 200);
        for origin in ["null", "", "http://localhost:81", "https://evil.example", "http://localhost:80.evil.example"] {
            assert_eq!(status(&guard, &post(origin)), 403, "{origin}");
        }
    }
}
