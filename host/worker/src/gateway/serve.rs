//! The accept loop: bounded in connections, headers and time, and ends gracefully.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_service::Service as _;

use super::pace::{Pace, Paced};
use crate::topic_worker::Shutdown;

/// Each costs a task and some buffers; more wait in the system's backlog.
const CONNECTIONS: u64 = 1024;

/// A client that takes longer for its request's head is broken or hostile.
const HEADERS: Duration = Duration::from_secs(10);

/// Request line and headers; arguments in a query are short, and a JSON body has its own limit.
const HEADER_BYTES: usize = 64 << 10;

/// What a client has to send or to read at least: about 4 KiB/s. Not less at once, because a system tells its peer about room
/// for more only when a good part of its buffer is free.
pub const PACE: Pace = Pace { bytes: 64 << 10, within: Duration::from_secs(15) };

/// The system's own buffer of each connection. By itself it grows to megabytes, and says that there is room for more only when
/// a third of that is free: a client that reads steadily would look as if it stood still.
const SEND_BUFFER: usize = 128 << 10;

/// After this time a connection answers one more request, so that a proxy in front of several gateways spreads its load anew.
const AGE: Duration = Duration::from_mins(5);

/// How long open requests may take once the gateway was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// After a failure to accept (out of file descriptors, mostly): trying at once would only burn a core.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What is asked of connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub pace: Pace,
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { pace: PACE, age: AGE }
    }
}

/// Serves until it is asked to stop, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: &Shutdown, bounds: Bounds) {
    let slots = Arc::new(Semaphore::new(usize::try_from(connections()).unwrap_or(1)));
    let graceful = GracefulShutdown::new();
    let stopped = shutdown.wait();
    tokio::pin!(stopped);
    loop {
        let accepting = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            _ = &mut stopped => break,
            accepted = accepting => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // An answer is one small write: waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(Paced::new(stream, bounds.pace)), answers(router.clone(), bounds.age));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

/// Answers the requests of one connection. An old one is closed by an answer that says so: cut off, it would take a request
/// along that is on its way.
fn answers(
    router: Router,
    age: Duration,
) -> impl hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> {
    let born = Instant::now();
    hyper::service::service_fn(move |request: Request<Incoming>| {
        let answering = router.clone().call(request);
        async move {
            let mut response = answering.await?;
            let headers = response.headers_mut();
            // A browser is not to guess that a result is a page or a script.
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            if born.elapsed() > age {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

/// How many connections at once: no more than half of the files that this process may open, so that a flood of them does
/// not keep it from its backend.
fn connections() -> u64 {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.map_or(CONNECTIONS, |files| (files / 2).clamp(1, CONNECTIONS))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    const LARGE: usize = 6 << 20;

    async fn start(bounds: Bounds) -> (TcpStream, Shutdown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            "done"
        };
        let router = Router::new().route("/slow", get(slow)).route("/large", get(async || vec![b'x'; LARGE]));
        let shutdown = Shutdown::default();
        let told = shutdown.clone();
        tokio::spawn(async move { serve(listener, router, &told, bounds).await });
        (TcpStream::connect(address).await.unwrap(), shutdown)
    }

    fn get_of(path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
    }

    #[tokio::test]
    async fn an_old_connection_ends_with_an_answer_that_says_so() {
        let (mut client, _shutdown) = start(Bounds { age: Duration::from_millis(500), ..Bounds::default() }).await;
        let mut answers = 0;
        loop {
            client.write_all(&get_of("/slow")).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"done") {
                assert!(client.read_buf(&mut answer).await.unwrap() > 0, "cut off after {answers} answers");
            }
            answers += 1;
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
            if answer.contains("connection: close") {
                break;
            }
        }
        assert!(answers > 1);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "closed");
    }

    #[tokio::test]
    async fn who_reads_steadily_gets_it_all_and_who_does_not_is_cut_off() {
        let pace = Pace { bytes: 64 << 10, within: Duration::from_secs(1) };
        let bounds = Bounds { pace, ..Bounds::default() };
        let ((mut steady, _one), (mut none, _two)) = (start(bounds).await, start(bounds).await);
        steady.write_all(&get_of("/large")).await.unwrap();
        none.write_all(&get_of("/large")).await.unwrap();
        let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
        // Takes longer than `within`.
        while got < LARGE {
            tokio::time::sleep(Duration::from_millis(15)).await;
            match steady.read(&mut buffer).await.unwrap() {
                0 => panic!("cut off after {got} bytes"),
                n => got += n,
            }
        }
        // The other one reads only now.
        let mut late = Vec::new();
        let _ = none.read_to_end(&mut late).await;
        assert!(late.len() < LARGE, "{} bytes", late.len());
    }
}
