//! The web page at `/ui`: static files. What the page shows and does goes through `/v1`, under its rules.
//!
//! The files hold no secrets, so they are served without a token. The page asks for the token.

use std::collections::HashMap;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing};
use bytes::Bytes;

use super::Gateway;
use super::v1::etag::{etag, tagged};

/// The document that every address of the page shows.
const INDEX: &str = "index.html";

/// The folder of the files whose names change with their content.
const ASSETS: &str = "assets/";

/// What the page may do. Nothing comes from elsewhere, no script or style is in the document, and no text becomes HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const ABSENT: &str = "This brrr-host was built without its web page.\n\n\
                      To add the page, run scripts/ui.sh in the repository (it needs Node 20 or newer), and build brrr-host again.\n\
                      The API is at /v1; /v1/openapi.json describes it.\n";

/// The files of the web page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    files: HashMap<String, PageFile>,
}

#[derive(Clone, Debug)]
struct PageFile {
    bytes: Bytes,
    media: &'static str,
    tag: HeaderValue,
}

impl Page {
    /// The page with these files: paths such as `index.html` and `assets/index-1a2b.js`, and their bytes.
    pub fn new(files: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        let file = |(path, bytes): (String, Bytes)| {
            let file = PageFile { media: media(&path), tag: etag(&[&bytes]), bytes };
            (path, file)
        };
        Self { files: files.into_iter().map(file).collect() }
    }

    /// The answer with the file of this path below `/ui/`. Other paths are those of the page's views.
    fn answer(&self, path: &str, request: &HeaderMap) -> Response {
        let Some(index) = self.files.get(INDEX) else {
            return (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], ABSENT)
                .into_response();
        };
        let is_asset = path.starts_with(ASSETS);
        let file = match self.files.get(path) {
            Some(file) => file,
            None if is_asset => return (StatusCode::NOT_FOUND, "the page has no such file\n").into_response(),
            None => index,
        };
        let response = ([(header::CONTENT_TYPE, file.media)], file.bytes.clone()).into_response();
        let mut response = tagged(request, file.tag.clone(), response);
        let cached = if is_asset { "public, max-age=31536000, immutable" } else { "no-cache" };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cached));
        response
    }
}

fn media(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// Does the request read a file of the page?
pub fn is_of(request: &Request) -> bool {
    let path = request.uri().path();
    path == "/ui" || path.starts_with("/ui/")
}

/// The routes of the page.
pub fn router() -> Router<Gateway> {
    let root =
        || routing::get(async |State(gateway): State<Gateway>, headers: HeaderMap| answer(&gateway, "", &headers));
    let below = async |State(gateway): State<Gateway>, Path(path): Path<String>, headers: HeaderMap| {
        answer(&gateway, &path, &headers)
    };
    Router::new().route("/ui", root()).route("/ui/", root()).route("/ui/{*path}", routing::get(below))
}

fn answer(gateway: &Gateway, path: &str, request: &HeaderMap) -> Response {
    let mut response = gateway.shared.page.answer(path, request);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_and_type(page: &Page, path: &str) -> (u16, String) {
        let answer = page.answer(path, &HeaderMap::new());
        let media = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        (answer.status().as_u16(), media)
    }

    #[test]
    fn each_view_is_the_document_and_a_missing_file_is_404() {
        let files = [("index.html", "<!doctype html>"), ("assets/a.js", "1"), ("icon.svg", "<svg/>")];
        let page = Page::new(files.map(|(path, text)| (path.to_owned(), Bytes::from_static(text.as_bytes()))));
        for view in ["", "jobs", "jobs/5d41/calls/ab", "icon", "topics/a.js"] {
            assert_eq!(status_and_type(&page, view), (200, "text/html; charset=utf-8".to_owned()), "{view}");
        }
        assert_eq!(status_and_type(&page, "assets/a.js"), (200, "text/javascript; charset=utf-8".to_owned()));
        assert_eq!(status_and_type(&page, "icon.svg"), (200, "image/svg+xml".to_owned()));
        // An old document that asks for a script of an earlier version must not get a document.
        assert_eq!(status_and_type(&page, "assets/b.js").0, 404);
        assert_eq!(page.answer("assets/a.js", &HeaderMap::new()).headers()[header::CACHE_CONTROL].len(), 35);
    }

    #[test]
    fn a_binary_without_the_page_says_how_to_build_it() {
        let (status, media) = status_and_type(&Page::default(), "jobs");
        assert_eq!((status, media.as_str()), (404, "text/plain; charset=utf-8"));
    }
}
