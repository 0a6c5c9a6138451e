//! Requests of which no server would want to hear. Most are never sent: what they are made of lies in the host.

use brrr::Result;

/// So many headers of so many bytes.
#[brrr::handler]
pub async fn headers(url: String, n: usize, bytes: usize) -> Result<u16> {
    let value = "x".repeat(bytes);
    let request = (0..n).fold(brrr::http::get(url), |request, n| request.header(format!("x-{n}"), &value));
    Ok(request.send().await?.status)
}

/// With so long a path, method and host.
#[brrr::handler]
pub async fn request_line(url: String, path: usize, method: usize, host: usize) -> Result<u16> {
    let url = if host == 0 { url + &"x".repeat(path) } else { format!("http://{}/", "h".repeat(host)) };
    let method = if method == 0 { "GET".to_owned() } else { "M".repeat(method) };
    Ok(brrr::http::request(method, url).send().await?.status)
}

/// So many requests at once.
#[brrr::handler]
pub async fn requests(url: String, n: usize) -> Result<usize> {
    Ok(brrr::join_all((0..n).map(|_| brrr::http::get(&url).send())).await.len())
}

/// How much the host takes of parts of so many bytes, without asking where they are to go.
#[brrr::handler]
pub fn parts(bytes: usize) -> Result<usize> {
    #[cfg(target_family = "wasm")]
    {
        use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};
        let (text, request) = ("a".repeat(bytes), OutgoingRequest::new(Fields::new()));
        let taken = [
            request.set_method(&Method::Other(text.clone())),
            request.set_scheme(Some(&Scheme::Other(text.clone()))),
            request.set_authority(Some(&text)),
            request.set_path_with_query(Some(&format!("/{text}"))),
        ];
        Err(format!("the host took {} parts", taken.iter().flatten().count()))?
    }
    #[cfg(not(target_family = "wasm"))]
    Ok(bytes)
}

/// Headers without end, of requests without end.
#[brrr::handler]
pub fn kept_headers() {
    #[cfg(target_family = "wasm")]
    {
        use wasip2::http::types::Fields;
        let (mut kept, value) = (Vec::new(), vec![b'x'; 1000]);
        loop {
            let fields = Fields::new();
            for _ in 0..25 {
                let _ = fields.append("x", &value);
            }
            kept.push(fields);
        }
    }
}

/// Bodies without end, of requests that nobody sends.
#[brrr::handler]
pub fn kept_bodies() {
    #[cfg(target_family = "wasm")]
    {
        use wasip2::http::types::{Fields, OutgoingRequest};
        let mut kept = Vec::new();
        loop {
            let request = OutgoingRequest::new(Fields::new());
            let Ok(body) = request.body() else { continue };
            let Ok(stream) = body.write() else { continue };
            while let Ok(room @ 1..) = stream.check_write() {
                let _ = stream.write(&vec![0; usize::try_from(room).unwrap_or(0)]);
            }
            kept.push((stream, body, request));
        }
    }
}
