//! The accept loop. It bounds connections, headers and time, and ends gracefully.

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

/// The most connections. Each connection costs a task and some buffers. Further connections wait in the system's
/// backlog.
const CONNECTIONS: u64 = 1024;

/// A client that needs longer to send the head of its request is broken or hostile.
const HEADERS: Duration = Duration::from_secs(10);

/// The most bytes of the request line and the headers. Arguments in a query are short, and a JSON body has its own
/// limit.
const HEADER_BYTES: usize = 64 << 10;

/// The least speed at which a client must send or read: about 4 KiB/s. `bytes` must not be smaller, because a system
/// tells its peer about free buffer space only when a large part of the buffer is free.
pub const PACE: Pace = Pace { bytes: 64 << 10, within: Duration::from_secs(15) };

/// The size of the system's send buffer of a connection. By default the buffer grows to megabytes, and the system
/// reports free space only when a third of it is free. A client that reads steadily would then seem to make no
/// progress.
const SEND_BUFFER: usize = 128 << 10;

/// After this time a connection answers one more request and is closed. So a proxy in front of several gateways can
/// spread its load again.
const AGE: Duration = Duration::from_mins(5);

/// How long open requests may continue after the gateway was asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The pause after a failure to accept. Mostly the process has no free file descriptor, and another try at once would
/// only waste CPU time.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The least speed at which a client must send or read.
    pub pace: Pace,
    /// The age after which a connection answers one more request and is closed.
    pub age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { pace: PACE, age: AGE }
    }
}

/// Serves until it is asked to stop. Then lets open requests end.
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
        // An answer is one small write. The system should not wait for more bytes before it sends them.
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

/// Answers the requests of one connection. An old connection is closed by an answer with `connection: close`. Closing
/// it at once could lose a request that is on its way.
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
            // This keeps a browser from treating a result as a page or a script.
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            if born.elapsed() > age {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

/// The most connections at once: at most half of the files that this process may open, so that a flood of connections
/// does not keep the process from its backend.
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
        let to_stop = shutdown.clone();
        tokio::spawn(async move { serve(listener, router, &to_stop, bounds).await });
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
    async fn a_steady_reader_gets_everything_and_a_stalled_reader_is_cut_off() {
        let pace = Pace { bytes: 64 << 10, within: Duration::from_secs(1) };
        let bounds = Bounds { pace, ..Bounds::default() };
        let ((mut steady, _one), (mut none, _two)) = (start(bounds).await, start(bounds).await);
        steady.write_all(&get_of("/large")).await.unwrap();
        none.write_all(&get_of("/large")).await.unwrap();
        let (mut got, mut buffer) = (0, vec![0; 64 << 10]);
        // This loop takes longer than `within`.
        while got < LARGE {
            tokio::time::sleep(Duration::from_millis(15)).await;
            match steady.read(&mut buffer).await.unwrap() {
                0 => panic!("cut off after {got} bytes"),
                n => got += n,
            }
        }
        // The other client begins to read only now.
        let mut late = Vec::new();
        let _ = none.read_to_end(&mut late).await;
        assert!(late.len() < LARGE, "{} bytes", late.len());
    }
}
