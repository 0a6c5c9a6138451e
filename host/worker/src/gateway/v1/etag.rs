//! ETags: a client that has the answer already is not sent it again.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use brrr_protocol::model::hex;
use sha2::{Digest as _, Sha256};

/// The ETag of an answer with these parts. It is a weak one, because the answer may be compressed.
pub fn etag(parts: &[&[u8]]) -> HeaderValue {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let hash = hasher.finalize();
    // It has only digits and letters.
    HeaderValue::from_str(&format!("W/\"{}\"", hex(&hash[..16]))).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
}

/// The answer with its ETag, or 304 if the client has it already.
pub fn tagged(request: &HeaderMap, etag: HeaderValue, response: Response) -> Response {
    if has(request, &etag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)], Body::empty()).into_response();
    }
    let mut response = response;
    response.headers_mut().insert(header::ETAG, etag);
    response
}

/// Does `if-none-match` name the ETag? Weak and strong ones are compared alike, as RFC 9110 says for this header.
fn has(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let ours = opaque(etag.to_str().unwrap_or_default());
    let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_answer_gets_304() {
        let tag = etag(&[b"a", b"b"]);
        assert_eq!((tag.clone(), tag.to_str().unwrap().len()), (etag(&[b"ab"]), 36));
        assert_ne!(tag, etag(&[b"abc"]));
        let status = |known: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
            let answer = tagged(&headers, tag.clone(), "body".into_response());
            assert_eq!(answer.headers()[header::ETAG], tag);
            answer.status().as_u16()
        };
        let text = tag.to_str().unwrap();
        assert_eq!(status(text), 304);
        assert_eq!(status(&format!("\"x\", {}", text.trim_start_matches("W/"))), 304);
        assert_eq!(status("*"), 304);
        assert_eq!(status("\"x\""), 200);
    }
}
