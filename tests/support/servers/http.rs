//! An HTTP server on loopback, with paths that answer well, paths that are difficult for a client, and paths that are broken.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::any;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

/// The number of requests that `/together` waits for.
pub const TOGETHER: usize = 3;

/// A server that runs in its own threads until it is dropped.
pub struct HttpServer {
    address: SocketAddr,
    seen: Arc<Seen>,
    runtime: Option<Runtime>,
}

struct Seen {
    requests: Mutex<Vec<String>>,
    together: Barrier,
}

impl HttpServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen { requests: Mutex::default(), together: Barrier::new(TOGETHER) });
        let app = Router::new().fallback(any(answer)).with_state(seen.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await.expect("it serves");
        });
        Self { address, seen, runtime: Some(runtime) }
    }

    /// The address as `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many requests have arrived for this path.
    pub fn count(&self, path: &str) -> usize {
        self.seen.requests.lock().expect("no panic").iter().filter(|seen| *seen == path).count()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // These threads are not joined, because some requests are never answered.
            runtime.shutdown_background();
        }
    }
}

/// - `/hello`: a text; `/echo`: method, some headers and body, as JSON
/// - `/redirect?to=URL`, `/redirect-307?to=URL`; `/loop`: a redirect to itself
/// - `/large?bytes=N`: N times `x`; `/together`: answers when `TOGETHER` requests wait
/// - `/later?ms=N`: answers after N milliseconds
/// - `/never`: no answer; `/stalls`: the beginning of an answer and no end; `/cut`: a beginning, then a broken connection
/// - `/turns?per=N`: the number of full groups of N requests that arrived before this one
/// - `/heads`: headers of 200 KB; `/status?is=N`: an answer with the status N
async fn answer(State(seen): State<Arc<Seen>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    seen.requests.lock().expect("no panic").push(path.clone());
    let argument = request.uri().query().and_then(|query| query.split_once('=')).map(|(_, value)| decoded(value));
    let argument = argument.unwrap_or_default();
    let number = argument.parse::<usize>().unwrap_or(0);
    let redirect = |status: u16| Response::builder().status(status).header("location", &argument).body(Body::empty());
    let begun = || stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"the beginning, ")) });
    let answer = match path.as_str() {
        "/hello" => Ok(Response::new("Hello!".into())),
        "/echo" => Ok(Response::new(echo(request).await.into())),
        "/redirect" => redirect(302),
        "/redirect-307" => redirect(307),
        "/loop" => Response::builder().status(302).header("location", "/loop").body(Body::empty()),
        "/large" => {
            const PIECE: usize = 16 << 10;
            let piece = Bytes::from(vec![b'x'; PIECE]);
            let pieces = (0..number.div_ceil(PIECE)).map(move |i| piece.slice(..PIECE.min(number - i * PIECE)));
            Ok(Response::new(Body::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)))))
        }
        "/together" => {
            seen.together.wait().await;
            Ok(Response::new("together".into()))
        }
        "/later" => {
            tokio::time::sleep(Duration::from_millis(number as u64)).await;
            Ok(Response::new("later".into()))
        }
        "/turns" => {
            let before = seen.requests.lock().expect("no panic").iter().filter(|path| *path == "/turns").count() - 1;
            Ok(Response::new((before / number.max(1)).to_string().into()))
        }
        "/never" => std::future::pending().await,
        "/stalls" => Ok(Response::new(Body::from_stream(begun().chain(stream::pending())))),
        "/cut" => {
            // During the pause the beginning reaches the client, before the connection breaks.
            let broken = stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("cut"))
            });
            Ok(Response::new(Body::from_stream(begun().chain(broken))))
        }
        "/heads" => Response::builder().header("x-long", "x".repeat(200_000)).body(Body::empty()),
        "/status" => Response::builder().status(argument.parse::<u16>().unwrap_or(500)).body("as asked".into()),
        _ => Response::builder().status(StatusCode::NOT_FOUND).body("no such path".into()),
    };
    answer.expect("a response")
}

async fn echo(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole body");
    let text = |headers: &HeaderMap, name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let headers: HashMap<_, _> = ["host", "authorization", "content-type", "content-length", "traceparent", "x-own"]
        .into_iter()
        .filter_map(|name| Some((name, text(&parts.headers, name)?)))
        .collect();
    let body = String::from_utf8_lossy(&body);
    serde_json::json!({"method": parts.method.as_str(), "headers": headers, "body": body}).to_string()
}

fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'%', [a, b, after @ ..]) => {
                let hex = std::str::from_utf8(&[*a, *b]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                bytes.push(hex.expect("two digits after a %"));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
